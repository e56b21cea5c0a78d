# SPDX-License-Identifier: BSD-3-Clause
"""`usherctl listeners`: one table of what listens, whose it is, and which rules lead to it. tests/systemd has the units."""

import json
import shutil
import socket

from harness.broker import USHERCTL, ctl
from harness.host import AS_NOBODY, WORK, rule, run
from harness.service import ServiceProcess, make_socket
from harness.wire import cookie, hand_in, request


def table(**options):
    done = ctl("--json", "listeners", **options)
    found = json.loads(done.stdout)
    return {(row["proto"], row["address"]): row for row in found["listeners"]}, found["not_looked_at"]


def test_everything_that_root_sees(broker):
    """Each listener with its process; of those that are handed in the name, the state and the rules of its protocol and family."""
    broker(web=["Stream=192.0.2.0/24:80", "Stream=[2001:db8::/32]:80", "Datagram=80", "Stream=443"], www="Stream=8443")
    service = ServiceProcess("web", before=lambda sock: hand_in("web", sock) and hand_in("www", sock) and cookie(sock))
    udp = make_socket("udp", "127.0.0.3", 5353)
    rows, notes = table()
    row = rows["tcp", "127.0.0.2:8080"]
    assert row["socket"] == "sk:" + service.before_result
    assert (row["names"], row["state"]) == (["web", "www"], "serving")
    assert row["rules"] == ["192.0.2.0/24:80", "443", "8443"], "neither those of IPv6 nor those of UDP"
    assert row["pid"] and row["process"] and row["uid"] == 0
    row = rows["udp", "127.0.0.3:5353"]
    assert (row["names"], row["state"], row["rules"], row["device"]) == ([], None, [], None)
    assert row["socket"] == "sk:" + cookie(udp)
    assert [note for note in notes if "systemd does not run here" in note] == notes, "no unit was looked at, all else was"
    assert not row["complete"] and row["wanted_by"] is None


def test_held(broker):
    """A held socket is that of its service, although the broker had it open first; it is the broker's once the service has ended."""
    running = broker(web="Stream=80")
    service = ServiceProcess("web", before=lambda sock: request("hold", [sock], NAME="web"))
    rows, _ = table()
    assert rows["tcp", "127.0.0.2:8080"]["pid"] == service.pid
    service.kill()
    rows, _ = table()
    assert rows["tcp", "127.0.0.2:8080"]["pid"] == running.pid


def test_table(broker):
    """For people: a line each, as many words in each line, and rules that do not fit are counted."""
    broker(web=[f"Stream={port}" for port in range(1000, 1010)])
    with make_socket("tcp", "127.0.0.2", 8080) as sock, make_socket("tcp", "127.0.0.3", 8080):
        hand_in("web", sock)
        done = ctl("listeners")
        lines = [line.split() for line in done.stdout.splitlines() if line]
        assert lines[0] == ["PROTO", "ADDRESS", "SOCKET", "PROCESS", "PID", "UNIT", "SOCKET_UNIT", "NAME", "STATE", "RULES",
                            "WANTED_BY"]
        assert lines[-1] == ["listeners:", "2"]
        assert {len(line) for line in lines[:-1]} == {11}
        first, second = lines[1:3]
        assert (first[7:10], second[7:10]) == (["web", "serving", "1000,1001,1002,1003+6"], ["-", "-", "-"])
        assert "socket units were not looked at" in done.stderr


def test_dual_stack(broker):
    """A socket of both families: the matches of both, and those for any address once."""
    broker(web=rule("Stream=80", "Stream=192.0.2.0/24:81", "Stream=[2001:db8::/32]:82", access=["Bound=any"]))
    with make_socket("tcp", "::", 8080, v6only=False) as sock:
        hand_in("web", sock)
        rows, _ = table()
        assert sorted(rows["tcp", "[::]:8080"]["rules"]) == ["192.0.2.0/24:81", "80", "[2001:db8::/32]:82"]
        assert rows["tcp", "[::]:8080"]["names"] == ["web"]


def test_many_matches(broker):
    """The time grows with the matches, not with their square."""
    broker(web="\n".join(f"Stream=10.{i >> 8}.{i & 255}.0/24:80" for i in range(50000)))
    with make_socket("tcp", "127.0.0.2", 8080) as sock:
        hand_in("web", sock)
        assert len(table()[0]["tcp", "127.0.0.2:8080"]["rules"]) == 50000


def test_standby(broker):
    """A socket that a newer one replaces is standby."""
    broker(web="Stream=80")
    with make_socket("tcp", "127.0.0.2", 8080) as old, make_socket("tcp", "127.0.0.3", 8080) as new:
        hand_in("web", old)
        hand_in("web", new)
        rows, _ = table()
        assert [rows["tcp", f"127.0.0.{last}:8080"]["state"] for last in (2, 3)] == ["standby", "serving"]


def test_ordinary_user(broker):
    """What this user may not see is a question mark, null in JSON, and reported; what he sees is there."""
    broker(web="Stream=80")
    command = shutil.copy(USHERCTL, WORK / "usherctl")
    with make_socket("tcp", "127.0.0.2", 8080) as sock:
        hand_in("web", sock)
        done = run(command, "listeners", **AS_NOBODY)
        words = done.stdout.splitlines()[1].split()
        assert words[3:6] == ["?", "?", "?"] and words[7:10] == ["web", "serving", "80"]
        assert "so not every socket has its process (EACCES); run as root" in done.stderr
        row, = json.loads(run(command, "-j", "listeners", **AS_NOBODY).stdout)["listeners"]
        assert (row["process"], row["pid"], row["complete"]) == (None, None, False)


def test_without_broker():
    """The table of the kernel needs no broker: what it would say is unknown, not nothing."""
    with socket.create_server(("127.0.0.2", 8080)):
        done = ctl("listeners")
        assert done.stdout.splitlines()[1].split()[6:] == ["?"] * 5
        assert "what is handed in, and which rules lead to it, was not looked at: no broker" in done.stderr
        row, = json.loads(ctl("-j", "listeners").stdout)["listeners"]
        assert (row["names"], row["rules"]) == (None, None)

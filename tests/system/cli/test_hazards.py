# SPDX-License-Identifier: BSD-3-Clause
"""Matches that take no packet, and matches that take the answers to clients of the host: check, doctor, reload"""

import json
import re
import socket
import struct

import pytest

from harness import wire
from harness.broker import ctl
from harness.diagnosed import Diagnosed
from harness.host import CLIENT_V4, HOST_V4
from harness.process import MOMENT, PATIENCE
from harness.service import Service

GROUP, BROADCAST = "224.0.0.251", "203.0.113.255"


def hazards():
    return json.loads(ctl("check", "--json").stdout)["hazards"]


@pytest.mark.parametrize("match, what", [
    ("Datagram=224.0.0.251:5353", "multicast addresses"),
    ("Datagram=224.0.0.0/4:*", "multicast addresses"),
    ("Stream=239.1.2.3:80", "multicast addresses"),
    ("Datagram=[ff02::fb]:5353", "multicast addresses"),
    ("Datagram=255.255.255.255:67", "the broadcast address"),
    ("Datagram=0.0.0.0:53", "the unspecified address"),
    ("Stream=[::]:80", "the unspecified address"),
])
def test_never(broker, rules, match, what):
    """check says so without looking at the host, doctor and reload say so too."""
    broker(web="Stream=80")
    path = rules(web="Stream=80", odd=match)
    said = f"'odd' never gets what {match} should match: the kernel applies no rule to {what}"
    done = ctl("check", "--no-listeners")
    assert f":2: warning: {said}; " in done.stderr and done.stdout == "ok: rules: 2, matches: 2, warnings: 1\n", path
    assert [(row["name"], row["code"], row["line"]) for row in hazards()] == [("odd", "never", 2)]
    done = ctl("reload")
    assert done.stdout.startswith("reloaded: ") and said in done.stderr
    assert Diagnosed().of("never") == [("warn", said)]


def test_of_course(broker, rules):
    broker(web="Stream=80")
    rules(web="Stream=80 0.0.0.0/0:81 [::]/0:82".replace("[::]/0", "[::/0]"), dns="Datagram=192.0.2.0/24:53 240.0.0.1:53")
    assert hazards() == [] and ctl("reload").stderr == ctl("check").stderr == ""
    found = Diagnosed()
    assert [found.of(check)[0][0] for check in ("never", "local-ports")] == ["ok", "ok"]


def test_the_kernel_asks_no_program(broker, client):
    """What is said of multicast and broadcast is true: the rule is not asked, and a socket of its own gets them."""
    running = broker(odd=f"Datagram={GROUP}:5353 {BROADCAST}:5353 255.255.255.255:5353")
    assert {row["match"] for row in hazards()} == {f"{GROUP}:5353", f"{BROADCAST}:5353", "255.255.255.255:5353"}
    with Service("odd", "udp") as service, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        wire.hand_in("odd", service)
        own.bind(("0.0.0.0", 5353))
        own.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                       struct.pack("=4s4s", socket.inet_aton(GROUP), socket.inet_aton(HOST_V4)))
        own.settimeout(PATIENCE)
        with client.entered():
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sender.bind((CLIENT_V4, 0))
            for address in (GROUP, BROADCAST):
                sender.sendto(address.encode(), (address, 5353))
                assert own.recv(100).decode() == address
    assert sum(int(row.get("LOOKUPS", 0)) for row in running.list()) == 0


def asks(client):
    """Whether an unconnected UDP client of this host gets an answer from the machine at the other end of the cable."""
    with client.entered():
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        server.bind((CLIENT_V4, 5300))
        asker.sendto(b"?", (CLIENT_V4, 5300))
        server.settimeout(PATIENCE)
        server.sendto(b"!", server.recvfrom(100)[1])
        asker.settimeout(MOMENT)
        try:
            return asker.recv(100) == b"!"
        except TimeoutError:
            return False


@pytest.mark.parametrize("match", [f"{HOST_V4}:*", "*", "203.0.113.0/24:1-65000", f"{HOST_V4}:19000-65100"])
def test_answers_to_the_host(broker, rules, client, match):
    """The host's own clients get no answer. With the ports that the remedy names they do."""
    running = broker(all=f"Datagram={match}")
    with Service("all", "udp") as service:
        wire.hand_in("all", service)
        assert not asks(client)
        (row,) = hazards()
        assert row["code"] == "local-ports" and "to ports from 20000 to 65000" in row["text"]
        assert HOST_V4 in row["text"] or match == "*"
        found = Diagnosed()
        assert found.of("local-ports") == [("warn", row["text"])]
        safe = re.fullmatch("these ports are safe here: (Datagram=.*)", row["remedy"])[1]
        rules(all=safe)
        running.reload()
        assert hazards() == [] and asks(client)


def test_reserved(broker):
    """Ports that ip_local_reserved_ports keeps from clients are safe."""
    broker(all="Datagram=30000-30009 *:1".replace("*:1", "1"), ftp="Stream=[2001:db8:ffff::1]:20000-20001")
    (first,) = hazards()
    assert first["name"] == "all" and first["remedy"].startswith("none of its ports is safe here")
    with open("/proc/sys/net/ipv4/ip_local_reserved_ports", "r+") as file:
        before = file.read()
        try:
            file.write("30000-30004,30006")
            file.flush()
            (row,) = hazards()
            assert row["remedy"] == "these ports are safe here: Datagram=30000-30004 30006"
        finally:
            file.seek(0)
            file.write(before or "\n")
            file.flush()


def test_passive_ftp(broker, client):
    del client
    broker(ftp=f"Stream={HOST_V4}:19998-20010")
    (row,) = hazards()
    assert "such as passive FTP" in row["text"] and row["remedy"].endswith(f"Stream={HOST_V4}:19998-19999")


def test_many(broker, rules):
    broker(web="Stream=80")
    rules(web="Stream=80", odd="Datagram=" + " ".join(f"224.0.1.{i}:53" for i in range(25)))
    done = ctl("check")
    assert done.stderr.count(" never gets ") == 20 and "warning: 5 more matches take no packet" in done.stderr
    assert done.stdout.endswith("warnings: 25\n")
    assert json.loads(ctl("check", "--json").stdout)["hazards_left_out"] == 5

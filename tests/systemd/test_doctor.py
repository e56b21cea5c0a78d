# SPDX-License-Identifier: BSD-3-Clause
"""usherctl doctor on real systemd: units that do not run, and drop-ins that take away what the broker needs."""

import json
import os
import re
import signal
import time

import pytest

from harness.process import PATIENCE
from units import enable, rule, service, settle, unit

DROP_IN = "usherd.service.d/site.conf"


UNIT_CHECKS = ("service", "service-settings", "socket-unit")
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def findings(machine, *prefix):
    done = machine.run(*prefix, "usherctl", "--json", "doctor", check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    rows = json.loads(done.stdout)["findings"]
    assert done.returncode == any(row["result"] == "fail" for row in rows)
    return rows


def doctor(machine):
    """The warnings and failures: {check: [(result, text, remedy), ...]}."""
    found = {}
    for row in findings(machine):
        if row["result"] in ("warn", "fail"):
            found.setdefault(row["check"], []).append((row["result"], row["text"], row["remedy"]))
    return found


def of_units(machine, *prefix):
    """The lines of each check of a unit: {(result, text), ...}."""
    rows = [row for row in findings(machine, *prefix) if row["check"] in UNIT_CHECKS]
    assert [row["check"] for row in rows] == list(UNIT_CHECKS)
    return {(row["result"], row["text"]) for row in rows}


def results(found):
    return {check: [row[0] for row in rows] for check, rows in found.items()}


@pytest.fixture
def healthy(machine):
    """A service behind the broker, set up as in the manual."""
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    service(machine, "web", "127.0.0.2:8080")
    enable(machine, "usherd.service", "usher@web.service", "web.socket")
    return machine


def test_healthy(healthy):
    """Nothing is wrong, even after a boot, and no check is skipped."""
    assert doctor(healthy) == {}
    text = healthy.run("usherctl", "doctor").stdout
    for check in ("service", "service-settings", "socket-unit"):
        assert re.search(rf"(?m)^ok    {check}: ", text), text
    healthy.reboot()
    settle(healthy)
    assert doctor(healthy) == {}


def test_ways_to_ask(healthy):
    """Every user asks systemd over the system bus; root needs no bus. A question without an answer is "skip"."""
    fine = of_units(healthy)
    assert {result for result, _ in fine} == {"ok"}
    assert of_units(healthy, *AS_NOBODY) == fine
    healthy.systemctl("stop", "dbus.socket", "dbus.service")
    assert of_units(healthy) == fine
    assert of_units(healthy, *AS_NOBODY) == {
        ("skip", "systemd cannot be reached over the system bus: Connection refused (ECONNREFUSED); run as root")}
    healthy.systemctl("start", "dbus.socket")
    os.kill(healthy.pid, signal.SIGSTOP)
    start = time.monotonic()
    assert of_units(healthy) == {("skip", "systemd does not answer within 10 s (ETIMEDOUT)")}
    assert time.monotonic() - start < PATIENCE
    os.kill(healthy.pid, signal.SIGCONT)
    assert of_units(healthy, *AS_NOBODY) == fine


def test_units(healthy):
    """Units that are not enabled, not running, or changed on disk."""
    healthy.systemctl("disable", "usherd.service")
    found = doctor(healthy)
    assert results(found) == {"service": ["warn"], "socket-unit": ["warn"]}, "Also= of the unit"
    assert found["service"][0] == ("warn", "usherd.service is not enabled: it does not start at boot", "systemctl enable usherd.service")
    healthy.systemctl("enable", "usherd.service")
    # systemd 252 notices a changed drop-in, but not a new one
    unit(healthy, DROP_IN, "[Service]", "Nice=1")
    healthy.systemctl("daemon-reload")
    unit(healthy, DROP_IN, "[Service]", "Nice=2")
    (row,), = doctor(healthy).values()
    assert row[0] == "warn" and row[2] == "systemctl daemon-reload"
    healthy.systemctl("daemon-reload")
    healthy.systemctl("stop", "usherd.socket", "usherd.service")
    found = doctor(healthy)
    assert results(found) == {"service": ["warn"], "socket-unit": ["warn"], "answer": ["fail"], "pins": ["warn"]}
    assert found["service"][0][1:] == (
        "usherd.service is inactive", "systemctl start usherd.service; see 'systemctl status usherd.service'")
    assert found["answer"][0][2].startswith("systemctl start usherd.service")
    healthy.systemctl("start", "usherd.service")
    settle(healthy)
    assert doctor(healthy) == {}


def test_drop_ins(healthy):
    """doctor reports each drop-in before the broker starts with it. One test has all, because a machine boots slowly."""
    cases = {
        ("PrivateNetwork=yes",): ("fail", "PrivateNetwork=yes gives the broker a network namespace of its own", "remove it"),
        ("PrivateUsers=yes",): ("fail", "PrivateUsers=yes takes away the broker's capabilities", "remove it"),
        ("ProtectProc=invisible",): ("warn", "hides the processes of clients", "remove it"),
        ("CapabilityBoundingSet=~CAP_BPF",): ("fail", "leaves out CAP_BPF, ", "CapabilityBoundingSet=CAP_BPF CAP_NET_ADMIN"),
        ("CapabilityBoundingSet=",): ("fail", "leaves out CAP_BPF and CAP_NET_ADMIN, ", "CapabilityBoundingSet="),
        ("SystemCallFilter=~bpf",): ("fail", "does not let the broker call bpf(2)", "add SystemCallFilter=bpf"),
        ("SystemCallFilter=", "SystemCallFilter=~@privileged"): ("fail", "does not let the broker call bpf(2)", "add "),
        ("SystemCallFilter=~bpf:EPERM",): ("fail", "does not let the broker call bpf(2)", "add "),
        ("SystemCallFilter=", "SystemCallFilter=~bpf:EPERM"): ("fail", "does not let the broker call bpf(2)", "add "),
        ("ReadWritePaths=", "ReadWritePaths=/sys/fs"): None,
        ("ReadWritePaths=",): ("fail", "keeps the broker from writing to /sys/fs/bpf/usher", "add ReadWritePaths=-/sys/fs/bpf/usher"),
        ("SystemCallFilter=",): None,
        ("CapabilityBoundingSet=~CAP_SYS_PTRACE",): None,
    }
    for lines, expected in cases.items():
        unit(healthy, DROP_IN, "[Service]", *lines)
        healthy.systemctl("daemon-reload")
        found = doctor(healthy)
        if not expected:
            assert found == {}, lines
            continue
        assert results(found) == {"service-settings": [expected[0]]}, lines
        _, text, remedy = found["service-settings"][0]
        assert expected[1] in text and expected[2] in remedy, (text, remedy)
        assert "systemctl daemon-reload && systemctl restart usherd.service" in remedy


def test_store_is_too_small(healthy):
    """Held sockets that the service manager would not keep."""
    unit(healthy, DROP_IN, "[Service]", "FileDescriptorStoreMax=0")
    healthy.systemctl("daemon-reload")
    assert doctor(healthy) == {}
    healthy.sh("""exec python3 - <<'END'
import array, socket
listener = socket.create_server(("127.0.0.3", 8080))
client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
client.connect("/run/usher/usher.sock")
client.sendmsg([b"REQUEST=hold\\nNAME=web\\n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener.fileno()]))])
assert b"OK=1" in client.recv(4096)
END""")
    found = doctor(healthy)
    assert results(found) == {"service-settings": ["warn"]}
    assert "FileDescriptorStoreMax=0 is less than the number of held sockets: 1;" in found["service-settings"][0][1]


def test_nobody_discovers(healthy):
    """A rule has [Discover], but usher-discover.service does not run. Once it does, doctor reports nothing."""
    rule(healthy, "ssh", "Stream=192.0.2.0/24:22", "[Discover]", "Socket=127.0.0.2:2222")
    healthy.systemctl("reload", "usherd.service")
    found = doctor(healthy)
    assert results(found) == {"discover-unit": ["warn", "warn"], "discover": ["warn"], "missing": ["warn"]}
    assert found["discover-unit"][0][1] == "usher-discover.service is inactive"
    assert "systemctl enable usher-discover.service" in found["discover-unit"][1][2]
    enable(healthy, "usher-discover.service")
    assert results(doctor(healthy)) == {"discover": ["warn"], "missing": ["warn"]}, "still nothing listens there"
    healthy.systemctl("mask", "--now", "usher-discover.service")
    rows = [row for row in findings(healthy) if row["check"] == "discover-unit"]
    assert [(row["result"], row["text"]) for row in rows] == [("info", "there is no unit usher-discover.service (masked)")]

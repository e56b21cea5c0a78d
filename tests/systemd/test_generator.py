# SPDX-License-Identifier: BSD-3-Clause
"""Sockets= in a rule: the socket unit is all that is started, and its sockets are handed in, whatever restarts when."""

import json
import os
import re

import pytest
from harness.process import wait_until
from harness.traffic import REFUSED, Load, who

from units import rule, service, settle, sockets, unit

PUBLIC = "192.0.2.1"


def web(machine, *lines, named=True):
    """A rule that names web.socket, which need not have FileDescriptorName=, and which is started, not enabled."""
    rule(machine, "web", "Stream=192.0.2.0/24:80", "Sockets=web.socket", *lines)
    service(machine, "web", "127.0.0.2:8080")
    if not named:
        path = "/etc/systemd/system/web.socket"
        machine.write(path, machine.read(path).replace("FileDescriptorName=web\n", ""))
    machine.systemctl("daemon-reload")
    machine.systemctl("enable", "--now", "usherd.service", "web.socket")
    settle(machine)


def handed_in(machine):
    return [text for text in machine.messages("-t", "usherctl") if text.startswith("handed in")]


@pytest.mark.parametrize("named", [True, False], ids=["FileDescriptorName", "no-name"])
def test_one_line(machine, named):
    """One line in the rule, nothing to enable for it; after a reboot too."""
    web(machine, named=named)
    assert who(PUBLIC, 80) == "web"
    assert not list(machine.root.glob("etc/systemd/system/*.wants/usher@*"))
    for _ in range(2):
        machine.reboot()
        settle(machine)
        assert machine.state("web.service") == "inactive/dead"
        assert who(PUBLIC, 80) == "web"
        texts = machine.messages("-b", "-t", "usherctl")
        assert texts and all(text.startswith("handed in 'web") for text in texts), texts
    assert machine.systemctl("list-units", "--failed", "--no-legend").stdout == ""


def test_verify(machine):
    web(machine)
    done = machine.run("systemd-analyze", "verify", "--man=no", "--recursive-errors=yes", "web.socket", "usher@web.service",
                       "usherd.service", "usher-sockets.service", "usher-sockets@x.service")
    assert done.stdout + done.stderr == ""


def test_new_rule_for_a_socket_that_listens(machine):
    """daemon-reload and reload are all that a new line needs."""
    service(machine, "web", "127.0.0.2:8080")
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    machine.systemctl("daemon-reload")
    machine.systemctl("enable", "--now", "usherd.service", "web.socket")
    settle(machine)
    assert who(PUBLIC, 80) == REFUSED
    rule(machine, "web", "Stream=192.0.2.0/24:80", "Sockets=web.socket")
    machine.systemctl("daemon-reload")
    machine.run("usherctl", "reload")
    settle(machine)
    wait_until(lambda: who(PUBLIC, 80) == "web")


def test_broker(machine):
    """A start of the broker hands in only what it lacks, and starts no socket unit that has been stopped."""
    web(machine)
    service(machine, "off", "127.0.0.3:8080")
    rule(machine, "off", "Stream=192.0.2.0/24:81", "Sockets=off.socket")
    machine.systemctl("daemon-reload")
    machine.systemctl("reload", "usherd")
    machine.systemctl("start", "off.socket")
    settle(machine)
    assert (who(PUBLIC, 80), who(PUBLIC, 81)) == ("web", "off")
    machine.systemctl("stop", "off.socket", "off.service")
    before = handed_in(machine)
    for command in (["restart", "usherd.service"], ["kill", "--signal=KILL", "usherd.service"], ["reload", "usherd.service"]):
        runs = machine.show("usher-sockets.service", "InvocationID")
        machine.systemctl(*command)
        wait_until(lambda: machine.show("usher-sockets.service", "InvocationID") != runs, "the broker was asked what it lacks")
        settle(machine)
        assert (who(PUBLIC, 80), who(PUBLIC, 81)) == ("web", REFUSED)
    assert handed_in(machine) == before
    machine.run("usherctl", "detach")
    wait_until(lambda: machine.state("usherd.service") == machine.state("usherd.socket") == "inactive/dead")
    machine.systemctl("start", "usherd.service")
    wait_until(lambda: who(PUBLIC, 80) == "web", "the sockets are handed in again")
    settle(machine)
    assert machine.state("off.socket") == "inactive/dead"
    assert machine.systemctl("list-units", "--failed", "--no-legend").stdout == ""


def test_lives(machine):
    """Restarts, stops and kills of the service, the broker and process 1 refuse nobody."""
    web(machine)
    load = Load((PUBLIC, 80), rate=1000)
    for _ in range(3):
        machine.systemctl("restart", "web.service")
        machine.systemctl("kill", "--signal=KILL", "web.service")
        machine.systemctl("restart", "usherd.service")
        machine.systemctl("daemon-reload")
        machine.systemctl("reload", "usherd.service")
    machine.systemctl("daemon-reexec")
    results = load.finish()
    assert set(results) == {(0, "web")}, results
    assert len(handed_in(machine)) == 1


def test_socket_unit_restarts(machine):
    """However quickly a socket unit is stopped and started, its last sockets are those that serve."""
    web(machine)
    unit(machine, "web.socket.d/often.conf", "[Unit]", "StartLimitIntervalSec=0")
    machine.systemctl("daemon-reload")
    for _ in range(10):
        machine.systemctl("stop", "web.socket", "web.service")
        assert who(PUBLIC, 80) == REFUSED
        machine.systemctl("start", "web.socket")
        machine.systemctl("restart", "web.socket")
    settle(machine)
    assert who(PUBLIC, 80) == "web"
    machine.systemctl("stop", "web.socket", "web.service")
    assert sockets(machine) == [] and who(PUBLIC, 80) == REFUSED
    machine.systemctl("restart", "usherd.service")
    settle(machine)
    assert machine.state("web.socket") == "inactive/dead", "what has been stopped stays so"


def test_many_lines_and_rules(machine):
    """A unit with TCP, UDP and Unix lines that two rules name; names with an instance and with an escape."""
    rule(machine, "tcp", "Stream=192.0.2.0/24:53", "Sockets=dns.socket")
    rule(machine, "udp", "Datagram=192.0.2.0/24:53", "Sockets=dns.socket")
    rule(machine, "more", "Stream=192.0.2.0/24:80", r"Sockets=web@1.socket")
    rule(machine, "dash", "Stream=192.0.2.0/24:81", r"Sockets=foo\x2dbar.socket")
    service(machine, "dns", "127.0.0.2:53", "/run/dns.sock", socket=["ListenDatagram=127.0.0.2:53"])
    for name, template, port in ("web@1", "web@", 8080), (r"foo\x2dbar", r"foo\x2dbar", 8081):
        unit(machine, f"{template}.socket", "[Socket]", f"ListenStream=127.0.0.2:{port}")
        unit(machine, f"{template}.service", "[Service]", f"ExecStart=/usr/local/bin/answer {name[:3]}")
    machine.systemctl("daemon-reload")
    machine.systemctl("enable", "--now", "usherd.service")
    machine.systemctl("start", "dns.socket", "web@1.socket", r"foo\x2dbar.socket")
    settle(machine)
    assert (who(PUBLIC, 53), who(PUBLIC, 53, "udp"), who(PUBLIC, 80), who(PUBLIC, 81)) == ("dns", "dns", "web", "foo")
    assert [line[:2] for line in sockets(machine)] == [["dash", "tcp"], ["more", "tcp"], ["tcp", "tcp"], ["udp", "udp"]]
    texts = "\n".join(machine.messages("-u", "usher@dns.service"))
    assert "a Unix socket, not TCP or UDP" in texts
    before = handed_in(machine)
    for _ in range(2):
        machine.systemctl("restart", "usherd.service")
        settle(machine)
    machine.run("usherctl", "reload")
    settle(machine)
    assert handed_in(machine) == before
    assert machine.systemctl("list-units", "--failed", "--no-legend").stdout == ""


def findings(machine, check):
    rows = json.loads(machine.run("usherctl", "--json", "doctor", check=False).stdout)["findings"]
    return [(row["text"].split(": ", 1)[-1], row["remedy"]) for row in rows if row["check"] == check and row["result"] == "warn"]


def test_words(machine):
    """check, reload and doctor follow a unit from its file to its sockets; each remedy leads to the next, and the last to service."""
    rule(machine, "web", "Stream=192.0.2.0/24:80", "Sockets=web.socket")
    machine.systemctl("enable", "--now", "usherd.service")
    settle(machine)

    def said(text):
        """What all of them say, and the command"""
        (found, remedy), = findings(machine, "named-units")
        assert found == text
        for verb in "check", "reload":
            done = machine.run("usherctl", verb)
            assert f"/etc/usher/rules.d/web.rule:3: warning: {text}; {remedy}\n" in done.stderr, (verb, done.stderr)
        settle(machine)
        return re.search(r"(?:systemctl|usherctl) (?:[\w@.-]+( |$)| *&& )+$", remedy)[0]

    assert said("there is no unit web.socket") == "systemctl daemon-reload"
    done = machine.run("usherctl", "--json", "explain", "tcp", f"{PUBLIC}:80", check=False).stdout
    assert "there is no unit web.socket, which the rule names" in done
    service(machine, "web", "127.0.0.2:8080")
    machine.systemctl("daemon-reload")
    command = said("web.socket is inactive, and not enabled")
    assert command == "systemctl enable --now web.socket"
    machine.run("rm", "/etc/usher/rules.d/web.rule")
    machine.sh(command)
    settle(machine)
    rule(machine, "web", "Stream=192.0.2.0/24:80", "Sockets=web.socket")
    command = "systemctl daemon-reload && usherctl reload"
    done = machine.run("usherctl", "check")
    assert f"systemd has not read yet that web.socket starts usher@web.service; have usher-generator read the rules: {command}\n" in done.stderr
    machine.sh(command)
    settle(machine)
    assert who(PUBLIC, 80) == "web"
    done = machine.run("usherctl", "check")
    assert "Sockets=" not in done.stderr and "web.socket" not in done.stderr, done.stderr
    assert findings(machine, "named-units") == findings(machine, "missing") == []
    machine.run("usherctl", "withdraw", "web")
    assert findings(machine, "missing")[0][1] == "start it; its journal shows what became of it: systemctl start usher@web.service"
    machine.sh("systemctl start usher@web.service")
    assert who(PUBLIC, 80) == "web"


def test_bad_and_masked_rules(machine):
    """A bad file keeps neither the boot nor the other units from working; a masked rule starts nothing."""
    web(machine)
    service(machine, "mail", "127.0.0.3:8080")
    rule(machine, "mail", "Stream=192.0.2.0/24:25", "Sockets=mail.socket", "Nonsense=1")
    machine.write("/usr/lib/usher/rules.d/shop.rule", "[Rule]\nStream=192.0.2.0/24:82\nSockets=mail.socket\n")
    machine.write("/etc/usher/rules.d/shop.rule", "")
    machine.systemctl("enable", "mail.socket")
    machine.reboot()
    settle(machine)
    assert (who(PUBLIC, 80), who(PUBLIC, 25), who(PUBLIC, 82)) == ("web", REFUSED, REFUSED)
    assert machine.state("mail.socket") == "active/listening"
    assert not handed_in_of(machine, "usher@mail.service")
    machine.run("rm", "/etc/usher/rules.d/shop.rule")
    rule(machine, "mail", "Stream=192.0.2.0/24:25", "Sockets=mail.socket")
    machine.sh("systemctl daemon-reload && usherctl reload")
    settle(machine)
    assert (who(PUBLIC, 80), who(PUBLIC, 25), who(PUBLIC, 82)) == ("web", "mail", "mail")


def test_log(machine):
    """What is wrong with a file is in the kernel's log, as systemd demands of generators, and daemon-reload succeeds."""
    os.mkfifo(machine.root / "dev/kmsg")  # the machine has none of its own, and 257 runs generators where files are read-only
    log = os.open(machine.root / "dev/kmsg", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    rule(machine, "web", "Stream=192.0.2.0/24:80", "Sockets=web.service")
    rule(machine, "mail", "Stream=192.0.2.0/24:25", "Sockets=mail.socket")
    machine.systemctl("daemon-reload")
    lines = [line for line in os.read(log, 65536).decode().splitlines() if "usher-generator" in line]
    os.close(log)
    assert re.match(r"<4>usher-generator\[\d+\]: /etc/usher/rules.d/web.rule:3: 'web.service' cannot be a socket unit; ", lines[0])
    assert re.match(r"<4>usher-generator\[\d+\]: the rule files with errors start no usher@; ", lines[1]) and len(lines) == 2
    assert [path.name for path in machine.root.glob("run/systemd/generator/*.socket.wants/usher@*")] == ["usher@mail.service"]


def handed_in_of(machine, name):
    return machine.messages("-b", "-u", name)


def test_instance(machine):
    """A rule of another instance: its broker gets the sockets, without a drop-in of the administrator."""
    machine.sh("""
        ip netns add blue
        ip -n blue link set lo up
        ip -n blue route add local 198.51.100.0/24 dev lo
        mkdir -p /etc/usher-blue/rules.d
        printf '[Rule]\\nStream=198.51.100.0/24:80\\nSockets=web.socket\\n' > /etc/usher-blue/rules.d/web.rule
    """)
    service(machine, "web", "127.0.0.2:8080")
    unit(machine, "web.socket.d/blue.conf", "[Socket]", "NetworkNamespacePath=/run/netns/blue")
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "usherd@blue.service", "web.socket")
    settle(machine)

    def listed():
        return [line.split()[0] for line in machine.run("usherctl", "--instance=blue", "--no-legend", "list").stdout.splitlines()
                if " serving " in line]

    assert listed() == ["web"]
    machine.run("usherctl", "--instance=blue", "detach")
    wait_until(lambda: machine.state("usherd@blue.service") == machine.state("usherd@blue.socket") == "inactive/dead")
    machine.systemctl("start", "usherd@blue.service")
    wait_until(lambda: listed() == ["web"], "usher-sockets@blue.service has it handed in again")


@pytest.mark.seconds(600)
def test_hundred_units(machine):
    """A hundred units need one line each, and a restart of the broker starts one process for all of them."""
    names = [f"s{i}" for i in range(100)]
    for i, name in enumerate(names):
        rule(machine, name, f"Stream=192.0.2.{i + 1}/32:80", f"Sockets={name}.socket")
        unit(machine, f"{name}.socket", "[Socket]", f"ListenStream=127.0.1.{i + 1}:8080")
        unit(machine, f"{name}.service", "[Service]", "ExecStart=sleep infinity")
    machine.systemctl("daemon-reload")
    machine.systemctl("enable", "--now", "usherd.service")
    settle(machine)
    machine.systemctl("start", *[f"{name}.socket" for name in names])
    settle(machine)
    assert len(sockets(machine)) == len(handed_in(machine)) == len(names)
    ran = machine.show("usher-sockets.service", "InvocationID")
    machine.systemctl("restart", "usherd.service")
    wait_until(lambda: machine.show("usher-sockets.service", "InvocationID") != ran, "the broker was asked")
    settle(machine)
    assert len(sockets(machine)) == len(handed_in(machine)) == len(names)

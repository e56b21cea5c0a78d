# SPDX-License-Identifier: BSD-3-Clause
"""Mistakes in units, as people make them: the message names the unit and the line, and its remedy works."""

import json
import re

import pytest
from harness.process import wait_until
from harness.traffic import who

from units import ANSWER, enable, rule, service, settle, sockets, unit

PUBLIC = "192.0.2.1"


def missing(machine, name="web"):
    """(text, command) of the finding of explain; doctor says the same."""
    done = machine.run("usherctl", "--json", "explain", "tcp", f"{PUBLIC}:80", check=False)
    finding, = [row for row in json.loads(done.stdout)["findings"] if row["code"] == "missing"]
    done = machine.run("usherctl", "--json", "doctor", check=False)
    warned, = [row for row in json.loads(done.stdout)["findings"] if row["text"].startswith(f"no socket is handed in as '{name}'")]
    cause = finding["text"].split(": ", 1)[1]
    assert warned["text"].endswith("; " + cause), (warned, cause)
    assert warned["remedy"] == f"{finding['remedy']} {finding['command'] or ''}".strip()
    return cause, finding["command"]


def follow(machine, command):
    """Do what a remedy says, with the words of systemd's own commands only."""
    assert re.fullmatch(r"(systemctl [\w@.-]+( --now)?( [\w@.-]+)?( && )?)+", command), command
    machine.sh(command)
    settle(machine)


class TestNobodyHandsIn:
    """Why no socket is handed in as a name: explain and doctor follow the way from the socket unit to the broker."""

    def test_each_step(self, machine):
        """No name, not enabled, not started, usher@ not enabled: each remedy leads to the next fault, and the last to service."""
        rule(machine, "web", "Stream=192.0.2.0/24:80")
        service(machine, "web", "127.0.0.2:8080")
        text = machine.read("/etc/systemd/system/web.socket")
        enable(machine, "usherd.service")
        machine.write("/etc/systemd/system/web.socket", text.replace("FileDescriptorName=web\n", ""))
        machine.systemctl("daemon-reload")
        cause, command = missing(machine)
        assert cause == "the sockets of web.socket have the name 'web.socket': FileDescriptorName=web is missing there, or invalid"
        machine.write("/etc/systemd/system/web.socket", text.replace("=web\n", "=we:b\n"))
        machine.systemctl("daemon-reload")
        assert missing(machine) == (cause, command), "systemd ignores a name with a colon"
        machine.write("/etc/systemd/system/web.socket", text)
        follow(machine, command)
        machine.systemctl("stop", "web.socket")
        cause, command = missing(machine)
        assert cause == "web.socket is inactive, and not enabled"
        follow(machine, command)
        cause, command = missing(machine)
        assert cause == "usher@web.service, which hands in the sockets of web.socket, is not enabled"
        follow(machine, command)
        assert who(PUBLIC, 80) == "web"

    def test_failed(self, machine):
        """A socket unit whose address is taken, and usher@ that was refused"""
        rule(machine, "web", "Stream=192.0.2.0/24:80")
        service(machine, "web", "127.0.0.2:8080")
        service(machine, "taker", "127.0.0.2:8080")
        enable(machine, "usherd.service", "taker.socket")
        machine.systemctl("enable", "usher@web.service", "web.socket")
        machine.systemctl("start", "web.socket", check=False)
        cause, command = missing(machine)
        assert (cause, command) == ("web.socket has failed", "systemctl restart web.socket")
        machine.systemctl("disable", "--now", "taker.socket")
        machine.write("/etc/systemd/system/usher@web.service.d/late.conf", "[Service]\nExecStart=\nExecStart=false\n")
        machine.systemctl("daemon-reload")
        follow(machine, command)
        wait_until(lambda: machine.state("usher@web.service") == "failed/failed", "usher@ has failed")
        cause, command = missing(machine)
        assert (cause, command) == ("usher@web.service has failed", "systemctl restart usher@web.service")
        machine.sh("rm /etc/systemd/system/usher@web.service.d/late.conf; systemctl daemon-reload")
        follow(machine, command)
        assert who(PUBLIC, 80) == "web"
        machine.run("usherctl", "withdraw", "web")
        cause, command = missing(machine)
        assert cause == "web.socket has sockets, and usher@web.service has not handed them in since"
        follow(machine, command)
        assert who(PUBLIC, 80) == "web"

    def test_without_ports(self, machine):
        """Active, and no socket that usher could take"""
        rule(machine, "web", "Stream=192.0.2.0/24:80")
        unit(machine, "web.socket", "[Socket]", "ListenStream=/run/web.sock", "FileDescriptorName=web")
        unit(machine, "web.service", "[Service]", "ExecStart=sleep infinity")
        enable(machine, "usherd.service")
        machine.systemctl("start", "web.socket")
        assert missing(machine) == ("web.socket is active, and has no TCP or UDP socket", None)

    def test_another_name(self, machine):
        """The socket unit need not be called as the name, and a service without one is found by its name."""
        rule(machine, "web", "Stream=192.0.2.0/24:80")
        unit(machine, "web.service", "[Service]", "ExecStart=sleep infinity")
        enable(machine, "usherd.service")
        assert missing(machine) == ("web.service is inactive", "systemctl start web.service")
        machine.systemctl("start", "web.service")
        assert missing(machine) == ("web.service is active, and has handed none in", "journalctl -u web.service")
        unit(machine, "nginx.socket", "[Socket]", "ListenStream=127.0.0.2:8080", "FileDescriptorName=web", "Service=web.service")
        machine.systemctl("daemon-reload")
        assert missing(machine) == ("nginx.socket is inactive", "systemctl start nginx.socket")


def hand_in_of(machine, *lines, start="usherctl hand-in web -- /usr/local/bin/answer web", listen=True):
    """What web.service says when it starts with these lines."""
    machine.write("/usr/local/bin/answer", ANSWER.read_text(), 0o755)
    rule(machine, "web", "Stream=192.0.2.0/24:80", "[Access]", "Unit=web.service")
    if listen:
        unit(machine, "web.socket", "[Socket]", "ListenStream=127.0.0.2:8080", "FileDescriptorName=web")
    unit(machine, "web.service", "[Unit]", "StartLimitIntervalSec=0", "[Service]", "Type=exec", f"ExecStart={start}", *lines)
    enable(machine, "usherd.service")
    machine.systemctl("reload", "usherd.service")
    machine.systemctl("start", *["web.socket"][:listen], "web.service", check=False)
    found = []
    wait_until(lambda: found.extend(text for text in machine.messages("-u", "web.service") if text.startswith("usherctl: "))
               or found or sockets(machine), "usherctl has said something, or handed in")
    return "\n".join(found)


class TestHandInOfAUnit:
    """`usherctl hand-in` in a unit that keeps it from its sockets or from the broker"""

    @pytest.mark.parametrize("key", ["ExecStartPre", "ExecStartPost"])
    def test_exec_start_pre(self, machine, key):
        """Other lines than ExecStart= get no sockets."""
        text = hand_in_of(machine, f"{key}=usherctl hand-in web", start="/usr/local/bin/answer web")
        assert f"systemd passes sockets to ExecStart= only, and this is {key}= of web.service" in text

    def test_no_socket_unit(self, machine):
        """Nothing was passed: which lines are missing"""
        text = hand_in_of(machine, listen=False)
        assert "web.service has no socket unit that is active; name it with Sockets=NAME.socket in web.service" in text

    def test_socket_unit_is_not_active(self, machine):
        """The socket unit of the service is there, and cannot listen."""
        service(machine, "taker", "127.0.0.2:8080")
        enable(machine, "taker.socket")
        unit(machine, "web.socket", "[Socket]", "ListenStream=127.0.0.2:8080", "FileDescriptorName=web")
        unit(machine, "web.service", "[Service]", "ExecStart=sleep infinity")
        machine.systemctl("daemon-reload")
        machine.systemctl("start", "web.socket", check=False)
        text = hand_in_of(machine, listen=False)
        assert "web.socket, which passes its sockets to web.service, is not active; see 'systemctl status web.socket'" in text

    def test_no_unix_sockets(self, machine):
        text = hand_in_of(machine, "RestrictAddressFamilies=AF_INET")
        assert "RestrictAddressFamilies= of the unit leaves AF_UNIX out; add it there" in text
        hand_in_of(machine, "RestrictAddressFamilies=AF_INET", "RestrictAddressFamilies=AF_UNIX")
        assert who(PUBLIC, 80) == "web"

    def test_run_is_hidden(self, machine):
        text = hand_in_of(machine, "TemporaryFileSystem=/run")
        remedy = re.search(r"the unit hides /run, .*; add (BindReadOnlyPaths=/run/usher)$", text, re.M)
        assert remedy, text
        hand_in_of(machine, "TemporaryFileSystem=/run", remedy[1])
        assert who(PUBLIC, 80) == "web"

    @pytest.mark.parametrize("user", ["root", "nobody"])
    def test_inaccessible(self, machine, user):
        text = hand_in_of(machine, "InaccessiblePaths=/run/usher", f"User={user}")
        assert re.search(r"InaccessiblePaths= of the unit hides the broker's socket \S+ \(E\w+\); take /run/usher out of it", text)

    def test_nine_lines(self, machine):
        """A line for each port is not needed, and eight sockets are the most."""
        rule(machine, "web", "Stream=192.0.2.0/24:1-9")
        service(machine, "web", *[f"127.0.0.2:{8080 + i}" for i in range(9)])
        enable(machine, "usherd.service")
        machine.systemctl("start", "web.socket")
        machine.systemctl("start", "usher@web.service", check=False)
        text = "\n".join(machine.messages("-u", "usher@web.service"))
        assert ("'web' has sockets at 9 addresses for TCP over IPv4: one serves, the others only stand by; one ListenStream= line "
                "of the socket unit is enough, the rule says to which addresses and ports it applies") in text


def test_taken_over(machine):
    """A unit that takes a name over from another one: the journal says from whom, and doctor notes it while both are there."""
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    service(machine, "web", "127.0.0.2:8080")
    unit(machine, "new.socket", "[Socket]", "ListenStream=127.0.0.3:8080", "FileDescriptorName=web")
    unit(machine, "new.service", "[Service]", "ExecStart=/usr/local/bin/answer new")
    enable(machine, "usherd.service", "web.socket", "usher@web.service")
    machine.systemctl("restart", "usher@web.service")

    def said(name):
        return [text for text in machine.messages("-t", "usherd", f"USHER_NAME={name}") if "is handed in" in text]

    assert said("web") == ["'web': the TCP socket at 127.0.0.2:8080 is handed in and serves"], "nobody was there before"
    machine.systemctl("start", "new.socket", "usher@new.service")
    settle(machine)
    assert said("web")[1:] == ["'web': the TCP socket at 127.0.0.3:8080 is handed in and serves, "
                               "in place of that of usher@web.service at 127.0.0.2:8080"]
    assert who(PUBLIC, 80) == "new"
    noted, = [row for row in json.loads(machine.run("usherctl", "-j", "doctor", check=False).stdout)["findings"]
              if row["check"] == "taken-over"]
    assert (noted["result"], noted["text"]) == (
        "info", "'web' (tcp over ipv4) has sockets of two units: that of usher@new.service serves, and that of usher@web.service "
        "only stands by")
    machine.systemctl("stop", "new.socket", "new.service")
    wait_until(lambda: who(PUBLIC, 80) == "web", "the old one serves again")

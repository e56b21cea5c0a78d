# SPDX-License-Identifier: BSD-3-Clause
"""The example of docs/sockets.md, followed literally: unbound as Debian ships it, started with a stand-in"""

import re

import pytest

from harness.legacy import resolve
from harness.process import wait_until
from harness.traffic import REFUSED, who

from conftest import SOURCE
from units import enable, settle, sockets

TEXT = (SOURCE / "docs/sockets.md").read_text()
FILES = re.findall(r"^`(/[^`\s]+)`:\n\n```\w+\n(.*?)^```$", TEXT, re.M | re.S)


def answers():
    return resolve("192.0.2.1", 53, "www.example") == ("192.0.2.80", "192.0.2.1")


def test_unbound(machine):
    if not (machine.root / "usr/sbin/unbound").exists():
        pytest.skip("machine: it has no unbound")
    assert [path.rpartition("/")[2] for path, _ in FILES] == ["dns.rule", "usher.conf", "usher.conf"]
    for path, text in FILES:
        machine.write(path, text)
    # what the package fetches when it is installed is not on this machine
    machine.write("/etc/unbound/unbound.conf.d/root-auto-trust-anchor-file.conf", "")
    enable(machine, "usherd.service")
    machine.systemctl("restart", "unbound.service")
    settle(machine)
    for _ in range(20):
        assert wait_until(answers)
    (row,) = sockets(machine)
    assert row[:6:5] == ["dns", "0.0.0.0:53"], row
    assert "Destination=stand-in" in machine.run("usherctl", "show", "dns").stdout
    machine.systemctl("restart", "unbound.service")
    assert wait_until(answers)
    machine.systemctl("stop", "unbound.service")
    assert wait_until(lambda: who("192.0.2.1", 53, "udp") == REFUSED)

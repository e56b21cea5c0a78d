# SPDX-License-Identifier: BSD-3-Clause
"""usher-discover.service: it works with its hardening, and daemons that know nothing of usher are served again as soon as
their units have restarted."""

import os
import signal
import socket

import pytest
from harness.process import PATIENCE, wait_until

from units import enable, rule, sockets, unit

CAP_DAC_READ_SEARCH, CAP_NET_ADMIN, CAP_SYS_PTRACE, CAP_PERFMON, CAP_BPF = 2, 12, 19, 38, 39


def banner(address, port):
    """The first line of a server, or None if the client is refused."""
    try:
        with socket.create_connection((address, port), timeout=PATIENCE) as client:
            return client.recv(64)
    except ConnectionRefusedError:
        return None


def has_sshd(machine):
    return bool(list(machine.root.glob("usr/sbin/sshd")))


@pytest.fixture
def sshd(machine):
    """The sshd of Debian on port 22, and a rule that leads port 5555 to it."""
    if not has_sshd(machine):
        pytest.fail("openssh-server is not installed")
    machine.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/etc/ssh/host")
    machine.run("mkdir", "-p", "/run/sshd")
    machine.write("/etc/ssh/usher_config", "Port 22\nListenAddress 0.0.0.0\nHostKey /etc/ssh/host\nPidFile none\nUsePAM no\n")
    unit(machine, "legacy-ssh.service", "[Unit]", "StartLimitIntervalSec=0", "[Service]", "RuntimeDirectory=sshd", "ExecStart=/usr/sbin/sshd -D -e -f /etc/ssh/usher_config",
         "[Install]", "WantedBy=multi-user.target")
    rule(machine, "ssh", "Stream=192.0.2.0/24:5555", "[Access]", "Bound=any", "[Discover]", "Socket=0.0.0.0:22",
         "Unit=legacy-ssh.service")


def served(machine, name="ssh"):
    return [line for line in sockets(machine, name) if line[3] == "serving"]


def test_classic(machine, sshd):
    """Port 5555 leads to the sshd on 22. After a restart it is served again. A boot needs nothing else."""
    enable(machine, "usherd.service", "usher-discover.service", "legacy-ssh.service")
    wait_until(lambda: served(machine), what="sshd is discovered")
    assert banner("192.0.2.1", 5555).startswith(b"SSH-2.0-")
    listed = machine.run("usherctl", "list", "ssh").stdout
    assert "discover" in listed and "legacy-ssh.service" in listed, listed
    for _ in range(5):
        machine.systemctl("restart", "legacy-ssh.service")
        wait_until(lambda: (banner("192.0.2.1", 5555) or b"").startswith(b"SSH-2.0-"), what="sshd is served again")
    machine.systemctl("stop", "legacy-ssh.service")
    wait_until(lambda: banner("192.0.2.1", 5555) is None, what="no client is served")
    machine.reboot()
    wait_until(lambda: banner("192.0.2.1", 5555), what="sshd is served after a boot")


def test_hardened(machine, sshd):
    """It has only the privileges that it needs, and with these it is notified of listeners instead of scanning."""
    enable(machine, "usherd.service", "usher-discover.service")
    status = (machine.root / f"proc/{machine.show('usher-discover.service', 'MainPID')}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    wanted = [CAP_DAC_READ_SEARCH, CAP_NET_ADMIN, CAP_SYS_PTRACE, CAP_PERFMON, CAP_BPF]
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == sum(1 << number for number in wanted)
    assert fields["Seccomp"] == "2" and fields["NoNewPrivs"] == "1"
    assert machine.show("usher-discover.service", "StatusText") == "Waiting for sockets to listen"
    assert not machine.messages("-u", "usher-discover.service", "-p", "warning")


def test_reload(machine, sshd):
    """When a reload of the broker adds a rule, usher-discover scans for it at once. `systemctl reload` works too."""
    (machine.root / "etc/usher/rules.d/ssh.rule").rename(machine.root / "etc/usher/ssh.later")
    rule(machine, "other", "Stream=192.0.2.0/24:80")
    enable(machine, "usherd.service", "usher-discover.service", "legacy-ssh.service")
    (machine.root / "etc/usher/ssh.later").rename(machine.root / "etc/usher/rules.d/ssh.rule")
    machine.systemctl("reload", "usherd")
    wait_until(lambda: served(machine), what="sshd is discovered")
    machine.systemctl("reload", "usher-discover")
    # it may still be reloading because the broker did
    wait_until(lambda: machine.state("usher-discover.service") == "active/running", what="usher-discover has reloaded")


def test_wrong_unit(machine, sshd):
    """A listener in another unit is refused, and the journal says why."""
    unit(machine, "stranger.service", "[Service]", "RuntimeDirectory=sshd", "ExecStart=/usr/sbin/sshd -D -e -f /etc/ssh/usher_config")
    enable(machine, "usherd.service", "usher-discover.service")
    machine.systemctl("start", "stranger.service")
    wait_until(lambda: any("unit 'stranger.service' may not own" in text for text in machine.messages("-u", "stranger.service")),
               what="the journal of the stranger says why it is refused")
    assert not served(machine) and banner("192.0.2.1", 5555) is None


def test_restarts_of_usher(machine, sshd):
    """usherd and usher-discover come and go. Served sockets stay, and those that begin meanwhile follow."""
    enable(machine, "usherd.service", "usher-discover.service", "legacy-ssh.service")
    wait_until(lambda: served(machine), what="sshd is discovered")
    machine.systemctl("restart", "usherd", "usher-discover")
    assert banner("192.0.2.1", 5555)
    machine.systemctl("stop", "usher-discover")
    assert banner("192.0.2.1", 5555)
    machine.systemctl("restart", "legacy-ssh.service")
    machine.systemctl("start", "usher-discover")
    wait_until(lambda: banner("192.0.2.1", 5555), what="sshd is served again")


def test_watchdog(machine, sshd):
    """A usher-discover whose event loop stands still is killed and started again."""
    unit(machine, "usher-discover.service.d/watchdog.conf", "[Service]", "WatchdogSec=1s", "TimeoutAbortSec=1s")
    enable(machine, "usherd.service", "usher-discover.service")
    pid = machine.main_pid("usher-discover.service")
    for _ in range(3):
        last = machine.show("usher-discover.service", "WatchdogTimestampMonotonic")
        wait_until(lambda: machine.show("usher-discover.service", "WatchdogTimestampMonotonic") != last,
                   what="it reports that it is alive")
    assert machine.main_pid("usher-discover.service") == pid
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: machine.main_pid("usher-discover.service") not in (0, pid), "there is another one")
    assert any("Watchdog timeout" in text for text in machine.messages("-u", "usher-discover.service"))
    machine.systemctl("start", "legacy-ssh.service")
    wait_until(lambda: served(machine), "sshd is discovered")

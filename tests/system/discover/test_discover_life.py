# SPDX-License-Identifier: BSD-3-Clause
"""usher-discover and the broker start, end, restart and reload in any order; and usher-discover without its hooks."""

import ctypes
import errno
import os

import pytest

from harness.broker import ctl
from harness.host import V4, WORK, rule
from harness.process import wait_until
from harness.service import ServiceProcess
from harness.traffic import REFUSED, serves, who

WEB = rule("Stream=80", discover=["Socket=127.0.0.2:8080"])


PIDFD_GETFD = 438  # asm-generic/unistd.h


def copies_of_files(pid):
    """Of all that process `pid` has open, as a process that looks at its files has them for a moment."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    copies = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        copy = libc.syscall(PIDFD_GETFD, pidfd, int(number), 0)
        assert copy >= 0
        copies.append(copy)
    os.close(pidfd)
    return copies


class TestBroker:
    @pytest.mark.parametrize("way", ["stop", "kill"])
    def test_restarts(self, both, discover, way):
        """Sockets that were found stay. Services that restarted while there was no broker are found when there is one."""
        running = both(web=WEB, shop=rule("Stream=81", discover=["Socket=127.0.0.2:8081"]))
        ServiceProcess("web", port=8080)
        shop = ServiceProcess("old", port=8081)
        serves("web", V4), serves("old", V4, 81)
        getattr(running, way)()
        assert (who(V4, 80), who(V4, 81)) == ("web", "old")
        shop.kill()
        ServiceProcess("new", port=8081)
        discover.wait_said("no broker")
        running.start()
        serves("new", port=81)
        assert who(V4, 80) == "web"
        assert discover.running()

    def test_absent_at_the_start(self, usherd, rules, discover):
        rules(web=WEB)
        ServiceProcess("web", port=8080)
        discover.spawn()
        discover.wait_ready()
        assert "broker" in discover.notify.last("STATUS")
        discover.wait_said("no broker")
        usherd.start()
        serves("web", V4)
        assert len(discover.said("no broker")) == 1, "it does not repeat itself"

    @pytest.mark.parametrize("way", ["stop", "kill"])
    def test_connection_is_held_elsewhere(self, both, discover, way):
        """Who looks at the files of processes has a copy of its connection for a moment, also while the broker ends."""
        running = both(web=WEB, shop=rule("Stream=81", discover=["Socket=127.0.0.2:8081"]))
        ServiceProcess("web", port=8080)
        serves("web", V4)
        copies = copies_of_files(discover.pid)
        assert copies
        getattr(running, way)()
        discover.wait_said("no broker")
        running.start()
        ServiceProcess("shop", port=8081)
        serves("shop", V4, 81)
        assert discover.running()
        for copy in copies:
            os.close(copy)

    def test_detached(self, both, discover):
        """The broker that starts after `usherctl detach` knows nothing: everything is handed in again."""
        running = both(web=WEB)
        ServiceProcess("web", port=8080)
        serves("web")
        ctl("detach")
        running.wait()
        running.start()
        serves("web")


class TestItself:
    @pytest.mark.parametrize("way", ["stop", "kill"])
    def test_restarts(self, both, discover, way):
        """Dispatch needs no daemon. Services that restarted meanwhile are found at the next start."""
        running = both(web=WEB, shop=rule("Stream=81", discover=["Socket=127.0.0.2:8081"]))
        ServiceProcess("web", port=8080)
        shop = ServiceProcess("old", port=8081)
        serves("web", V4), serves("old", V4, 81)
        handed_in = lambda: [(row["COOKIE"], row["HANDED_IN"]) for row in running.sockets("web")]
        before = handed_in()
        getattr(discover, way)()
        assert (who(V4, 80), who(V4, 81)) == ("web", "old")
        shop.kill()
        ServiceProcess("new", port=8081)
        discover.start()
        assert (who(V4, 80), who(V4, 81)) == ("web", "new")
        assert handed_in() == before, "handed in by the previous one, and kept"

    def test_status(self, both, discover):
        both(web=WEB)
        assert discover.notify.last("STATUS"), "a line for systemctl status"

    def test_unprivileged(self, broker, discover):
        """It reports once what it needs, and what the broker answered."""
        broker(web=WEB)
        discover.spawn(prefix=["setpriv", "--reuid", "65534", "--clear-groups"])
        assert "CAP_BPF" in discover.wait_said("cannot be notified.*EPERM")[0]
        discover.wait_said("only root.*EPERM")
        discover.settle()
        assert len(discover.log.splitlines()) == 2, discover.log

    def test_bad_rules_at_the_start(self, broker, rules, discover):
        """It says which, and works for the other names."""
        broker(web=WEB)
        rules(bad="[Rule]\nStream=80\n[Discover]\n")
        discover.start()
        assert "bad.rule:3" in discover.log


class TestReload:
    def test_rule_comes_and_goes(self, both, rules, discover):
        """`usherctl reload` reaches usher-discover: existing listeners are found, and those without a rule any more are no
        longer looked for."""
        running = both(web=WEB)
        ServiceProcess("web", port=8080)
        ServiceProcess("shop", port=8081)
        serves("web")
        rules(shop=rule("Stream=81", discover=["Socket=127.0.0.2:8081"]))
        ctl("reload")
        serves("shop", port=81)
        os.unlink("/run/usher/rules.d/shop.rule")
        ctl("reload")
        assert who(V4, 81) == REFUSED
        rules(shop="Stream=81")
        ctl("reload")
        ctl("withdraw", "shop")
        with ServiceProcess("other", port=8082):
            rules(probe=rule("Stream=82", discover=["Socket=127.0.0.2:8082"]))
            ctl("reload")
            serves("other", port=82)
        assert running.sockets("shop") == [], "it has no [Discover] any more"
        assert who(V4, 80) == "web"

    def test_socket_changes(self, both, rules):
        both(web=WEB)
        ServiceProcess("old", port=8080)
        ServiceProcess("new", port=8081)
        serves("old")
        rules(web=rule("Stream=80", discover=["Socket=127.0.0.2:8081"]))
        ctl("reload")
        serves("new")

    def test_bad_file_changes_nothing(self, both, rules, discover):
        both(web=WEB)
        rules(bad="[Rule]\nStream=nonsense\n")
        assert ctl("reload", check=False).returncode
        ServiceProcess("web", port=8080)
        serves("web")
        assert discover.running()

    def test_signal(self, broker, rules, discover):
        """SIGHUP to usher-discover itself, also if the broker has read the rules already."""
        running = broker(web=WEB)
        discover.start()
        ServiceProcess("web", port=8080)
        serves("web")
        discover.hang_up()
        assert len(running.sockets()) == 1 and who(V4, 80) == "web"


def start_when_free(name, protocol):
    """A scan may have a duplicate of the last daemon's socket for a moment (docs/security.md)."""
    started = []

    def start():
        try:
            started.append(ServiceProcess(name, protocol, port=8080))
        except OSError as error:
            assert error.errno == errno.EADDRINUSE
        return started

    wait_until(start, what="the address is free")
    return started[0]


class TestWithoutHooks:
    """Without cgroup v2, it says so once and scans, with pauses that grow to ScanInterval=."""

    def test_scans(self, broker, discover):
        empty = WORK / "empty"
        empty.mkdir()
        broker(web=rule("Stream=80", "Datagram=80", discover=["Socket=127.0.0.2:8080", "ScanInterval=300ms"]))
        discover.start("--cgroup", empty)
        assert "cgroup" in discover.wait_said("scans from time to time")[0]
        for protocol in ("tcp", "udp"):
            for turn in range(3):
                daemon = start_when_free(f"run{turn}", protocol)
                serves(f"run{turn}", protocol=protocol)
                daemon.kill()
        assert len(discover.said("scans from time to time")) == 1, "reported once"

    def test_kernel_way(self, broker, discover):
        """Scans serve rules with Listen=kernel too."""
        empty = WORK / "empty"
        empty.mkdir()
        broker(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080", "ScanInterval=300ms", "User=root",
                                               "Listen=kernel"]))
        discover.start("--cgroup", empty)
        ServiceProcess("web", port=8080)
        serves("web")

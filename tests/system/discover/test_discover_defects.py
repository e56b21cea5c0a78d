# SPDX-License-Identifier: BSD-3-Clause
"""Mistakes that a manager of discovered sockets easily makes. An earlier program of this kind made each of them."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys

import pytest

from harness.broker import ctl
from harness.host import V4, V6, WORK, rule, run, write_rule
from harness.process import Child, wait_until
from harness.service import ServiceProcess, make_socket
from harness.traffic import REFUSED, Load, serves, serves_nobody, who

OWNER, ATTACKER = 15000, 16000
WEB = rule("Stream=80", discover=["Socket=127.0.0.2:8080"])


class TestFull:
    """When a seat or a map is full, dispatch goes on for all others, and usher-discover reports what is full."""

    def test_more_sockets_than_places(self, both, discover):
        """A group of twenty, for a seat with eight places. Other names are still served."""
        running = both(web=WEB, shop=rule("Stream=81", discover=["Socket=127.0.0.2:8081"]))
        ServiceProcess("shop", port=8081)
        serves("shop", port=81)
        group = [ServiceProcess("web", port=8080, reuseport=True) for _ in range(20)]
        serves("web")
        for process in group:  # as long as one of them lives
            serves("web")
            process.kill()
        serves_nobody()
        assert who(V4, 81) == "shop" and discover.running()
        assert [row["NAME"] for row in running.sockets()] == ["shop"]

    def test_many_names(self, broker, discover):
        """Three hundred daemons at once, found at the start and by events."""
        for number in range(300):
            write_rule(f"n{number}", rule(f"Stream={1000 + number}", discover=[f"Socket=127.0.0.2:{10000 + number}"]))
        running = broker()

        def listen(tell, numbers):
            sockets = [make_socket("tcp", "127.0.0.2", 10000 + number) for number in numbers]
            tell(len(sockets))
            signal.pause()

        Child(listen, range(150)).hear()
        discover.start()
        assert len(running.sockets()) == 150
        Child(listen, range(150, 300)).hear()
        wait_until(lambda: len(running.sockets()) == 300, what="all are handed in")

    def test_no_place_left(self, both, discover):
        """The kernel has no room: usher-discover reports it and continues, and dispatch goes on."""
        running = both(web=WEB, shop=rule("Stream=81", discover=["Socket=127.0.0.2:8081"]))
        ServiceProcess("web", port=8080)
        serves("web")
        with subprocess.Popen(["strace", "-f", "-qq", "-p", str(running.pid), "-o", "/dev/null", "-e", "trace=bpf",
                               "-e", "inject=bpf:error=E2BIG"]) as strace:
            wait_until(lambda: f"TracerPid:\t{strace.pid}\n" in
                       pathlib.Path(f"/proc/{running.pid}/status").read_text(), what="strace is attached")
            shop = ServiceProcess("shop", port=8081)
            assert "E2BIG" in discover.wait_said("'shop'.*cannot be handed in")[0]
            assert (who(V4, 80), who(V4, 81)) == ("web", REFUSED)
            strace.send_signal(signal.SIGINT)
        shop.kill()
        ServiceProcess("shop", port=8081)
        serves("shop", port=81)
        assert who(V4, 80) == "web" and discover.running()


def test_restart_remembers_every_address(both):
    """After a restart, a service with several addresses is served at all of them again."""
    both(web=rule("Stream=80 443 192.0.2.7:8000-8010", "Datagram=80 [2001:db8::/48]:53",
                  discover=["Socket=127.0.0.2:8080 [::1]:8080"]), other="Stream=9000")
    targets = [(V4, 80, "tcp"), (V6, 80, "tcp"), (V4, 443, "tcp"), (V6, 443, "tcp"), ("192.0.2.7", 8005, "tcp"),
               (V4, 80, "udp"), (V6, 80, "udp"), (V6, 53, "udp")]
    for turn in range(3):
        daemons = [ServiceProcess(f"run{turn}", protocol, address, 8080)
                   for protocol in ("tcp", "udp") for address in ("127.0.0.2", "::1")]
        for target in targets:
            serves(f"run{turn}", *target)
        for daemon in daemons:
            daemon.kill()
        for target in targets:
            serves_nobody(*target)


def test_no_gap_when_something_changes(both, rules, discover):
    """No connection is refused while rules change, sockets come and go, and usher-discover restarts."""
    both(web=WEB)
    ServiceProcess("web", port=8080)
    serves("web")
    load = Load((V4, 80, "tcp"), rate=1000)
    for turn in range(10):
        rules(**{f"more{turn}": rule(f"Stream={2000 + turn}", discover=[f"Socket=127.0.0.2:{9000 + turn}"])})
        ctl("reload")
        with ServiceProcess("more", port=9000 + turn):
            serves("more", port=2000 + turn)
    discover.hang_up()
    discover.restart()
    discover.kill()
    results = load.finish()
    assert set(results) == {(0, "web")}, results


class TestOwnerThatCannotBeFound:
    """An owner that cannot be found is reported, and costs no processor time."""

    def test_descriptor_on_its_way(self, both, discover):
        """No process has the listener open: it is in a message that has not been read."""
        running = both(web=WEB)
        ours, theirs = socket.socketpair()
        with make_socket("tcp", "127.0.0.2", 8080, listen=False) as sock:
            discover.pause()
            sock.listen()
            socket.send_fds(ours, [b"x"], [sock.fileno()])
        discover.resume()
        line = discover.wait_said("'web'.*127.0.0.2:8080")[0]
        assert re.search("process", line), line
        self.idle(discover)
        assert running.sockets() == [] and who(V4, 80) == REFUSED
        socket.recv_fds(theirs, 1, 1)

    def test_process_of_another_pid_namespace(self, broker, discover):
        """usher-discover runs in a container: the process that has the socket open is not visible there."""
        running = broker(web=WEB)
        ServiceProcess("web", port=8080)
        discover.start(prefix=["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"])
        line = discover.wait_said("'web'.*127.0.0.2:8080")[0]
        assert re.search("process", line), line
        children = run("ps", "-o", "pid=", "--ppid", discover.pid).stdout.split()
        self.idle(discover, *children)
        assert running.sockets() == []
        discover.kill()  # unshare ignores SIGTERM

    def idle(self, discover, pid=None):
        pid = pid or discover.pid
        discover.settle()

        def ticks():
            with open(f"/proc/{pid}/stat") as stat:
                return sum(map(int, stat.read().rsplit(")", 1)[1].split()[11:13]))

        before, switches = ticks(), discover.switches()
        discover.settle(1.0)
        assert ticks() - before <= 2, "clock ticks in more than a second"
        assert discover.switches() - switches <= 20


def test_listener_is_descriptor_0(both):
    """A listener that is descriptor 0 is found, as in a daemon that systemd starts with StandardInput=socket."""
    running = both(web=WEB)
    with make_socket("tcp", "127.0.0.2", 8080, listen=False) as sock:
        code = "import socket, signal; s = socket.socket(fileno=0); s.listen(); print(flush=True); " \
               "c = s.accept()[0]; c.sendall(b'zero 0 0 0 0\\n'); signal.pause()"
        daemon = subprocess.Popen([sys.executable, "-c", code], stdin=sock, stdout=subprocess.PIPE, close_fds=True)
    daemon.stdout.readline()
    wait_until(lambda: [row.get("PID") for row in running.sockets()] == [str(daemon.pid)])
    serves("zero")
    daemon.kill()
    daemon.wait()


def test_another_socket_in_its_place(both, discover):
    """While the descriptors of a daemon keep changing, no other socket of it is handed in. test_discover_races.py changes
    them at the exact moment."""
    running = both(web=WEB)

    def juggle(tell):
        decoy, real = make_socket("tcp", "127.0.0.2", 9999), make_socket("tcp", "127.0.0.2", 8080, listen=False)
        real.listen()
        tell(True)
        while True:  # one of the two numbers is always the listener, but neither for long
            os.dup2(real.fileno(), 50)
            os.dup2(decoy.fileno(), 51)
            os.dup2(real.fileno(), 51)
            os.dup2(decoy.fileno(), 50)

    for _ in range(10):
        child = Child(juggle)
        child.hear()
        wait_until(lambda: running.sockets() or discover.said("'web'"))
        assert {row["ADDRESS"] for row in running.sockets()} <= {"127.0.0.2:8080"}
        child.kill()
        wait_until(lambda: not running.sockets())


class TestCommandLine:
    """Wrong usage exits with 2 and says what is wrong. Errors have the names of the kernel."""

    @pytest.mark.parametrize("words, said", [
        (["--instance"], "requires an argument"), (["--socket"], "requires an argument"),
        (["--cgroup"], "requires an argument"), (["-u"], "'u'"), (["--user"], "--user"), (["web"], "'web'"),
        (["--cgroup", "/sys/fs/cgroup", "web"], "'web'"), (["--instance", "a/b"], "'a/b'"),
        (["--instance", "x" * 32], "x" * 32), (["--instance=ok", "--no-such"], "--no-such")])
    def test_wrong(self, discover, words, said):
        done = run(discover.program, *words, check=False)
        assert done.returncode == 2 and done.stdout == ""
        assert said in done.stderr and done.stderr.startswith(("usher-discover:", str(discover.program)))
        assert len(done.stderr.splitlines()) == 1

    def test_help_and_version(self, discover):
        text = run(discover.program, "--help").stdout
        assert all(word in text for word in ("--instance", "--socket", "--cgroup", "--version"))
        assert max(map(len, text.splitlines())) <= 80
        assert re.match(r"usher-discover \d", run(discover.program, "--version").stdout)
        for option in ("--help", "--version"):
            with open("/dev/full", "w") as full:
                assert subprocess.run([discover.program, option], stdout=full).returncode

    def test_errors_are_called_by_their_names(self, broker, discover):
        """Whatever the kernel refuses, the error has the name of its errno, and no number or invented name."""
        broker(web=rule("Stream=80", discover=["Socket=8080", f"User={OWNER}", "ScanInterval=100ms"]))
        people = [ServiceProcess("attacker", port=8080, uid=ATTACKER, gid=ATTACKER),
                  ServiceProcess("outside", address="192.0.2.50", port=8080)]
        for words in (["--cgroup", WORK], ["--cgroup", "/no/such"], ["--socket", "/no/such"], ["--socket", WORK]):
            discover.start(*words)
            discover.wait_said(r"\bE[A-Z]+\b")
            discover.stop()
        for line in discover.log.splitlines():
            assert not re.search(r"Unknown error|errno|\(null\)|-\d+\)|Success", line), line
            assert re.search(r"\((E[A-Z0-9]+)\)", line), line
        assert people

    def test_prefixes_of_ipv6(self, both):
        """An IPv6 prefix in Socket= applies only to its addresses."""
        running = both(web=rule("Stream=80", discover=["Socket=[fd00:1::2/127]:8080"]), all=rule(
            "Stream=81", access=["Bound=any"], discover=["Socket=[::/0]:8081"]))
        with ServiceProcess("out", address="fd00:1::1"), ServiceProcess("in", address="fd00:1::3"), \
                ServiceProcess("four", port=8081), ServiceProcess("all", address="fd00:1::1", port=8081):
            serves("in", V6)
            serves("all", V6, 81)
            assert sorted(row["ADDRESS"] for row in running.sockets()) == ["[fd00:1::1]:8081", "[fd00:1::3]:8080"]

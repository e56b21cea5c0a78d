# SPDX-License-Identifier: BSD-3-Clause
"""usher-discover finds the listening socket of a daemon that knows nothing of usher, and hands it in.

The daemons here are small ones that say who they are. test_discover_daemons.py has those of Debian,
test_discover_access.py who may own a socket, test_discover_races.py what changes meanwhile, and test_discover_life.py
restarts of usher-discover and of the broker.
"""

import os
import pwd
import signal
import subprocess
import sys

import pytest

from harness.host import V4, V6, WORK, rule
from harness.process import Child, wait_until
from harness.service import Service, ServiceProcess, make_socket
from harness.traffic import REFUSED, Load, serves, serves_nobody, who

WEB = rule("Stream=80", "Datagram=80", discover=["Socket=127.0.0.2:8080 [::1]:8080"])


@pytest.mark.vm
class TestMoment:
    @pytest.mark.parametrize("private, public", [("127.0.0.2", V4), ("::1", V6)])
    @pytest.mark.parametrize("protocol", ["tcp", "udp"])
    def test_before_and_after(self, both, discover, protocol, private, public):
        """A daemon that listens before usher-discover starts is served when usher-discover is ready. One that starts later
        is served as soon as it listens, or is bound (UDP)."""
        before = ServiceProcess("before", protocol, private, 8080)
        running = both(web=WEB)
        assert who(public, 80, protocol) == "before"
        row, = running.sockets()
        expected = {"VIA": "discover", "PID": str(before.pid), "UID": "0", "GID": "0", "VERIFIED": "yes", "HELD": "no",
                    "PROTOCOL": protocol, "STATE": "serving",
                    "ADDRESS": "[::1]:8080" if ":" in private else "127.0.0.2:8080"}
        assert {key: row.get(key) for key in expected} == expected
        before.kill()
        serves_nobody(public, protocol=protocol)
        after = ServiceProcess("after", protocol, private, 8080)
        serves("after", public, protocol=protocol)
        assert [row.get("PID") for row in running.sockets()] == [str(after.pid)]

    def test_nothing_there(self, both, discover):
        """With nothing to discover, it becomes ready and idle."""
        running = both(web=WEB)
        assert running.sockets() == []
        assert who(V4, 80) == REFUSED

    def test_rule_without_discover(self, both):
        """Discovery is opt-in: a rule without [Discover] gets nothing."""
        running = both(web="Stream=80", shop=rule("Stream=81", discover=["Socket=127.0.0.2:8081"]))
        with ServiceProcess("web", port=8080), ServiceProcess("shop", port=8081):
            serves("shop", port=81)
            assert who(V4, 80) == REFUSED
            assert [row["NAME"] for row in running.sockets()] == ["shop"]

    def test_protocols_are_those_of_the_rule(self, both):
        running = both(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080"]))
        with ServiceProcess("udp", "udp"), ServiceProcess("tcp"):
            serves("tcp")
            assert [row["PROTOCOL"] for row in running.sockets()] == ["tcp"]


class TestSocket:
    """What Socket= describes"""

    def test_dual_stack(self, both):
        running = both(web=rule("Stream=80", access=["Bound=any"], discover=["Socket=[::]:8080"]))
        with ServiceProcess("six", "tcp", "::", 8080, v6only=False):
            serves("six", V6)
            serves("six", V4)
            assert {row["FAMILY"]: row["DUAL_STACK"] for row in running.sockets()} == {"ipv4": "yes", "ipv6": "no"}

    @pytest.mark.parametrize("protocol", ["tcp", "udp"])
    def test_port_alone(self, both, protocol):
        """A port alone describes any address of both families."""
        running = both(web=rule("Stream=80", "Datagram=80", discover=["Socket=8080"]))
        with ServiceProcess("four", protocol, "127.0.0.9", 8080), ServiceProcess("six", protocol, "::1", 8080):
            serves("four", V4, protocol=protocol)
            serves("six", V6, protocol=protocol)
            assert len(running.sockets()) == 2

    @pytest.mark.parametrize("pattern, inside, outside", [
        ("127.0.0.2:8080", "127.0.0.2", "127.0.0.3"), ("127.1.0.0/16:8080", "127.1.9.9", "127.2.0.1"),
        ("[fd00:1::2]:8080", "fd00:1::2", "fd00:1::1"), ("[fd00:1::2/127]:8080", "fd00:1::3", "fd00:1::1"),
        ("0.0.0.0:8080", "0.0.0.0", "127.0.0.2")])
    def test_address(self, both, pattern, inside, outside):
        """An address describes only itself, even the wildcard. A prefix describes every address in it, in both families."""
        running = both(web=rule("Stream=80", access=["Bound=any"], discover=[f"Socket={pattern}"]),
                       probe=rule("Stream=81", discover=["Socket=127.0.0.2:8081"]))
        public = V6 if ":" in inside else V4
        with ServiceProcess("outside", address=outside, port=8080), ServiceProcess("probe", port=8081):
            serves("probe", port=81)
            assert [row["NAME"] for row in running.sockets()] == ["probe"]
            assert who(public, 80) == REFUSED
        with ServiceProcess("inside", address=inside, port=8080):
            serves("inside", public)

    def test_outside_of_bound(self, both, discover):
        """Bound= applies to discovered sockets too. The refusal says what to write."""
        running = both(web=rule("Stream=80", discover=["Socket=0.0.0.0:8080"]))
        with ServiceProcess("web", address="0.0.0.0", port=8080):
            line = discover.wait_said(r"0\.0\.0\.0:8080")[0]
            assert "Bound=" in line and "web" in line and "EACCES" in line
            assert running.sockets() == []
            assert who(V4, 80) == REFUSED


class TestRestart:
    @pytest.mark.vm
    @pytest.mark.parametrize("listen", ["event", "kernel"])
    @pytest.mark.parametrize("protocol", ["tcp", "udp"])
    def test_again_and_again(self, both, protocol, listen):
        running = both(web=rule("Stream=80", "Datagram=80",
                                discover=["Socket=127.0.0.2:8080", "User=root", f"Listen={listen}"]))
        for turn in range(5):
            daemon = ServiceProcess(f"run{turn}", protocol, port=8080)
            serves(f"run{turn}", protocol=protocol)
            wait_until(lambda: [row.get("PID") for row in running.sockets()] == [str(daemon.pid)])
            daemon.kill()
            serves_nobody(V4, protocol=protocol)

    @pytest.mark.parametrize("listen", ["event", "kernel"])
    def test_new_one_before_the_old_one_ends(self, both, listen):
        """A daemon that restarts without a gap (SO_REUSEPORT) has none behind usher either."""
        running = both(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080", "User=root", f"Listen={listen}"]))
        old = ServiceProcess("run", port=8080, reuseport=True)
        serves("run")
        before = running.counters("web")
        load = Load((V4, 80, "tcp"), rate=500)
        for _ in range(10):
            new = ServiceProcess("run", port=8080, reuseport=True)
            wait_until(lambda: str(new.pid) in [row.get("PID") for row in running.sockets()])
            old.kill()
            old = new
        results = load.finish()
        # a listener that closes resets the connections it has not accepted, with or without usher; these do not count
        after = running.counters("web")
        assert after.pop("LOOKUPS") > before.pop("LOOKUPS") and after == before, "there was a socket at each lookup"
        assert set(results) <= {(0, "run"), (0, REFUSED)}, results

    @pytest.mark.parametrize("looked", ["before", "after"])
    def test_forked_child_holds_the_listener(self, both, discover, looked):
        """A classic daemon: the process that listens forks and exits, and its child remains. The process may end before
        usher-discover looks, so the event names a process that is gone."""
        running = both(web=WEB)
        read, write = os.pipe()

        def parent(tell):
            sock = make_socket("tcp", "127.0.0.2", 8080)
            pid = os.fork()
            if pid == 0:
                Service("child", sock=sock)._thread.join()
            tell(pid)
            os.read(read, 1)
            os._exit(0)

        if looked == "after":
            discover.pause()
        process = Child(parent, keep=[read])
        pid = process.hear()
        if looked == "before":
            wait_until(running.sockets)
        os.write(write, b"x")
        process.wait()
        discover.resume()
        serves("child")
        row, = running.sockets()
        assert row["PID"] == str(process.pid if looked == "before" else pid)
        os.kill(pid, signal.SIGKILL)
        assert who(V4, 80) == REFUSED


REEXECS = """
import os, signal, socket, sys
program, how, run, fd = *sys.argv[:3], int(sys.argv[3])
sock = socket.socket(fileno=fd) if fd >= 0 else socket.create_server(("127.0.0.2", 8080))
os.set_inheritable(sock.fileno(), how == "keep")
def again(*unused):
    fd = sock.fileno() if how == "keep" else -1
    os.execv(sys.executable, [sys.executable, program, how, str(int(run) + 1), str(fd)])
signal.signal(signal.SIGHUP, again)
signal.pthread_sigmask(signal.SIG_SETMASK, [])
while True:
    connection, peer = sock.accept()
    connection.sendall(f"run{run} 0 0 0 0\\n".encode())
    try:
        connection.recv(1)
    except OSError:
        pass
    connection.close()
"""


@pytest.mark.parametrize("how", ["keep", "anew"])
def test_executes_itself_again(both, how):
    """It executes itself, as daemons do at SIGHUP: it keeps the listener over execve(2), or opens a new one. The
        process is the same."""
    (WORK / "again.py").write_text(REEXECS)
    running = both(web=WEB)
    with subprocess.Popen([sys.executable, WORK / "again.py", how, "0", "-1"]) as daemon:
        for run in range(4):
            serves(f"run{run}")
            row, = wait_until(running.sockets)
            assert row["PID"] == str(daemon.pid)
            daemon.send_signal(signal.SIGHUP)
        daemon.kill()


def test_owner_is_listed(both):
    """The listing shows pid, user and group of the process that owns the socket, not of usher-discover."""
    nobody = pwd.getpwnam("nobody")
    running = both(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080", "User=nobody"]))
    daemon = ServiceProcess("web", port=8080, uid=nobody.pw_uid, gid=nobody.pw_gid)
    serves("web")
    row, = running.sockets()
    assert (row["PID"], row["UID"], row["GID"]) == (str(daemon.pid), str(nobody.pw_uid), str(nobody.pw_gid))

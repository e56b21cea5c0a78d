# SPDX-License-Identifier: BSD-3-Clause
"""Whose sockets usher-discover hands in, and whose it never does: an attacker listens where the daemon would.

Three things show "never". A probe is a socket of another name: when it is found, the attacker's has been examined. The
listing does not have the attacker's socket. And the broker has sent a subscriber no event about it.
"""

import os
import pathlib
import re
import signal
import socket
import sys
import uuid

import pytest

from harness.host import V4, Netns, rule
from harness.isolate import CLONE_NEWNET, CLONE_NEWPID
from harness.process import Child, in_child, libc, wait_until
from harness.service import Service, ServiceProcess, make_mptcp, make_socket
from harness.traffic import REFUSED, Load, serves, serves_nobody, who
from harness.wire import Monitor

OWNER, ATTACKER = 15000, 16000
PORT_ONLY = ["Socket=8080", f"User={OWNER}"]
ONE = ["Socket=127.0.0.2:8080", f"User={OWNER}"]
PR_SET_DUMPABLE = 4

WAYS = pytest.mark.parametrize("listen", ["event", "kernel"])


def person(name, uid=OWNER, **options):
    return ServiceProcess(name, options.pop("protocol", "tcp"), uid=uid, gid=uid, **{"port": 8080, **options})


@pytest.fixture
def guarded(both, discover):
    """guarded(*lines of [Discover]): start broker, usher-discover and a subscriber, with a rule for the probe."""

    class Guarded:
        def __init__(self, *lines, **keys):
            self.broker = both(web=rule("Stream=80", "Datagram=80", discover=lines, **keys),
                               probe=rule("Stream=81", discover=["Socket=127.0.0.99:8099"]))
            self.monitor = Monitor(self.broker.socket)

        def probe(self):
            """When this returns, usher-discover has examined everything that listened before."""
            with ServiceProcess("probe", address="127.0.0.99", port=8099):
                serves("probe", port=81)

        def never(self, uid=ATTACKER):
            """Assert that no socket of that user was ever handed in."""
            self.probe()
            told = [event for event in self.monitor.events("handed-in") if event.get("NAME") == "web"]
            assert str(uid) not in [event.get("UID") for event in told], told
            assert str(uid) not in [row["UID"] for row in self.broker.sockets("web") if "UID" in row]

        def refusal(self, *words):
            """The one line of usher-discover about the rule `web`, which must have all these words."""
            line = discover.wait_said(".*".join(["web", *map(re.escape, words)]))[-1]
            assert re.search(r"\bE[A-Z]{3,}\b", line), f"the name of the errno: {line}"
            return line

    return Guarded


class TestAttacker:
    @pytest.mark.vm
    @WAYS
    @pytest.mark.parametrize("protocol", ["tcp", "udp"])
    def test_other_address(self, guarded, protocol, listen):
        """Socket= has only a port: anybody can listen there at another address, before or after the daemon."""
        guard = guarded(*PORT_ONLY, f"Listen={listen}")
        attacker = person("attacker", ATTACKER, address="127.0.0.3", protocol=protocol)
        guard.never()
        guard.refusal(f"uid {ATTACKER}", "User=")
        serves_nobody(V4, protocol=protocol)
        owner = person("owner", protocol=protocol)
        serves("owner", protocol=protocol)
        person("attacker", ATTACKER, address="127.0.0.4", protocol=protocol)
        guard.never()
        assert [row.get("PID") for row in guard.broker.sockets("web")] == [str(owner.pid)]
        owner.kill()
        guard.never()
        serves_nobody(V4, protocol=protocol)
        attacker.kill()

    @WAYS
    def test_first_on_the_address(self, guarded, listen):
        guard = guarded(*ONE, f"Listen={listen}")
        attacker = person("attacker", ATTACKER)
        guard.never()
        assert who(V4, 80) == REFUSED
        attacker.kill()
        person("owner")
        serves("owner")

    def test_same_address_with_reuseport(self, guarded):
        """The kernel limits an SO_REUSEPORT group to one user. usher relies on that."""
        guard = guarded(*ONE)
        person("owner", reuseport=True)
        serves("owner")
        with pytest.raises(OSError, match="in use"):
            in_child(lambda: make_socket("tcp", "127.0.0.2", 8080, reuseport=True), uid=ATTACKER, gid=ATTACKER)
        guard.never()

    @WAYS
    def test_listens_and_closes_200_times(self, guarded, listen):
        guard = guarded(*PORT_ONLY, f"Listen={listen}")
        person("owner")
        serves("owner")
        load = Load((V4, 80, "tcp"), rate=500)

        def attack(tell):
            for turn in range(200):
                with make_socket("tcp", f"127.0.0.{3 + turn % 90}", 8080), \
                        make_socket("udp", f"127.0.0.{3 + turn % 90}", 8080):
                    pass

        Child(attack, uid=ATTACKER, gid=ATTACKER).result()
        guard.never()
        results = load.finish()
        assert set(results) == {(0, "owner")}, results

    @WAYS
    def test_listens_and_closes_while_the_daemon_is_gone(self, guarded, listen):
        """Clients that connect meanwhile are refused, every time."""
        guard = guarded(*PORT_ONLY, f"Listen={listen}")

        def attack(tell):
            answers = set()
            for turn in range(200):
                with make_socket("tcp", f"127.0.0.{3 + turn % 90}", 8080):
                    answers.add(who(V4, 80))
            return answers

        assert Child(attack, uid=ATTACKER, gid=ATTACKER).result() == {REFUSED}
        guard.never()

    @WAYS
    @pytest.mark.parametrize("state", ["listening", "bound"])
    def test_socket_that_a_stranger_made(self, guarded, discover, state, listen):
        """A stranger creates a socket and gives it to a process that may own one (SCM_RIGHTS, systemd, an inherited
        descriptor), to share its connections. If the owner calls listen(2), Listen=kernel serves the socket until the
        check."""
        guard = guarded(*ONE, f"Listen={listen}")
        ours, theirs = socket.socketpair()

        def make(tell):
            sock = make_socket("tcp", "127.0.0.2", 8080, listen=state == "listening")
            socket.send_fds(theirs, [b"x"], [sock.fileno()])

        discover.pause()  # or it scans while the socket is in transit
        Child(make, uid=ATTACKER, gid=ATTACKER, keep=[theirs.fileno()]).result()
        sock = socket.socket(fileno=socket.recv_fds(ours, 1, 1)[1][0])
        child = person("owner", sock=sock, before=lambda sock: sock.listen(10) if state == "bound" else None)
        discover.resume()
        guard.refusal(f"uid {ATTACKER}")
        guard.never(OWNER)
        serves_nobody(V4)
        child.kill()
        person("owner")
        serves("owner")


class TestOwner:
    """Keys of [Discover] that say who may own the socket."""

    def test_nobody_said(self, guarded):
        """Without User= and Unit=, those whom [Access] allows may own it: here, only root."""
        guard = guarded("Socket=127.0.0.2:8080")
        person("other", ATTACKER).kill()
        other = person("other", ATTACKER)
        guard.never()
        other.kill()
        person("root", 0)
        serves("root")

    def test_executable(self, guarded):
        """Executable= is compared with /proc/PID/exe, whichever user runs it."""
        guard = guarded("Socket=127.0.0.2:8080", "Executable=/usr/sbin/sshd /usr/bin/no-such-*")
        with ServiceProcess("web"):
            line = guard.refusal(os.path.realpath(sys.executable), "Executable=")
            assert "EACCES" in line
            assert guard.broker.sockets("web") == [] and who(V4, 80) == REFUSED

    def test_executable_by_glob(self, guarded):
        guarded("Socket=127.0.0.2:8080", f"Executable={os.path.dirname(os.path.realpath(sys.executable))}/python3*")
        with ServiceProcess("web"):
            serves("web")

    @pytest.mark.vm
    @WAYS
    def test_unit(self, guarded, slice, listen):
        """A process of root in another unit is refused too."""
        users = ["User=root"] if listen == "kernel" else []
        guard = guarded("Socket=127.0.0.2:8080", "Unit=legacy-*.service", f"Listen={listen}", *users)
        other = slice("other.service")
        guard.refusal("other.service", "Unit=")
        serves_nobody(V4)
        other.kill()
        slice("legacy-7.service")
        serves("service")
        # a socket that is let in early has no unit before it is handed in
        row, = wait_until(lambda: [row for row in guard.broker.sockets("web") if row["STATE"] == "serving"])
        assert row["UNIT"] == "legacy-7.service"


@pytest.fixture
def slice(discover):
    """slice("x.service"): a service in a cgroup of that name, as systemd creates them."""
    top = pathlib.Path("/sys/fs/cgroup") / f"usher{uuid.uuid4().hex}.slice"

    def start(unit):
        folder = top / unit
        folder.mkdir(parents=True)

        def run(tell):
            (folder / "cgroup.procs").write_text("0")
            tell(True)
            Service("service")._thread.join()

        child = Child(run)
        child.hear()
        return child

    yield start
    Child.kill_all()
    for folder in [*top.glob("*.service"), top]:
        if folder.exists():
            wait_until(lambda: folder.rmdir() is None, what=f"{folder} is empty")


@pytest.mark.vm
class TestPermission:
    """What the kernel lets usher-discover see and duplicate"""

    @pytest.mark.parametrize("privileged", [True, False])
    def test_process_that_is_not_dumpable(self, guarded, discover, privileged, both, monkeypatch):
        if not privileged:
            start = discover.start
            monkeypatch.setattr(discover, "start", lambda: start(
                prefix=["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace"]))
        guard = guarded(*ONE)
        person("owner", before=lambda sock: libc("prctl", PR_SET_DUMPABLE, 0))
        if privileged:
            serves("owner")
            return
        line = guard.refusal("127.0.0.2:8080")
        assert "CAP_SYS_PTRACE" in line and re.search("EPERM|EACCES", line), line
        assert who(V4, 80) == REFUSED

    def test_yama(self, guarded, discover, monkeypatch):
        """With kernel.yama.ptrace_scope, even root needs CAP_SYS_PTRACE for processes of root."""
        scope = pathlib.Path("/proc/sys/kernel/yama/ptrace_scope")
        if not scope.exists():
            pytest.skip("machine: this kernel has no Yama")
        before = scope.read_text()
        start = discover.start
        monkeypatch.setattr(discover, "start", lambda: start(
            prefix=["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace"]))
        try:
            if before.strip() == "0":
                scope.write_text("1")
            guard = guarded("Socket=127.0.0.2:8080")
            person("web", 0)
            assert "CAP_SYS_PTRACE" in guard.refusal("127.0.0.2:8080")
        finally:
            if before.strip() == "0":
                scope.write_text(before)


class TestNamespaces:
    def test_process_that_moved_to_another_network(self, guarded):
        """The socket stays in its network namespace, wherever the process moves."""
        guarded(*ONE)
        far = Netns()

        def move(tell):
            sock = make_socket("tcp", "127.0.0.2", 8080)
            libc("setns", far.fd, CLONE_NEWNET)
            Service("far", sock=sock)._thread.join()

        Child(move, keep=[far.fd])
        serves("far")

    @WAYS
    def test_socket_of_another_network(self, guarded, discover, listen):
        """It is ignored, and does not wake usher-discover."""
        guard = guarded(*ONE, f"Listen={listen}")
        with Netns().entered():
            far = make_socket("tcp", "127.0.0.2", 8080)
        guard.probe()
        assert guard.broker.sockets("web") == [] and who(V4, 80) == REFUSED
        assert not discover.said("web")
        person("near")
        serves("near")
        far.close()

    def test_process_in_a_container(self, guarded):
        """The process is in a pid namespace of its own: it is visible here, with the pid that it has here."""
        guard = guarded(*ONE)

        def contain(tell):
            libc("unshare", CLONE_NEWPID)
            pid = os.fork()
            if pid == 0:
                assert os.getpid() == 1
                os.setresuid(OWNER, OWNER, OWNER)
                Service("inner")._thread.join()
            tell(pid)
            os.waitpid(pid, 0)

        pid = Child(contain).hear()
        serves("inner")
        assert [row.get("PID") for row in guard.broker.sockets("web")] == [str(pid)]
        os.kill(pid, signal.SIGKILL)


class TestKinds:
    def test_two_that_are_not_one_group(self, broker, discover):
        """It is ambiguous which of the two is meant: both are refused, and the refusal has the remedy."""
        running = broker(web=rule("Stream=80", discover=["Socket=8080"]))
        with ServiceProcess("one", address="127.0.0.2"), ServiceProcess("two", address="127.0.0.3"):
            discover.start()
            line = discover.wait_said("web.*SO_REUSEPORT")[0]
            assert "Socket=" in line, "what to narrow"
            assert running.sockets() == [] and who(V4, 80) == REFUSED

    @pytest.mark.vm
    @WAYS
    def test_mptcp(self, guarded, listen):
        """The kernel cannot select the listener of an MPTCP socket. The refusal has the remedy."""
        guard = guarded("Socket=127.0.0.2:8080", "User=root", f"Listen={listen}")

        def listen(tell):
            with make_mptcp("127.0.0.2", 8080):
                tell(True)
                signal.pause()

        try:
            Child(listen).hear()
        except OSError as error:
            pytest.skip(f"machine: no MPTCP: {error}")
        assert "MPTCP" in guard.refusal("127.0.0.2:8080")
        assert guard.broker.sockets("web") == []
        serves_nobody(V4)

    def test_connected_udp(self, guarded):
        """A client's socket that happens to have the port."""
        with make_socket("udp", "127.0.0.3", 8080) as sock:
            sock.connect(("127.0.0.9", 9))
            guard = guarded("Socket=8080")
            with ServiceProcess("web", "udp"):
                serves("web", protocol="udp")
                assert [row["ADDRESS"] for row in guard.broker.sockets("web")] == ["127.0.0.2:8080"]

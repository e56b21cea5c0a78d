# SPDX-License-Identifier: BSD-3-Clause
"""Handing in for another process: OWNER=pidfd."""

import ctypes
import errno
import os
import signal
import socket
import threading

import pytest

from harness import wire
from harness.discover import mount_cgroup2
from harness.host import DAEMON, NOBODY, ROOT, V4, rule
from harness.process import PATIENCE, Child, libc, wait_until
from harness.service import Service, ServiceProcess, make_socket
from harness.traffic import REFUSED, who
from harness.wire import Connection, Refused, hand_in, request

SYS_PIDFD_GETFD = 438
PIDFD_THREAD = os.O_EXCL  # Linux 6.9


def found(*settings, match="Stream=80", access=None):
    """The text of a rule with [Discover]"""
    return rule(match, access=access) + "\n".join(["[Discover]", "Socket=8080", *settings]) + "\n"


class Legacy(ServiceProcess):
    """A process that listens and hands nothing in; with a pidfd of it and a duplicate of its socket, as a discoverer has."""

    def __init__(self, name="legacy", *arguments, **options):
        super().__init__(name, *arguments, before=lambda sock: sock.fileno(), **options)
        self.pidfd = os.pidfd_open(self.pid)
        self.socket = socket.socket(fileno=libc("syscall", SYS_PIDFD_GETFD, self.pidfd, ctypes.c_int(self.before_result), 0))

    def let_go(self):
        self.socket.close()
        os.close(self.pidfd)


def hand_in_for(name, *fds, **fields):
    """Hand in as usher-discover does: the last descriptor is the pidfd."""
    return request("hand-in", fds, **({"NAME": name} if name else {}), VIA="discover", OWNER="pidfd", **fields)


def denied(function, *arguments, number=errno.EACCES, **options):
    with pytest.raises(Refused) as refusal:
        function(*arguments, **options)
    assert refusal.value.number == number, refusal.value.reason
    assert errno.errorcode[number] in refusal.value.reason
    return refusal.value.reason


@pytest.mark.vm
@pytest.mark.parametrize("uid", [ROOT, DAEMON])
def test_the_owner_is_who_has_it_open(broker, uid):
    """Listing, journal and quota attribute the socket to the daemon, and not to its discoverer."""
    running = broker(web=found("User=daemon"))
    legacy = Legacy(uid=uid, gid=uid)
    assert hand_in_for("web", legacy.socket, legacy.pidfd)["ADDED"] == "1"
    row, = running.sockets("web")
    assert {key: row[key] for key in ("PID", "UID", "GID", "VIA", "VERIFIED", "STATE", "HELD")} == {
        "PID": str(legacy.pid), "UID": str(uid), "GID": str(uid), "VIA": "discover", "VERIFIED": "yes",
        "STATE": "serving", "HELD": "no"}
    assert who(V4, 80) == "legacy"
    assert hand_in_for("web", legacy.socket, legacy.pidfd)["KEPT"] == "1"
    assert [row["PID"] for row in running.sockets()] == [str(legacy.pid)]


def test_with_two_capabilities(usherd, rules):
    """The broker reads only what anybody may read about the owner: it has no power over it."""
    rules(web=found("User=daemon"))
    usherd.start(prefix=["setpriv", "--bounding-set=-all,+bpf,+net_admin"])
    legacy = Legacy(uid=DAEMON, gid=DAEMON)
    hand_in_for("web", legacy.socket, legacy.pidfd)
    assert [(row["PID"], row["UID"]) for row in usherd.sockets()] == [(str(legacy.pid), str(DAEMON))]


def test_several_sockets(broker):
    """All sockets of the packet belong to one owner. The pidfd does not count as a socket."""
    running = broker(web=found(match="Stream=80"), dns=found(match="Datagram=53"))
    tcp, udp = Service("web"), Service("dns", "udp")
    child = Child(lambda tell: (tell("there"), signal.pause()), keep=[tcp.fileno(), udp.fileno()])
    child.hear()
    reply = hand_in_for(None, tcp, udp, os.pidfd_open(child.pid), NAMES="web:dns")
    assert (reply["ADDED"], reply["KEPT"]) == ("2", "0")
    assert {(row["NAME"], row["PID"]) for row in running.sockets()} == {("web", str(child.pid)), ("dns", str(child.pid))}


@pytest.fixture
def unit():
    """A cgroup that looks like a unit's. It is removed when its processes have ended."""
    folder = mount_cgroup2() / f"usher-test-{os.stat('/proc/self/ns/net').st_ino}.service"
    folder.mkdir()
    yield folder
    Child.kill_all()
    wait_until(lambda: not (folder / "cgroup.procs").read_text(), what="the cgroup is empty")
    folder.rmdir()


def test_unit_of_the_owner(unit, broker, rules):
    """The unit is that of the owner, and Unit= of [Discover] is compared with it."""
    running = broker(web=found("Unit=usher-test-*.service"))
    legacy = Legacy()
    assert "Unit= under [Discover]" in denied(hand_in_for, "web", legacy.socket, legacy.pidfd)
    assert running.sockets() == []
    (unit / "cgroup.procs").write_text(str(legacy.pid))
    assert hand_in_for("web", legacy.socket, legacy.pidfd)["ADDED"] == "1"
    assert [row["UNIT"] for row in running.sockets()] == [unit.name]


class TestWhoMayAsk:
    """Only root may ask, as the opener of the connection and as the sender."""

    @pytest.mark.parametrize("verb", ["hand-in", "hold"])
    def test_not_root(self, broker, verb):
        """Even a user who may use the name may not ask for a process of that user."""
        running = broker(web=found("User=nobody", access=["User=nobody"]))
        legacy = Legacy(uid=NOBODY, gid=NOBODY)
        reason = denied(wire.request_as, NOBODY, NOBODY, verb, [legacy.socket.fileno(), legacy.pidfd], NAME="web",
                        VIA="discover", OWNER="pidfd", number=errno.EPERM)
        assert "only root" in reason and "OWNER=" in reason
        assert running.sockets() == []

    def test_root_on_anothers_connection(self, broker):
        running = broker(web=found())
        ours, theirs = socket.socketpair()

        def pass_connection(_):
            with Connection() as connection:
                socket.send_fds(ours, [b"x"], [connection.socket.fileno()])

        Child(pass_connection, uid=NOBODY, gid=NOBODY, keep=[ours.fileno()]).result()
        _, (number,), _, _ = socket.recv_fds(theirs, 1, 1)
        legacy = Legacy()
        with socket.socket(fileno=number) as connection:
            connection.settimeout(PATIENCE)
            socket.send_fds(connection, [b"REQUEST=hand-in\nNAME=web\nVIA=discover\nOWNER=pidfd\n"],
                            [legacy.socket.fileno(), legacy.pidfd])
            answer = connection.recv(4096).decode()
        assert f"ERRNO={errno.EPERM}\n" in answer and "only root" in answer
        assert running.sockets() == []

    def test_others_may_still_say_that_they_discovered(self, broker):
        """VIA=discover without OWNER= is only a word for the listing, as before."""
        running = broker(web=rule("Stream=80", access=["User=nobody"]))
        with Service("web") as service:
            wire.request_as(NOBODY, NOBODY, "hand-in", [service], NAME="web", VIA="discover")
            row, = running.sockets()
            assert (row["VIA"], row["UID"]) == ("discover", str(NOBODY))


class TestWhoMayOwn:
    def test_rule_without_discover(self, broker):
        """Root may hand in anything, but not for another process if the rule has no [Discover]."""
        running = broker(web=rule("Stream=80", access=["User=daemon"]))
        legacy = Legacy(uid=DAEMON, gid=DAEMON)
        assert "[Discover]" in denied(hand_in_for, "web", legacy.socket, legacy.pidfd)
        assert running.sockets() == []

    @pytest.mark.parametrize("settings, access", [([], None), (["User=nobody"], None), ([], ["User=nobody"])])
    def test_another_user(self, broker, settings, access):
        """The socket of an attacker who listens on the same address is never handed in."""
        running = broker(web=found(*settings, access=access))
        legacy = Legacy(uid=DAEMON, gid=DAEMON)
        assert str(DAEMON) in denied(hand_in_for, "web", legacy.socket, legacy.pidfd)
        assert running.sockets() == [] and who(V4, 80) == REFUSED

    def test_groups_of_the_owner(self, broker):
        """The supplementary groups are those of the owner: access is as if the owner had handed the socket in."""
        running = broker(web=found(access=["Group=mail"]))
        legacy = Legacy(uid=DAEMON, gid=DAEMON)
        denied(hand_in_for, "web", legacy.socket, legacy.pidfd)
        service = Service("web", port=8081)
        member = Child(lambda tell: (tell("there"), signal.pause()), keep=[service.fileno()], uid=DAEMON, gid=DAEMON,
                       groups=[9, 8])
        member.hear()
        assert hand_in_for("web", service, os.pidfd_open(member.pid))["ADDED"] == "1"
        assert [row["UID"] for row in running.sockets()] == [str(DAEMON)]

    def test_socket_of_another_maker(self, broker):
        """A socket that a stranger created and passed to a daemon does not belong to the daemon."""
        running = broker(web=found("User=daemon nobody"))
        stranger = Legacy("stranger", uid=NOBODY, gid=NOBODY)
        daemon = Child(lambda tell: (tell("there"), signal.pause()), keep=[stranger.socket.fileno()], uid=DAEMON, gid=DAEMON)
        daemon.hear()
        for pid, uid in (daemon.pid, DAEMON), (os.getpid(), ROOT):
            reason = denied(hand_in_for, "web", stranger.socket, os.pidfd_open(pid), FDS="7")
            assert reason.startswith("socket 7 was created by uid 65534 and passed on") and f"process {pid}, uid {uid}" in reason
        assert running.sockets() == []
        assert hand_in_for("web", stranger.socket, stranger.pidfd)["ADDED"] == "1", "it belongs to its creator"

    def test_socket_of_root(self, broker):
        """A daemon that root started binds, and then drops its rights."""
        running = broker(web=found("User=daemon"))
        with Service("web") as service:
            daemon = Child(lambda tell: (tell("there"), signal.pause()), keep=[service.fileno()], uid=DAEMON, gid=DAEMON)
            daemon.hear()
            assert hand_in_for("web", service, os.pidfd_open(daemon.pid))["ADDED"] == "1"
            assert running.sockets()[0]["UID"] == str(DAEMON)

    def test_bound(self, broker, rules):
        """A daemon on the wildcard address serves the public address itself. Bound=any allows that."""
        running = broker(web=found())
        legacy = Legacy(address="0.0.0.0")
        assert "Bound=" in denied(hand_in_for, "web", legacy.socket, legacy.pidfd)
        rules(web=found(access=["Bound=any"]))
        running.reload()
        assert hand_in_for("web", legacy.socket, legacy.pidfd)["ADDED"] == "1"

    def test_what_it_is_not(self, broker):
        """Sockets are checked like those of any client."""
        broker(web=found())
        idle = make_socket("tcp", "127.0.0.2", 8080, listen=False)
        assert "does not listen" in denied(hand_in_for, "web", idle, os.pidfd_open(os.getpid()), number=errno.EINVAL)


def pidfds(running):
    return sum("pidfd" in target for target in running.fds().values())


def make_ended():
    """A pidfd of a process that has ended and been reaped."""
    child = Child(lambda tell: None)
    pidfd = os.pidfd_open(child.pid)
    child.result()
    return pidfd


def make_zombie():
    """A pidfd of a process that has ended and not been reaped."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    pidfd = os.pidfd_open(pid)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pidfd


class TestPidfd:
    @pytest.mark.parametrize("make", [make_ended, make_zombie])
    def test_process_that_has_ended(self, broker, make):
        running = broker(web=found())
        with Service("web") as service:
            assert "has ended" in denied(hand_in_for, "web", service, make(), number=errno.ESRCH)
        assert running.sockets() == []

    def test_process_of_another_namespace(self, usherd, rules):
        """The process has no pid in the broker's namespace, so the broker cannot check it."""
        rules(web=found())
        usherd.spawn(prefix=["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"])
        wait_until(lambda: usherd.status(), what="usherd answers")
        with Service("web") as service:
            assert "not visible" in denied(hand_in_for, "web", service, os.pidfd_open(os.getpid()), number=errno.ESRCH)
        assert usherd.sockets() == []
        usherd.kill()  # unshare does not forward SIGTERM

    @pytest.mark.parametrize("what", ["socket", "file", "memory", "folder of /proc", "path", "status"])
    def test_not_a_pidfd(self, broker, what):
        running = broker(web=found())
        make = {
            "socket": lambda: make_socket("tcp", "127.0.0.2", 8081).detach(),
            "file": lambda: os.open("/etc/passwd", os.O_RDONLY),
            "memory": lambda: os.memfd_create("Pid: 1"),
            "folder of /proc": lambda: os.open(f"/proc/{os.getpid()}", os.O_RDONLY),
            "path": lambda: os.open("/", os.O_PATH),
            "status": lambda: os.open("/proc/self/status", os.O_RDONLY),
        }
        with Service("web") as service:
            assert "not a pidfd" in denied(hand_in_for, "web", service, make[what](), number=errno.EINVAL)
        assert running.sockets() == []

    def test_thread(self, broker):
        running = broker(web=found())
        read, write = os.pipe()

        def run(tell):
            threading.Thread(target=lambda: (tell(threading.get_native_id()), signal.pause()), daemon=True).start()
            os.read(read, 1)

        child = Child(run, keep=[read])
        try:
            pidfd = os.pidfd_open(child.hear(), PIDFD_THREAD)
        except OSError as error:
            assert error.errno == errno.EINVAL
            pytest.skip("machine: this kernel has no pidfds of threads")
        with Service("web") as service:
            assert "thread" in denied(hand_in_for, "web", service, pidfd, number=errno.EINVAL)
        assert running.sockets() == []
        os.close(write)

    def test_first_instead_of_last(self, broker):
        running = broker(web=found())
        with Service("web") as service:
            assert "not a pidfd" in denied(hand_in_for, "web", os.pidfd_open(os.getpid()), service, number=errno.EINVAL)
            reason = denied(hand_in_for, "web", os.pidfd_open(os.getpid()), os.pidfd_open(os.getpid()), number=errno.ENOTSOCK)
            assert reason.startswith("socket 1 is ") and "pidfd" in reason
        assert running.sockets() == []

    @pytest.mark.parametrize("n", [0, 1])
    def test_too_few(self, broker, n):
        running = broker(web=found())
        fds = [os.pidfd_open(os.getpid())][:n]
        assert f"{n} descriptors" in denied(hand_in_for, "web", *fds, number=errno.EINVAL)
        assert running.sockets() == []

    def test_names_are_counted_without_it(self, broker):
        broker(web=found())
        with Service("web") as service:
            denied(hand_in_for, None, service, os.pidfd_open(os.getpid()), NAMES="web:web", number=errno.EINVAL)
            assert hand_in_for(None, service, os.pidfd_open(os.getpid()), NAMES="web")["ADDED"] == "1"

    def test_as_many_as_without(self, broker):
        """64 sockets and the pidfd are accepted. One more is refused."""
        broker(web=found())
        sockets = [make_socket("tcp", "127.0.0.2", 9000 + i) for i in range(65)]
        with pytest.raises(Refused) as refusal:
            hand_in_for("web", *sockets, os.pidfd_open(os.getpid()))
        assert refusal.value.number == errno.E2BIG
        with pytest.raises(Refused) as refusal:
            hand_in_for("web", *sockets[:64], os.pidfd_open(os.getpid()))
        assert refusal.value.number != errno.E2BIG, "a seat has fewer places, but the packet is good"

    def test_nothing_is_left_open(self, broker):
        running = broker(web=found())
        with Service("web") as service:
            for make in (make_ended, make_zombie):
                denied(hand_in_for, "web", service, make(), number=errno.ESRCH)
            hand_in_for("web", service, os.pidfd_open(os.getpid()))
            wait_until(lambda: pidfds(running) == 1, what="the broker keeps the pidfd that it watches, and no other")


@pytest.mark.parametrize("fields, words", [
    ({"OWNER": "1"}, "OWNER=1"),
    ({"OWNER": ""}, "OWNER= is not known"),
    ({"VIA": "library"}, "VIA=discover"),
    ({"REQUEST": "hold"}, "hold"),
])
def test_words_that_do_not_go_together(broker, fields, words):
    running = broker(web=found())
    with Service("web") as service, Connection() as connection:
        fields = {"REQUEST": "hand-in", "NAME": "web", "VIA": "discover", "OWNER": "pidfd", **fields}
        connection.send(wire.text_of(fields), [service.fileno(), os.pidfd_open(os.getpid())])
        assert words in denied(connection.reply, number=errno.EINVAL)
    assert running.sockets() == []


@pytest.mark.vm
def test_the_owner_dies(broker):
    """The broker watches the owner: when the owner ends, the socket loses its place without a request."""
    running = broker(web=found())
    legacy = Legacy()
    with Service("older", port=8081) as older:
        hand_in("web", older)
        hand_in_for("web", legacy.socket, legacy.pidfd)
        legacy.let_go()
        assert who(V4, 80) == "legacy"
        legacy.child.kill()
        wait_until(lambda: "has closed, the older one" in running.log, what="the broker has noticed")
        assert who(V4, 80) == "older"
        assert [row["PLACE"] for row in running.sockets()] == ["1"]


def test_who_handed_in_dies(broker):
    """Discovered sockets stay when usher-discover ends: they do not belong to it."""
    running = broker(web=found())
    legacy = Legacy()

    def discover():
        return hand_in_for("web", legacy.socket, legacy.pidfd)["ADDED"]

    assert Child(lambda tell: discover(), keep=[legacy.socket.fileno(), legacy.pidfd]).result() == "1"
    legacy.let_go()
    assert who(V4, 80) == "legacy"
    assert [row["PID"] for row in running.sockets()] == [str(legacy.pid)]


def test_quota_is_the_owners(broker):
    """Each watched process costs the broker a descriptor. A user cannot use all of them with discovered processes."""
    running = broker(web=found("User=nobody"))
    with Service("web") as service:
        keep = service.fileno()

        def swarm(tell):
            pids = []
            for _ in range(300):
                pid = os.fork()
                if pid == 0:
                    signal.pause()
                pids.append(pid)
            tell(pids)
            signal.pause()

        child = Child(swarm, keep=[keep], uid=NOBODY, gid=NOBODY)
        for pid in child.hear():
            hand_in_for("web", service, os.pidfd_open(pid))
        assert pidfds(running) == 256

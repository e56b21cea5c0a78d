# SPDX-License-Identifier: BSD-3-Clause
"""What a scan finds, who the owner is, and what is refused for which reason. These tests use only the library of
usher-discover.

Descriptor 0 is found like any other, no other descriptor of the process is mistaken for the wanted one, and
SO_REUSEPORT groups, dual-stack and MPTCP sockets are recognised.
"""

import errno
import os
import pathlib
import shutil
import signal
import socket
import subprocess

import pytest

from harness import process
from harness.discover import mount_cgroup2
from harness.host import Netns
from harness.process import Child, wait_until
from harness.scan import Owner, discover_rule, fork_holder, scan, scans
from harness.service import make_mptcp, make_socket

pytestmark = pytest.mark.vm

RIGHTFUL, STRANGER = 1201, 1202
PR_SET_DUMPABLE = 4


def one(rows):
    assert len(rows) == 1, rows
    return rows[0]


def refused(rows, error, *words):
    row = one(rows)
    assert not row.accepted and row.error == error, row
    for word in words:
        assert str(word) in row.text, row
    return row


FOUND = {
    # Socket=, protocol, the address of the socket
    "address": ("127.0.0.2:8080", "tcp", "127.0.0.2"),
    "address6": ("[::1]:8080", "tcp", "::1"),
    "udp": ("127.0.0.2:8080", "udp", "127.0.0.2"),
    "udp6": ("[fd00:1::2]:8080", "udp", "fd00:1::2"),
    "prefix": ("127.0.0.0/8:8080", "tcp", "127.9.8.7"),
    "prefix6": ("[fd00:1::/64]:8080", "tcp", "fd00:1::3"),
    "port": ("8080", "tcp", "127.0.0.2"),
    "port6": ("8080", "udp", "::1"),
    "wildcard": ("0.0.0.0:8080", "tcp", "0.0.0.0"),
    "wildcard6": ("[::]:8080", "tcp", "::"),
    "two-words": ("127.0.0.2:8080 8080", "tcp", "127.0.0.2"),
}


@pytest.mark.parametrize("case", FOUND)
def test_found(case):
    words, protocol, address = FOUND[case]
    discover_rule("web", words)
    with Netns().entered():
        elsewhere = make_socket(protocol, "::1" if ":" in address and address != "::" else "127.0.0.2", 8080)
    owner = Owner((protocol, address, 8080))
    row = one(scan())
    assert row.accepted and row.cookie == owner.cookie and row.pid == owner.pid and row.protocol == protocol
    elsewhere.close()


NOT_FOUND = {
    "address": ("127.0.0.2:8080", "tcp", "127.0.0.3", 8080),
    "port": ("127.0.0.2:8080", "tcp", "127.0.0.2", 8081),
    "wildcard": ("127.0.0.2:8080", "tcp", "0.0.0.0", 8080),
    "exact": ("0.0.0.0:8080", "tcp", "127.0.0.2", 8080),
    "family": ("127.0.0.0/8:8080", "tcp", "::1", 8080),
}


@pytest.mark.vm_long
@pytest.mark.parametrize("case", NOT_FOUND)
def test_not_found(case):
    words, *bound = NOT_FOUND[case]
    discover_rule("web", words)
    Owner(tuple(bound))
    assert scan() == []


@pytest.mark.vm_long
def test_only_protocols_of_the_rule():
    discover_rule("web", "8080", match=["Stream=80"])
    Owner(("udp", "127.0.0.2", 8080))
    assert scan() == []


def test_descriptor_zero():
    discover_rule("web", "127.0.0.2:8080")

    def put_at_zero():
        sock = make_socket("tcp", "127.0.0.2", 8080)
        os.dup2(sock.fileno(), 0)
        sock.close()
        return [socket.socket(fileno=0)]

    owner = Owner(put_at_zero)
    assert one(scan()).accepted
    assert os.readlink(f"/proc/{owner.pid}/fd/0").startswith("socket:")


@pytest.mark.vm_long
def test_no_rule_no_socket():
    Owner(("tcp", "127.0.0.2", 8080))
    discover_rule("web", "127.0.0.2:8080")
    row = one(scan())
    assert row.accepted
    pathlib.Path("/run/usher/rules.d/web.rule").write_text("[Rule]\nStream=192.0.2.0/24:80\n")
    assert scan() == []


# ---- The owner -------------------------------------------------------------------------------------------------------

@pytest.mark.vm_long
def test_stranger():
    discover_rule("web", "127.0.0.0/8:8080", User=RIGHTFUL)
    owner = Owner(("tcp", "127.0.0.2", 8080), uid=STRANGER)
    row = refused(scan(), errno.EACCES, f"uid {STRANGER}", "User=", "web.rule")
    assert row.pid == owner.pid and row.uid == STRANGER


@pytest.mark.vm_long
def test_stranger_beside_the_rightful():
    """A stranger listens on the same pattern: the rightful socket is still found, and is not ambiguous."""
    discover_rule("web", "127.0.0.0/8:8080", User=RIGHTFUL)
    rightful = Owner(("tcp", "127.0.0.5", 8080), uid=RIGHTFUL)
    for last in 2, 9:
        Owner(("tcp", f"127.0.0.{last}", 8080), uid=STRANGER)
    rows = scan()
    assert [row.accepted for row in rows] == [False, True, False]
    assert rows[1].cookie == rightful.cookie


@pytest.mark.vm_long
def test_nobody_but_root_by_default():
    discover_rule("web", "127.0.0.2:8080")
    Owner(("tcp", "127.0.0.2", 8080), uid=RIGHTFUL)
    refused(scan(), errno.EACCES, "only root", "User=")


@pytest.mark.vm_long
def test_group_of_access():
    """A process that [Access] allows to hand in, by a supplementary group, may own it."""
    discover_rule("web", "127.0.0.2:8080", access=["Group=1300", "Bound=any"])
    Owner(("tcp", "127.0.0.2", 8080), uid=RIGHTFUL, groups=[1299, 1300, 1301])
    assert one(scan()).accepted


def test_passed_on():
    """A stranger's socket is passed to root, or to a user who may own one, who keeps it after the stranger has ended."""
    discover_rule("web", "127.0.0.2:8080", User=RIGHTFUL)
    for uid in None, RIGHTFUL:
        ours, theirs = socket.socketpair()

        def pass_on(tell, made):
            socket.send_fds(theirs, [b"x"], [made[0].fileno()])

        stranger = Owner(("tcp", "127.0.0.2", 8080), uid=STRANGER, keep=[theirs.fileno()], then=pass_on)

        def receive(ours=ours):
            return [socket.socket(fileno=socket.recv_fds(ours, 1, 1)[1][0])]

        taker = Owner(receive, uid=uid, keep=[ours.fileno()])
        ours.close()
        theirs.close()
        for _ in range(2):
            row = one(scan())
            assert not row.accepted and row.cookie == stranger.cookie
            stranger.kill()
        refused(scan(), errno.EACCES, f"created by uid {STRANGER}", f"uid {uid or 0}")
        taker.kill()


def test_inherited():
    """A socket that root created is root's while root has it open, and the worker's once only the worker has it open."""
    discover_rule("web", "127.0.0.2:8080")

    def fork_worker(tell, made):
        pid = os.fork()
        if pid == 0:
            os.setresuid(RIGHTFUL, RIGHTFUL, RIGHTFUL)
            while True:
                signal.pause()
        tell(pid)

    owner = Owner(("tcp", "127.0.0.2", 8080), then=fork_worker)
    worker = owner.hear()
    assert one(scan()).pid == owner.pid
    owner.kill()
    refused(scan(), errno.EACCES, f"uid {RIGHTFUL}")
    discover_rule("web", "127.0.0.2:8080", User=RIGHTFUL)
    row = one(scan())
    assert row.accepted and row.pid == worker and row.uid == RIGHTFUL


@pytest.mark.vm_long
def test_the_oldest_counts():
    discover_rule("web", "127.0.0.2:8080")
    owner = Owner(("tcp", "127.0.0.2", 8080), then=lambda tell, made: tell([fork_holder() for _ in range(5)]))
    workers = owner.hear()
    assert one(scan()).pid == owner.pid
    assert one(scan(pid=workers[2])).pid == workers[2]  # the probable owner alone settles it
    assert one(scan(pid=os.getpid())).pid == owner.pid  # a wrong guess does no harm
    assert one(scan(pid=4000000)).pid == owner.pid


@pytest.mark.vm_long
def test_process_1():
    """Process 1 holds the sockets of socket units. It is the owner only if there is no other, and the rule names it."""
    discover_rule("web", "127.0.0.2:8080")
    own = make_socket("tcp", "127.0.0.2", 8080)
    assert os.getpid() == 1
    refused(scan(), errno.EACCES, "only in process 1", "Unit=")
    child = Child(lambda tell: (tell(1), signal.pause()), keep=[own.fileno()])
    child.hear()
    assert one(scan()).pid == child.pid
    child.kill()
    discover_rule("web", "127.0.0.2:8080", Executable=os.readlink("/proc/self/exe"))
    assert one(scan()).pid == 1


@pytest.mark.vm_long
def test_the_broker_owns_nothing():
    discover_rule("web", "127.0.0.2:8080")
    held = make_socket("tcp", "127.0.0.2", 8080)
    broker = Child(lambda tell: (tell(1), signal.pause()), keep=[held.fileno()])
    broker.hear()
    owner = Child(lambda tell: (tell(1), signal.pause()), keep=[held.fileno()])
    owner.hear()
    held.close()
    assert one(scan()).pid == broker.pid  # the broker is the older process
    assert one(scan(broker=broker.pid)).pid == owner.pid
    owner.kill()
    refused(scan(broker=broker.pid), errno.ESRCH, "only in the broker")


@pytest.mark.vm_long
def test_executable():
    program = "/run/test/a daemon"
    shutil.copy("/usr/bin/python3", program)
    os.chmod(program, 0o755)
    daemon = subprocess.Popen([program, "-c", """
import ctypes, socket, time
ctypes.CDLL(None).prctl(15, b"a) R 2 (\\nb")
sock = socket.socket()
sock.bind(("127.0.0.2", 8080))
sock.listen()
time.sleep(1000)
"""])
    discover_rule("web", "127.0.0.2:8080", Executable="/run/test/*")
    row = one(wait_until(scan))
    assert row.accepted and row.pid == daemon.pid
    os.unlink(program)  # as a package manager does
    assert one(scan()).accepted
    discover_rule("web", "127.0.0.2:8080", Executable="/usr/sbin/nginx")
    refused(scan(), errno.EACCES, program, "'a) R 2 (?b'", "Executable=")
    daemon.kill()


@pytest.mark.vm_long
def test_unit():
    """The unit comes from the cgroup of the process."""
    discover_rule("web", "127.0.0.2:8080", Unit="usher-scan-*.service")
    owner = Owner(("tcp", "127.0.0.2", 8080))
    refused(scan(), errno.EACCES, "Unit=")
    unit = mount_cgroup2() / "usher.slice/usher-scan-test.service"
    unit.mkdir(parents=True)
    try:
        (unit / "cgroup.procs").write_text(str(owner.pid))
        row = one(scan())
        assert row.accepted and row.unit == unit.name
        discover_rule("web", "127.0.0.2:8080", Unit="other.service")
        refused(scan(), errno.EACCES, unit.name)
    finally:
        owner.kill()
        wait_until(lambda: "populated 0" in (unit / "cgroup.events").read_text())
        unit.rmdir()
        unit.parent.rmdir()


@pytest.mark.vm_long
def test_bound():
    discover_rule("web", "8080", access=["User=0"])
    Owner(("tcp", "0.0.0.0", 8080))
    refused(scan(), errno.EACCES, "0.0.0.0:8080", "Bound=")


# ---- Several ---------------------------------------------------------------------------------------------------------

@pytest.mark.vm_long
def test_ambiguous():
    discover_rule("web", "127.0.0.0/8:8080 [::1]:8080")
    owners = [Owner(("tcp", f"127.0.0.{last}", 8080)) for last in (2, 3, 4)]
    six = Owner(("tcp", "::1", 8080))
    *rows, last = scan()
    assert last.accepted and last.cookie == six.cookie  # another family is judged separately
    for row, other in zip(rows, (1, 0, 0)):
        assert not row.accepted and row.error == errno.ENOTUNIQ
        assert f"pid {owners[other].pid} has" in row.text, row
    for owner in owners[1:]:
        owner.kill()
    assert all(row.accepted for row in scan())


def test_reuseport_group():
    discover_rule("web", "127.0.0.2:8080")
    alike = {"protocol": "tcp", "address": "127.0.0.2", "port": 8080, "reuseport": True}
    owners = [Owner(alike, alike), Owner(alike)]
    rows = scan()
    assert [row.accepted for row in rows] == [True] * 3
    assert sorted(row.cookie for row in rows) == sorted(owners[0].cookies + owners[1].cookies)


def test_group_that_is_none():
    """Two UDP sockets share an address by SO_REUSEADDR: one of them gets everything, but it is unknown which."""
    discover_rule("web", "127.0.0.2:8080")

    def by_reuseaddr():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.2", 8080))
        return [sock]

    owners = [Owner(by_reuseaddr), Owner(by_reuseaddr)]
    rows = scan()
    assert [row.error for row in rows] == [errno.ENOTUNIQ] * 2
    pids = sorted(owner.pid for owner in owners)
    assert sorted(int(row.text.split("pid ")[1].split()[0]) for row in rows) == pids


def test_group_on_another_interface():
    discover_rule("web", "127.0.0.2:8080")

    def on_loopback():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        sock.bind(("127.0.0.2", 8080))
        return [sock]

    Owner(on_loopback, {"protocol": "udp", "address": "127.0.0.2", "port": 8080, "reuseport": True})
    assert [row.error for row in scan()] == [errno.ENOTUNIQ] * 2


def test_dual_stack_serves_both():
    discover_rule("web", "[::]:8080 127.0.0.2:8081 [::1]:8082")
    dual = Owner({"protocol": "tcp", "address": "::", "port": 8080, "v6only": False})
    row = one(scan())
    assert row.accepted and row.cookie == dual.cookie
    four, six = Owner(("tcp", "127.0.0.2", 8081)), Owner(("tcp", "::1", 8082))
    assert [row.error for row in scan()] == [errno.ENOTUNIQ] * 3
    dual.kill()
    assert {row.cookie for row in scan() if row.accepted} == {four.cookie, six.cookie}


def test_mapped_address_is_ipv4():
    discover_rule("web", "127.0.0.2:8080")
    owner = Owner({"protocol": "udp", "address": "::ffff:127.0.0.2", "port": 8080, "v6only": False})
    row = one(scan())
    assert row.accepted and row.cookie == owner.cookie and row.endpoint == "127.0.0.2:8080"


def test_large_group():
    discover_rule("web", "127.0.0.2:8080")
    alike = {"protocol": "tcp", "address": "127.0.0.2", "port": 8080, "reuseport": True}
    Owner(*[alike] * 70)
    rows = scan()
    assert [row.accepted for row in rows] == [True] * 64 + [False] * 6
    assert {row.error for row in rows[64:]} == {errno.E2BIG}


@pytest.mark.vm_long
def test_many_strangers():
    """Strangers cannot use up memory or descriptors, and the rightful socket is found among theirs."""
    discover_rule("web", "127.0.0.0/8:8080", User=RIGHTFUL)
    strangers = [Owner(*[("tcp", f"127.1.{net}.{host}", 8080) for host in range(1, 11)], uid=STRANGER)
                 for net in range(40)]
    rightful = Owner(("tcp", "127.200.0.1", 8080), uid=RIGHTFUL)
    done = scans(["prlimit", "--nofile=32"])[0]
    assert done.left_out == 400 - 256 and len(done.rows) == 257
    assert [row.cookie for row in done.rows if row.accepted] == [rightful.cookie]
    assert {row.pid for row in done.rows if not row.accepted} <= {owner.pid for owner in strangers}


@pytest.mark.vm_long
def test_only_some():
    """A scan limited by name, protocol and port. A port selects rules, and all their sockets are considered."""
    discover_rule("web", "127.0.0.2:8080 [::1]:8081")
    discover_rule("dns", "127.0.0.2:5353")
    Owner(("tcp", "127.0.0.2", 8080), ("tcp", "::1", 8081), ("udp", "127.0.0.2", 8080), ("udp", "127.0.0.2", 5353))
    names = lambda **keys: [(row.name, row.protocol, row.endpoint) for row in scan(**keys)]
    web = [("web", "tcp", "127.0.0.2:8080"), ("web", "tcp", "[::1]:8081")]
    assert names() == [("dns", "udp", "127.0.0.2:5353"), *web, ("web", "udp", "127.0.0.2:8080")]
    assert names(name="dns") == [("dns", "udp", "127.0.0.2:5353")]
    assert names(protocol=6) == web
    assert names(protocol=6, port=8081) == web
    assert names(protocol=6, port=5353) == []
    assert names(protocol=6, port=22) == []


@pytest.mark.vm_long
def test_one_socket_of_two_names():
    for name in "shop", "web":
        discover_rule(name, "127.0.0.2:8080")
    owner = Owner(("tcp", "127.0.0.2", 8080))
    assert [(row.name, row.accepted, row.cookie) for row in scan()] == [
        ("shop", True, owner.cookie), ("web", True, owner.cookie)]


# ---- What cannot be taken --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("without", ["nothing", "net_admin"])
def test_mptcp(without):
    """An older kernel shows it in the dump only to processes with CAP_NET_ADMIN. Otherwise the duplicate reveals it."""
    discover_rule("web", "127.0.0.2:8080")

    try:
        make_mptcp("127.0.0.2", 8080).close()
    except OSError as error:
        pytest.skip(f"machine: no MPTCP: {error}")
    Owner(lambda: [make_mptcp("127.0.0.2", 8080)])
    before = [] if without == "nothing" else ["setpriv", f"--bounding-set=-{without}"]
    refused(scans(before)[-1].rows, errno.EOPNOTSUPP, "MPTCP", "multipathtcp=0")


def test_another_namespace():
    discover_rule("web", "127.0.0.2:8080")
    Owner(("tcp", "127.0.0.2", 8080))
    refused(scan(netns=1), errno.EXDEV, "another network namespace")


def test_in_flight():
    """No process has the socket open: it is in transit in a message that is not read."""
    discover_rule("web", "127.0.0.2:8080")
    sock, ends = make_socket("tcp", "127.0.0.2", 8080), socket.socketpair()
    socket.send_fds(ends[0], [b"x"], [sock.fileno()])
    sock.close()
    refused(scan(), errno.ESRCH, "no process that is visible")


def test_another_pid_namespace():
    discover_rule("web", "127.0.0.2:8080")
    Owner(("tcp", "127.0.0.2", 8080))
    refused(scans(["unshare", "--pid", "--fork", "--mount-proc"])[-1].rows, errno.ESRCH, "pid namespace")


def test_as_nobody():
    """Without privileges, a user's own sockets are found. For others, the reason is given."""
    discover_rule("web", "127.0.0.2:8080", User=RIGHTFUL)
    as_rightful = ["setpriv", f"--reuid={RIGHTFUL}", f"--regid={RIGHTFUL}", "--clear-groups"]
    # a process that changed its user is not dumpable until it asks for that
    own = Owner(("tcp", "127.0.0.2", 8080), uid=RIGHTFUL,
                then=lambda tell, made: tell(process.libc("prctl", PR_SET_DUMPABLE, 1)))
    own.hear()
    assert one(scans(as_rightful)[-1].rows).accepted
    own.kill()
    Owner(("tcp", "127.0.0.2", 8080))
    refused(scans(as_rightful)[-1].rows, errno.EACCES, "run as root")


FAILURES = {
    "EPERM": "CAP_SYS_PTRACE",
    "EACCES": "security modules",
    "EMFILE": "LimitNOFILE=",
    "ENOSYS": "SystemCallFilter=",
}


@pytest.mark.parametrize("name", FAILURES)
def test_pidfd_getfd_fails(name):
    discover_rule("web", "127.0.0.2:8080")
    owner = Owner(("tcp", "127.0.0.2", 8080))
    inject = ["strace", "-o", "/dev/null", "-e", f"inject=pidfd_getfd:error={name}"]
    row = refused(scans(inject)[-1].rows, getattr(errno, name), name, FAILURES[name])
    assert row.pid == owner.pid


def test_not_dumpable():
    """Only root may read its descriptors, and the test is root."""
    discover_rule("web", "127.0.0.2:8080", User=RIGHTFUL)

    def hide(tell, made):
        process.libc("prctl", PR_SET_DUMPABLE, 0)
        tell("hidden")

    owner = Owner(("tcp", "127.0.0.2", 8080), uid=RIGHTFUL, then=hide)
    owner.hear()
    assert one(scan()).accepted
    weak = ["setpriv", "--bounding-set=-sys_ptrace"]
    refused(scans(weak)[-1].rows, errno.EACCES, "descriptors cannot be listed", "run as root")


@pytest.mark.vm_long
def test_repeats_leave_nothing():
    discover_rule("web", "127.0.0.0/8:8080", User=RIGHTFUL)
    Owner(("tcp", "127.0.0.2", 8080), uid=RIGHTFUL)
    Owner(("tcp", "127.0.0.3", 8080), uid=STRANGER)
    done = scans(times=50)
    assert len({found.descriptors for found in done}) == 1
    assert all([row.accepted for row in found.rows] == [True, False] for found in done)

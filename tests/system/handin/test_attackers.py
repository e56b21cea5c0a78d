# SPDX-License-Identifier: BSD-3-Clause
"""What attackers can and cannot do (docs/security.md), as far as no other test shows it"""

import errno
import os
import pathlib
import re
import signal
import socket

import pytest

from harness import process
from harness.host import NOBODY, V4, rule
from harness.notify import notify
from harness.process import Child, in_child, wait_until
from harness.service import Service, make_socket
from harness.traffic import REFUSED, who
from harness.wire import Refused, cookie, hand_in, request, request_as

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_DUMPABLE = 4
DAEMON = 1


# ---- remote hosts

def test_packets_without_a_socket_are_few_lines(broker):
    """Each is counted, and a few are in the log."""
    running = broker(web="Stream=80")
    for _ in range(200):
        assert who(V4, 80) == REFUSED
    assert running.counters("web")["MISSING"] >= 200
    assert 1 <= running.log.count("no socket is handed in as 'web'") <= 20


# ---- users that [Access] lists

def test_users_of_a_name_share_it(broker):
    """Each of them can take over, claim and withdraw what the other one handed in."""
    running = broker(web=rule("Stream=80", access=["User=nobody daemon"]))
    with Service("first", port=8081) as first, Service("second", port=8082) as second:
        assert request_as(NOBODY, NOBODY, "hold", [first], NAME="web")["ADDED"] == "1"
        assert who(V4, 80) == "first"

        def claim():
            with socket.socket(fileno=request("claim", NAME="web").fds[0]) as claimed:
                return cookie(claimed)

        assert in_child(claim, uid=DAEMON, gid=DAEMON) == cookie(first.socket)
        assert request_as(DAEMON, DAEMON, "hand-in", [second], NAME="web")["ADDED"] == "1"
        assert who(V4, 80) == "second"
        assert request_as(NOBODY, NOBODY, "withdraw", NAME="web")["OK"] == "1"
        assert running.sockets() == []


def test_any_port_of_the_rule(broker):
    """[Access] is the protection of ports below 1024: nobody serves port 80, and cannot bind it."""
    broker(web=rule("Stream=80", access=["User=nobody"]))

    def bind():
        with pytest.raises(PermissionError):
            make_socket("tcp", "127.0.0.2", 80)

    if int(open("/proc/sys/net/ipv4/ip_unprivileged_port_start").read()) == 1024:
        in_child(bind, uid=NOBODY, gid=NOBODY)
    with Service("web", port=8081) as service:
        assert request_as(NOBODY, NOBODY, "hand-in", [service], NAME="web")["ADDED"] == "1"
        assert who(V4, 80) == "web"


def test_each_uid_has_its_workers(broker, stuck):
    """The workers of one uid wait, and it is refused. That another one belongs to the same user makes no difference."""
    with open("/etc/subuid", "a") as file:
        file.write("nobody:20000:65536\n")
    broker(web=rule("Stream=80", access=["User=20000 20001"]))

    def send(tell, times):
        opened = os.open(stuck.file, os.O_RDONLY)
        for _ in range(times):
            with pytest.raises(Refused) as refusal:
                request("hand-in", [opened], NAME="web")
            tell(refusal.value.number)
        signal.pause()

    first = Child(send, 5, uid=20000, gid=20000)
    assert [first.hear() for _ in range(5)] == [errno.ENOTSOCK] * 4 + [errno.EUSERS]
    second = Child(send, 1, uid=20001, gid=20001)
    assert second.hear() == errno.ENOTSOCK
    stuck.release()
    first.kill()
    second.kill()


def is_being_killed(pid):
    """Whether a process waits where SIGKILL does not end it."""
    status = dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status") if ":\t" in line)
    return bool((int(status["SigPnd"], 16) | int(status["ShdPnd"], 16)) >> (signal.SIGKILL - 1) & 1)


def test_datagrams_of_many_uids_leave_workers_for_requests(broker, stuck):
    """Two hundred uids have a datagram each whose descriptor cannot be closed. Who makes a request waits for none of them."""
    uids = range(20000, 20200)
    running = broker(web=rule("Stream=80", access=[f"User={' '.join(map(str, uids))}"]), own="Stream=81")

    def send(tell):
        opened = os.open(stuck.file, os.O_RDONLY)
        tell("begins")
        for uid in uids:
            os.setresuid(uid, uid, 0)
            notify("FDSTORE=1\nFDNAME=web", opened)
            os.setresuid(0, 0, 0)
        signal.pause()

    with Service("own", port=8081) as service:
        hand_in("own", service)
        sender = Child(send)
        assert sender.hear() == "begins"
        wait_until(lambda: len(stuck.flushes) >= 64)
        times = 0
        while not any(map(is_being_killed, running.workers())):
            assert hand_in("own", service)["KEPT"] == "1"
            times += 1
        print(times)
        assert times > 25  # there were 7 when datagrams could have all workers
    stuck.release()
    sender.kill()


# ---- a worker

def objects_of_bpf(pid):
    """The names of the maps that a process has open, and what else of BPF it has."""
    found = []
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            target, info = os.readlink(entry), (entry.parents[1] / "fdinfo" / entry.name).read_text()
        except FileNotFoundError:
            continue
        if "bpf" in target:
            found.append((target, int(re.search(r"(?m)^map_type:\s*(\d+)", info)[1]) if "map" in target else None))
    return sorted(found)


def test_worker_has_two_maps(broker):
    """Those of sockets (SOCKMAP and SOCKHASH), and not the order of seats, the rules, the program or the link."""
    running = broker(web="Stream=80")
    with Service("web", port=8081) as service:
        hand_in("web", service)
        assert running.workers()
        for pid in running.workers():
            assert objects_of_bpf(pid) == [("anon_inode:bpf-map", 15), ("anon_inode:bpf-map", 18)]


# ---- other namespaces

def become_root_elsewhere(flags):
    """Root of a user namespace, as any user can be."""
    uid = os.getuid()
    process.libc("prctl", PR_SET_DUMPABLE, 1)  # it changed its uid, and so cannot write into its own /proc
    process.libc("unshare", CLONE_NEWUSER | flags)
    with open("/proc/self/uid_map", "w") as ids:
        ids.write(f"0 {uid} 1")
    assert os.getuid() == 0


@pytest.fixture
def may_unshare():
    def attempt():
        try:
            become_root_elsewhere(0)
            return True
        except OSError:
            return False

    if not in_child(attempt, uid=NOBODY, gid=NOBODY):
        pytest.skip("machine: users cannot make user namespaces")


@pytest.mark.vm
def test_root_of_a_user_namespace_is_who_made_it(broker, may_unshare):
    """It has the rights of the uid that it is outside: not those of root, and those that a rule gives to that uid."""
    running = broker(web="Stream=80", mine=rule("Stream=81", access=["User=nobody"]))
    with Service("web", port=8081) as service:
        def act(number):
            become_root_elsewhere(0)
            numbers = []
            for verb, fields in (("reload", {}), ("detach", {}), ("hand-in", {"NAME": "web"}), ("hand-in", {"NAME": "mine"})):
                try:
                    request(verb, [number] if fields else [], **fields)
                    numbers.append(0)
                except Refused as refusal:
                    numbers.append(refusal.number)
            return numbers

        numbers = in_child(act, service.fileno(), keep=[service.fileno()], uid=NOBODY, gid=NOBODY)
        assert set(numbers[:3]) <= {errno.EACCES, errno.EPERM} and numbers[3] == 0
        row, = running.sockets()
        assert (row["NAME"], row["UID"]) == ("mine", str(NOBODY))
        assert who(V4, 80) == REFUSED


@pytest.mark.vm
def test_socket_of_another_network_namespace(broker, may_unshare):
    """Root of a container cannot have its sockets serve this network, even under a name that its uid may use."""
    running = broker(mine=rule("Stream=81", access=["User=nobody"]))

    def act():
        become_root_elsewhere(CLONE_NEWNET)
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            with pytest.raises(Refused) as refusal:
                request("hand-in", [listener], NAME="mine")
            return str(refusal.value)

    assert "namespace" in in_child(act, uid=NOBODY, gid=NOBODY)
    assert running.sockets() == []

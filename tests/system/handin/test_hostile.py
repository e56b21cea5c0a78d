# SPDX-License-Identifier: BSD-3-Clause
"""Clients without any rights that try to stop the broker"""

import errno
import json
import os
import pathlib
import signal
import socket
import time

import pytest

from harness.broker import ctl
from harness.host import NOBODY, rule
from harness.lingering import make_lingering, make_sink
from harness.process import PATIENCE, Child, in_child
from harness.service import make_socket
from harness.wire import Connection, Refused, request


def let_attack(running, attackers):
    """Continue the broker once all clients have sent their requests: it must serve others."""
    for attacker in attackers:
        attacker.hear()
    running.resume()
    start = time.monotonic()
    for _ in range(10):
        assert running.status()["RELOAD"] == "ok"
    assert time.monotonic() - start < PATIENCE


PACKETS = {
    "a request that takes none": [b"REQUEST=status\n"],
    "no message": [b"x"],
    "a text too long": [b"A" * 5000],
    "a name it may not use": [b"REQUEST=hand-in\nNAME=web\n"],
    "left in the queue": [b"x", b"REQUEST=status\n", b""],
    "in the queue of another socket": [b"REQUEST=status\n"],
}


@pytest.mark.parametrize("way", PACKETS)
def test_descriptors_that_take_long_to_close(broker, way):
    """With SO_LINGER, close() blocks for as long as the sender of the socket chooses. The broker must not block."""
    running = broker(web="Stream=80")
    fds = len(running.fds())
    running.pause()  # so that the broker closes the last reference

    def attack(tell):
        sink = make_sink()
        lingering = make_lingering(sink)
        connection = Connection()
        if "another" in way:
            here, there = socket.socketpair()
            socket.send_fds(here, [b"x"], [lingering.fileno()])
            here.close()
            lingering.close()
            lingering = there
        for packet in PACKETS[way]:
            connection.send(packet, [lingering.fileno()])
        lingering.close()
        tell(None)
        signal.pause()
        return sink, connection

    attackers = [Child(attack, uid=NOBODY, gid=NOBODY) for _ in range(3)]
    let_attack(running, attackers)
    assert len(running.fds()) < fds + 20
    running.stop()
    for attacker in attackers:
        attacker.kill()


def test_datagrams_with_descriptors_that_take_long_to_close(broker):
    running = broker(web="Stream=80")
    running.pause()

    def attack(tell):
        sink = make_sink()
        lingering = make_lingering(sink)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.connect(str(running.socket.with_name("notify")))
            for text in (b"READY=1", b"FDSTORE=1\nFDNAME=web", b"A" * 5000, b""):
                socket.send_fds(notify, [text], [lingering.fileno()])
        lingering.close()
        tell(None)
        signal.pause()
        return sink

    attackers = [Child(attack, uid=NOBODY, gid=NOBODY) for _ in range(2)]
    let_attack(running, attackers)
    running.stop()
    for attacker in attackers:
        attacker.kill()


def test_stop_with_descriptors_that_take_long_to_close(broker):
    """Requests in the queues do not keep the broker from ending."""
    running = broker(web="Stream=80")
    running.pause()

    def attack(tell):
        sink = make_sink()
        lingering = make_lingering(sink)
        connections = [Connection() for _ in range(80)]
        for connection in connections:
            connection.send(b"REQUEST=status\n", [lingering.fileno()])
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.connect(str(running.socket.with_name("notify")))
            socket.send_fds(notify, [b"READY=1"], [lingering.fileno()])
        lingering.close()
        tell(None)
        signal.pause()
        return sink, connections

    attacker = Child(attack, uid=NOBODY, gid=NOBODY)
    attacker.hear()
    running.process.terminate()
    running.resume()
    assert running.wait() == 0
    attacker.kill()


def test_tab_in_json(broker):
    """JSON has no tab in a string: a stranger's path must not make the output of usherctl unreadable for others."""
    broker(web=rule("Stream=80", access=["User=nobody"]))

    def offer(_):
        with pytest.raises(Refused):
            request("hand-in", [os.memfd_create("a\tb")], NAME="web")

    Child(offer, uid=NOBODY, gid=NOBODY).result()
    status = json.loads(ctl("--json", "status").stdout)
    assert "a\tb" in status["hand_in_refused"], status


def test_root_speaks_on_anothers_connection(broker):
    """A request that only root may make requires root as the opener of the connection, and as the sender."""
    running = broker(web="Stream=80")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)

    def pass_connection(_):
        with Connection() as connection:
            socket.send_fds(ours, [b"x"], [connection.socket.fileno()])

    child = Child(pass_connection, uid=NOBODY, gid=NOBODY, keep=[ours.fileno()])
    _, (number,), _, _ = socket.recv_fds(theirs, 1, 1)
    child.result()
    with socket.socket(fileno=number) as connection:
        connection.settimeout(PATIENCE)
        for verb in ("detach", "reload"):
            connection.send(f"REQUEST={verb}\n".encode())
            assert b"only root may ask" in connection.recv(4096)
    assert running.running() and running.status()["GENERATION"] == "1"


def test_many_registrants_of_one_user(broker):
    """Each watched registrant costs the broker a descriptor. One uid cannot use all of them."""
    running = broker(web=rule("Stream=80", access=["User=nobody"]))
    before = len(running.fds())

    def swarm(tell):
        service = make_socket("tcp", "127.0.0.2", 8080)
        pids = []
        for _ in range(300):
            read, write = os.pipe()
            pid = os.fork()
            if pid == 0:
                request("hand-in", [service], NAME="web")
                os.write(write, b"x")
                signal.pause()
            os.read(read, 1)
            os.close(read), os.close(write)
            pids.append(pid)
        tell("all there")
        signal.pause()

    child = Child(swarm, uid=NOBODY, gid=NOBODY)
    assert child.hear() == "all there"
    assert len(running.fds()) - before <= 256 + 2
    assert len(running.sockets()) >= 1


# ---- many connections

class Crowd:
    """Idle connections, `each` of every uid; how many of them were answered before."""

    def __init__(self, uids, each=64):
        self.children = [Child(self._connect, each, uid=uid, gid=uid) for uid in uids]
        self.answered = sum(child.hear() for child in self.children)

    @staticmethod
    def _connect(tell, each):
        connections, n = [], 0
        for _ in range(each):
            connection = Connection()
            connections.append(connection)
            try:
                n += connection.request("status").get("OK") == "1"
            except (Refused, EOFError, OSError):  # it had to go for another one
                pass
        tell(n)
        signal.pause()

    def end(self):
        for child in self.children:
            child.kill()


def status_of(uid, path="/run/usher/usher.sock"):
    """Of a client that waits for room in the backlog, as libusher does."""
    def wait_for_room():
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as patient:
            patient.connect(path)
            patient.settimeout(PATIENCE)
            patient.send(b"REQUEST=status\n")
            return dict(line.split("=", 1) for line in patient.recv(65536).decode().splitlines()).get("OK")

    return in_child(wait_for_room, uid=uid, gid=uid)


def reason_to_turn_away(uid):
    def connect():
        with Connection() as connection:
            return connection.receive()[0]

    return in_child(connect, uid=uid, gid=uid)


@pytest.mark.seconds(120)
def test_idle_connections_of_many_users(broker):
    """They fill the door, and still lock nobody out: who has least is let in, in place of the idlest of who has most."""
    broker(web=rule("Stream=80", access=["User=30000"]))
    crowd = Crowd(range(20000, 20017))
    assert crowd.answered >= 1024
    for uid in range(30000, 30010):
        assert status_of(uid) == "1"

    def hand_in_own():
        with make_socket("tcp", "127.0.0.2", 8080) as sock:
            return request("hand-in", [sock], NAME="web")["ADDED"]

    assert in_child(hand_in_own, uid=30000, gid=30000) == "1"
    crowd.end()


def test_subordinate_uids_count_as_their_owner(broker):
    """A user who can act as 65,536 others has the connections of one. A reload reads anew who that is."""
    pathlib.Path("/etc/subuid").write_text("nobody:100000:65536\n")
    running = broker(web="Stream=80")
    crowd = Crowd(range(100000, 100064), each=1)
    assert crowd.answered == 64
    for uid in (100064, 165535, NOBODY):
        fields = reason_to_turn_away(uid)
        assert fields["ERRNO"] == str(errno.EUSERS) and f"uid {uid} has 64 connections" in fields["REASON"]
    assert status_of(165536) == status_of(99999) == "1"
    pathlib.Path("/etc/subuid").write_text("")
    running.reload()
    assert status_of(100064) == status_of(NOBODY) == "1"
    crowd.end()


def connect_without_end(tell, path):
    tell("begins")
    while True:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            try:
                connection.connect(path)
            except OSError:
                pass


@pytest.mark.seconds(120)
def test_connections_without_end(broker):
    """Users who connect and hang up without end delay others, and keep none of them out."""
    running = broker(web="Stream=80")
    flood = [Child(connect_without_end, str(running.socket), uid=20000 + i, gid=20000 + i) for i in range(2)]
    for child in flood:
        assert child.hear() == "begins"
    for uid in range(30000, 30020):
        assert status_of(uid) == "1"
    for child in flood:
        child.kill()

# SPDX-License-Identifier: BSD-3-Clause
"""Clients without any rights that try to stop the broker"""

import os
import signal
import socket
import struct
import time

import pytest

from harness.host import NOBODY, rule
from harness.process import PATIENCE, Child
from harness.service import make_socket
from harness.wire import Connection, request


def let_attack(running, attackers):
    """Continue the broker once all clients have sent their requests: it must serve others."""
    for attacker in attackers:
        attacker.hear()
    running.resume()
    start = time.monotonic()
    for _ in range(10):
        assert running.status()["RELOAD"] == "ok"
    assert time.monotonic() - start < PATIENCE


def make_lingering():
    """A connection on which close() blocks (SO_LINGER, and data that its peer never reads), and what keeps it so."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    lingering = socket.create_connection(listener.getsockname())
    peer, _ = listener.accept()
    lingering.setblocking(False)
    try:
        while True:
            lingering.send(bytes(65536))
    except BlockingIOError:
        pass
    lingering.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
    return lingering, (listener, peer)


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
        lingering, keep = make_lingering()
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
        return keep, connection

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
        lingering, keep = make_lingering()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.connect(str(running.socket.with_name("notify")))
            for text in (b"READY=1", b"FDSTORE=1\nFDNAME=web", b"A" * 5000, b""):
                socket.send_fds(notify, [text], [lingering.fileno()])
        lingering.close()
        tell(None)
        signal.pause()
        return keep

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
        lingering, keep = make_lingering()
        connections = [Connection() for _ in range(80)]
        for connection in connections:
            connection.send(b"REQUEST=status\n", [lingering.fileno()])
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.connect(str(running.socket.with_name("notify")))
            socket.send_fds(notify, [b"READY=1"], [lingering.fileno()])
        lingering.close()
        tell(None)
        signal.pause()
        return keep, connections

    attacker = Child(attack, uid=NOBODY, gid=NOBODY)
    attacker.hear()
    running.process.terminate()
    running.resume()
    assert running.wait() == 0
    attacker.kill()


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

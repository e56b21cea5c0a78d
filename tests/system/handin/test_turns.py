# SPDX-License-Identifier: BSD-3-Clause
"""The broker's time is shared: by uid, between short requests and long answers; and its totals are right."""

import contextlib
import random

import pytest

from harness.host import NOBODY, rule
from harness.process import Child, in_child, wait_until
from harness.service import make_socket
from harness.wire import Connection, hand_in, request, request_as, text_of

ANOTHER = 1


def crowd(tell, text):
    """64 connections that ask again as soon as they have an answer, and never read all of it."""
    connections = [Connection() for _ in range(64)]
    for connection in connections:
        connection.socket.setblocking(False)
    tell("here")
    while True:
        for connection in connections:
            with contextlib.suppress(BlockingIOError):
                connection.socket.send(text)
            with contextlib.suppress(BlockingIOError):
                for _ in range(20):
                    connection.socket.recv(8192)


@pytest.mark.parametrize("verb", ["status", "list", "rules"])
def test_hand_in_beside_a_crowd(broker, verb):
    """While one uid asks for long answers on all connections that it may have, another one hands in, again and again."""
    names = {f"n{i}": f"Stream={1000 + i}" for i in range(300)}
    running = broker(web=rule("Stream=80", access=["User=daemon"]), **names)
    asking = Child(crowd, text_of({"REQUEST": verb}), uid=NOBODY, gid=NOBODY)
    assert asking.hear() == "here"
    sock = make_socket("tcp", "127.0.0.2", 8080)
    for again in range(100):
        reply = request_as(ANOTHER, ANOTHER, "hand-in", [sock.fileno()], NAME="web")
        assert reply["KEPT" if again else "ADDED"] == "1"
    asking.kill()
    assert int(running.status()["SLOW_TURNS"]) >= 0
    sock.close()


def test_all_leave_at_once(broker):
    """Thousands of connections end at the same moment, and the broker goes on."""
    running = broker(web="Stream=80")

    def connect():
        connections = [Connection() for _ in range(900)]
        for connection in connections[::3]:
            connection.send(text_of({"REQUEST": "status"}))
        return len(connections)
    for _ in range(3):
        assert in_child(connect) == 900
    wait_until(lambda: running.status()["SESSIONS"] == "1")


def test_totals_are_those_of_the_list(broker):
    """Sockets come and go, under several names and in both families: NAMES= and SOCKETS= are what `list` shows."""
    running = broker(**{f"n{i}": f"Stream={1000 + i}" for i in range(100)})
    chance, sockets = random.Random(1), {}

    def check():
        rows = running.sockets()
        status = running.status()
        assert (int(status["NAMES"]), int(status["SOCKETS"])) == \
            (len({row["NAME"] for row in rows}), len({row["COOKIE"] for row in rows}))

    for step in range(300):
        name = f"n{chance.randrange(100)}"
        if chance.random() < 0.6 or not sockets:
            port = 10000 + step
            sock = chance.choice(list(sockets.values())) if sockets and chance.random() < 0.3 else \
                make_socket("tcp", chance.choice(["127.0.0.2", "fd00:1::1"]), port)
            sockets[sock.fileno()] = sock
            hand_in(name, sock)
        elif chance.random() < 0.5:
            with contextlib.suppress(Exception):
                request("withdraw", NAME=name)
        else:
            sockets.pop(chance.choice(list(sockets))).close()
            for _ in range(4):
                running.status()  # which looks at 64 of the 200 seats each time
        if step % 10 == 0:
            check()
    check()
    running.restart()
    check()
    for sock in sockets.values():
        sock.close()
    for _ in range(4):
        running.status()
    assert (running.status()["NAMES"], running.status()["SOCKETS"]) == ("0", "0")

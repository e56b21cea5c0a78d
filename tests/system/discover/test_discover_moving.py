# SPDX-License-Identifier: BSD-3-Clause
"""A listener that no process has open while usher-discover scans, because it is in transit in a message."""

import socket

from harness.host import rule
from harness.process import Child, wait_until
from harness.service import Service, make_socket
from harness.traffic import who


def test_in_a_message(both, discover):
    """One process creates it, and another one receives it later. It is served then, although no event says so."""
    both(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080"]))
    ours, theirs = socket.socketpair()
    go, told = socket.socketpair()

    def serve(tell):
        told.recv(1)
        _, (number, *_), _, _ = socket.recv_fds(ours, 1, 1)
        with Service("web", sock=socket.socket(fileno=number)):
            tell("serves")
            told.recv(1)

    def send(tell):
        with make_socket("tcp", "127.0.0.2", 8080) as listener:
            socket.send_fds(theirs, [b"."], [listener.fileno()])

    server = Child(serve, keep=[ours.fileno(), told.fileno()])
    discover.pause()
    Child(send, keep=[theirs.fileno()]).result()
    discover.resume()
    discover.wait_said("open in no process")
    go.send(b".")
    assert server.hear() == "serves"
    wait_until(lambda: who("192.0.2.1", 80) == "web", "the one who has it now is served")

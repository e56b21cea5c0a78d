# SPDX-License-Identifier: BSD-3-Clause
"""A connection that the process which closes it last waits for: SO_LINGER, and data that its peer never reads"""

import contextlib
import socket
import struct

LINGER = struct.pack("ii", 1, 36000)


def make_sink():
    """A listener whose connections nobody accepts."""
    sink = socket.create_server(("127.0.0.1", 0))
    sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
    return sink


def fill(sock):
    """Send until nothing fits any more, and have close(2) wait for hours until it is received."""
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.send(bytes(65536))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)


def make_lingering(sink):
    sock = socket.create_connection(sink.getsockname())
    fill(sock)
    return sock

# SPDX-License-Identifier: BSD-3-Clause
"""A connection that the process which closes it last waits for"""

import socket
import struct


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

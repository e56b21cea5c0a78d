# SPDX-License-Identifier: BSD-3-Clause
"""A client of the notify door, which speaks sd_notify"""

import array
import os
import select
import socket

from .process import PATIENCE


def notify(text, *sockets):
    """Send one datagram; there is no answer."""
    numbers = [item if isinstance(item, int) else item.fileno() for item in sockets]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(PATIENCE)
        sender.connect("/run/usher/notify")
        controls = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", numbers))] if numbers else []
        sender.sendmsg([text if isinstance(text, bytes) else text.encode()], controls)


def barrier(text="BARRIER=1"):
    """Whether the broker has handled everything sent before, as sd_notify_barrier(3) asks."""
    read, write = os.pipe()
    notify(text, write)
    os.close(write)
    ready = select.select([read], [], [], PATIENCE)[0]
    os.close(read)
    return bool(ready)

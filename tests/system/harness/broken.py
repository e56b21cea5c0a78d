# SPDX-License-Identifier: BSD-3-Clause
"""The parts of broken set-ups, and what a client meets there"""

import contextlib
import errno
import socket

import pytest

from . import bpf, wire
from .daemon import PROGRAMS
from .host import run
from .process import PATIENCE, Child
from .service import Service, make_mptcp, make_socket
from .traffic import who

UNREACHABLE = "unreachable"


def ask(packet, seconds=PATIENCE):
    """What answers "tcp 192.0.2.1:80": a name, REFUSED, SILENCE or UNREACHABLE."""
    protocol, endpoint = packet.split()
    address, port = endpoint.rsplit(":", 1)
    try:
        return who(address.strip("[]"), int(port), protocol, seconds=seconds, connected=True)
    except OSError as error:
        if error.errno != errno.ENETUNREACH:
            raise
        return UNREACHABLE


def connect(packet):
    """A connection that does not have to be accepted."""
    address, port = packet.split()[1].rsplit(":", 1)
    return socket.create_connection((address.strip("[]"), int(port)), timeout=PATIENCE)


def attach(program, sock):
    """Attach a foreign sk_lookup program after the existing ones; it chooses the socket for port 80."""
    run(PROGRAMS / "attach", PROGRAMS / "foreign.bpf.o", program, f"/sys/fs/bpf/foreign{len(bpf.pins())}", sock.fileno(),
        pass_fds=[sock.fileno()])


def mptcp(address, port):
    """An MPTCP listener."""
    try:
        return make_mptcp(address, port)
    except OSError as error:
        pytest.skip(f"machine: no MPTCP: {error}")


@contextlib.contextmanager
def serving(name, *arguments, **options):
    """A healthy service that has handed its socket in."""
    with Service(name, *arguments, **options) as service:
        wire.hand_in(name, service)
        yield service


class PlainEcho(Child):
    """A UDP service as most are written: it answers from the address to which its socket is bound."""

    def __init__(self, name, address, port):
        sock = make_socket("udp", address, port)

        def serve(tell):
            while True:
                data, peer = sock.recvfrom(65536)
                with contextlib.suppress(OSError):
                    sock.sendto(f"{name} {peer[0]} {peer[1]} {address} {port}\n".encode() + data, peer)

        wire.hand_in(name, sock)
        super().__init__(serve, keep=[sock.fileno()])
        sock.close()

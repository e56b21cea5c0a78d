# SPDX-License-Identifier: BSD-3-Clause
"""Running flows of UDP when a newer socket is handed in: they move with it, and the two ways to keep them"""

import contextlib
import ctypes
import socket
import struct

import pytest

from harness.host import V4, V6, family_of, rule
from harness.process import PATIENCE
from harness.service import make_socket
from harness.wire import hand_in

pytestmark = pytest.mark.vm

RULE = rule("Datagram=192.0.2.0/24:443", "Datagram=[2001:db8::/48]:443")
BOTH = pytest.mark.parametrize("private, public", [("127.0.0.2", V4), ("::1", V6)])
SO_ATTACH_REUSEPORT_CBPF = 51


@contextlib.contextmanager
def clients(public, n):
    """Connected clients, as those of QUIC are: they take answers from where they send to, and from nowhere else."""
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(n):
            client = stack.enter_context(socket.socket(family_of(public), socket.SOCK_DGRAM))
            client.settimeout(PATIENCE)
            client.connect((public, 443))
            found.append(client)
        yield found


def says(sock, text):
    """The socket of a service gets this as the next datagram, and no other."""
    sock.settimeout(PATIENCE)
    return sock.recv(100) == text


def is_empty(*sockets):
    for sock in sockets:
        sock.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            return not sock.recv(100)
    return True


@BOTH
def test_takeover_moves_flows(broker, private, public):
    """Each datagram goes to the newest socket, also that of a flow that the old one has been serving."""
    broker(web=RULE)
    with make_socket("udp", private, 4431) as old, make_socket("udp", private, 4432) as new, clients(public, 3) as flows:
        hand_in("web", old)
        for client in flows:
            client.send(b"first")
            assert says(old, b"first")
        hand_in("web", new)
        for client in flows:
            client.send(b"second")
            assert says(new, b"second") and is_empty(old)
        new.close()
        for client in flows:
            client.send(b"third")
            assert says(old, b"third")


def choose_by_first_byte(sock):
    """The program of the group: the lowest bit of the first byte, which stands for what QUIC calls a connection ID."""
    code = b"".join(struct.pack("HBBI", *one) for one in ((0x30, 0, 0, 0), (0x54, 0, 0, 1), (0x16, 0, 0, 0)))
    program = ctypes.create_string_buffer(code)
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, struct.pack("HxxxxxxQ", 3, ctypes.addressof(program)))


@BOTH
def test_group_with_a_program_keeps_flows(broker, private, public):
    """Old and new process in one SO_REUSEPORT group, with a program that knows the flows: usher selects the newer one,
    the program the right one."""
    broker(web=RULE)
    with make_socket("udp", private, 443, reuseport=True) as old, clients(public, 6) as flows:
        choose_by_first_byte(old)
        hand_in("web", old)
        for client in flows[:3]:
            client.send(b"0 first")
            assert says(old, b"0 first")
        with make_socket("udp", private, 443, reuseport=True) as new:
            hand_in("web", new)
            for client in flows[:3]:
                client.send(b"0 second")
                assert says(old, b"0 second")
            for client in flows[3:]:
                client.send(b"1 first")
                assert says(new, b"1 first")
            old.close()
            for client in flows[3:]:
                client.send(b"1 second")
                assert says(new, b"1 second")


@BOTH
def test_group_without_a_program_moves_some(broker, private, public):
    """The kernel spreads by a hash over all members, so a new member gets flows of the old ones."""
    broker(web=RULE)
    with make_socket("udp", private, 443, reuseport=True) as old, clients(public, 40) as flows:
        hand_in("web", old)
        with make_socket("udp", private, 443, reuseport=True) as new:
            for client in flows:
                client.send(b"second")
            new.settimeout(PATIENCE)
            old.settimeout(PATIENCE)
            assert old.recv(100) == new.recv(100) == b"second"


class Flows:
    """A service that answers the first datagram of a client from a connected socket, bound to the address that the client
    sent to, and so gets all that follow."""

    def __init__(self, name, sock, public):
        self.name, self.socket, self.public, self.flows = name, sock, public, []

    def accept(self):
        self.socket.settimeout(PATIENCE)
        data, client = self.socket.recvfrom(100)
        flow = socket.socket(self.socket.family, socket.SOCK_DGRAM)
        flow.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        flow.bind((self.public, 443))
        flow.connect(client)
        flow.settimeout(PATIENCE)
        flow.send(self.name + b" has " + data)
        self.flows.append(flow)

    def answer(self):
        for flow in self.flows:
            flow.send(self.name + b" has " + flow.recv(100))

    def close(self):
        for flow in self.flows:
            flow.close()


@BOTH
def test_connected_sockets_keep_flows(broker, private, public):
    """The kernel looks for connected sockets before any rule. So the flows stay with the old process, even if it closes the
    socket that it handed in, and new ones come to the new process."""
    broker(web=RULE)
    with make_socket("udp", private, 4431) as old_socket, make_socket("udp", private, 4432) as new_socket, \
            clients(public, 6) as ends:
        old, new = Flows(b"old", old_socket, public), Flows(b"new", new_socket, public)
        hand_in("web", old_socket)
        for client in ends[:3]:
            client.send(b"first")
            old.accept()
            assert client.recv(100) == b"old has first"
        hand_in("web", new_socket)
        old_socket.close()
        for client in ends[3:]:
            client.send(b"first")
            new.accept()
            assert client.recv(100) == b"new has first"
        for client in ends:
            client.send(b"second")
        old.answer()
        new.answer()
        for client in ends:
            assert client.recv(100) == (b"old" if client in ends[:3] else b"new") + b" has second"
        assert is_empty(new_socket)
        old.close()
        new.close()

# SPDX-License-Identifier: BSD-3-Clause
"""Datagrams through usher-relay: a session for each client, answers from the address that was asked, limits, timeouts"""

import contextlib
import signal
import socket
import struct
import threading

import pytest

from harness import wire
from harness.host import CLIENT_V4, CLIENT_V6, HOST_V4, HOST_V6, V4, V6, Netns, write_rule
from harness.process import ATTEMPT, MOMENT, PATIENCE, wait_until
from harness.relay import Relay, relay_rule

pytestmark = pytest.mark.vm

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


class Server:
    """A server of datagrams: it answers with its name, what came, and from which port. A thread reads them."""

    def __init__(self, name=b"one", address=("127.0.0.1", 7002)):
        self.name = name
        self.socket = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(address)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                data, peer = self.socket.recvfrom(65536)
                self.socket.sendto(b"%s %d " % (self.name, peer[1]) + data, peer)

    def close(self):
        self.socket.close()


@pytest.fixture
def udp_relay():
    """udp_relay(LINE..., address=...): a relay of datagrams"""
    doors = []

    def start(*lines, address="127.0.0.1", port=7001, match=f"Datagram={V4}:7001", netns=None):
        relay = Relay()
        door = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        if address == "::":
            door.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        door.bind((address, port))
        doors.append(door)
        relay.door, relay.match = door, match
        write_rule("web", relay_rule(*lines, match=match))
        with netns.entered() if netns else contextlib.nullcontext():
            return relay.start(sockets=[door])

    yield start
    for door in doors:
        door.close()


def make_client(address=("127.0.0.1", 7001), seconds=PATIENCE):
    """A connected one, which takes answers from the address that it asked only"""
    client = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(seconds)
    client.connect(address)
    return client


def ask(client, question=b"question"):
    client.send(question)
    return client.recv(65536).split(b" ", 2)


def test_sessions(udp_relay):
    """Each client has a port of its own at the backend, and keeps it."""
    udp_relay("Connect=127.0.0.1:7002")
    server = Server()
    clients = [make_client() for _ in range(20)]
    ports = [ask(client)[1] for client in clients]
    assert len(set(ports)) == 20
    assert [ask(client)[1] for client in clients] == ports
    for size in 0, 1, 1472, 60_000:
        assert ask(clients[0], b"x" * size) == [b"one", ports[0], b"x" * size]
    server.close()


@pytest.mark.parametrize("address, other", [(V4, HOST_V4), (V6, HOST_V6)], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("listen", ["::", "own"])
def test_dispatched(broker, udp_relay, client, address, other, listen):
    """Answers leave from the address that the rule is for, whatever the socket is bound to."""
    host = "127.0.0.1" if "." in address else "fd00:1::1"
    match = "Datagram=192.0.2.0/24:7001 [2001:db8::/48]:7001"
    broker(web=relay_rule("Connect=127.0.0.1:7002", match=match) + "[Access]\nBound=any\n")
    relay = udp_relay("Connect=127.0.0.1:7002", address=host if listen == "own" else listen, match=match)
    wire.hand_in("web", relay.door)
    server = Server()
    with client.entered():
        asker = make_client((address, 7001))
    assert ask(asker)[0] == b"one"
    assert ask(asker)[2] == b"question"
    server.close()


def test_other_namespace(udp_relay):
    """From a socket of the host's to a backend in another network namespace"""
    other = Netns()
    with other.entered():
        server = Server(b"inside")
    udp_relay("Connect=127.0.0.1:7002", netns=other)
    assert ask(make_client())[0] == b"inside"
    server.close()


def test_proxy_header(udp_relay, client):
    """Version 2 in front of each datagram"""
    udp_relay("Connect=127.0.0.1:7002", "SendProxy=v2", address="::")
    server = Server()
    for address, sender, family, kind in (HOST_V4, CLIENT_V4, socket.AF_INET, 0x12), (HOST_V6, CLIENT_V6, socket.AF_INET6, 0x22):
        with client.entered():
            asker = make_client((address, 7001))
        port = asker.getsockname()[1]
        pair = socket.inet_pton(family, sender) + socket.inet_pton(family, address) + struct.pack("!HH", port, 7001)
        for _ in range(2):
            assert ask(asker)[2] == SIGNATURE + bytes([0x21, kind]) + struct.pack("!H", len(pair)) + pair + b"question"
    server.close()


def test_next_backend(udp_relay):
    """An ICMP error of one backend leads the session to the next."""
    udp_relay("Connect=127.0.0.1:7003 127.0.0.1:7002")
    server = Server()
    client = make_client(seconds=ATTEMPT)

    def answers():
        with contextlib.suppress(TimeoutError):
            return ask(client)[0] == b"one"

    wait_until(answers)
    server.close()


def test_session_ends(udp_relay):
    """After SessionTimeout=, the client gets another port at the backend, and the descriptor is free."""
    relay = udp_relay("Connect=127.0.0.1:7002", "SessionTimeout=300ms")
    server = Server()
    before = relay.descriptors()
    client = make_client()
    ask(client)
    assert relay.descriptors() == before + 1
    wait_until(lambda: relay.descriptors() == before)
    assert ask(client)[0] == b"one"
    server.close()


def test_limit(udp_relay):
    """At MaxConnections=, the session that has been silent for longest makes room; one in use stays."""
    relay = udp_relay("Connect=127.0.0.1:7002", "MaxConnections=10")
    server = Server()
    before = relay.descriptors()
    busy = make_client()
    port = ask(busy)[1]
    for _ in range(50):
        ask(make_client())
        assert ask(busy)[1] == port
    assert relay.descriptors() == before + 10
    server.close()


def test_other_port(broker, udp_relay):
    """Answers leave from the port of the socket: the relay says that this is not the one of the rule."""
    broker(web=relay_rule("Connect=127.0.0.1:7002", match=f"Datagram={V4}:53"))
    relay = udp_relay("Connect=127.0.0.1:7002", match=f"Datagram={V4}:53")
    wire.hand_in("web", relay.door)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"question", (V4, 53))
        wait_until(lambda: "clients send datagrams to port 53 and get answers from port 7001" in relay.log)


def test_bad_rule(udp_relay):
    """Datagrams are dropped until a reload finds a rule that can be used."""
    relay = udp_relay("Connect=nonsense")
    server = Server()
    client = make_client(seconds=MOMENT)
    with pytest.raises(TimeoutError):
        ask(client)
    write_rule("web", relay_rule("Connect=127.0.0.1:7002", match=relay.match))
    relay.reload()
    client.settimeout(PATIENCE)
    assert ask(client)[0] == b"one"
    server.close()


def test_next_relay(udp_relay):
    """At SIGTERM it ends; datagrams that come meanwhile wait in the socket."""
    relay = udp_relay("Connect=127.0.0.1:7002")
    server = Server()
    client = make_client()
    ask(client)
    relay.process.send_signal(signal.SIGTERM)
    assert relay.wait() == 0
    client.send(b"late")
    relay.start(sockets=[relay.door])
    assert client.recv(100).endswith(b" late")
    server.close()

# SPDX-License-Identifier: BSD-3-Clause
"""Services that use the UDP calls of libusher answer from where they were asked, and keep a client by a socket of its own.

The clients are on another machine, and take no answer from another address than the one that they asked.
"""

import contextlib
import socket
import subprocess

import pytest

from harness.broker import BUILD
from harness.host import V4, V4_OTHER, V6, WORK, connect_client, family_of, rule
from harness.process import PATIENCE, wait_until


class Echo:
    """examples/udp_echo"""

    def __init__(self, *words, broker=None, uid=0):
        self.log = WORK / "udp_echo.log"
        self.process = subprocess.Popen([BUILD / "examples/udp_echo", *map(str, words)], stdin=subprocess.DEVNULL,
                                        stderr=open(self.log, "w"), user=uid)
        if broker:
            wait_until(lambda: any(int(row["PID"]) == self.process.pid for row in broker.sockets()), "the socket is handed in")

    def end(self):
        self.process.terminate()
        self.process.wait(PATIENCE)


@contextlib.contextmanager
def client_of(netns, address, port):
    """A socket of another machine that is connected to an address of this one."""
    with netns.entered():
        client = socket.socket(family_of(address), socket.SOCK_DGRAM)
    with client:
        client.settimeout(PATIENCE)
        client.connect((address, port))
        yield client


def echoes(client, data):
    client.send(data)
    return client.recv(100) == data


@pytest.mark.vm
@pytest.mark.parametrize("private, public", [("127.0.0.2", V4), ("127.0.0.2", "192.0.2.99"), ("::1", V6), ("::ffff:127.0.0.2", V4)])
def test_answer(broker, private, public):
    running = broker(echo=rule("Datagram=7"))
    netns = connect_client()
    service = Echo("echo", private, 7, broker=running)
    with client_of(netns, public, 7) as client:
        assert echoes(client, b"hello") and echoes(client, b"again")
    service.end()
    assert service.log.read_text() == ""


def test_answers_to_two_addresses_from_one_port(broker):
    """One client asks two addresses of a service at once, which no table of clients could tell apart."""
    running = broker(echo=rule("Datagram=7"))
    netns = connect_client()
    service = Echo("echo", "127.0.0.2", 7, broker=running)
    with netns.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        service.process.send_signal(19)  # both wait before one is answered
        for address in (V4, V4_OTHER):
            client.sendto(address.encode(), (address, 7))
        service.process.send_signal(18)
        answers = [client.recvfrom(100) for _ in range(2)]
    assert sorted(answers) == sorted((address.encode(), (address, 7)) for address in (V4, V4_OTHER))
    service.end()


def test_direct_question(broker):
    """Where no rule is concerned, the address that was asked answers, too."""
    running = broker(echo=rule("Datagram=192.0.2.0/24:7", access=["Bound=any"]))
    netns = connect_client()
    service = Echo("echo", "0.0.0.0", 7, broker=running)
    for address in (V4, V4_OTHER):
        with client_of(netns, address, 7) as client:
            assert echoes(client, b"hello")
    service.end()


def test_other_port(broker):
    """An answer would leave from the port of the socket: it is refused, and the service says so. Flows answer."""
    running = broker(echo=rule("Datagram=7-9"))
    netns = connect_client()
    service = Echo("echo", "127.0.0.2", 7000, broker=running)
    with client_of(netns, V4, 8) as client:
        client.send(b"hello")
        wait_until(lambda: "the client sent to 192.0.2.1:8, and an answer of socket" in service.log.read_text())
        assert "would leave from port 7000 (EADDRNOTAVAIL); bind the service to the port of the rule" in service.log.read_text()
    service.end()
    service = Echo("--flows", "echo", "127.0.0.2", 7000, broker=running)
    with client_of(netns, V4, 8) as one, client_of(netns, V4, 9) as two:
        assert echoes(one, b"hello") and echoes(two, b"hello") and echoes(one, b"again")
    service.end()
    assert service.log.read_text() == ""


@pytest.mark.vm
@pytest.mark.parametrize("private, public", [("127.0.0.2", V4), ("::1", V6)])
def test_flow_stays(broker, private, public):
    """A flow stays with its service when a newer one takes over, when the broker ends, and when nothing is handed in."""
    running = broker(echo=rule("Datagram=7"))
    netns = connect_client()
    older = Echo("--flows", "echo", private, 7, broker=running)
    with client_of(netns, public, 7) as client:
        assert echoes(client, b"one")
        newer = Echo("--flows", "echo", private.replace("127.0.0.2", "127.0.0.3").replace("::1", "fd00:1::1"), 7, broker=running)
        older.process.send_signal(19)
        with client_of(netns, public, 7) as other:
            assert echoes(other, b"newer")
        client.send(b"two")  # waits for the older one
        older.process.send_signal(18)
        assert client.recv(100) == b"two"
        running.kill()
        assert echoes(client, b"three")
        running.start()
        running.request("withdraw", NAME="echo")
        assert echoes(client, b"four")
    older.end()
    newer.end()


def test_port_that_the_service_may_not_bind(broker):
    """A flow needs the public port, which a service that is handed a socket need not be able to bind."""
    running = broker(echo=rule("Datagram=7", access=["User=nobody"]))
    netns = connect_client()
    service = Echo("--flows", "echo", "127.0.0.2", 7000, broker=running, uid=65534)
    with client_of(netns, V4, 7) as client:
        client.send(b"hello")
        wait_until(lambda: "this process may not bind 192.0.2.1:7 (EACCES)" in service.log.read_text())
    service.end()

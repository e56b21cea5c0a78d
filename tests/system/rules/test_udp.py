# SPDX-License-Identifier: BSD-3-Clause
"""What is different with datagrams"""

import socket

import pytest

from harness.host import V4
from harness.process import PATIENCE, wait_until
from harness.service import Service, make_socket
from harness.traffic import REFUSED, ask, who
from harness.wire import hand_in

pytestmark = pytest.mark.vm


def test_every_datagram_is_dispatched(broker):
    """An unconnected flow has no state: each datagram follows the rule in force at that moment."""
    broker(dns="Datagram=53")
    with Service("old", "udp", port=5301) as old, Service("new", "udp", port=5302) as new:
        hand_in("dns", old)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(PATIENCE)
            client.bind(("192.0.2.99", 0))
            for expected in ("old", "new", "old"):
                client.sendto(b"?", (V4, 53))
                assert client.recv(100).split()[0].decode() == expected
                if expected == "old" and new.socket.fileno() >= 0 and not new.answered:
                    hand_in("dns", new)
                else:
                    new.close()


def test_connected_socket_of_a_service_keeps_its_flow(broker):
    """A connected socket of a service keeps its flow: the kernel matches connected sockets before sk_lookup runs."""
    broker(dns="Datagram=192.0.2.0/24:53")
    with Service("dns", "udp") as service, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        hand_in("dns", service)
        client.bind(("198.51.100.9", 5000))
        client.settimeout(PATIENCE)
        flow = make_socket("udp", V4, 53)
        flow.connect(("198.51.100.9", 5000))
        flow.settimeout(PATIENCE)
        client.sendto(b"to the flow", (V4, 53))
        assert flow.recv(100) == b"to the flow"
        assert who(V4, 53, "udp") == "dns"


def test_reply_address(broker):
    """A service that asks for the destination can answer from that address. The port is still that of its own socket."""
    broker(dns="Datagram=192.0.2.0/24:53")
    with Service("dns", "udp", "127.0.0.2", 5353) as service:
        hand_in("dns", service)
        answer = ask("192.0.2.77", 53, "udp")
    assert (answer.source, answer.source_port) == ("192.0.2.77", 5353)
    assert (answer.local, answer.local_port) == ("192.0.2.77", 53)


def test_icmp_error(broker, client):
    """An ICMP error for a packet of the service runs the program too, with the tuple reversed. It does no harm."""
    running = broker(dns="Datagram=203.0.113.1:53")
    with Service("dns", "udp", "127.0.0.2", 53) as service:
        hand_in("dns", service)
        with client.entered():
            asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        asker.bind(("203.0.113.2", 4000))
        asker.sendto(b"?", ("203.0.113.1", 53))
        asker.close()  # no socket takes the answer: port unreachable comes back
        wait_until(lambda: service.answered >= 1)
        before = running.counters("dns", "udp")
        for _ in range(10):
            assert ask("203.0.113.1", 53, "udp", netns=client, connected=True).name == "dns"
        after = running.counters("dns", "udp")
        assert after["LOOKUPS"] >= before["LOOKUPS"] + 10
        assert after["MISSING"] == before["MISSING"] == 0


def test_big_datagrams(broker):
    broker(echo="Datagram=192.0.2.0/24:7")
    with Service("echo", "udp", "127.0.0.2", 7) as service, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        hand_in("echo", service)
        client.settimeout(PATIENCE)
        client.connect((V4, 7))
        for size in (0, 1, 1472, 1473, 60000):
            client.send(b"x" * size)
            answer = client.recv(65536)
            assert answer.split(b"\n", 1)[1] == b"x" * size


def test_refused_is_told(broker):
    """The client gets port unreachable, even if it is connected."""
    broker(dns="Datagram=53")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect((V4, 53))
        client.send(b"?")
        with pytest.raises(ConnectionRefusedError):
            client.recv(1)
    assert who("2001:db8::1", 53, "udp") == REFUSED

# SPDX-License-Identifier: BSD-3-Clause
"""The harness itself, without usher: what the other tests take for granted."""

import os
import socket

import pytest

from harness import bpf
from harness.host import CLIENT_V4, CLIENT_V6, HOST_V4, HOST_V6, NOBODY
from harness.process import Child, in_child, wait_until
from harness.service import Service, ServiceProcess
from harness.traffic import REFUSED, Load, ask, who


@pytest.mark.parametrize("address", ["192.0.2.1", "127.0.0.2", "2001:db8::1", "::1"])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_dial(protocol, address):
    assert who(address, 7, protocol) == REFUSED
    with Service("direct", protocol, address, 7):
        answer = ask(address, 7, protocol)
    assert (answer.name, answer.local, answer.local_port) == ("direct", address, 7)
    assert who(address, 7, protocol) == REFUSED


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_client_has_its_own_address(client, protocol):
    for address, expected in ((HOST_V4, CLIENT_V4), (HOST_V6, CLIENT_V6)):
        with Service("direct", protocol, address, 7):
            assert ask(address, 7, protocol, netns=client).peer == expected
        assert who(address, 7, protocol, netns=client) == REFUSED


def test_namespaces_are_new():
    assert os.getpid() == 1
    assert bpf.pins() == []
    assert os.listdir("/run/test") == []


def test_service_process_dies():
    service = ServiceProcess("other", before=lambda sock: os.getpid())
    assert service.before_result == service.pid
    assert who("127.0.0.2", 8080) == "other"
    service.kill()
    assert who("127.0.0.2", 8080) == REFUSED


def test_child():
    assert in_child(os.getuid, uid=NOBODY, gid=NOBODY) == NOBODY
    with pytest.raises(ZeroDivisionError):
        in_child(lambda: 1 // 0)

    def talk(tell):
        tell("a" * 100000)
        return "b"

    child = Child(talk)
    assert (len(child.hear()), child.result()) == (100000, "b")


def test_wait_until_gives_up():
    with pytest.raises(AssertionError, match="not within"):
        wait_until(lambda: False, seconds=0.05)


def test_load_counts():
    with Service("direct", address="192.0.2.1", port=80):
        load = Load(("192.0.2.1", 80), ("192.0.2.2", 80), rate=2000)
        results = load.finish()
    assert set(results) == {(0, "direct"), (1, REFUSED)}
    assert load.sent == sum(results.values())


def test_closed_socket_is_closed_everywhere():
    service = Service("direct")
    child = Child(lambda tell: tell("there") or socket.socket().recv(1))
    child.hear()
    service.close()
    assert who("127.0.0.2", 8080) == REFUSED

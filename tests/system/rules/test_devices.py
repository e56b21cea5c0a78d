# SPDX-License-Identifier: BSD-3-Clause
"""A socket that is bound to a device gets packets of no other device, as the kernel's own lookup has it."""

import contextlib
import socket

import pytest

from harness import wire
from harness.host import HOST_V4, HOST_V6, V4, V6, ip, rule
from harness.process import wait_until
from harness.service import Service, make_socket
from harness.traffic import REFUSED, who

pytestmark = pytest.mark.vm

OTHER = ["link add other0 type veth peer name other1", "link set other0 up"]


def bind(sock, device):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())


def bound(name, protocol, address, port, device=None):
    """A service whose socket is bound to a device before it listens."""
    sock = make_socket(protocol, address, port, listen=False)
    if device:
        bind(sock, device)
    if protocol == "tcp":
        sock.listen()
    return Service(name, protocol, sock=sock)


def family(address):
    return "ipv6" if ":" in address else "ipv4"


@pytest.mark.parametrize("address", [HOST_V4, V4, HOST_V6, V6])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("device", ["usher0", "lo", "other0"])
def test_as_the_kernel(broker, client, protocol, address, device):
    """By cable and from the host itself, to an address of usher0 and to one of lo: through a rule as without one."""
    ip(*OTHER)
    with bound("plain", protocol, address, 90, device):
        expected = [who(address, 90, protocol, netns=client), who(address, 90, protocol)]
    assert expected[0] == ("plain" if device == "usher0" else REFUSED)
    key = "Stream" if protocol == "tcp" else "Datagram"
    bracketed = f"[{address}]" if ":" in address else address
    running = broker(web=rule(f"{key}={bracketed}:80", access=["Bound=any"]))
    with bound("web", protocol, address, 8080, device) as service:
        wire.hand_in("web", service)
        assert [row["DEVICE"] for row in running.sockets()] == [device]
        assert [who(address, 80, protocol, netns=client), who(address, 80, protocol)] == \
            [name.replace("plain", "web") for name in expected]
        counters = running.counters("web", protocol, family(address))
        assert counters["REFUSED_DEVICE"] >= expected.count(REFUSED)
        if REFUSED in expected:
            wait_until(lambda: "and the sockets of 'web' are bound to other devices (ENODEV)" in running.log,
                       "the journal has the reason")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_each_device_has_its_socket(broker, client, protocol):
    key = "Stream" if protocol == "tcp" else "Datagram"
    broker(web=f"{key}=80")
    with contextlib.ExitStack() as stack:
        for name, port, device in (("inside", 8080, "lo"), ("outside", 8081, "usher0")):
            service = stack.enter_context(bound(name, protocol, "127.0.0.2", port, device))
            wire.hand_in("web", service)
        assert [who(V4, 80, protocol), who(V4, 80, protocol, netns=client)] == ["inside", "outside"]


def test_bound_after_the_hand_in(broker, client):
    running = broker(web="Stream=80")
    with Service("web") as service:
        wire.hand_in("web", service)
        assert who(V4, 80) == who(V4, 80, netns=client) == "web"
        bind(service.socket, "usher0")
        assert [who(V4, 80), who(V4, 80, netns=client)] == [REFUSED, "web"]
        assert running.counters("web")["REFUSED_DEVICE"] >= 1
        bind(service.socket, "")
        assert who(V4, 80) == who(V4, 80, netns=client) == "web"


def test_device_made_again(broker):
    """The socket stays bound to the number of a device that is gone."""
    ip(*OTHER)
    running = broker(web="Stream=80")
    with bound("web", "tcp", "127.0.0.2", 8080, "other0") as service:
        wire.hand_in("web", service)
        ip("link del other0", "link add between type veth peer name between1", *OTHER)
        assert who(V4, 80) == REFUSED
        assert running.sockets()[0]["DEVICE"].startswith("#")


def test_passed_on(broker, client):
    """Missing=pass: the kernel's lookup finds the listener that is bound to no device."""
    broker(web=rule("Stream=80", Missing="pass"))
    with bound("web", "tcp", "127.0.0.2", 8080, "usher0") as service, Service("plain", "tcp", V4, 80):
        wire.hand_in("web", service)
        assert [who(V4, 80), who(V4, 80, netns=client)] == ["plain", "web"]

# SPDX-License-Identifier: BSD-3-Clause
"""Sockets of others that may come before the sockets of a rule with a later order"""

import contextlib
import socket

from .host import V4, V6
from .service import Service, make_mptcp, make_socket

SO_BINDTODEVICE = 25
AF_UNSPEC = bytes(16)

PACKET_DEVICE, OTHER_DEVICE = b"usher0", b"lo"


def at(family, what):
    """Addresses of a family"""
    return {"exact": {4: V4, 6: V6}, "other": {4: "192.0.2.2", 6: "2001:db8::2"}, "any": {4: "0.0.0.0", 6: "::"},
            "peer": {4: "203.0.113.9", 6: "2001:db8:ffff::9"}, "no route": {4: "10.255.255.1", 6: "2001:db9::1"}}[what][family]


def bound(protocol, address, port, *, device=None, **options):
    if not device:
        return make_socket(protocol, address, port, **options)
    sock = make_socket(protocol, "::" if ":" in address else "0.0.0.0", 0, listen=False, **options)
    sock.close()
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind | socket.SOCK_CLOEXEC)
    sock.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, device)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1 if protocol == "tcp" else 0)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((address, port))
    if protocol == "tcp":
        sock.listen(64)
    return sock


def _disconnected(sock, peer):
    sock.connect((peer, 9))
    disconnect(sock)
    return sock


def disconnect(sock):
    """connect(2) to AF_UNSPEC, which Python's socket does not know"""
    from .process import libc
    libc("connect", sock.fileno(), AF_UNSPEC, len(AF_UNSPEC))


def _connected(sock, peer):
    sock.connect((peer, 9))
    return sock


def _failed(sock, nowhere):
    with contextlib.suppress(OSError):
        sock.connect((nowhere, 9))
        raise AssertionError(f"there is a route to {nowhere}")
    return sock


def _shut(sock, again):
    sock.shutdown(socket.SHUT_RD)
    if again:
        sock.listen(64)
    return sock


def _one_of_two(protocol, address, port):
    first, second = (make_socket(protocol, address, port, reuseport=True) for _ in range(2))
    first.close()
    return second


# What there is: {name: (of which protocols, of which families, how it is made)}
BOTH, TCP, UDP = ("tcp", "udp"), ("tcp",), ("udp",)
OBSTACLES = {
    "nobody": (BOTH, (4, 6), lambda protocol, family, port: None),
    "exact": (BOTH, (4, 6), lambda protocol, family, port: bound(protocol, at(family, "exact"), port)),
    "another address": (BOTH, (4, 6), lambda protocol, family, port: bound(protocol, at(family, "other"), port)),
    "mapped": (BOTH, (4,), lambda protocol, family, port: bound(protocol, f"::ffff:{V4}", port, v6only=False)),
    "wildcard of IPv4": (BOTH, (4, 6), lambda protocol, family, port: bound(protocol, "0.0.0.0", port)),
    "dual-stack": (BOTH, (4, 6), lambda protocol, family, port: bound(protocol, "::", port, v6only=False)),
    "v6-only": (BOTH, (4, 6), lambda protocol, family, port: bound(protocol, "::", port)),
    "exact, one of two": (BOTH, (4, 6), lambda protocol, family, port: _one_of_two(protocol, at(family, "exact"), port)),
    "wildcard, one of two": (BOTH, (4, 6), lambda protocol, family, port: _one_of_two(protocol, at(family, "any"), port)),
    "wildcard, the packet's device": (BOTH, (4, 6), lambda protocol, family, port: bound(
        protocol, at(family, "any"), port, device=PACKET_DEVICE)),
    "wildcard, another device": (BOTH, (4, 6), lambda protocol, family, port: bound(
        protocol, at(family, "any"), port, device=OTHER_DEVICE)),
    "exact, the packet's device": (BOTH, (4, 6), lambda protocol, family, port: bound(
        protocol, at(family, "exact"), port, device=PACKET_DEVICE)),
    "exact, another device": (BOTH, (4, 6), lambda protocol, family, port: bound(
        protocol, at(family, "exact"), port, device=OTHER_DEVICE)),
    "exact, connected": (UDP, (4, 6), lambda protocol, family, port: _connected(
        bound(protocol, at(family, "exact"), port), at(family, "peer"))),
    "wildcard, connected": (UDP, (4, 6), lambda protocol, family, port: _connected(
        bound(protocol, at(family, "any"), port), at(family, "peer"))),
    "exact, connect() failed": (UDP, (4, 6), lambda protocol, family, port: _failed(
        bound(protocol, at(family, "exact"), port), at(family, "no route"))),
    "exact, shut down": (TCP, (4, 6), lambda protocol, family, port: _shut(
        bound(protocol, at(family, "exact"), port), False)),
    "exact, listens again": (TCP, (4, 6), lambda protocol, family, port: _shut(
        bound(protocol, at(family, "exact"), port), True)),
    "exact, MPTCP": (TCP, (4, 6), lambda protocol, family, port: make_mptcp(at(family, "exact"), port)),
}
EXACT = {"exact", "mapped", "exact, one of two", "exact, the packet's device", "exact, connect() failed",
         "exact, listens again", "exact, MPTCP"}
WILDCARD = {"dual-stack", "wildcard, one of two", "wildcard, the packet's device"}


def comes_before(what, family, order):
    """Whether that socket gets a packet before a rule with this order, as the kernel's lookup would have it"""
    if what in EXACT:
        return order != "first"
    if what in WILDCARD or (what, family) in (("wildcard of IPv4", 4), ("v6-only", 6)):
        return order == "last"
    return False


def every_row():
    for what, (protocols, families, _) in OBSTACLES.items():
        for protocol in protocols:
            for family in families:
                yield what, protocol, family


@contextlib.contextmanager
def opened(what, protocol, family, ports):
    """Such a socket on each port; it answers as "other"."""
    sockets = [OBSTACLES[what][2](protocol, family, port) for port in ports]
    services = [Service("other", protocol, sock=sock) for sock in sockets if sock]
    try:
        yield services
    finally:
        for service in services:
            service.close()

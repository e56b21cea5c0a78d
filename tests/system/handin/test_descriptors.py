# SPDX-License-Identifier: BSD-3-Clause
"""Wrong descriptors: each is refused with its own reason, and nothing else changes. And sockets that change after the
hand-in.
"""

import ctypes
import errno
import os
import select
import socket
import tempfile

import pytest

from harness import wire
from harness.host import V4, V6, WORK, Netns, rule
from harness.process import libc, wait_until
from harness.service import Service, make_mptcp, make_socket
from harness.traffic import REFUSED, who
from harness.wire import Refused, cookie, hand_in

pytestmark = pytest.mark.vm

IPPROTO_UDPLITE, AF_VSOCK, SO_BINDTODEVICE, IP_TRANSPARENT, IP_FREEBIND = 136, 40, 25, 19, 15


def tcp(address="127.0.0.2", port=8080, **options):
    return make_socket("tcp", address, port, **options)


def udp(address="127.0.0.2", port=8080):
    return make_socket("udp", address, port)


def unix(kind, address):
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.bind(address)
    if kind != socket.SOCK_DGRAM:
        sock.listen()
    return sock


def other_protocol(family, kind, protocol=0, bind=None):
    try:
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        pytest.skip(f"machine: no such sockets: {error.strerror}")
    if bind:
        sock.bind(bind)
    return sock


def connected(protocol, address):
    """The client's end of an established connection."""
    connected.server = server = make_socket(protocol, address, 9999)
    sock = socket.socket(server.family, server.type)
    sock.connect((address, 9999))
    return sock


def accepted():
    server = tcp(port=9999)
    accepted.client = socket.create_connection(("127.0.0.2", 9999))
    return server.accept()[0]


def shut_down():
    sock = tcp()
    sock.shutdown(socket.SHUT_RDWR)
    return sock


def elsewhere(protocol):
    with Netns().entered():
        return make_socket(protocol, "127.0.0.2", 8080)


def bpf_map():
    """Create a BPF array with one entry."""
    attributes = (ctypes.c_uint32 * 32)(2, 4, 4, 1)
    return libc("syscall", {"x86_64": 321, "aarch64": 280}[os.uname().machine], 0, attributes, 128)


NOT_SOCKETS = {
    "regular-file": lambda: tempfile.TemporaryFile(dir=WORK),
    "pipe": lambda: os.pipe()[0],
    "eventfd": lambda: os.eventfd(0),
    "epoll": select.epoll,
    "memfd": lambda: os.memfd_create("x"),
    "directory": lambda: os.open("/", os.O_RDONLY),
    "dev-null": lambda: os.open("/dev/null", os.O_RDWR),
    "o-path": lambda: os.open("/etc", os.O_PATH),
    "bpf-map": bpf_map,
}

WRONG_SOCKETS = {
    # kind: how to make one, and a word that the reason must have
    "unix-stream-path": (lambda: unix(socket.SOCK_STREAM, str(WORK / "s")), "AF_UNIX|IPv4|AF_INET|unix"),
    "unix-stream-abstract": (lambda: unix(socket.SOCK_STREAM, "\0s"), "AF_UNIX|IPv4|AF_INET|unix"),
    "unix-dgram": (lambda: unix(socket.SOCK_DGRAM, str(WORK / "d")), "AF_UNIX|IPv4|AF_INET|unix"),
    "unix-seqpacket": (lambda: unix(socket.SOCK_SEQPACKET, "\0q"), "AF_UNIX|IPv4|AF_INET|unix"),
    "netlink": (lambda: other_protocol(socket.AF_NETLINK, socket.SOCK_RAW), "AF_NETLINK|IPv4|AF_INET|netlink"),
    "packet": (lambda: other_protocol(socket.AF_PACKET, socket.SOCK_RAW), "AF_PACKET|IPv4|AF_INET|packet"),
    "vsock": (lambda: other_protocol(AF_VSOCK, socket.SOCK_STREAM), "AF_VSOCK|IPv4|AF_INET|vsock"),
    "sctp": (lambda: other_protocol(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP, ("127.0.0.2", 80)),
             "SCTP|TCP"),
    "udplite": (lambda: other_protocol(socket.AF_INET, socket.SOCK_DGRAM, IPPROTO_UDPLITE, ("127.0.0.2", 80)), "UDP"),
    "raw": (lambda: other_protocol(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP), "raw|TCP"),
    "mptcp": (lambda: make_mptcp("127.0.0.2", 8080), "MPTCP.*multipathtcp=0"),
    "tcp-opened": (lambda: socket.socket(), "listen"),
    "tcp-bound": (lambda: tcp(listen=False), "listen"),
    "tcp4-connected": (lambda: connected("tcp", "127.0.0.2"), "listen|connected"),
    "tcp6-connected": (lambda: connected("tcp", "::1"), "listen|connected"),
    "tcp-accepted": (accepted, "listen|connected"),
    "tcp-shut-down": (shut_down, "listen"),
    "udp4-unbound": (lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM), "bound|bind"),
    "udp6-unbound": (lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM), "bound|bind"),
    "udp4-connected": (lambda: connected("udp", "127.0.0.2"), "connected"),
    "udp6-connected": (lambda: connected("udp", "::1"), "connected"),
    "tcp-other-netns": (lambda: elsewhere("tcp"), "network namespace"),
    "udp-other-netns": (lambda: elsewhere("udp"), "network namespace"),
    "public-address": (lambda: tcp("192.0.2.1"), r"192\.0\.2\.1.*Bound|Bound.*192\.0\.2\.1"),
    "wildcard": (lambda: tcp("0.0.0.0"), "Bound"),
    "wildcard-6": (lambda: tcp("::"), "Bound"),
    "wildcard-dual-stack": (lambda: tcp("::", v6only=False), "Bound"),
    "udp-wildcard": (lambda: udp("0.0.0.0"), "Bound"),
    "public-address-6": (lambda: tcp("2001:db8::1"), "Bound"),
    "v4-mapped-public": (lambda: tcp("::ffff:192.0.2.1", v6only=False), "Bound"),
}
ALL = {**{name: (make, "socket") for name, make in NOT_SOCKETS.items()}, **WRONG_SOCKETS}

# Those that every kernel tells apart alike: by fstat(2), by the family, or only usherd does, by the address.
PLAIN = {*NOT_SOCKETS, "unix-stream-abstract", "unix-dgram", "unix-seqpacket", "netlink", "packet",
         *[name for name, (_, words) in WRONG_SOCKETS.items() if "Bound" in words]}


@pytest.mark.parametrize("what", [pytest.param(what, marks=[pytest.mark.vm_long] * (what in PLAIN)) for what in ALL])
def test_refused(broker, what):
    """The reason has the name and the fault, and nothing changes: all sockets of a packet are accepted, or none."""
    running = broker(web=["Stream=80", "Datagram=80"])
    make, words = ALL[what]
    wrong = make()
    good = Service("good", port=8088)
    hand_in("web", good)  # after this, the broker may watch this process
    wire.request("withdraw", NAME="web")
    before = running.list(), len(running.fds())
    with running.connect() as connection:
        for fds in ([wrong], [good, wrong], [wrong, good]):
            for verb in ("hand-in", "hold"):
                with pytest.raises(Refused, match=rf"(?i){words}") as refusal:
                    connection.request(verb, fds, NAME="web")
                assert f"socket {fds.index(wrong) + 1} " in refusal.value.reason, "which one"
                assert refusal.value.number not in (0, errno.ENOENT)
        assert connection.request("list").rows == before[0], "nothing is half applied"
        assert who(V4, 80) == REFUSED
        assert connection.request("hand-in", [good], NAME="web")["ADDED"] == "1", "the connection goes on"
    assert who(V4, 80) == "good"
    wait_until(lambda: len(running.fds()) <= before[1], what="no descriptor is left open")


@pytest.mark.vm_long
def test_reasons_are_different(broker):
    """Each refusal has its own reason and remedy."""
    broker(web=["Stream=80", "Datagram=80"])
    reasons = {}
    for what in ("pipe", "unix-dgram", "mptcp", "tcp-bound", "udp4-unbound", "udp4-connected", "tcp-other-netns",
                 "public-address", "raw"):
        with ALL[what][0]() if what not in NOT_SOCKETS else os.fdopen(ALL[what][0]()) as wrong:
            with pytest.raises(Refused) as refusal:
                hand_in("web", wrong)
        reasons[refusal.value.reason] = what
    assert len(reasons) == 9, reasons


@pytest.mark.vm_long
def test_wrong_protocol_for_the_rule(broker):
    """A rule with only Stream= has no seat for a UDP socket: it is refused, or shown as unrouted."""
    running = broker(web="Stream=80")
    with Service("web", "udp") as service:
        try:
            hand_in("web", service)
        except Refused as refusal:
            assert "web" in refusal.reason
        else:
            assert running.sockets()[0]["STATE"] == "unrouted"
        assert who(V4, 80) == who(V4, 80, "udp") == REFUSED


@pytest.mark.vm_long
class TestBound:
    @pytest.mark.parametrize("bound, good, bad", [
        ("127.0.0.3/32", "127.0.0.3", "127.0.0.2"),
        ("192.0.2.0/24 fd00:1::/64", "192.0.2.77", "127.0.0.2"),
        ("192.0.2.0/24 fd00:1::/64", "fd00:1::2", "::1"),
        ("::/0", "2001:db8::1", "127.0.0.2"),
    ])
    def test_bound(self, broker, bound, good, bad):
        broker(web=rule("Stream=80", access=[f"Bound={bound}"]))
        with Service("good", address=good) as inside, Service("bad", address=bad) as outside:
            hand_in("web", inside)
            with pytest.raises(Refused, match="Bound") as refusal:
                hand_in("web", outside)
            assert bad in refusal.value.reason
            assert refusal.value.number == errno.EACCES

    @pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "127.0.0.1"])
    def test_any(self, broker, address):
        broker(web=rule("Stream=80", access=["Bound=any"]))
        with Service("web", address=address, port=8080) as service:
            hand_in("web", service)
            assert who(V6 if ":" in address else V4, 80) == "web"

    @pytest.mark.parametrize("address", ["127.0.0.1", "127.255.255.254", "::1", "fd00:1::1", "::ffff:127.0.0.5"])
    def test_default(self, broker, address):
        broker(web="Stream=80")
        with Service("web", address=address, v6only=False) as service:
            hand_in("web", service)
            assert who(V4 if "127" in address else V6, 80) == "web"


class TestOptions:
    """A socket may be bound to a device, or to an address that is not local. Bound= decides, as for any other."""

    def test_bound_to_a_device(self, broker):
        broker(web="Stream=80")
        sock = tcp(listen=False)
        sock.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, b"lo\0")
        sock.listen()
        with Service("web", sock=sock) as service:
            hand_in("web", service)
            assert who(V4, 80) == "web"

    @pytest.mark.parametrize("option", [IP_TRANSPARENT, IP_FREEBIND])
    def test_foreign_address(self, broker, option):
        """A socket bound to an address that the host does not have: Bound= decides as for any other."""
        broker(web=rule("Stream=80", access=["Bound=10.9.8.0/24"]))
        socks = []
        for address in ("10.9.8.7", "10.9.9.7"):
            sock = socket.socket()
            sock.setsockopt(socket.IPPROTO_IP, option, 1)
            sock.bind((address, 8080))
            sock.listen()
            socks.append(sock)
        with Service("web", sock=socks[0]) as service:
            hand_in("web", service)
            with pytest.raises(Refused, match="Bound"):
                hand_in("web", socks[1])
            assert who(V4, 80) == "web"


class TestAfterwards:
    """A socket that is shut down or connected later is refused while it cannot serve, and serves again afterwards."""

    def test_shutdown_and_listen_again(self, broker):
        running = broker(web="Stream=80")
        with Service("web") as service:
            hand_in("web", service)
            mark = cookie(service.socket)
            service.stop()
            service.socket.shutdown(socket.SHUT_RDWR)
            assert who(V4, 80) == REFUSED
            assert running.counters("web")["REFUSED_STATE"] >= 1
            service.socket.listen()
            with Service("again", sock=service.socket):
                assert who(V4, 80) == "again", "no hand-in is needed"
                assert running.sockets()[0]["COOKIE"] == mark

    def test_shut_down_socket_lets_the_next_place_serve(self, broker):
        broker(web="Stream=80")
        with Service("old", port=8001) as old, Service("new", port=8002) as new:
            hand_in("web", old)
            hand_in("web", new)
            new.stop()
            new.socket.shutdown(socket.SHUT_RDWR)
            assert who(V4, 80) == "old"

    def test_udp_connects_and_returns(self, broker):
        broker(dns="Datagram=53")
        with Service("dns", "udp") as service:
            hand_in("dns", service)
            service.socket.connect(("127.0.0.9", 9))
            assert who(V4, 53, "udp") == REFUSED
            libc("connect", service.fileno(), bytes(16), 16)  # AF_UNSPEC disconnects it; it is still bound
            assert who(V4, 53, "udp") == "dns"

    def test_backlog_and_nonblock(self, broker):
        broker(web="Stream=80")
        with Service("web") as service:
            hand_in("web", service)
            service.socket.listen(0)
            os.set_blocking(service.fileno(), False)
            assert [who(V4, 80) for _ in range(5)] == ["web"] * 5

    def test_handed_in_while_shut_down_is_refused_but_first_stays(self, broker):
        running = broker(web="Stream=80")
        with Service("web") as service:
            hand_in("web", service)
            other = shut_down_socket()
            with pytest.raises(Refused, match="listen"):
                wire.request("hand-in", [other], NAME="web")
            assert who(V4, 80) == "web" and len(running.sockets()) == 1


def shut_down_socket():
    sock = tcp(port=8099)
    sock.shutdown(socket.SHUT_RDWR)
    return sock

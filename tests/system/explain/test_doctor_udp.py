# SPDX-License-Identifier: BSD-3-Clause
"""What doctor says of UDP services: whether they can know where a datagram was sent to, and what the kernel's map does."""

import contextlib
import ctypes
import fcntl
import pathlib
import json
import shutil
import socket
import struct
import termios

import pytest

from harness.broken import PlainEcho
from harness.broker import USHERCTL, ctl
from harness.diagnosed import Diagnosed
from harness.host import AS_NOBODY, WORK, rule
from harness.process import libc, wait_until
from harness.service import Service, make_socket
from harness.wire import hand_in

from says import Doctor, ok, setup, skip, warn

pytestmark = pytest.mark.vm

IP_PKTINFO, IP_RECVORIGDSTADDR, IPV6_2292PKTINFO, IPV6_RECVORIGDSTADDR = 8, 20, 2, 74
OPTIONS = {
    "IP_PKTINFO": (socket.IPPROTO_IP, IP_PKTINFO),
    "IP_RECVORIGDSTADDR": (socket.IPPROTO_IP, IP_RECVORIGDSTADDR),
    "IPV6_RECVPKTINFO": (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO),
    "IPV6_RECVORIGDSTADDR": (socket.IPPROTO_IPV6, IPV6_RECVORIGDSTADDR),
    "IPV6_2292PKTINFO": (socket.IPPROTO_IPV6, IPV6_2292PKTINFO),
}
ANY = {"access": ["Bound=any"]}
BOTH = ["Datagram=192.0.2.0/24:53", "Datagram=[2001:db8::/48]:53"]


def bound(address, *options, port=53, **more):
    sock = make_socket("udp", address, port, **more)
    for option in options:
        sock.setsockopt(*OPTIONS[option], 1)
    return sock


def as_nobody():
    """The options that run doctor unprivileged: it sees what the broker keeps, not the sockets themselves."""
    shutil.copy(USHERCTL, WORK / "usherctl")
    return {"command": WORK / "usherctl", **AS_NOBODY}


@pytest.mark.parametrize("options", [[], *([name] for name in OPTIONS), list(OPTIONS)])
def test_kept_and_shown(broker, options):
    """What the service asked for at the hand-in is kept and shown, and survives the broker. TCP has no such thing."""
    running = broker(dns=rule(*BOTH, "Stream=53", **ANY))
    with bound("::", *options, v6only=False) as sock, make_socket("tcp", "127.0.0.2", 53) as listener:
        hand_in("dns", sock)
        hand_in("dns", listener)
        for _ in range(2):
            assert {(row["PROTOCOL"], row["FAMILY"]): row.get("DESTINATION") for row in running.sockets()} == {
                ("udp", "ipv4"): " ".join(options) or "none", ("udp", "ipv6"): " ".join(options) or "none",
                ("tcp", "ipv4"): None}
            running.kill()
            running = broker(dns=rule(*BOTH, "Stream=53", **ANY))
        assert f"Destination={' '.join(options) or 'none'}" in ctl("show", "dns").stdout
        listed = json.loads(ctl("list", "dns", "--json").stdout)["sockets"]
        assert {row["destination"] for row in listed} == {" ".join(options) or "none", None}


# The families whose destination an option shows: through a dual-stack socket, and through one of its own family
TELLS = {"IP_PKTINFO": {4}, "IP_RECVORIGDSTADDR": {4}, "IPV6_RECVPKTINFO": {4, 6}, "IPV6_RECVORIGDSTADDR": {6},
         "IPV6_2292PKTINFO": {6}}


@pytest.mark.vm_long
@pytest.mark.parametrize("option", TELLS)
def test_what_an_option_tells(broker, option):
    """The families of an option are those that the kernel has: the service gets an address or nothing."""
    broker(dns=rule(*BOTH, **ANY))
    with bound("::", option, v6only=False) as sock:
        hand_in("dns", sock)
        for family, address, source in ((4, "192.0.2.1", socket.AF_INET), (6, "2001:db8::1", socket.AF_INET6)):
            with socket.socket(source, socket.SOCK_DGRAM) as client:
                client.sendto(b"?", (address, 53))
                sock.settimeout(20)
                _, control, _, _ = sock.recvmsg(100, 512)
            packed = socket.inet_pton(source, address)
            assert any(packed in data for _, _, data in control) == (family in TELLS[option]), (family, control)
        found = Diagnosed(**as_nobody())
        warned = {6 if "[2001" in text else 4 for result, text in found.of("udp-address") if result == "warn"}
        assert warned == {4, 6} - TELLS[option], found.text


@pytest.mark.vm_long
@setup
def test_wildcard(broker):
    """A wildcard socket that does not ask. It was "ok" before anybody had looked. As root, it is looked at again."""
    broker(dns=rule(*BOTH, **ANY))
    with bound("0.0.0.0") as four, bound("::", v6only=True) as six:
        hand_in("dns", four)
        hand_in("dns", six)
        faults = [("udp-address:any", {"match": "192.0.2.0/24:53", "address": "0.0.0.0:53", "option": "IP_PKTINFO"}),
                  ("udp-address:any", {"match": "[2001:db8::/48]:53", "address": "[::]:53", "option": "IPV6_RECVPKTINFO"})]
        yield Doctor(*(warn(key, name="dns", when="now", **values) for key, values in faults))
        yield Doctor(*(warn(key, name="dns", when="at the hand-in", **values) for key, values in faults), **as_nobody())
        four.setsockopt(*OPTIONS["IP_PKTINFO"], 1)
        six.setsockopt(*OPTIONS["IPV6_RECVPKTINFO"], 1)
        yield Doctor(ok("udp-address:asked"))
        yield Doctor(*(warn(key, name="dns", when="at the hand-in", **values) for key, values in faults), **as_nobody())
        hand_in("dns", four)
        hand_in("dns", six)
        yield Doctor(ok("udp-address:asked"), **as_nobody())
        four.setsockopt(*OPTIONS["IP_PKTINFO"], 0)
        yield Doctor(warn("udp-address:any", name="dns", when="now"))


@pytest.mark.vm_long
@setup
def test_address_of_the_rule(broker):
    """Bound to the one address of the rule, a service need not ask."""
    broker(dns=rule("Datagram=192.0.2.1:53", **ANY))
    with bound("192.0.2.1") as sock:
        hand_in("dns", sock)
        yield Doctor(ok("udp-address:asked"))
        yield Doctor(ok("udp-address:asked"), **as_nobody())


@setup
def test_group(broker):
    """Every socket of a group gets datagrams, and only one of them was looked at when it was handed in."""
    broker(dns="Datagram=192.0.2.0/24:53")
    with bound("127.0.0.2", "IP_PKTINFO", reuseport=True) as one, bound("127.0.0.2", reuseport=True) as other:
        hand_in("dns", one)
        yield Doctor(warn("udp-address", name="dns", when="now"))
        yield Doctor(skip("udp-address:group", name="dns"), **as_nobody())
        other.setsockopt(*OPTIONS["IP_PKTINFO"], 1)
        yield Doctor(ok("udp-address:asked"))


def forget_destination():
    """As an earlier broker wrote the places: without what the service asks for."""
    name = ctypes.create_string_buffer(b"/sys/fs/bpf/usher/places")
    attributes = (ctypes.c_uint64 * 4)(ctypes.addressof(name))
    places = libc("syscall", 321, 7, attributes, 32)  # BPF_OBJ_GET
    key, following, value = (ctypes.create_string_buffer(size) for size in (8, 8, 184))
    first = True
    while True:
        struct_of = lambda *words: ctypes.create_string_buffer(struct.pack("IIQQQ", *words), 32)
        try:
            libc("syscall", 321, 4, struct_of(places, 0, 0 if first else ctypes.addressof(key), ctypes.addressof(following), 0), 32)
        except OSError:
            return
        first = False
        key.raw = following.raw
        libc("syscall", 321, 1, struct_of(places, 0, ctypes.addressof(key), ctypes.addressof(value), 0), 32)
        value[37] = 0
        libc("syscall", 321, 2, struct_of(places, 0, ctypes.addressof(key), ctypes.addressof(value), 0), 32)


@pytest.mark.vm_long
@setup
def test_socket_of_an_earlier_broker(broker):
    """The pins of a broker that did not look are adopted; what is not known is not "ok"."""
    running = broker(dns="Datagram=192.0.2.0/24:53")
    with bound("127.0.0.2") as sock:
        hand_in("dns", sock)
        forget_destination()
        running.kill()
        running = broker(dns="Datagram=192.0.2.0/24:53")
        assert ["DESTINATION" in row for row in running.sockets()] == [False]
        yield Doctor(skip("udp-address:earlier", name="dns"), **as_nobody())
        yield Doctor(warn("udp-address", name="dns", when="now"))
        hand_in("dns", sock)
        yield Doctor(warn("udp-address", name="dns", when="at the hand-in"), **as_nobody())


# ---- the map

def differs(sock, address):
    """What is different about a socket: whether FIONREAD hides a datagram, and whether a receive of 0 bytes is ignored."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"hello", address)
    wait_until(lambda: sock.recv(1, socket.MSG_PEEK))
    size = struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, bytes(4)))[0]
    buffer = ctypes.create_string_buffer(1)
    peeked = libc("recv", sock.fileno(), buffer, 0, socket.MSG_PEEK | socket.MSG_TRUNC)
    sock.recv(100)
    return {"size": size == 0, "nothing": peeked == 0}


def test_map(broker):
    """doctor says what this kernel does to a socket in a map. It changes nothing about any, whatever the rules take."""
    running = broker(dns=rule("Datagram=192.0.2.0/24:53", "Datagram=127.0.0.1:*"), ntp="Datagram=192.0.2.0/24:123")
    assert Diagnosed().of("udp-map") == [("ok", "no UDP socket is handed in")]
    with bound("127.0.0.2", "IP_PKTINFO") as sock:
        assert differs(sock, ("127.0.0.2", 53)) == {"size": False, "nothing": False}
        hand_in("dns", sock)
        wanted = differs(sock, ("192.0.2.1", 53))
        types = pathlib.Path("/sys/kernel/btf/vmlinux").read_bytes()  # which the broker reads where it may not try
        assert wanted == {"size": b"\0udp_bpf_ioctl\0" in types, "nothing": True}
        before = running.counters("dns", "udp")
        found = Diagnosed()
        assert running.counters("dns", "udp") == before
        [(result, text)] = found.of("udp-map")
        assert "'dns'" in text and result == ("warn" if wanted["size"] else "info" if wanted["nothing"] else "ok"), found.text
        assert ("FIONREAD is 0" in text, "a receive of 0 bytes" in text) == tuple(wanted.values())
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(100)
        [(result, text)] = Diagnosed(**as_nobody()).of("udp-map")
        assert result == "skip" and "not looked at" in text and "run as root" in text


@pytest.mark.vm_long
def test_note(broker):
    """The first hand-in of a UDP socket is noted, one that follows is not, nor that of a TCP socket."""
    running = broker(dns=rule("Datagram=192.0.2.0/24:53", "Stream=53"))
    with bound("127.0.0.2") as sock, bound("127.0.0.3") as other, make_socket("tcp", "127.0.0.2", 53) as listener:
        hand_in("dns", listener)
        assert "0 bytes" not in running.log
        hand_in("dns", sock)
        wanted = differs(sock, ("127.0.0.2", 53))
        hand_in("dns", other)
        [line] = [line for line in running.log.splitlines() if "0 bytes" in line or "FIONREAD" in line]
        assert "'dns': on this kernel" in line and "usher.rules(5)" in line
        assert ("FIONREAD" in line) == wanted["size"]

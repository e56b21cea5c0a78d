# SPDX-License-Identifier: BSD-3-Clause
"""VRFs: which sockets get the packets of one, with a rule and without, and what usher says where these differ.

An sk_lookup program sees the VRF of a packet that came by cable, and not the device in the VRF.
"""

import errno
import os
import pathlib
import socket
import subprocess

import pytest

from harness import isolate, wire
from harness.broker import ctl
from harness.diagnosed import Diagnosed
from harness.explained import Explained
from harness.host import HOST_V4, HOST_V6, V4, ip, rule
from harness.process import MOMENT, wait_until
from harness.service import Service, ServiceProcess, make_socket
from harness.traffic import REFUSED, SILENCE, who

pytestmark = pytest.mark.vm

BOTH = rule("Stream=80", "Datagram=80", access=["Bound=any"])


@pytest.fixture
def blue(client):
    """The cable is in VRF blue, and this namespace's sysfs is mounted."""
    try:
        ip("link add blue type vrf table 10", "link set blue up")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"machine: no VRF: {error.stderr.strip()}")
    # the device loses its IPv6 addresses on its way into a VRF
    ip("link set usher0 master blue", f"addr replace {HOST_V6}/64 dev usher0 nodad")
    own = "/run/test/sys"
    os.mkdir(own)
    isolate.mount("sysfs", own, "sysfs")
    for folder in ("class", "devices"):
        isolate.mount(f"{own}/{folder}", f"/sys/{folder}", None, isolate.MS_BIND)
    return client


def accept(value):
    for protocol in ("tcp", "udp"):
        pathlib.Path(f"/proc/sys/net/ipv4/{protocol}_l3mdev_accept").write_text(value)


def bound(name, protocol, address, port, device=None):
    sock = make_socket(protocol, "::" if ":" in address else "0.0.0.0", port, listen=False)
    if device:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    if protocol == "tcp":
        sock.listen()
    return Service(name, protocol, sock=sock)


def code(found):
    return {finding["code"] for finding in found.data["findings"]}


def devices():
    """What doctor says of devices: (result, text, remedy)"""
    return [(row["result"], row["text"], row["remedy"] or "") for row in Diagnosed().rows if row["check"] == "devices"]


@pytest.mark.parametrize("address", [HOST_V4, HOST_V6])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("device", ["blue", "lo"])
@pytest.mark.parametrize("open_to_vrfs", ["0", "1"])
def test_bound(broker, blue, protocol, address, device, open_to_vrfs):
    """A socket that is bound to a VRF gets what comes by it, one that is bound to another device does not."""
    accept(open_to_vrfs)
    with bound("web", protocol, address, 90, device):
        expected = who(address, 90, protocol, netns=blue)
    assert expected == ("web" if device == "blue" else REFUSED)
    broker(web=BOTH)
    with bound("web", protocol, address, 8080, device) as service:
        wire.hand_in("web", service)
        assert who(address, 80, protocol, netns=blue) == expected
        for came in ("usher0", "blue"):
            found = Explained(protocol, f"[{address}]:80" if ":" in address else f"{address}:80", "--device", came)
            assert found.data["arrives"] is (expected == "web"), found.text


@pytest.mark.parametrize("address", [HOST_V4, HOST_V6])
def test_unbound_and_open(broker, blue, address):
    """tcp_l3mdev_accept=1: a socket that is bound to no device gets them, with a rule and without."""
    accept("1")
    broker(web=BOTH)
    with bound("web", "tcp", address, 8080) as service, bound("plain", "tcp", address, 90):
        wire.hand_in("web", service)
        assert [who(address, port, netns=blue) for port in (80, 90)] == ["web", "plain"]
        found = Explained("tcp", f"[{address}]:80" if ":" in address else f"{address}:80", "--device", "usher0")
        assert found.code == 0 and not code(found), found.text
        assert [row[0] for row in devices()] == ["ok"]


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_unbound(broker, blue, protocol):
    """tcp_l3mdev_accept=0: the kernel gives it none, and usher does; explain and doctor say so. Their remedies help."""
    accept("0")
    broker(web=BOTH)
    with bound("web", protocol, HOST_V4, 8080) as service, bound("plain", protocol, HOST_V4, 90):
        wire.hand_in("web", service)
        assert [who(HOST_V4, 90, protocol, netns=blue), who(V4, 80, protocol)] == [REFUSED, "web"]
        assert who(HOST_V4, 80, protocol, netns=blue, seconds=MOMENT) == SILENCE
        found = Explained(protocol, f"{HOST_V4}:80", "--device", "usher0")
        said = found.because("vrf", "the kernel would give it no packet of VRF blue", f"{protocol}_l3mdev_accept=0", "hand it in last")
        assert said["severity"] == "warn"
        assert [row[0] for row in devices()] == ["warn"] and "VRF blue" in devices()[0][1], devices()
        with bound("blue", protocol, HOST_V4, 8081, "blue") as own:
            wire.hand_in("web", own)
            assert who(HOST_V4, 80, protocol, netns=blue) == "blue"
            assert "vrf" not in code(Explained(protocol, f"{HOST_V4}:80", "--device", "usher0"))


def from_the_vrf(address, port, protocol):
    """Who answers a client of this host that is bound to the VRF"""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"blue")
        sock.setsockopt(*((socket.IPPROTO_IPV6, 25) if ":" in address else (socket.IPPROTO_IP, 11)), 1)  # IP_RECVERR
        sock.settimeout(MOMENT)
        try:
            if protocol == "tcp":
                sock.connect((address, port))
            sock.sendto(b"?", (address, port)) if protocol == "udp" else None
            return sock.recv(100).split()[0].decode()
        except ConnectionRefusedError:
            return REFUSED


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("address, expected", [(HOST_V4, REFUSED), (HOST_V6, "web")])
def test_from_this_host(broker, blue, protocol, address, expected):
    """To an IPv4 address of its own, a packet of this host counts as come by the device, and not by the VRF."""
    with bound("web", protocol, address, 90, "blue"):
        assert from_the_vrf(address, 90, protocol) == "web"
    broker(web=BOTH)
    with bound("web", protocol, address, 8080, "blue") as service:
        wire.hand_in("web", service)
        assert from_the_vrf(address, 80, protocol) == expected
        ((result, text, _),) = devices()
        assert result == "info" and "gets no packets that this host sends to its own IPv4 addresses in blue" in text


def test_narrow_rule(broker, blue):
    """The rule leads to no address of the VRF."""
    accept("0")
    broker(web=rule(f"Stream={V4}:80", access=["Bound=any"]))
    with bound("web", "tcp", HOST_V4, 8080) as service:
        wire.hand_in("web", service)
        assert who(V4, 80) == "web"
        assert [row[0] for row in devices()] == ["ok"]


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("address", [HOST_V4, HOST_V6])
def test_bound_to_a_member(broker, blue, protocol, address):
    """It is refused at the hand-in, with the VRF to which it should be bound."""
    broker(web=BOTH)
    with bound("plain", protocol, address, 90, "usher0"):
        assert who(address, 90, protocol, netns=blue) == "plain"
    with bound("web", protocol, address, 8080, "usher0") as service:
        with pytest.raises(wire.Refused) as refused:
            wire.hand_in("web", service)
        assert refused.value.number == errno.EOPNOTSUPP
        assert "is bound to usher0, which is in VRF blue" in str(refused.value) and "bind it to blue instead" in str(refused.value)
        service.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"blue")
        wire.hand_in("web", service)
        assert who(address, 80, protocol, netns=blue) == "web"


def test_discovered(broker, blue):
    """usher-discover says it, too, before it tries."""
    broker(web=rule("Stream=80", access=["Bound=any"], discover=["Socket=8080"]))
    sock = make_socket("tcp", "0.0.0.0", 8080, listen=False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"usher0")
    sock.listen()
    with ServiceProcess("web", sock=sock):
        done = ctl("discover", "--dry-run", "web", check=False)
        assert done.returncode == 1 and "bind it to blue instead" in " ".join(done.stdout.split()), done.stdout


@pytest.mark.vm_long
@pytest.mark.parametrize("device", [None, "blue", "usher0", "lo"])
@pytest.mark.parametrize("open_to_vrfs", ["0", "1"])
def test_explain_without_a_rule(broker, blue, device, open_to_vrfs):
    accept(open_to_vrfs)
    broker(web="Stream=81")
    with bound("plain", "tcp", HOST_V4, 90, device):
        met = who(HOST_V4, 90, netns=blue)
        found = Explained("tcp", f"{HOST_V4}:90", "--device", "usher0")
        assert met == ("plain" if {None: open_to_vrfs == "1", "lo": False}.get(device, True) else REFUSED)
        assert found.data["arrives"] is (met == "plain"), found.text


def test_becomes_a_member(broker, blue):
    """The device is put into the VRF after the hand-in: packets are refused, counted, and explain and doctor say why."""
    ip("link set usher0 nomaster")
    running = broker(web=BOTH)
    with bound("web", "tcp", HOST_V4, 8080, "usher0") as service:
        wire.hand_in("web", service)
        assert who(HOST_V4, 80, netns=blue) == "web" and [row[0] for row in devices()] == ["ok"]
        ip("link set usher0 master blue")
        assert who(HOST_V4, 80, netns=blue) == REFUSED
        assert running.counters("web")["REFUSED_DEVICE"] >= 1
        wait_until(lambda: "it came by blue, and the sockets of 'web' are bound to other devices (ENODEV)" in running.log,
                   "the journal has the reason")
        found = Explained("tcp", f"{HOST_V4}:80", "--device", "usher0")
        assert found.code == 1 and found.data["error"] == "ENODEV"
        found.because("device", "usher0 (which counts as blue) (ENODEV)", "bound to blue")
        ((result, text, remedy),) = devices()
        assert result == "warn" and "is bound to usher0, which is in VRF blue" in text and "bind it to blue" in remedy
        service.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"blue")
        assert who(HOST_V4, 80, netns=blue) == "web" and [row[0] for row in devices()] == ["info"]


@pytest.mark.vm_long
def test_of_another_namespace(broker, blue):
    """A sysfs of another network namespace says nothing about the devices of this one."""
    for folder in ("class", "devices"):
        isolate.process.libc("umount2", f"/sys/{folder}".encode(), isolate.MNT_DETACH)
    broker(web=BOTH)
    with bound("web", "tcp", HOST_V4, 8080, "usher0") as service:
        wire.hand_in("web", service)
        assert [row[0] for row in devices()] == ["warn"]

# SPDX-License-Identifier: BSD-3-Clause
"""A socket that is bound to a device gets packets of no other device, as the kernel's own lookup has it."""

import contextlib
import socket

import pytest

from harness import wire
from harness.early import let_in
from harness.host import CLIENT_V4, HOST_V4, HOST_V6, V4, V6, ip, rule
from harness.process import PATIENCE, wait_until
from harness.service import Service, ServiceProcess, make_socket
from harness.traffic import REFUSED, who

pytestmark = pytest.mark.vm

BOTH = [("tcp", "Stream"), ("udp", "Datagram")]
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


# ---- kinds of sockets

def link_local(device, netns):
    """A link-local address at each end of the cable; the host's, and the client's device for it."""
    ip(f"addr add fe80::77/64 dev {device} nodad")
    with netns.entered():
        ip("addr add fe80::78/64 dev client0 nodad")
        return "fe80::77", socket.if_nametoindex("client0")


def ask_link_local(address, port, protocol, scope, netns):
    with netns.entered():
        sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
    with sock:
        sock.settimeout(PATIENCE)
        try:
            sock.connect((address, port, 0, scope))
            sock.send(b"?")
            return sock.recv(100).split()[0].decode()
        except ConnectionRefusedError:
            return REFUSED


@pytest.mark.parametrize("protocol, key", BOTH)
def test_link_local(broker, client, protocol, key):
    """bind() to a link-local address binds to its device: the rule leads there what comes by it, and nothing else."""
    ip(*OTHER, "addr add fe80::79/64 dev other0 nodad")
    address, scope = link_local("usher0", client)
    running = broker(web=rule(f"{key}=[fe80::/10]:80 [{V6}]:80", access=["Bound=any"]))
    for device, bound_to, expected in (("usher0", address, "web"), ("other0", "fe80::79", REFUSED)):
        sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
        # a datagram's reply has to come from the port to which the client is connected
        sock.bind((bound_to, 80, 0, socket.if_nametoindex(device)))
        if protocol == "tcp":
            sock.listen()
        with Service("web", protocol, sock=sock) as service:
            wire.hand_in("web", service)
            assert running.sockets()[0]["DEVICE"] == device
            assert ask_link_local(address, 80, protocol, scope, client) == expected
            assert who(V6, 80, protocol) == REFUSED


@pytest.mark.parametrize("protocol, key", BOTH)
@pytest.mark.parametrize("address", [HOST_V4, V4, V6])
def test_both_families(broker, client, protocol, key, address):
    """A dual-stack socket that is bound to a device: both families, and in each that device alone."""
    running = broker(web=rule(f"{key}=80", access=["Bound=any"]))
    sock = make_socket(protocol, "::", 8080, v6only=False, listen=False)
    bind(sock, "usher0")
    if protocol == "tcp":
        sock.listen()
    with Service("web", protocol, sock=sock) as service:
        wire.hand_in("web", service)
        assert [row["DEVICE"] for row in running.sockets()] == ["usher0", "usher0"]
        assert who(address, 80, protocol, netns=client) == "web"
        assert who(address, 80, protocol) == ("web" if address == HOST_V4 else REFUSED)


@pytest.mark.parametrize("protocol, key", BOTH)
def test_mapped_address(broker, client, protocol, key):
    """Bound to a v4-mapped address and a device."""
    broker(web=rule(f"{key}=80", access=["Bound=any"]))
    sock = make_socket(protocol, f"::ffff:{HOST_V4}", 8080, v6only=False, listen=False)
    bind(sock, "usher0")
    if protocol == "tcp":
        sock.listen()
    with Service("web", protocol, sock=sock) as service:
        wire.hand_in("web", service)
        assert [who(V4, 80, protocol, netns=client), who(V4, 80, protocol)] == ["web", REFUSED]


@pytest.mark.parametrize("protocol, key", BOTH)
def test_members_of_a_group(broker, client, protocol, key):
    """SO_REUSEPORT at one address and port: members of different devices share nothing, those of one device do."""
    broker(web=f"{key}=80")

    def member(device):
        sock = make_socket(protocol, "127.0.0.2", 8080, reuseport=True, listen=False) if not device else None
        if not sock:
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bind(sock, device)
            sock.bind(("127.0.0.2", 8080))
        if protocol == "tcp":
            sock.listen()
        return sock

    with contextlib.ExitStack() as stack:
        services = [stack.enter_context(Service(name, protocol, sock=member(device)))
                    for name, device in (("lo", "lo"), ("one", "usher0"), ("two", "usher0"))]
        wire.hand_in("web", services[0])
        wire.hand_in("web", services[1])  # its group comes along
        assert {who(V4, 80, protocol) for _ in range(20)} == {"lo"}
        assert {who(V4, 80, protocol, netns=client) for _ in range(60)} == {"one", "two"}


def test_connected(broker, client):
    """A connected UDP socket gets its flow from the kernel, before any rule; the others of that device go by the rule."""
    broker(web=rule("Datagram=80", access=["Bound=any"]))
    with bound("web", "udp", HOST_V4, 80, "usher0") as service:
        wire.hand_in("web", service)
        with client.entered():
            flow = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with flow, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connected:
            flow.bind((CLIENT_V4, 4000))
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            service.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bind(connected, "usher0")
            connected.bind((HOST_V4, 80))
            connected.connect((CLIENT_V4, 4000))
            connected.settimeout(PATIENCE)
            flow.sendto(b"mine", (HOST_V4, 80))
            assert connected.recv(100) == b"mine"
            assert [who(V4, 80, "udp", netns=client), who(V4, 80, "udp")] == ["web", REFUSED]


# ---- ways in

@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_held(broker, client, protocol):
    """A held socket keeps its device when its process ends, and for the next broker and who claims it."""
    running = broker(web=["Stream=80", "Datagram=80"])
    sock = make_socket(protocol, "127.0.0.2", 8080, listen=False)
    bind(sock, "usher0")
    if protocol == "tcp":
        sock.listen()
    with sock:
        wire.request("hold", [sock], NAME="web")
    assert who(V4, 80, protocol) == REFUSED
    assert running.sockets()[0]["DEVICE"] == "usher0"
    (fd,) = wire.request("claim", NAME="web").fds
    with Service("again", protocol, sock=socket.socket(fileno=fd)):
        assert [who(V4, 80, protocol), who(V4, 80, protocol, netns=client)] == [REFUSED, "again"]
        running.kill()
        assert [who(V4, 80, protocol), who(V4, 80, protocol, netns=client)] == [REFUSED, "again"]
        running.start()
        assert [who(V4, 80, protocol), who(V4, 80, protocol, netns=client)] == [REFUSED, "again"]
        assert running.sockets()[0]["DEVICE"] == "usher0"


@pytest.mark.parametrize("protocol, key", BOTH)
def test_discovered(broker, client, discover, protocol, key):
    running = broker(web=rule(f"{key}=80", discover=["Socket=127.0.0.2:8080"]))
    sock = make_socket(protocol, "127.0.0.2", 8080, listen=False)
    bind(sock, "usher0")
    if protocol == "tcp":
        sock.listen()
    with ServiceProcess("web", protocol, sock=sock):
        discover.start()
        wait_until(lambda: running.sockets("web"), "it is found")
        assert (running.sockets()[0]["DEVICE"], running.sockets()[0]["VIA"]) == ("usher0", "discover")
        assert [who(V4, 80, protocol), who(V4, 80, protocol, netns=client)] == [REFUSED, "web"]


@pytest.mark.vm_long
def test_early(broker, client):
    """A listener that Listen=kernel let in."""
    running = broker(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080", "User=nobody", "Listen=kernel"]))
    with bound("web", "tcp", "127.0.0.2", 8080, "usher0") as service:
        let_in(running, service)
        assert [who(V4, 80), who(V4, 80, netns=client)] == [REFUSED, "web"]
        assert running.counters("web")["REFUSED_DEVICE"] >= 1


@pytest.mark.vm_long
def test_handed_in_again(broker, client):
    """The device of the place follows the socket."""
    running = broker(web="Stream=80")
    with Service("web") as service:
        wire.hand_in("web", service)
        assert "DEVICE" not in running.sockets()[0]
        bind(service.socket, "usher0")
        wire.hand_in("web", service)
        assert running.sockets()[0]["DEVICE"] == "usher0"


@pytest.mark.vm_long
def test_pins_of_an_older_usher(broker, client):
    """An usher without the check left its pins, which lack the map: the next broker makes it, and its program checks."""
    running = broker(web="Stream=80")
    with bound("web", "tcp", "127.0.0.2", 8080, "usher0") as service:
        wire.hand_in("web", service)
        running.kill()
        (running.pins / "refused_device").unlink()
        assert who(V4, 80, netns=client) == "web"
        running.start()
        assert [who(V4, 80), who(V4, 80, netns=client)] == [REFUSED, "web"]
        assert running.counters("web")["REFUSED_DEVICE"] == 1
        assert (running.pins / "refused_device").exists()

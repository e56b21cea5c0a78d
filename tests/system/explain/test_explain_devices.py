# SPDX-License-Identifier: BSD-3-Clause
"""Sockets that are bound to a device: list and show name it, and explain answers for the device by which a packet comes."""

import contextlib
import socket

import pytest

from harness import wire
from harness.broker import ctl, ctl_json
from harness.diagnosed import Diagnosed
from harness.explained import Explained
from harness.host import CLIENT_V4, CLIENT_V6, HOST_V4, HOST_V6, V4, V6, ip, rule
from harness.service import Service, make_socket
from harness.traffic import REFUSED, who

from says import Explain, fail, note, setup, warn

pytestmark = pytest.mark.vm

PACKET = f"tcp {V4}:80"
BOTH = [("tcp", "Stream"), ("udp", "Datagram")]


def spell(address):
    return f"[{address}]" if ":" in address else address


def bound(name, protocol, address, port, device=None, scope=None):
    sock = make_socket(protocol, address, port, listen=False) if not scope else socket.socket(
        socket.AF_INET6, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
    if scope:
        sock.bind((address, port, 0, socket.if_nametoindex(scope)))
    if device:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    if protocol == "tcp":
        sock.listen()
    return Service(name, protocol, sock=sock)


def link_local(device):
    ip(f"addr add fe80::77/64 dev {device} nodad")
    return "fe80::77"


def by(client, came, *options):
    """What explain says of a packet that comes by cable, or from the host itself: who gets it."""
    words = ["--device", "usher0" if client else "lo", *options]
    return Explained(*came.split(), *words)


@pytest.mark.vm_long
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_shown(broker, client, protocol):
    """list, its tree, show and explain name the device with the address; JSON has it as a value of its own."""
    running = broker(web=rule(*[f"{key}=80" for _, key in BOTH], access=["Bound=any"]))
    address = link_local("usher0")
    with contextlib.ExitStack() as stack:
        for name, *where in (("lo", "127.0.0.2", 8080, "lo"), ("local", address, 8081, None, "usher0")):
            wire.hand_in("web", stack.enter_context(bound(name, protocol, *where)))
        for words, endpoints in ((["list"], ["127.0.0.2:8080%lo", f"[{address}]:8081%usher0"]),
                                 (["list", "--graph"], ["127.0.0.2:8080%lo", f"[{address}]:8081%usher0"]),
                                 (["show", "web"], ["Address=127.0.0.2:8080%lo", "Device=lo", "Device=usher0"]),
                                 (["explain", protocol, f"{V4}:80"], ["127.0.0.2:8080%lo"])):
            text = ctl(*words, check=False).stdout
            assert all(endpoint in text for endpoint in endpoints), text
        rows = [(row["address"], row["device"]) for row in ctl_json("list") if row["socket"]]
        assert sorted(rows) == [("127.0.0.2:8080", "lo"), (f"[{address}]:8081", "usher0")]
        assert "127.0.0.2:8080%lo" in running.log


@pytest.mark.vm_long
def test_shown_as_it_is_now(broker):
    broker(web="Stream=80")
    with Service("web") as service:
        wire.hand_in("web", service)
        service.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        assert "127.0.0.2:8080%lo" in ctl("list").stdout and ctl_json("list")[0]["device"] == "lo"
        assert "127.0.0.2:8080%lo" in Explained(*PACKET.split()).text
    with bound("web", "tcp", "127.0.0.2", 8081, "lo") as service:
        wire.hand_in("web", service)
        service.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"")
        assert "%lo" not in ctl("list").stdout and ctl_json("list")[0]["device"] is None
        assert "%lo" not in Explained(*PACKET.split()).text


@pytest.mark.parametrize("protocol, key", BOTH)
@pytest.mark.parametrize("address", [HOST_V4, V4, HOST_V6, V6])
@pytest.mark.parametrize("device", ["usher0", "lo", None])
def test_as_the_program(broker, client, protocol, key, address, device):
    """explain and a packet agree, by cable and from the host itself."""
    broker(web=rule(f"{key}={spell(address)}:80", access=["Bound=any"]))
    packet = f"{protocol} {spell(address)}:80"
    with bound("web", protocol, address, 8080, device) as service:
        wire.hand_in("web", service)
        for came, options in ((client, []), (None, []), (client, ["--from", f"{spell(CLIENT_V6 if ':' in address else CLIENT_V4)}:5"])):
            met, found = who(address, 80, protocol, netns=came), by(came, packet, *options)
            assert found.data["arrives"] is (met == "web"), (met, found.text)
            assert found.data["error"] == ("ENODEV" if met == REFUSED else None), found.text
            assert found.data["device"] == ("usher0" if came else "lo")
        found = Explained(*packet.split())
        assert found.data["arrives"] is (None if device else True), found.text


@setup
def test_passed_over(broker, client):
    """The place that is passed over, and the one that gets the packet instead."""
    broker(web="Stream=80")
    with bound("any", "tcp", "127.0.0.2", 8081) as other, bound("cable", "tcp", "127.0.0.2", 8080, "usher0") as service:
        wire.hand_in("web", other)
        wire.hand_in("web", service)
        assert [who(V4, 80), who(V4, 80, netns=client)] == ["any", "cable"]
        yield Explain(PACKET, None, note("device:over", address="127.0.0.2:8080%usher0", device="lo", other="127.0.0.2:8081"),
                      options=["--device", "lo"], says=("goes", {"packet": f"{PACKET} by lo", "address": "127.0.0.2:8081"}))
        yield Explain(PACKET, None, options=["--device", "usher0"],
                      says=("goes", {"packet": f"{PACKET} by usher0", "address": "127.0.0.2:8080%usher0"}))
        yield Explain(PACKET, None, note("device:open", address="127.0.0.2:8080%usher0", device="usher0"), status=4, arrives=None)
        found = Explained(*PACKET.split())
        assert found.first.startswith(f"if it comes by usher0: {PACKET} goes to 'web'")
        asked = found.codes["device"]["command"].split()
        assert Explained(*asked[2:]).code == 0


@setup
def test_refused(broker, client):
    broker(web="Stream=80")
    with bound("web", "tcp", "127.0.0.2", 8080, "usher0") as service:
        wire.hand_in("web", service)
        assert [who(V4, 80), who(HOST_V4, 80), who(V4, 80, netns=client)] == [REFUSED, "web", "web"]
        yield Explain(PACKET, None, fail("device", address="127.0.0.2:8080%usher0", device="lo", wanted="lo"), status=1,
                      options=["--device", "lo"], error="ENODEV", says=("unusable", {"packet": f"{PACKET} by lo", "error": "ENODEV"}))
        # what the host sends to an address of a device counts as come by it
        yield Explain(f"tcp {HOST_V4}:80", None, options=["--device", "lo"], status=0)
    # the remedy: bound to that device, or to none
    for device in ("lo", None):
        with bound("web", "tcp", "127.0.0.2", 8081, device) as service:
            wire.hand_in("web", service)
            assert who(V4, 80) == "web"
            yield Explain(PACKET, None, options=["--device", "lo"], status=0)


@pytest.mark.vm_long
@setup
def test_passed_on(broker, client):
    """Missing=pass: the kernel prefers a listener that is bound to the device, and takes none of another one."""
    broker(web=rule("Stream=80", Missing="pass"))
    with bound("web", "tcp", "127.0.0.2", 8080, "usher0") as service:
        wire.hand_in("web", service)
        for where in (None, "lo"):
            with bound("plain", "tcp", V4, 80, where):
                assert [who(V4, 80), who(V4, 80, netns=client)] == ["plain", "web"]
                yield Explain(PACKET, None, warn("device", address="127.0.0.2:8080%usher0", device="lo", wanted="lo"),
                              options=["--device", "lo"], says=("device:pass", {"packet": f"{PACKET} by lo"}), status=0)


@pytest.mark.vm_long
@setup
def test_no_rule(broker, client):
    broker(web="Stream=81")
    with bound("plain", "tcp", V4, 80, "usher0"):
        assert [who(V4, 80), who(V4, 80, netns=client)] == [REFUSED, "plain"]
        yield Explain(PACKET, None, note("device:listener", address=f"{V4}:80%usher0", device="usher0"), status=4)
        yield Explain(PACKET, None, options=["--device", "usher0"], status=0)
        yield Explain(PACKET, None, fail("no-listener:device", address=f"{V4}:80"), options=["--device", "lo"], status=1)


@pytest.mark.vm_long
@pytest.mark.parametrize("source", [f"{CLIENT_V4}:4000%usher0", f"[{CLIENT_V6}]:4000%usher0", f"[{CLIENT_V6}%usher0]:4000",
                                    f"{CLIENT_V4}%usher0:4000"])
def test_from(broker, client, source):
    """--from ADDRESS:PORT%DEVICE is --from with --device."""
    running = broker(web="Stream=80")
    target = V6 if "[" in source else V4
    with bound("web", "tcp", "::1" if ":" in target else "127.0.0.2", 8080, "lo") as service:
        wire.hand_in("web", service)
        plain = source.replace("%usher0", "")
        found = Explained("tcp", f"{spell(target)}:80", "--from", source)
        same = Explained("tcp", f"{spell(target)}:80", "--from", plain, "--device", "usher0")
        assert found.text == same.text and found.code == 1 and found.data["error"] == "ENODEV"
        assert (found.data["remote"], found.data["device"]) == (plain, "usher0")
        assert running.counters("web", family="ipv6" if ":" in target else "ipv4")["LOOKUPS"] == 0


@pytest.mark.vm_long
@pytest.mark.parametrize("options, says", [
    (["--device", "nothing9"], "bad option --device 'nothing9': no such device in this network namespace (ENODEV)"),
    (["--from", "203.0.113.2:5%nothing9"], "bad option --from 'nothing9': no such device in this network namespace (ENODEV)"),
    (["--from", "203.0.113.2:5%" + 300 * "x"], "no such device in this network namespace (ENODEV)"),
    (["--from", "203.0.113.2:5%usher0", "--device", "lo"], "bad option --device 'lo': --from names another device (EINVAL)"),
    (["--from", "%usher0"], "bad option --from '': not an IP address and a port (EINVAL)"),
])
def test_wrong_devices(client, options, says):
    done = ctl("explain", *PACKET.split(), *options, check=False)
    assert (done.returncode, done.stdout) == (2, "") and says in done.stderr, done.stderr


@pytest.mark.vm_long
def test_of_the_broker(broker, client):
    """The broker answers for a device of its network namespace, and refuses one that it does not have."""
    running = broker(web="Stream=80")
    with bound("web", "tcp", "127.0.0.2", 8080, "usher0") as service:
        wire.hand_in("web", service)
        answers = [wire.request("explain", PROTOCOL="tcp", LOCAL=f"{V4}:80", **device)["VERDICT"]
                   for device in ({"DEVICE": "lo"}, {"DEVICE": "usher0"}, {}, {"DEVICE": "lo"})]
        assert answers == ["refused", "dispatched", "dispatched", "refused"]
        for device in ("nothing9", 20 * "x"):
            with pytest.raises(wire.Refused) as refused:
                wire.request("explain", PROTOCOL="tcp", LOCAL=f"{V4}:80", DEVICE=device)
            assert refused.value.number == 19 and "no such device in its network namespace (ENODEV)" in str(refused.value)
    assert running.counters("web")["LOOKUPS"] == 0


def test_gone(broker, client):
    """doctor finds a socket that is bound to a device which is gone."""
    broker(web="Stream=80")
    with bound("web", "tcp", "127.0.0.2", 8080, "usher0") as service:
        wire.hand_in("web", service)
        found = lambda: [(row["result"], row["text"], row["remedy"]) for row in Diagnosed().rows if row["check"] == "devices"]
        assert [result for result, *_ in found()] == ["ok"]
        ip("link del usher0")
        ((result, text, remedy),) = found()
        assert result == "warn" and "of 'web' is bound to device #" in text and "restart the service" in remedy
        assert "127.0.0.2:8080%#" in ctl("list").stdout

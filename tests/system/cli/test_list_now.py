# SPDX-License-Identifier: BSD-3-Clause
"""`usherctl list` shows sockets as they are now, to everybody: a socket may be bound anew, connected or shut down after it
was handed in."""

import contextlib
import socket
import struct

from harness.broker import USHERCTL, ctl, ctl_json
from harness.host import NOBODY, V4, Netns, run
from harness.service import Service, make_socket
from harness.traffic import who
from harness.wire import cookie, hand_in

AF_UNSPEC = struct.pack("=H14x", 0)


def listed(name=None, **options):
    return {row["socket"].removeprefix("sk:"): (row["state"], row["address"])
            for row in ctl_json("list", *([name] if name else []), **options) if row["socket"]}


def libc_connect(sock, address):
    import ctypes
    assert ctypes.CDLL(None).connect(sock.fileno(), address, len(address)) == 0


def test_shut_down(broker):
    """A listener that was shut down is not what serves; the one behind it is."""
    broker(web="Stream=80")
    with Service("old", port=8081) as old:
        new = make_socket("tcp", "127.0.0.2", 8080)
        hand_in("web", old)
        hand_in("web", new)
        assert listed() == {cookie(new): ("serving", "127.0.0.2:8080"), cookie(old.socket): ("standby", "127.0.0.2:8081")}
        new.shutdown(socket.SHUT_RDWR)
        assert who(V4, 80) == "old"
        assert listed("web") == {cookie(new): ("unusable", "127.0.0.2:8080"), cookie(old.socket): ("serving", "127.0.0.2:8081")}
        assert "unusable" in run("setpriv", f"--reuid={NOBODY}", "--clear-groups", USHERCTL, "list").stdout
        new.listen()
        assert listed()[cookie(new)][0] in ("serving", "unusable")
        new.close()
    assert listed() == {}


def test_bound_anew(broker):
    """A UDP socket that got its port from the kernel can be given another one."""
    broker(dns="Datagram=53")
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.2", 0))
    before = sock.getsockname()[1]
    hand_in("dns", sock)
    assert listed() == {cookie(sock): ("serving", f"127.0.0.2:{before}")}
    libc_connect(sock, AF_UNSPEC)
    with contextlib.suppress(OSError):
        sock.bind(("127.0.0.2", 5300))
    port = sock.getsockname()[1]
    assert listed() == {cookie(sock): ("serving", f"127.0.0.2:{port}")}
    sock.connect(("127.0.0.9", 9))
    assert {state for state, _ in listed().values()} <= {"unusable"}
    sock.close()


def test_another_network_namespace(broker):
    """Where usherctl cannot see the broker's sockets, it shows what the broker says."""
    broker(web="Stream=80")
    with Service("web") as service, Netns().entered():
        hand_in("web", service)
        assert listed() == {cookie(service.socket): ("serving", "127.0.0.2:8080")}
        assert "serving" in ctl("list").stdout

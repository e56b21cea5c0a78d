# SPDX-License-Identifier: BSD-3-Clause
"""What the service manager passes to the broker: its doors, known by name and path, and sockets that are for rules"""

import os
import pathlib
import socket

import pytest

from harness.host import V4
from harness.process import wait_until
from harness.service import Service
from harness.traffic import who
from harness.wire import request

DOOR, NOTIFY = "/run/usher/usher.sock", "/run/usher/notify"


_kept = []  # open until the end of the test


def local(kind, path):
    """A Unix socket that a socket unit would have bound."""
    if path:
        pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
        pathlib.Path(path).unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.bind(path or "\0elsewhere")
    if kind != socket.SOCK_DGRAM:
        sock.listen()
    return sock


def passing(*named):
    """Options of Usherd.spawn() with which these sockets are passed, in this order: (name, socket)."""
    _kept.extend(sock for _, sock in named)
    fds = [sock.fileno() for _, sock in named]
    # first to numbers that are free, because a number that is wanted may be in use by another of them
    moves = [f"{60 + n}<&{fd}" for n, fd in enumerate(fds)] + [f"{3 + n}<&{60 + n} {60 + n}<&-" for n in range(len(fds))]
    script = f'exec {" ".join(moves)}; LISTEN_PID=$$ exec "$@"'
    return {"prefix": ["bash", "-c", script, "bash"], "pass_fds": fds,
            "env": {"LISTEN_FDS": str(len(fds)), "LISTEN_FDNAMES": ":".join(name for name, _ in named)}}


def doors():
    return [("usher", local(socket.SOCK_SEQPACKET, DOOR)), ("usher", local(socket.SOCK_DGRAM, NOTIFY))]


OTHERS = {
    "seqpacket": (socket.SOCK_SEQPACKET, "/run/other.sock"),
    "datagram": (socket.SOCK_DGRAM, "/run/other"),
    "stream": (socket.SOCK_STREAM, "/run/other.stream"),
    "abstract": (socket.SOCK_SEQPACKET, ""),
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("order", ["before", "after"])
def test_other_unix_socket(usherd, rules, other, order):
    """It is not taken for a door, wherever it comes in the manager's order, and the journal says what to do."""
    rules(web="Stream=80")
    kind, path = OTHERS[other]
    extra = [("web", local(kind, path))]
    usherd.start(**passing(*(extra + doors() if order == "before" else doors() + extra)))
    assert request("status")["OK"] == "1"
    wait_until(lambda: f"passed a Unix socket at '{path}' as 'web'" in usherd.log)
    assert "remove its unit from Sockets= of usherd.service" in usherd.log
    with Service("web") as service:
        request("hand-in", [service], NAME="web")
        assert who(V4, 80) == "web"


def test_sockets_for_rules(usherd, rules):
    """Beside its doors and other Unix sockets, the broker hands in what has a rule; 'usher' can be a rule as well."""
    rules(web="Stream=80", usher="Stream=81")
    with Service("web") as web, Service("usher", port=8081) as other:
        usherd.start(**passing(("web", local(*OTHERS["datagram"])), ("web", web.socket), *doors(), ("usher", other.socket)))
        assert (who(V4, 80), who(V4, 81)) == ("web", "usher")


NO_DOORS = {
    "path": ("usher", socket.SOCK_SEQPACKET, "/run/usher/other.sock"),
    "path-datagram": ("usher", socket.SOCK_DGRAM, "/run/elsewhere"),
    "name": ("usherd.socket", socket.SOCK_SEQPACKET, DOOR),
    "name-datagram": ("web", socket.SOCK_DGRAM, NOTIFY),
    "type": ("usher", socket.SOCK_STREAM, DOOR),
    "types": ("usher", socket.SOCK_DGRAM, DOOR),
    "no-path": ("usher", socket.SOCK_SEQPACKET, ""),
}


@pytest.mark.parametrize("case", NO_DOORS)
def test_door_that_is_none(usherd, rules, case):
    """A socket that was meant as a door and is not one: clients would hang at it, so the start fails, and says why."""
    rules(web="Stream=80")
    name, kind, path = NO_DOORS[case]
    usherd.spawn(**passing((name, local(kind, path))))
    assert usherd.wait() == 78
    assert f"passed a Unix socket at '{path}' with the name '{name}', which is not a door" in usherd.log
    assert f"ListenSequentialPacket={DOOR}" in usherd.log
    assert not os.path.exists("/sys/fs/bpf/usher/link"), "nothing was begun"

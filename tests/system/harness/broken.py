# SPDX-License-Identifier: BSD-3-Clause
"""Broken set-ups: what a client meets, and what usherctl says of it."""

import contextlib
import errno
import re
import socket

from . import bpf, wire
from .broker import ctl
from .daemon import PROGRAMS
from .host import run
from .process import Child
from .service import Service, make_socket
from .traffic import REFUSED, SILENCE, who

UNREACHABLE = "unreachable"
ITEM = re.compile(r"(ok|info|skip|warn|fail)  ([\w-]+): (.*)")


def ask(packet):
    """Who answers "tcp 192.0.2.1:80": a name, REFUSED, SILENCE or UNREACHABLE."""
    protocol, endpoint = packet.split()
    address, port = endpoint.rsplit(":", 1)
    try:
        return who(address.strip("[]"), int(port), protocol, seconds=0.5, connected=True)
    except OSError as error:
        if error.errno != errno.ENETUNREACH:
            raise
        return UNREACHABLE


def show(*words, namespace=None):
    """Run usherctl as the administrator does; the screen is printed, for `pytest -rP`."""
    with namespace.entered() if namespace else contextlib.nullcontext():
        done = ctl(*words, check=False)
    print(f"$ usherctl {' '.join(map(str, words))}\n{done.stdout}{done.stderr}[exit status {done.returncode}]\n")
    done.flat = " ".join((done.stdout + done.stderr).split())
    return done


def says(done, patterns):
    for pattern in patterns:
        assert re.search(pattern, done.flat), f"no {pattern!r} in\n{done.stdout}{done.stderr}"


def explain(packet, meets, *patterns, status=None, namespace=None):
    """`usherctl explain` has every pattern, its exit status says whether a socket gets the packet, and a client that
    tries it for real `meets` that: a name, or why there is none. None: no client is asked."""
    done = show("explain", *packet.split(), namespace=namespace)
    says(done, patterns)
    if meets is not None:
        assert ask(packet) == meets
    if status is None:
        status = 1 if meets in (REFUSED, SILENCE, UNREACHABLE) else 0
    assert done.returncode == status, done.stdout + done.stderr
    return done


def doctor(mark, *patterns, namespace=None):
    """`usherctl doctor` has a line that is marked so, and has every pattern in it and the remedy below; its exit status
    says whether something fails."""
    done = show("doctor", namespace=namespace)
    items, broken = [], False
    for line in done.stdout.splitlines():
        if match := ITEM.fullmatch(line):
            items.append([match[1], f"{match[2]}: {match[3]}"])
            broken = broken or match[1] == "fail"
        elif line.startswith("      "):
            items[-1][1] += f" | {line.strip()}"
    assert done.returncode == int(broken), done.stdout + done.stderr
    if mark == "fail":
        assert broken, done.stdout
    for found, text in items:
        if found == mark and all(re.search(pattern, text) for pattern in patterns):
            assert " | " in text, f"no remedy: {text}"
            return done
    raise AssertionError(f"no {mark} {patterns} in\n{done.stdout}")


def attach(program, sock):
    """An sk_lookup program of somebody else, behind those that are there; it chooses the socket for port 80."""
    run(PROGRAMS / "attach", PROGRAMS / "foreign.bpf.o", program, f"/sys/fs/bpf/foreign{len(bpf.pins())}", sock.fileno(),
        pass_fds=[sock.fileno()])


def connect(packet):
    """A connection that nobody has to accept."""
    address, port = packet.split()[1].rsplit(":", 1)
    return socket.create_connection((address.strip("[]"), int(port)), timeout=5)


@contextlib.contextmanager
def serving(name, *arguments, **options):
    """A healthy service that has handed its socket in."""
    with Service(name, *arguments, **options) as service:
        wire.hand_in(name, service)
        yield service


class PlainEcho(Child):
    """A UDP service as most are written: it answers from wherever its socket is bound."""

    def __init__(self, name, address, port):
        sock = make_socket("udp", address, port)

        def serve(tell):
            while True:
                data, peer = sock.recvfrom(65536)
                with contextlib.suppress(OSError):
                    sock.sendto(f"{name} {peer[0]} {peer[1]} {address} {port}\n".encode() + data, peer)

        wire.hand_in(name, sock)
        super().__init__(serve, keep=[sock.fileno()])
        sock.close()

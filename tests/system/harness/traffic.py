# SPDX-License-Identifier: BSD-3-Clause
"""Clients: one question, or many a second"""

import collections
import contextlib
import socket
import struct
import time

from .host import family_of
from .process import ATTEMPT, PATIENCE, Child, wait_until

# the name of the service and what it saw; the source of the answer
Answer = collections.namedtuple("Answer", "name peer peer_port local local_port source source_port")

IP_RECVERR, IPV6_RECVERR = 11, 25

REFUSED = "refused"
SILENCE = "silence"


def _parse(line, source):
    name, peer, peer_port, local, local_port = line.decode().split()
    return Answer(name, peer, int(peer_port), local, int(local_port), *source[:2])


def ask(address, port, protocol="tcp", *, source=None, source_port=0, netns=None, seconds=PATIENCE, connected=False):
    """The Answer from that address and port. Raises ConnectionRefusedError or TimeoutError if there is none.
    `seconds` is MOMENT where there must be none, and ATTEMPT in a loop.

    A UDP answer may come from any source, unless the client is `connected`.
    """
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with netns.entered() if netns else contextlib.nullcontext():
        sock = socket.socket(family_of(address), kind)
    with sock:
        sock.settimeout(seconds)
        if source:
            sock.bind((source, source_port))
        if protocol == "udp":
            # unconnected sockets report errors only on request
            sock.setsockopt(*((socket.IPPROTO_IPV6, IPV6_RECVERR) if ":" in address else
                              (socket.IPPROTO_IP, IP_RECVERR)), 1)
            if connected:
                sock.connect((address, port))
                sock.send(b"?")
            else:
                sock.sendto(b"?", (address, port))
            data, peer = sock.recvfrom(65536)
            return _parse(data.split(b"\n")[0], peer)
        sock.connect((address, port))
        line = b""
        while not line.endswith(b"\n"):
            part = sock.recv(4096)
            if not part:
                raise ConnectionResetError("closed without an answer")
            line += part
        # reset instead of TIME_WAIT, so that the client's port is free for the next one
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return _parse(line, (address, port))


def who(address, port, protocol="tcp", **options):
    """The name that answers, or REFUSED, or SILENCE."""
    try:
        return ask(address, port, protocol, **options).name
    except (ConnectionRefusedError, ConnectionResetError):
        return REFUSED
    except TimeoutError:
        return SILENCE


def serves(name, address="192.0.2.1", port=80, protocol="tcp"):
    """Wait until the service of that name answers."""
    wait_until(lambda: who(address, port, protocol, seconds=ATTEMPT) == name, f"{name} answers at {address}:{port}/{protocol}")


def serves_nobody(address="192.0.2.1", port=80, protocol="tcp"):
    """Wait until clients are refused. A datagram may still reach a socket that is just being copied."""
    wait_until(lambda: who(address, port, protocol, seconds=ATTEMPT) == REFUSED, f"{address}:{port}/{protocol} is refused")


class Load:
    """A process that makes new connections at a rate, to a list of (address, port, protocol) in turn, until `finish()`. The
    outcome is a Counter of (target index, name or REFUSED or SILENCE or an error)."""

    def __init__(self, *targets, rate=1000, netns=None):
        def generate(tell, stop):
            results, begin, sent, slowest = collections.Counter(), time.monotonic(), 0, 0.0
            stop.settimeout(0)
            while True:
                index = sent % len(targets)
                started = time.monotonic()
                try:
                    outcome = who(*targets[index], netns=netns)
                except OSError as error:
                    outcome = repr(error)
                slowest = max(slowest, time.monotonic() - started)
                results[index, outcome] += 1
                sent += 1
                if sent == 20:
                    tell("going")
                ahead = begin + sent / rate - time.monotonic()
                if ahead > 0:
                    time.sleep(ahead)
                with contextlib.suppress(BlockingIOError):
                    if not stop.recv(1):
                        return results, sent, time.monotonic() - begin, slowest

        self._stop, theirs = socket.socketpair()
        keep = [theirs.fileno()] + ([netns.fd] if netns else [])
        self._child = Child(generate, theirs, keep=keep)
        theirs.close()
        self._child.hear()

    def finish(self):
        """Stop, and return the Counter. Also sets sent, seconds and slowest (s)."""
        self._stop.close()
        self.results, self.sent, self.seconds, self.slowest = self._child.result()
        return self.results

    @property
    def rate(self):
        return self.sent / self.seconds

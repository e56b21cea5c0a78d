# SPDX-License-Identifier: BSD-3-Clause
"""The scan of usher-discover by itself (tests/system/programs/scan.c), and processes with sockets for it to find"""

import collections
import os
import signal
import socket
import struct
import subprocess

from . import host
from .daemon import PROGRAMS
from .process import Child
from .service import make_socket

SCAN = PROGRAMS / "scan"
SO_COOKIE = 57

Row = collections.namedtuple("Row", "accepted name protocol family endpoint cookie pid uid unit error text")
Scan = collections.namedtuple("Scan", "rows left_out microseconds cpu_microseconds peak_kib descriptors")


def parse(output):
    """The rows and figures of each scan in one run."""
    scans, rows = [], []
    for line in output.splitlines():
        words = line.split("\t")
        if words[0] == "=":
            assert words[1] == "0", line
            scans.append(Scan(rows, *map(int, words[2:7])))
            rows = []
        else:
            sign, name, protocol, family, endpoint, cookie, pid, uid, unit, error, text = words
            rows.append(Row(sign == "+", name, {"6": "tcp", "17": "udp"}[protocol], int(family), endpoint,
                            int(cookie, 16), int(pid), int(uid), unit, int(error), text))
    return scans


def environment(before):
    """The environment; LeakSanitizer does not work under strace."""
    traced = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
    return {**os.environ, **(traced if "strace" in before else {})}


def command(before=(), **keys):
    return [*before, SCAN, host.RULE_FOLDERS[1], *[f"{key}={value}" for key, value in keys.items()]]


def scans(before=(), options=None, **keys):
    """Run it, with the words `before` in front of the command; returns its scans."""
    return parse(host.run(*command(before, **keys), env=environment(before), **(options or {})).stdout)


def scan(**keys):
    return scans(**keys)[-1].rows


def start(before=(), **keys):
    """Start it, so that the test can act while it runs."""
    return subprocess.Popen([str(word) for word in command(before, **keys)], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, text=True, env=environment(before))


def cookie_of(sock):
    return struct.unpack("Q", sock.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8))[0]


class Owner(Child):
    """A process that creates sockets and keeps them: `sockets` are arguments of make_socket(), or functions."""

    def __init__(self, *sockets, uid=None, gid=None, groups=(), keep=(), then=None):
        def own(tell):
            made = []
            for one in sockets:
                if callable(one):
                    made += one()
                else:
                    made.append(make_socket(*one) if isinstance(one, tuple) else make_socket(**one))
            tell([cookie_of(sock) for sock in made])
            if then:
                then(tell, made)
            while True:
                signal.pause()

        super().__init__(own, uid=uid, gid=gid if gid is not None else uid, groups=groups, keep=keep)
        self.cookies = self.hear()

    @property
    def cookie(self):
        return self.cookies[0]


def discover_rule(name, *sockets, match=("Stream=80", "Datagram=53"), access=("Bound=any",),
                  **keys):
    """Write a rule that discovers these sockets; `keys` are User=, Unit= and Executable=."""
    lines = [f"Socket={' '.join(sockets)}", *[f"{key}={value}" for key, value in keys.items()]]
    return host.write_rule(name, host.rule(*match, access=list(access), discover=lines))


def fork_holder():
    """Fork a child that keeps everything open that this process has open; returns its pid."""
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    return pid

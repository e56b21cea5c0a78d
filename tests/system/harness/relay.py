# SPDX-License-Identifier: BSD-3-Clause
"""usher-relay with the listening socket that a socket unit would pass to it, and backends and clients that count words"""

import array
import contextlib
import os
import pathlib
import socket
import struct
import subprocess
import sys
import threading

from .daemon import BUILD, Daemon
from .host import V4, rule, write_rule
from .process import PATIENCE, wait_until

WORDS = 1_000_000
MILLION = array.array("Q", range(WORDS)).tobytes()  # counted words: a part that is lost, doubled or moved shows
RESET = "reset"

# Puts the descriptors in the place where a service manager puts them; the process stays the one that was started.
_PASS = """
import fcntl, os, sys
n = int(sys.argv[1])
high = [fcntl.fcntl(int(fd), fcntl.F_DUPFD_CLOEXEC, 100) for fd in sys.argv[2:2 + n]]
os.closerange(3, 100)
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(n))
os.execv(sys.argv[2 + n], sys.argv[2 + n:])
"""


def relay_rule(*lines, match=f"Stream={V4}:80"):
    """A rule with a section [Relay]"""
    return rule(match) + "\n".join(["[Relay]", *lines]) + "\n"


class Relay(Daemon):
    """usher-relay for a name. The listening sockets stay open here, as they do in a service manager."""

    program = BUILD / "src/relay/usher-relay"

    def __init__(self, *lines, name="web", address="127.0.0.1", port=7001, backlog=4096):
        super().__init__()
        self.rule_name = name
        self.folder = pathlib.Path("/run/usher-relay", name)
        self.listener = socket.create_server((address, port), backlog=backlog,
                                             family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                                             dualstack_ipv6=address == "::")
        self.address = address, port
        if lines:
            self.write(*lines)

    def write(self, *lines):
        return write_rule(self.rule_name, relay_rule(*lines))

    def spawn(self, *arguments, prefix=(), env=None, sockets=None, **options):
        sockets = [self.listener] if sockets is None else sockets
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o777)  # for a relay that is not root
        fds = [sock.fileno() for sock in sockets]
        prefix = [*prefix, sys.executable, "-c", _PASS, len(fds), *fds]
        super().spawn(*arguments, self.rule_name, prefix=prefix, pass_fds=fds,
                      env={"RUNTIME_DIRECTORY": str(self.folder), **(env or {})}, **options)
        os.chmod(self.notify.path, 0o777)
        return self

    def connect(self):
        client = socket.create_connection(self.address, timeout=PATIENCE)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def reload(self):
        self.notify.clear()
        self.process.send_signal(1)
        wait_until(self.notify.ready, "the relay has read its rule")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def memory(self):
        """Its own memory, in kB"""
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(text.split("RssAnon:")[1].split()[0])


class Backend:
    """A server that calls a function with each connection, in a thread of its own, and keeps what that returns."""

    def __init__(self, address=("127.0.0.1", 7002), serve=None, backlog=4096, receive_buffer=0):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.socket = socket.socket(family)
        if family != socket.AF_UNIX:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.bind(address)
        self.socket.listen(backlog)
        self.results, self._serve, self._changed = [], serve, threading.Condition()
        if serve:
            threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                connection.settimeout(PATIENCE)
                threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection):
        try:
            result = self._serve(connection)
        except Exception as error:
            result = error
        connection.close()
        with self._changed:
            self.results.append(result)
            self._changed.notify_all()

    def accept(self):
        self.socket.settimeout(PATIENCE)
        connection, _ = self.socket.accept()
        connection.settimeout(PATIENCE)
        return connection

    def result(self, n=1):
        """What the first connection returned, or the first n"""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.results) >= n, PATIENCE), "the backend still waits"
        return self.results[0] if n == 1 else self.results[:n]

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def words(n):
    """The first n bytes of the counted words"""
    return (MILLION * (n // len(MILLION) + 1))[:n]


def read_all(sock, pause=None):
    """What comes until the end; or (what came, RESET)"""
    data = bytearray()
    while True:
        try:
            part = sock.recv(65536)
        except ConnectionResetError:
            return bytes(data), RESET
        if not part:
            return bytes(data)
        data += part
        if pause:
            pause()


def reset(sock):
    """Close with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def send_later(sock, data, end=True):
    """Send in a thread, then end that direction."""
    def run():
        with contextlib.suppress(OSError):
            sock.sendall(data)
            if end:
                sock.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def queued(port):
    """How many clients wait in the queue of a listening socket"""
    done = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[1])

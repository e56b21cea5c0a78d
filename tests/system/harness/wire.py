# SPDX-License-Identifier: BSD-3-Clause
"""The protocol of usher.sock, spoken by hand (docs/protocol.md), so that tests can send what no library would"""

import array
import os
import socket
import struct

from . import process


class Refused(Exception):
    """The broker refused the request. `number` is the errno, `reason` the text."""

    def __init__(self, number, reason):
        super().__init__(number, reason)
        self.number, self.reason = number, reason

    def __str__(self):
        return f"{os.strerror(self.number)}: {self.reason}"


class Reply(dict):
    """The fields of the last packet. `rows` are those of the packets before it, `fds` their descriptors."""

    def __init__(self, fields, rows, fds):
        super().__init__(fields)
        self.rows, self.fds = rows, fds


def text_of(fields):
    return "".join(f"{key}={value}\n" for key, value in fields.items()).encode()


class Connection:
    """One connection to the broker, speaking for the process that calls."""

    def __init__(self, path="/run/usher/usher.sock"):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(process.PATIENCE)
        self.socket.connect(str(path))

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data, fds=(), controls=None):
        """Send one packet of any bytes. `controls` replaces the SCM_RIGHTS message with `fds`."""
        if controls is None:
            controls = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        return self.socket.sendmsg([data], controls)

    def receive(self):
        """(fields, fds) of one packet; None at the end of the connection."""
        data, controls, flags, _ = self.socket.recvmsg(
            65536, socket.CMSG_SPACE(4 * 253) + socket.CMSG_SPACE(64), socket.MSG_CMSG_CLOEXEC)
        fds = []
        for level, kind, value in controls:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds += array.array("i", value[:len(value) - len(value) % 4])
        if not data and not fds:
            return None
        assert not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC), "a reply was cut"
        assert len(data) <= 4096, "a reply is longer than the protocol allows"
        return dict(line.split("=", 1) for line in data.decode().splitlines()), fds

    def reply(self):
        """Read up to the last packet. Raises Refused, or EOFError if the connection ends before it."""
        rows, fds = [], []
        while True:
            packet = self.receive()
            if packet is None:
                raise EOFError("the broker closed the connection")
            fields, more = packet
            fds += more
            if fields.get("ROW") == "1":
                rows.append({key: value for key, value in fields.items() if key != "ROW"})
            elif fields.get("OK") == "1":
                return Reply(fields, rows, fds)
            else:
                error = Refused(int(fields["ERRNO"]), fields["REASON"])
                error.rows = rows
                raise error

    def request(self, verb, fds=(), **fields):
        """Make one request; `fds` are numbers or sockets. Returns the reply, or raises Refused."""
        numbers = [fd if isinstance(fd, int) else fd.fileno() for fd in fds]
        self.send(text_of({"REQUEST": verb, **fields}), numbers)
        return self.reply()


def request(verb, fds=(), path="/run/usher/usher.sock", **fields):
    """Make one request on a connection of its own."""
    with Connection(path) as connection:
        return connection.request(verb, fds, **fields)


def request_as(uid, gid, verb, fds=(), groups=(), path="/run/usher/usher.sock", **fields):
    """The same from a process of another user."""
    numbers = [fd if isinstance(fd, int) else fd.fileno() for fd in fds]
    return process.in_child(lambda: request(verb, numbers, path, **fields), keep=numbers, uid=uid, gid=gid, groups=groups)


def hand_in(name, *sockets, **fields):
    return request("hand-in", sockets, NAME=name, **fields)


def cookie(sock):
    """SO_COOKIE, spelled as in the listing."""
    value, = struct.unpack("Q", sock.getsockopt(socket.SOL_SOCKET, 57, 8))
    return f"{value:x}"


class Monitor:
    """A subscriber, and the events that the broker sends it."""

    def __init__(self, path="/run/usher/usher.sock"):
        self._connection = Connection(path)
        self._connection.send(text_of({"REQUEST": "monitor"}))
        fields, _ = self._connection.receive()
        if fields.get("EVENT") != "subscribed":
            raise Refused(int(fields["ERRNO"]), fields["REASON"])
        self._connection.socket.settimeout(0)
        self._seen = []

    def events(self, kind=None):
        """All events so far, or those of one kind."""
        try:
            while packet := self._connection.receive():
                self._seen.append(packet[0])
        except BlockingIOError:
            pass
        return [fields for fields in self._seen if kind in (None, fields["EVENT"])]

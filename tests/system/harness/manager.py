# SPDX-License-Identifier: BSD-3-Clause
"""A fake service manager. It speaks just enough D-Bus to return the properties of units."""

import contextlib
import os
import pathlib
import re
import socket
import struct
import threading

PRIVATE = pathlib.Path("/run/systemd/private")
SYSTEM_BUS = pathlib.Path("/run/dbus/system_bus_socket")

STATE = {"LoadState": ("s", "loaded"), "ActiveState": ("s", "active"), "UnitFileState": ("s", "enabled"),
         "NeedDaemonReload": ("b", False)}
# What systemd says about a healthy unit
SERVICE = {**STATE, "MainPID": ("u", 7), "PrivateNetwork": ("b", False), "PrivateUsers": ("b", False),
           "ProtectProc": ("s", "default"), "ProtectSystem": ("s", "strict"), "ProtectKernelTunables": ("b", False),
           "ReadWritePaths": ("as", ["-/sys/fs/bpf/usher"]), "CapabilityBoundingSet": ("t", 1 << 39 | 1 << 12),
           "SystemCallFilter": ("(bas)", (True, ["bpf", "read"])), "FileDescriptorStoreMax": ("u", 4096)}
HEALTHY = {"usherd.service": SERVICE, "usherd.socket": STATE}
NOT_FOUND = {**SERVICE, "LoadState": ("s", "not-found"), "ActiveState": ("s", "inactive"), "UnitFileState": ("s", "")}

METHOD_RETURN, ERROR = 2, 3
REPLY_SERIAL, ERROR_NAME, SIGNATURE = 5, 4, 8


class Body:
    """Values in the format of D-Bus: little endian, each aligned to its size."""

    def __init__(self):
        self.bytes = bytearray()

    def align(self, size):
        self.bytes += bytes(-len(self.bytes) % size)

    def number(self, form, value):
        self.align(struct.calcsize(form))
        self.bytes += struct.pack(f"<{form}", value)

    def text(self, value, length="I"):
        self.number(length, len(value.encode()))
        self.bytes += value.encode() + b"\0"

    def array(self, values, alignment, put):
        self.number("I", 0)
        at = len(self.bytes)
        self.align(alignment)
        start = len(self.bytes)
        for value in values:
            put(value)
        struct.pack_into("<I", self.bytes, at - 4, len(self.bytes) - start)

    def value(self, kind, value):
        if kind in "but":
            self.number({"b": "I", "u": "I", "t": "Q"}[kind], value)
        elif kind == "s":
            self.text(value)
        elif kind == "as":
            self.array(value, 4, self.text)
        elif kind == "(bas)":
            self.align(8)
            self.value("b", value[0])
            self.value("as", value[1])
        else:
            raise AssertionError(f"no {kind} here")

    def variant(self, kind, value):
        self.text(kind, "B")
        self.value(kind, value)

    def property(self, item):
        name, (kind, value) = item
        self.align(8)
        self.text(name)
        self.variant(kind, value)

    def field(self, field):
        code, kind, value = field
        self.align(8)
        self.number("B", code)
        if kind == "g":
            self.text("g", "B")
            self.text(value, "B")
        else:
            self.variant(kind, value)


def message(kind, fields, body=b""):
    head = Body()
    head.bytes += bytes([ord("l"), kind, 1, 1])
    head.number("I", len(body))
    head.number("I", 1)
    head.array(fields, 8, head.field)
    head.align(8)
    return bytes(head.bytes) + body


class Manager:
    """Listens on a socket and answers with `units`. A unit can be the text of an error instead of properties.

    `until` is the step after which it stays silent: "connect", "login" (and the Hello of a bus), or None. With a `greeting`,
    it sends that and hangs up. `connections` counts connections, and `asked` has the units that were requested.
    """

    def __init__(self, units=None, path=PRIVATE, until=None, greeting=None):
        self.units, self.until, self.greeting = units or HEALTHY, until, greeting
        self.connections, self.asked = 0, []
        pathlib.Path("/run/systemd/system").mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        os.chmod(path, 0o600 if path == PRIVATE else 0o666)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as stream, contextlib.suppress(OSError):
            if self.greeting is not None:
                connection.sendall(self.greeting)
                return
            if self.until == "connect" or not self._log_in(connection, stream):
                stream.read()
                return
            while request := self._receive(stream):
                connection.sendall(self._answer(*request))

    @staticmethod
    def _log_in(connection, stream):
        stream.read(1)
        for line in stream:
            words = line.split()
            if words == [b"BEGIN"]:
                return True
            answer = {b"AUTH": b"OK " + b"0" * 32 if len(words) > 2 else b"DATA", b"DATA": b"OK " + b"0" * 32,
                      b"NEGOTIATE_UNIX_FD": b"AGREE_UNIX_FD"}.get(words[0], b"ERROR")
            connection.sendall(answer + b"\r\n")
        return False

    def _receive(self, stream):
        """The serial number and header of the next request, or None at the end."""
        start = stream.read(16)
        if len(start) < 16:
            return None
        body, serial, fields = struct.unpack("<4xIII", start)
        header = stream.read(fields + -fields % 8)
        stream.read(body)
        if self.until == "login" and b"Hello" not in header:
            stream.read()
            return None
        return serial, header

    def _answer(self, serial, header):
        body, reply = Body(), (REPLY_SERIAL, "u", serial)
        if b"Hello" in header:
            body.text(":1.7")
            return message(METHOD_RETURN, [reply, (SIGNATURE, "g", "s")], bytes(body.bytes))
        path = re.search(rb"/org/freedesktop/systemd1/unit/(\w+)", header)[1].decode()
        unit = re.sub("_([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), path)
        self.asked.append(unit)
        properties = self.units.get(unit, NOT_FOUND)
        if isinstance(properties, str):
            body.text(properties)
            return message(ERROR, [reply, (ERROR_NAME, "s", "org.freedesktop.DBus.Error.AccessDenied"),
                                   (SIGNATURE, "g", "s")], bytes(body.bytes))
        body.array(properties.items(), 8, body.property)
        return message(METHOD_RETURN, [reply, (SIGNATURE, "g", "a{sv}")], bytes(body.bytes))

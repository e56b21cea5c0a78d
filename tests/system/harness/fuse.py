# SPDX-License-Identifier: BSD-3-Clause
"""A FUSE file system with one file. Its server answers neither FLUSH nor READ until a test releases it."""

import contextlib
import ctypes
import mmap
import os
import socket
import struct
import threading

ROOT, FILE = 1, 2  # nodes
MNT_FORCE = 1
LOOKUP, GETATTR, OPEN, READ, FLUSH, INIT = 1, 3, 14, 15, 25, 26
SIZE = 4096
MSG_MORE = 0x8000
_libc = ctypes.CDLL(None, use_errno=True)


def _attributes(node):
    """struct fuse_attr (linux/fuse.h): a folder or a file of one page, root's."""
    return struct.pack("<6Q10I", node, 0 if node == ROOT else SIZE, 0, 0, 0, 0, 0, 0, 0, 0o40755 if node == ROOT else 0o100644, 1, 0, 0, 0, 4096, 0)


class Stuck:
    def __init__(self, folder):
        self._folder = str(folder)
        self.file = f"{folder}/file"
        self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0,allow_other"
        if _libc.mount(b"stuck", str(folder).encode(), b"fuse", 0, options.encode()):
            raise OSError(ctypes.get_errno(), "cannot mount FUSE")
        self.flushes, self.reads = [], []
        threading.Thread(target=self._serve, daemon=True).start()

    def _answer(self, unique, body=b"", error=0):
        os.write(self._device, struct.pack("<IiQ", 16 + len(body), -error, unique) + body)

    def _serve(self):
        with contextlib.suppress(OSError):  # it has been unmounted
            while True:
                request = os.read(self._device, 1 << 17)
                _, opcode, unique, node = struct.unpack_from("<IIQQ", request)
                if opcode == INIT:
                    self._answer(unique, struct.pack("<4I2H2I2H8I", 7, 31, 0, 0, 8, 8, 4096, 1, 0, 0, *[0] * 8))
                elif opcode == LOOKUP:
                    self._answer(unique, struct.pack("<5Q2I", FILE, 0, 3600, 3600, 0, 0, 0)[:40] + _attributes(FILE))
                elif opcode == GETATTR:
                    self._answer(unique, struct.pack("<QII", 3600, 0, 0) + _attributes(node))
                elif opcode == OPEN:
                    self._answer(unique, struct.pack("<QII", 1, 0, 0))
                elif opcode == FLUSH:
                    self.flushes.append(unique)
                elif opcode == READ:
                    self.reads.append(unique)
                else:
                    self._answer(unique)

    def release(self):
        """End the file system, so that everything that waits fails."""
        _libc.umount2(self._folder.encode(), MNT_FORCE)  # busy, or unmounted already: in either case it has ended


def keep_locked(sock, file, address="127.0.0.1"):
    """sendto() with MSG_MORE from a page of the file takes the lock of a datagram socket, and waits for the server: a process
    that looks at the socket waits too, and SIGKILL does not end that."""
    page = mmap.mmap(os.open(file, os.O_RDONLY), SIZE, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(page))
    to = struct.pack("=H", socket.AF_INET) + struct.pack(">H", 9) + socket.inet_aton(address) + bytes(8)

    def send():
        ctypes.CDLL(None).sendto(sock.fileno(), ctypes.c_void_p(start), ctypes.c_size_t(len(page)), MSG_MORE, to, 16)

    threading.Thread(target=send, daemon=True).start()

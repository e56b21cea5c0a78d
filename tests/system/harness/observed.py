# SPDX-License-Identifier: BSD-3-Clause
"""Everything that the owner of a socket can see of it: options, ioctls, forms of receiving, and some calls more.

A function returns {what: outcome}. What to compare are two of these: of a socket before and after something. An outcome is
a text: a value, or the name of an errno.
"""

import ctypes
import errno
import os
import resource
import select
import socket
import struct

from .host import family_of

LIBC = ctypes.CDLL(None, use_errno=True)
WAIT_USEC = 4000  # SO_RCVTIMEO
ERRQUEUE, CMSG_CLOEXEC, WAITFORONE, ZEROCOPY = 0x2000, 0x40000000, 0x10000, 0x4000000

LEVELS = {"SOL_SOCKET": (socket.SOL_SOCKET, 100), "IPPROTO_IP": (socket.IPPROTO_IP, 80),
          "IPPROTO_IPV6": (socket.IPPROTO_IPV6, 100), "IPPROTO_TCP": (socket.IPPROTO_TCP, 80),
          "IPPROTO_UDP": (socket.IPPROTO_UDP, 130)}

# SO_INCOMING_CPU and SO_INCOMING_NAPI_ID change with each packet, TCP_INFO, TCP_TIMESTAMP and TCP_CC_INFO with time.
VOLATILE = {"getsockopt SOL_SOCKET 49", "getsockopt SOL_SOCKET 56", "getsockopt IPPROTO_TCP 11", "getsockopt IPPROTO_TCP 24",
            "getsockopt IPPROTO_TCP 26"}

IOCTLS = {"FIONREAD": 0x541B, "SIOCOUTQ": 0x5411, "SIOCOUTQNSD": 0x894B, "SIOCATMARK": 0x8905, "SIOCGPGRP": 0x8904,
          "FIOGETOWN": 0x8903, "FIONBIO": 0x5421, "FIOASYNC": 0x5452, "SIOCGSTAMP": 0x8906, "SIOCGSTAMPNS": 0x8907,
          "FIOQSIZE": 0x5460, "FIGETBSZ": 2}

FLAGS = {"0": 0, "DONTWAIT": socket.MSG_DONTWAIT, "PEEK": socket.MSG_PEEK, "TRUNC": socket.MSG_TRUNC,
         "PEEK|TRUNC": socket.MSG_PEEK | socket.MSG_TRUNC, "WAITALL": socket.MSG_WAITALL, "OOB": socket.MSG_OOB,
         "ERRQUEUE": ERRQUEUE, "CMSG_CLOEXEC": CMSG_CLOEXEC}

SIZES = (0, 3, 100)


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class Header(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("name_length", ctypes.c_uint32), ("vector", ctypes.POINTER(Iovec)),
                ("n", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t),
                ("flags", ctypes.c_int)]


class ManyHeader(ctypes.Structure):
    _fields_ = [("header", Header), ("length", ctypes.c_uint)]


def call(function, *arguments):
    ctypes.set_errno(0)
    result = getattr(LIBC, function)(*arguments)
    return f"{result}" if result >= 0 else errno.errorcode[ctypes.get_errno()]


# ---- options

def get_option(sock, level, option):
    buffer, size = ctypes.create_string_buffer(512), ctypes.c_uint32(512)
    result = call("getsockopt", sock.fileno(), level, option, buffer, ctypes.byref(size))
    return buffer.raw[:size.value].hex() if result == "0" else result


def options(sock):
    return {f"getsockopt {name} {option}": get_option(sock, level, option)
            for name, (level, end) in LEVELS.items() for option in range(end)}


def set_options(sock):
    """Each option is set to the value that it has."""
    found = {}
    for name, (level, end) in LEVELS.items():
        for option in range(end):
            value = get_option(sock, level, option)
            if value in errno.errorcode.values():
                value = bytes(4).hex()
            data = bytes.fromhex(value)
            found[f"setsockopt {name} {option}"] = call("setsockopt", sock.fileno(), level, option, data, len(data))
    return found


# ---- ioctls

def ioctls(sock):
    found = {}
    for name, number in IOCTLS.items():
        argument = ctypes.create_string_buffer(32)
        result = call("ioctl", sock.fileno(), ctypes.c_ulong(number), argument)
        value = struct.unpack("i", argument.raw[:4])[0] if "STAMP" not in name else ""
        found[f"ioctl {name}"] = f"{result} {value}"
    return found


# ---- receiving

def receive(sock, how, size, flags):
    """One call; what it returns, where it puts it, and whether it waits, which is whether the thread sleeps.

    A call that got nothing is repeated: a thread can also sleep for another reason, but not each time.
    """
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        outcome = receive_once(sock, how, size, flags)
        if not outcome.startswith("EAGAIN") or resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw == before:
            return outcome
    return f"{outcome} waited"


def receive_once(sock, how, size, flags):
    data, name, control = (ctypes.create_string_buffer(256) for _ in range(3))
    vector = (Iovec * 2)(Iovec(ctypes.addressof(data), size // 2), Iovec(ctypes.addressof(data) + size // 2, size - size // 2))
    name_size = ctypes.c_uint32(128)
    header = Header(ctypes.addressof(name), 128, vector, 2, ctypes.addressof(control), 256, 0)
    fd = sock.fileno()
    extra = ""
    if how == "recv":
        result = call("recv", fd, data, size, flags)
    elif how == "recvfrom":
        result = call("recvfrom", fd, data, size, flags, name, ctypes.byref(name_size))
        extra = f" name:{name_size.value}" if result.isdigit() else ""
    elif how == "recvmsg":
        result = call("recvmsg", fd, ctypes.byref(header), flags)
        if result.isdigit():
            extra = f" name:{header.name_length} flags:{header.flags:x} {types(control.raw[:header.control_length])}"
    elif how == "recvmmsg":
        many = (ManyHeader * 2)(ManyHeader(header, 0))
        result = call("recvmmsg", fd, many, 1, flags, None)
        if result.isdigit():
            extra = f" length:{many[0].length} flags:{many[0].header.flags:x}"
    elif how == "read":
        result = call("read", fd, data, size)
    elif how == "readv":
        result = call("readv", fd, vector, 2)
    else:
        reader, writer = os.pipe2(os.O_NONBLOCK)
        result = call("splice", fd, None, writer, None, ctypes.c_size_t(size), 0)
        os.close(reader)
        os.close(writer)
    return " ".join(f"{result} {data.raw[:6].rstrip(bytes(1)).decode()}{extra}".split())


def types(control):
    """The kinds of control messages."""
    found, at = [], 0
    while at + 16 <= len(control):
        length, level, kind = struct.unpack("Nii", control[at:at + 16])
        found.append(f"{level}:{kind}:{length}")
        at += (length + 7) & ~7 if length else len(control)
    return ",".join(found)


def drain(sock):
    """How many datagrams or bytes are left."""
    left = []
    data = ctypes.create_string_buffer(256)
    while (result := call("recv", sock.fileno(), data, 256, socket.MSG_DONTWAIT)).isdigit() and len(left) < 9:
        left.append(result)
        if result == "0" and sock.type == socket.SOCK_STREAM:
            break
    return ",".join(left)


def ready(sock):
    poll = select.poll()
    poll.register(sock, 0xffff)
    epoll = select.epoll()
    epoll.register(sock, 0xffff)
    found = {"poll": str(poll.poll(0)[:1] and poll.poll(0)[0][1]), "epoll": str([mask for _, mask in epoll.poll(0)]),
             "select": str([len(part) for part in select.select([sock], [sock], [sock], 0)])}
    epoll.close()
    return found


def forms():
    for how in ("recv", "recvfrom", "recvmsg", "recvmmsg"):
        for size in SIZES:
            for word, flags in FLAGS.items():
                yield f"{how} of {size} bytes, {word}", how, size, flags
    for how in ("read", "readv", "splice"):
        for size in SIZES:
            yield f"{how} of {size} bytes", how, size, 0


def receives(sock, fill, states):
    """All forms, with each of these in the queue: `fill` puts it there and returns when it has arrived."""
    found = {}
    for state in states:
        for what, how, size, flags in forms():
            drain(sock)
            fill(state)
            found[f"{what}; {state}"] = receive(sock, how, size, flags)
            found[f"{what}; {state}, what is left"] = drain(sock)
        fill(state)
        found.update({f"{what}; {state}": outcome for what, outcome in {**ioctls(sock), **ready(sock)}.items()})
        drain(sock)
    return found


# ---- other calls

def names(sock):
    return {"getsockname": str(sock.getsockname()), "F_GETFL": call("fcntl", sock.fileno(), 3, 0),
            "fstat": oct(os.fstat(sock.fileno()).st_mode), "F_SETFL": call("fcntl", sock.fileno(), 4, 0)}


def refusals(sock):
    """Calls that a bound socket, or a listener, refuses or takes for nothing."""
    fd = sock.fileno()
    address = sock.getsockname()
    found = {}
    for what, function in {
        "bind": lambda: sock.bind(address), "listen": lambda: sock.listen(7), "accept": sock.accept,
        "getpeername": sock.getpeername, "send": lambda: sock.send(b"x", socket.MSG_NOSIGNAL),
        "sendmsg": lambda: sock.sendmsg([b"x"], [], socket.MSG_NOSIGNAL),
        "sendmsg ZEROCOPY": lambda: sock.sendmsg([b"x"], [], socket.MSG_NOSIGNAL | ZEROCOPY),
        "write": lambda: os.write(fd, b"x"), "lseek": lambda: os.lseek(fd, 0, 0),
        "pread": lambda: os.pread(fd, 1, 0), "fsync": lambda: os.fsync(fd), "mmap": lambda: os.sendfile(fd, fd, 0, 1),
        "setsockopt SO_ATTACH_FILTER": lambda: attach(sock, 26), "setsockopt SO_DETACH_FILTER": lambda: detach(sock),
        "setsockopt TCP_ULP": lambda: sock.setsockopt(socket.IPPROTO_TCP, 31, b"tls"),
        **({"setsockopt IPV6_ADDRFORM": lambda: sock.setsockopt(socket.IPPROTO_IPV6, 1, socket.AF_INET)}
           if sock.family == socket.AF_INET6 else {}),
    }.items():
        try:
            function()
            found[what] = "0"
        except OSError as error:
            found[what] = errno.errorcode[error.errno]
    return found


def attach(sock, option, value=0xffff):
    """A classic BPF program that returns the value."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, value), 8)
    sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("HxxxxxxQ", 1, ctypes.addressof(program)))


def detach(sock):
    sock.setsockopt(socket.SOL_SOCKET, 27, 0)


def ask_for_everything(sock):
    """All control messages that a datagram can come with."""
    asked = [(socket.SOL_SOCKET, option) for option in (29, 35, 40)]
    asked += [(socket.IPPROTO_IP, option) for option in (6, 7, 8, 11, 12, 13, 18, 20, 23, 25)]
    if sock.family == socket.AF_INET6:
        asked += [(socket.IPPROTO_IPV6, option) for option in (25, 49, 51, 53, 56, 60, 66, 74)]
    for level, option in asked:
        call("setsockopt", sock.fileno(), level, option, struct.pack("i", 1), 4)


def limit_waiting(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, WAIT_USEC))


def client_of(sock):
    return socket.socket(family_of(sock.getsockname()[0]), sock.type)

# SPDX-License-Identifier: BSD-3-Clause
"""What befalls a socket of a service, from the point of view of its owner: more than one call each.

A scene takes a socket that nobody else uses, and returns {what: outcome}, as the functions of observed.py do.
"""

import ctypes
import errno
import os
import select
import signal
import socket
import struct
import threading

from . import observed
from .host import family_of
from .process import PATIENCE, libc, wait_until

SO_REUSEPORT_CBPF, SO_PEEK_OFF, SO_TIMESTAMPING, SO_RXQ_OVFL = 51, 42, 37, 40
UDP_SEGMENT, UDP_GRO, IP_RECVERR, IPV6_RECVERR = 103, 104, 11, 25
BPF_MAP_CREATE, BPF_MAP_UPDATE, SOCKARRAY = 0, 2, 20


def outcome(function):
    try:
        return repr(function())
    except OSError as error:
        return errno.errorcode.get(error.errno, type(error).__name__)


def arrived(sock):
    assert select.select([sock], [], [], PATIENCE)[0]


def messages(sock, flags=0):
    """One recvmsg: the data, the flags, and the control messages by kind and size; times are left out."""
    data, controls, flags, name = sock.recvmsg(4096, 1024, flags)
    return data[:8], len(data), bool(name), hex(flags), sorted((level, kind, len(value)) for level, kind, value in controls)


# ---- other maps

def bpf(command, *words):
    number = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
    attributes = ctypes.create_string_buffer(b"".join(words), 128)
    return libc("syscall", number, command, attributes, 128)


def put_into(sock, kind):
    """Put the socket into a map of its owner's own."""
    fd = bpf(BPF_MAP_CREATE, struct.pack("5I", kind, 4, 8, 1, 0))
    try:
        key, value = ctypes.create_string_buffer(4), ctypes.create_string_buffer(struct.pack("Q", sock.fileno()), 8)
        return bpf(BPF_MAP_UPDATE, struct.pack("IIQQQ", fd, 0, ctypes.addressof(key), ctypes.addressof(value), 0))
    finally:
        os.close(fd)


def own_maps(sock):
    return {"into a REUSEPORT_SOCKARRAY of the owner": outcome(lambda: put_into(sock, SOCKARRAY))}


def group_program(sock):
    return {"setsockopt SO_ATTACH_REUSEPORT_CBPF": outcome(lambda: observed.attach(sock, SO_REUSEPORT_CBPF, 0))}


# ---- signals and waiting

def woken(sock, fill, receive):
    """Several threads wait in the socket; as many as come, wake up, and each gets one."""
    sock.settimeout(None)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 0))
    got = []
    threads = [threading.Thread(target=lambda: got.append(outcome(receive)), daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: all(is_asleep(thread.native_id) for thread in threads))
    for number in range(3):
        fill()
        wait_until(lambda: len(got) == number + 1)
    return {"three threads wait, three come": str(got)}


def is_asleep(number):
    with open(f"/proc/self/task/{number}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0] == "S"


def signalled(sock, fill, receive):
    """O_ASYNC: a signal when something arrives."""
    came = []
    before = signal.signal(signal.SIGUSR2, lambda *_: came.append(1))
    try:
        libc("fcntl", sock.fileno(), 8, os.getpid())  # F_SETOWN
        libc("fcntl", sock.fileno(), 10, signal.SIGUSR2)  # F_SETSIG
        libc("fcntl", sock.fileno(), 4, os.O_ASYNC | os.O_NONBLOCK)  # F_SETFL
        fill()
        wait_until(lambda: came)
        receive()
    finally:
        libc("fcntl", sock.fileno(), 4, 0)
        signal.signal(signal.SIGUSR2, before)
    return {"O_ASYNC: a signal": "came"}


def edges(sock, fill, receive):
    """epoll, edge-triggered: what it reports, each time after one more has come, and after it was taken."""
    found = []
    with select.epoll() as epoll:
        epoll.register(sock, select.EPOLLIN | select.EPOLLET)
        for _ in range(2):
            fill()
            found.append(epoll.poll(PATIENCE)[0][1])
            found.append(len(epoll.poll(0)))
        for _ in range(2):
            receive()
            found.append(len(epoll.poll(0)))
    return {"epoll, edge-triggered": str(found)}


# ---- UDP

def segmented(sock, client):
    """Segments that arrive together are received together, with UDP_GRO, or one by one."""
    found = {}
    for on in (1, 0):
        sock.setsockopt(socket.IPPROTO_UDP, UDP_GRO, on)
        client.sendmsg([b"x" * 3000], [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", 1000))], 0, sock.getsockname())
        arrived(sock)
        found[f"UDP_GRO {on}: received"] = outcome(lambda: messages(sock))
        found[f"UDP_GRO {on}: what is left"] = observed.drain(sock)
    return found


def peeked_at(sock, client):
    sock.setsockopt(socket.SOL_SOCKET, SO_PEEK_OFF, 2)
    client.sendto(b"hello", sock.getsockname())
    arrived(sock)
    found = [outcome(lambda: sock.recv(2, socket.MSG_PEEK | socket.MSG_DONTWAIT)) for _ in range(3)]
    sock.setsockopt(socket.SOL_SOCKET, SO_PEEK_OFF, -1)
    return {"SO_PEEK_OFF: three looks": str(found), "SO_PEEK_OFF: what is left": observed.drain(sock)}


def several_at_once(sock, client):
    for text in (b"a", b"", b"ccc"):
        client.sendto(text, sock.getsockname())
    data = [ctypes.create_string_buffer(8) for _ in range(5)]
    vectors = [observed.Iovec(ctypes.addressof(one), 8) for one in data]
    many = (observed.ManyHeader * 5)(*(observed.ManyHeader(observed.Header(None, 0, ctypes.pointer(one), 1, None, 0, 0), 0)
                                       for one in vectors))
    result = observed.call("recvmmsg", sock.fileno(), many, 5, observed.WAITFORONE, None)
    return {"recvmmsg of five, three wait": f"{result} {[(one.length, text.value) for one, text in zip(many, data)]}"}


def errors(sock, client):
    """ICMP errors about what the socket sent, and times of sending, are in the error queue."""
    v6 = sock.family == socket.AF_INET6
    sock.setsockopt(socket.IPPROTO_IPV6 if v6 else socket.IPPROTO_IP, IPV6_RECVERR if v6 else IP_RECVERR, 1)
    with socket.socket(sock.family, socket.SOCK_DGRAM) as gone:
        gone.bind((sock.getsockname()[0], 0))
        nobody = gone.getsockname()
    sock.sendto(b"anybody?", nobody)
    wait_until(lambda: select.select([], [], [sock], 0) and observed.ready(sock)["poll"] not in ("4", "260", "772"))
    found = {f"after an ICMP error: {what}": value for what, value in observed.ready(sock).items()}
    found["after an ICMP error: the error queue"] = outcome(lambda: messages(sock, observed.ERRQUEUE))
    found["after an ICMP error: receive"] = outcome(lambda: sock.recv(10, socket.MSG_DONTWAIT))
    sock.sendto(b"anybody?", nobody)
    found["after an ICMP error: SO_ERROR"] = str(wait_until(lambda: sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)))
    wait_until(lambda: outcome(lambda: sock.recvmsg(10, 512, observed.ERRQUEUE)) != "EAGAIN")
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, 0x2 | 0x8 | 0x10)
    sock.sendto(b"when?", client.getsockname())
    arrived(client)
    wait_until(lambda: observed.ready(sock)["poll"] not in ("4", "260", "772"))
    found["the time of sending"] = outcome(lambda: messages(sock, observed.ERRQUEUE))
    found["the time of receiving"] = str(wait_until(lambda: timed(sock, client)))
    return found


def timed(sock, client):
    """The control messages of a datagram. The kernel switches the clock of what it receives on a little later."""
    client.sendto(b"now", sock.getsockname())
    arrived(sock)
    return messages(sock)[-1]


def overflown(sock, client):
    """The number of datagrams for which there was no room comes with the next one."""
    sock.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    for _ in range(40):
        client.sendto(b"x" * 200, sock.getsockname())
    arrived(sock)
    count = len(observed.drain(sock).split(","))
    client.sendto(b"y", sock.getsockname())
    arrived(sock)
    value = [data for _, kind, data in sock.recvmsg(10, 512)[1] if kind == SO_RXQ_OVFL]
    return {"SO_RCVBUF: waiting": str(count), "SO_RXQ_OVFL": str(value)}


def connected(sock, client):
    """connect(), to one client, and back."""
    found = {"connect": outcome(lambda: sock.connect(client.getsockname()))}
    client.sendto(b"mine", sock.getsockname())
    with observed.client_of(sock) as stranger:
        found["connected: a stranger"] = outcome(lambda: (stranger.connect(sock.getsockname()), stranger.send(b"x"))[1])
    found["connected: received"] = outcome(lambda: messages(sock))
    found["connected: what is left"] = observed.drain(sock)
    found["connected: sent"] = outcome(lambda: sock.send(b"answer"))
    client.recv(10)
    nowhere = ctypes.create_string_buffer(28)  # AF_UNSPEC
    found["disconnect"] = observed.call("connect", sock.fileno(), nowhere, 28)
    found["disconnected: name"] = outcome(lambda: sock.getsockname()[1])
    client.sendto(b"again", sock.getsockname())
    found["disconnected: received"] = outcome(lambda: messages(sock))
    return found


def shut(sock, client):
    found = {"shutdown": outcome(lambda: sock.shutdown(socket.SHUT_RD)),
             "shutdown: receive": outcome(lambda: sock.recv(10, socket.MSG_DONTWAIT))}
    return found


def datagrams(sock, client):
    """All scenes of a UDP socket. `client` is another, unconnected one of the same family."""
    client.bind((sock.getsockname()[0], 0))
    fill = lambda: (client.sendto(b"hello", sock.getsockname()), arrived(sock))
    fill_only = lambda: client.sendto(b"hello", sock.getsockname())
    receive = lambda: sock.recv(100)
    found = own_maps(sock)
    for scene in (segmented, peeked_at, several_at_once, errors):
        found.update(scene(sock, client))
        observed.drain(sock)
    for scene in (signalled, edges):
        found.update(scene(sock, fill, receive))
    found.update(woken(sock, fill_only, receive))
    for scene in (connected, overflown, shut):
        found.update(scene(sock, client))
    found.update(group_program(sock))
    return found


# ---- TCP listeners

def listening(sock):
    """All scenes of a listener."""
    clients = []

    def come():
        clients.append(socket.socket(family_of(sock.getsockname()[0]), socket.SOCK_STREAM))
        clients[-1].connect(sock.getsockname())

    def take():
        accepted, peer = sock.accept()
        with accepted:
            return bool(peer), accepted.getsockname()[1], accepted.getblocking()

    fill = lambda: (come(), arrived(sock))
    found = {}
    for scene in (signalled, edges):
        found.update(scene(sock, fill, take))
    found.update(woken(sock, come, take))
    with observed.client_of(sock) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found["another bind"] = outcome(lambda: other.bind(sock.getsockname()))
    found["a longer backlog"] = outcome(lambda: sock.listen(77))
    found["fast open"] = outcome(lambda: sock.setsockopt(socket.IPPROTO_TCP, 23, 5))
    found["defer accept"] = outcome(lambda: sock.setsockopt(socket.IPPROTO_TCP, 9, 0))
    found["connect"] = outcome(lambda: sock.connect(sock.getsockname()))
    found["shutdown"] = outcome(lambda: sock.shutdown(socket.SHUT_RD))
    found["shutdown: accept"] = outcome(take)
    found.update({f"shutdown: {what}": value for what, value in observed.ready(sock).items()})
    found["listen again"] = outcome(lambda: sock.listen(7))
    fill()
    found["listen again: accept"] = outcome(take)
    found.update(group_program(sock))
    found.update(own_maps(sock))
    for client in clients:
        client.close()
    return found


# ---- connections

def conversation(accepted, client):
    """All scenes of an accepted connection."""
    found = {}
    reader, writer = os.pipe2(os.O_NONBLOCK)
    client.sendall(b"spliced")
    arrived(accepted)
    found["splice"] = observed.call("splice", accepted.fileno(), None, writer, None, ctypes.c_size_t(100), 0)
    found["spliced"] = outcome(lambda: os.read(reader, 100))
    os.write(writer, b"back")
    found["splice back"] = observed.call("splice", reader, None, accepted.fileno(), None, ctypes.c_size_t(4), 0)
    found["spliced back"] = outcome(lambda: client.recv(100))
    os.close(reader)
    os.close(writer)
    with open(__file__, "rb") as file:
        found["sendfile"] = outcome(lambda: os.sendfile(accepted.fileno(), file.fileno(), 0, 10))
    found["sent file"] = outcome(lambda: client.recv(100))
    client.sendall(b"hello")
    arrived(accepted)
    client.send(b"!", socket.MSG_OOB)
    wait_until(lambda: select.select([], [], [accepted], 0)[2])
    found["urgent: ready"] = str(observed.ready(accepted))
    found["urgent"] = outcome(lambda: accepted.recv(10, socket.MSG_OOB))
    found["before the urgent"] = outcome(lambda: accepted.recv(10))
    found["half closed"] = outcome(lambda: accepted.shutdown(socket.SHUT_WR))
    found["half closed: client"] = outcome(lambda: client.recv(100))
    observed.drain(accepted)
    client.sendall(b"late")
    arrived(accepted)
    found["half closed: received"] = outcome(lambda: accepted.recv(100))
    client.close()
    arrived(accepted)
    found["closed: received"] = outcome(lambda: accepted.recv(100))
    return found

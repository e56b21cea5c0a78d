# SPDX-License-Identifier: BSD-3-Clause
"""Services that say who they are and which client they see"""

import errno
import os
import selectors
import socket
import struct
import threading

from .host import family_of
from .process import Child

IPPROTO_MPTCP = 262
IP_PKTINFO, IP_RECVORIGDSTADDR, IPV6_RECVORIGDSTADDR = 8, 20, 74


def make_socket(protocol, address, port, *, v6only=True, reuseport=False, listen=True, backlog=1024):
    """A bound socket. A TCP socket listens, unless `listen` is false."""
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    family = family_of(address)
    sock = socket.socket(family, kind | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1 if protocol == "tcp" else 0)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6only))
        if reuseport:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((address, port))
        if protocol == "tcp" and listen:
            sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def make_mptcp(address, port):
    """An MPTCP listener, as Go creates them. Raises OSError if the kernel has no MPTCP."""
    sock = socket.socket(family_of(address), socket.SOCK_STREAM, IPPROTO_MPTCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen()
    except BaseException:
        sock.close()
        raise
    return sock


def _spell(address):
    host, port = address[0].removeprefix("::ffff:"), address[1]
    return f"{host} {port}"


class Service:
    """A thread that serves one socket.

    TCP: on each connection it sends "name peer-address peer-port local-address local-port\\n", then echoes what it
    receives. UDP: it answers each datagram with the same line and the datagram, from the address that the client sent to.
    """

    def __init__(self, name, protocol="tcp", address="127.0.0.2", port=8080, sock=None, **options):
        self.name, self.protocol = name, protocol
        self.socket = sock or make_socket(protocol, address, port, **options)
        self.socket.setblocking(False)
        self.answered, self._graceful = 0, False
        self._stop_read, self._stop_write = os.pipe2(os.O_CLOEXEC)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stop_read, selectors.EVENT_READ, None)
        if protocol == "udp":
            self._ask_for_destination()
        self._selector.register(self.socket, selectors.EVENT_READ,
                                self._accept if protocol == "tcp" else self._answer)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def fileno(self):
        return self.socket.fileno()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        """Stop serving and close the socket. When this returns, the kernel has no reference of this process left."""
        self.stop()
        self.socket.close()

    def stop(self):
        """Stop serving; the socket stays as it is."""
        if self._stop_write >= 0:
            os.close(self._stop_write)
            self._stop_write = -1
            self._thread.join()
            os.close(self._stop_read)

    def quit(self):
        """Stop accepting, wait until the accepted clients have closed, and stop."""
        self._graceful = True
        self.stop()

    def _serve(self):
        stopping = False
        while not stopping or self._graceful and len(self._selector.get_map()):
            for key, _ in self._selector.select():
                if key.data is None:
                    stopping = True
                    self._selector.unregister(self._stop_read)
                    if self.socket in self._selector.get_map():
                        self._selector.unregister(self.socket)
                    break
                key.data(key.fileobj)
        self._selector.close()

    def _accept(self, sock):
        try:
            connection, peer = sock.accept()
        except OSError:  # the client is gone, or the test shut the socket down: there is nothing to wait for
            if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                self._selector.unregister(sock)
            return
        connection.setblocking(False)
        try:
            connection.send(f"{self.name} {_spell(peer)} {_spell(connection.getsockname())}\n".encode())
        except OSError:
            connection.close()
            return
        self.answered += 1
        self._selector.register(connection, selectors.EVENT_READ, self._echo)

    def _echo(self, connection):
        try:
            data = connection.recv(65536)
            if data:
                connection.send(data)
                return
        except OSError:
            pass
        self._selector.unregister(connection)
        connection.close()

    def _ask_for_destination(self):
        self.socket.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        self.socket.setsockopt(socket.IPPROTO_IP, IP_RECVORIGDSTADDR, 1)
        if self.socket.family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            self.socket.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, 1)

    def _answer(self, sock):
        try:
            data, controls, _, peer = sock.recvmsg(65536, 512)
        except OSError:
            return
        local, source = ("?", 0), []
        for level, kind, value in controls:
            if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
                source = [(level, kind, struct.pack("=I4s4s", 0, value[8:12], bytes(4)))]
            elif level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
                source = [(level, kind, value[:16] + bytes(4))]
            elif level == socket.IPPROTO_IP and kind == IP_RECVORIGDSTADDR:
                local = socket.inet_ntoa(value[4:8]), struct.unpack(">H", value[2:4])[0]
            elif level == socket.IPPROTO_IPV6 and kind == IPV6_RECVORIGDSTADDR:
                local = socket.inet_ntop(socket.AF_INET6, value[8:24]), struct.unpack(">H", value[2:4])[0]
        line = f"{self.name} {_spell(peer)} {_spell(local)}\n".encode()
        try:
            sock.sendmsg([line + data], source, 0, peer)
            self.answered += 1
        except OSError as error:
            if error.errno not in (errno.ECONNREFUSED, errno.EAGAIN):
                raise


class ServiceProcess:
    """The same service in a process of its own, so that it can be killed.

    The process calls `before` with the socket before it serves, to hand it in for instance. The result is
    `before_result`. If the caller gives a `sock`, it is closed in the test: the process has it.
    """

    def __init__(self, name, *arguments, before=None, uid=None, gid=None, **options):
        def serve(tell):
            service = Service(name, *arguments, **options)
            tell(before(service.socket) if before else None)
            while order.recv(1):
                tell(service.answered)
            service.quit()

        self._order, order = socket.socketpair()
        keep = [order.fileno()] + ([options["sock"].fileno()] if "sock" in options else [])
        self.child = Child(serve, keep=keep, uid=uid, gid=gid)
        self.child.service = self  # it serves until the end of the test, even without a reference
        order.close()
        if "sock" in options:
            options["sock"].close()
        self.pid = self.child.pid
        self.before_result = self.child.hear()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.kill()

    def answered(self):
        """How many clients it has answered."""
        self._order.send(b"?")
        return self.child.hear()

    def quit(self):
        """End as a well-behaved service does: answer the accepted clients, and leave the others in the queue."""
        self._order.close()
        self.child.result()

    def kill(self):
        """End at once, answered or not."""
        self.child.kill()

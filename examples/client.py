#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A TCP echo server that hands its socket in to usher; needs only Python (3.9 or newer).

usage: client.py NAME [ADDRESS [PORT]]

It listens on a private address, by default 127.0.0.2 port 8080. The rule of NAME says which public addresses lead to it.
Without usher it serves only the private address. Copy hand_in() into your program.
"""

import os
import socket
import socketserver
import sys


def hand_in(name, *sockets, timeout=5):
    """Hand sockets in to usher. Return False if no usher runs here; raise OSError with its reason if it refuses."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as broker:
        broker.settimeout(timeout)
        try:
            broker.connect(os.environ.get("USHER_SOCKET") or "/run/usher/usher.sock")
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        request = f"REQUEST=hand-in\nVERSION=1\nNAME={name}\n"
        socket.send_fds(broker, [request.encode()], [s.fileno() for s in sockets])
        answer = dict(line.split("=", 1) for line in broker.recv(4096).decode().splitlines())
    if "OK" not in answer:
        raise OSError(int(answer.get("ERRNO", 0)), answer.get("REASON", "usher closed the connection"))
    return True


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        # client_address is the client's own address, getsockname() the address that it connected to.
        while data := self.request.recv(4096):
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = socket.SOMAXCONN


def main(name, address="127.0.0.2", port="8080"):
    if ":" in address:
        Server.address_family = socket.AF_INET6
    with Server((address, int(port)), Echo) as server:  # listens
        try:
            if hand_in(name, server.socket):
                print(f"handed in as '{name}'", file=sys.stderr)
            else:
                print(f"no usher here, serving {address} port {port} only", file=sys.stderr)
        except OSError as error:
            print(f"cannot hand in '{name}': {error.strerror or error}", file=sys.stderr)
        server.serve_forever()


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 4:
        sys.exit("usage: client.py NAME [ADDRESS [PORT]]")
    main(*sys.argv[1:])

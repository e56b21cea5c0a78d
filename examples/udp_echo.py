#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A UDP echo server that hands its socket in to usher and answers from the address that the client sent to.

usage: udp_echo.py NAME [ADDRESS [PORT]]

The socket is bound to a private address. The kernel would answer from there, and the client would not recognise
the sender. IP_PKTINFO of a datagram has its real destination; IP_PKTINFO of the answer sets its source address.
The source port is always the one that the socket is bound to: bind it to the port of the rule.
"""

import socket
import struct
import sys

from client import hand_in

IP_PKTINFO = 8  # linux/in.h; struct in_pktinfo: interface, source of an answer, destination
IPV6_FREEBIND = 78  # linux/in6.h; allows answers from addresses that are routed here but on no interface


def open_socket(address, port):
    if ":" in address:
        udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        udp.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    else:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    udp.bind((address, port))
    return udp


def source_of_answer(ancillary):
    """Ancillary data that makes the answer leave from the address that the datagram was sent to."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO):
            _, _, destination = struct.unpack("@I4s4s", data)
            return [(level, kind, struct.pack("@I4s4s", 0, destination, bytes(4)))]
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            destination, _ = struct.unpack("@16sI", data)
            return [(level, kind, struct.pack("@16sI", destination, 0))]
    return []


def main(name, address="127.0.0.2", port="8080"):
    with open_socket(address, int(port)) as udp:
        try:
            if hand_in(name, udp):
                print(f"handed in as '{name}'", file=sys.stderr)
            else:
                print(f"no usher here, serving {address} port {port} only", file=sys.stderr)
        except OSError as error:
            print(f"cannot hand in '{name}': {error.strerror or error}", file=sys.stderr)
        while True:
            data, ancillary, _, client = udp.recvmsg(65535, socket.CMSG_SPACE(64))
            try:
                udp.sendmsg([data], source_of_answer(ancillary), 0, client)
            except OSError as error:  # concerns only this client: no route back, a firewall
                print(f"cannot answer {client[0]}: {error.strerror}", file=sys.stderr)


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 4:
        sys.exit("usage: udp_echo.py NAME [ADDRESS [PORT]]")
    main(*sys.argv[1:])

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""echo.py: a UDP echo service on the first socket of LISTEN_FDS (IPv4).

The kernel delivers a datagram for 192.0.2.1 to a socket that is bound to 127.0.0.4. A plain reply would leave with
127.0.0.4 as its source, and a client that has connected its socket would never see it. So the reply names the address
that the client used (IP_PKTINFO). Only the address can be chosen: the port is the one the socket is bound to, which
for this reason is the port of the rule.
"""
import os
import socket
import sys

IP_PKTINFO = 8  # linux/in.h; in the socket module since Python 3.14

if os.environ.get("LISTEN_PID") != str(os.getpid()):
    sys.exit(f"{__doc__}\nNo socket was passed.")
sock = socket.socket(fileno=3)
sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
while True:
    data, control, _, client = sock.recvmsg(65535, socket.CMSG_SPACE(12))
    reply = [(level, kind, bytes(4) + info[4:8] + bytes(4))  # struct in_pktinfo: ifindex, spec_dst, addr
             for level, kind, info in control if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO)]
    sock.sendmsg([data], reply, 0, client)

# SPDX-License-Identifier: BSD-3-Clause
"""Broken set-ups of services and their sockets: does usherctl name the cause?

set-up                              command            cause that is named
----------------------------------  -----------------  ------------------------------------------------------------
service has not started             explain, doctor    no socket is handed in as the name
service has died                    explain, doctor    the same
socket of IPv6, client of IPv4      explain, doctor    the sockets are of IPv6 alone
[::] that is v6only, IPv4 client    explain            they are v6only
socket of IPv4, client of IPv6      explain            the sockets are of IPv4 alone
UDP socket, TCP rule matches        explain, doctor    the sockets are of UDP
socket shut down after hand-in      explain, doctor    it does not listen any more
held socket, process has died       explain, doctor    held, the process has ended, nobody accepts
the same, and its backlog is full   explain, doctor    the queue is full as well
living service that hangs           explain, doctor    the accept queue is full
MPTCP listener                      hand-in, explain,  MPTCP listeners cannot be handed in
                                    doctor
bound where Bound= forbids          explain, doctor    the refused hand-in, with Bound=
user that [Access] does not list    explain, doctor    the refused hand-in, with the user
socket that does not listen         explain, doctor    the refused hand-in: it does not listen
handed in under a misspelt name     explain, doctor    the refused hand-in: no rule of that name
UDP socket handed in, TCP rule      explain, doctor    the refused hand-in: the rule has no match for UDP
UDP socket of another port          explain, doctor    replies leave from the wrong port
UDP socket on loopback              explain, doctor    replies leave from the wrong address
service on 0.0.0.0, no hand-in      explain, doctor    it would get the packet without the rule
[::] that is v6only, no rule        explain            it takes no IPv4

Each is built for real, a client tries it, and usherctl is run as an administrator runs it. `pytest -rP` has the screens.
"""

import socket

import pytest

from harness import wire
from harness.broken import PlainEcho, connect, doctor, explain, serving, show
from harness.broker import USHERCTL
from harness.host import rule, run
from harness.process import wait_until
from harness.service import Service, ServiceProcess, make_socket
from harness.traffic import REFUSED, SILENCE
from harness.wire import Refused

WEB, WEB6 = "tcp 192.0.2.1:80", "tcp [2001:db8::1]:80"
NOBODY = 65534
IPPROTO_MPTCP = 262
NO_SOCKET = r"no socket is handed in as 'web' \(TCP over IPv4\)"


def test_nothing_is_broken(broker):
    """What the others are compared with: a set-up in which all is well, and nothing is said against it."""
    broker(web="Stream=192.0.2.0/24:80")
    with serving("web"):
        done = explain(WEB, "web", r"goes to 'web': socket sk:\w+ at 127\.0\.0\.2:8080 of \S+ \(pid \d+\)")
        assert "What is wrong" not in done.stdout and "Good to know" not in done.stdout
        done = show("doctor")
        assert done.returncode == 0 and "no other sk_lookup program" in done.stdout
        assert not [line for line in done.stdout.splitlines() if line.startswith(("warn ", "fail "))], done.stdout


# ---- the name has no socket, or none that fits

def test_not_started(broker):
    broker(web="Stream=192.0.2.0/24:80")
    explain(WEB, REFUSED, NO_SOCKET, "start the service", r"journalctl USHER_NAME=web")
    doctor("warn", "no socket is handed in as 'web'", "start the service")


def test_died(broker):
    running = broker(web="Stream=192.0.2.0/24:80")
    ServiceProcess("web", before=lambda sock: wire.hand_in("web", sock)).kill()
    wait_until(lambda: not running.sockets())
    explain(WEB, REFUSED, NO_SOCKET, "start the service")
    doctor("warn", "no socket is handed in as 'web'", "start the service")


@pytest.mark.parametrize("address, access", [("::1", []), ("::", ["Bound=any"])])
def test_ipv6_alone(broker, address, access):
    broker(web=rule("Stream=80", access=access))
    with serving("web", address=address, v6only=True):
        explain(WEB, REFUSED, NO_SOCKET, "'web' has TCP sockets of IPv6 alone, and they are v6only",
                "hand an IPv4 socket in as well, or one that is bound to .* without IPV6_V6ONLY")
        doctor("warn", "'web' has sockets, and none for tcp over ipv4", "hand one in")


def test_ipv4_alone(broker):
    broker(web="Stream=80")
    with serving("web"):
        explain(WEB6, REFUSED, r"no socket is handed in as 'web' \(TCP over IPv6\)",
                "'web' has TCP sockets of IPv4 alone, which cannot take IPv6", "listen on IPv6 and hand that socket in")


def test_udp_alone(broker):
    broker(dns=["Stream=53", "Datagram=53"])
    with serving("dns", "udp", port=53):
        explain("tcp 192.0.2.1:53", REFUSED, "'dns' has sockets of UDP, which are of no use for TCP",
                "hand a TCP socket in as well")
        doctor("warn", "'dns' has sockets, and none for tcp over ipv4", "hand one in")


def test_shut_down(broker):
    broker(web="Stream=80")
    with serving("web") as service:
        service.socket.shutdown(socket.SHUT_RDWR)
        explain(WEB, REFUSED, r"socket sk:\w+ at 127\.0\.0\.2:8080 does not listen any more \(ESOCKTNOSUPPORT\)",
                "shut down", "restart the service", "usherctl withdraw web")
        doctor("fail", "socket 127.0.0.2:8080 of 'web' does not listen any more", "restart the service")


# ---- nobody accepts

def test_dead_holder(broker):
    """A held socket outlives its service: connections are taken, and nobody ever answers."""
    broker(web="Stream=80")
    service = ServiceProcess("web", before=lambda sock: wire.request("hold", [sock], NAME="web"), backlog=1)
    service.kill()
    with connect(WEB):
        explain(WEB, SILENCE, r"sk:\w+ is held and its process has ended: nobody accepts",
                "1 of 1 connections wait to be accepted", "usherctl claim web -- COMMAND", status=0)
        explain(WEB, SILENCE, "the queue of socket .* is full", "nobody accepts", "further ones get no answer",
                "usherctl claim web -- COMMAND")
        doctor("fail", "connections wait in a socket held for 'web', which no service has open: 2 of 1", "usherctl claim web")


def test_queue_full(broker):
    """A service that lives, and accepts no more."""
    broker(web="Stream=80")
    with make_socket("tcp", "127.0.0.2", 8080, backlog=0) as hanging:
        wire.hand_in("web", hanging)
        with connect(WEB):
            explain(WEB, SILENCE, "the queue of socket .* is full", "1 of 0 connections wait to be accepted",
                    r"see why \S+ \(pid \d+\) does not accept", "backlog", "net.core.somaxconn")
            doctor("warn", "socket 127.0.0.2:8080 of 'web' is full, .* dropped: 1 wait, and its backlog is 0",
                   "see why the service .* does not accept")


# ---- sockets that are not taken

def test_mptcp(broker):
    """Go's listeners, for one."""
    broker(web="Stream=192.0.2.0/24:80")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP) as listener:
        listener.bind(("127.0.0.2", 80))
        listener.listen()
        done = run(USHERCTL, "hand-in", "web", "--fd", listener.fileno(), check=False, pass_fds=[listener.fileno()])
        assert done.returncode not in (0, 2)
        print(done.stderr)
        assert all(word in done.stderr for word in ("MPTCP", "EOPNOTSUPP", "multipathtcp=0"))
        explain(WEB, REFUSED, NO_SOCKET, r"MPTCP listeners cannot be handed in: \S+ \(pid \d+\) at 127\.0\.0\.2:80",
                "plain TCP", "GODEBUG=multipathtcp=0")
        doctor("warn", "listens on 127.0.0.2:80 with MPTCP", "GODEBUG=multipathtcp=0")


def hand_in_as(uid, name, sock):
    with pytest.raises(Refused):
        wire.request_as(uid, uid, "hand-in", [sock], NAME=name) if uid else wire.hand_in(name, sock)


@pytest.mark.parametrize("protocol, address, options, uid, name, cause", [
    ("tcp", "192.0.2.1", {}, 0, "web", r"192\.0\.2\.1.*Bound="),
    ("tcp", "127.0.0.2", {}, NOBODY, "web", r"nobody|65534"),
    ("tcp", "127.0.0.2", {"listen": False}, 0, "web", "does not listen"),
    ("tcp", "127.0.0.2", {}, 0, "wbe", "no rule 'wbe'"),
    ("udp", "127.0.0.2", {}, 0, "web", "UDP"),
], ids=["bound", "user", "not listening", "name", "protocol"])
def test_refused_hand_in(broker, protocol, address, options, uid, name, cause):
    """The service did what it could, and the broker did not want its socket. The service has been told why; so is whoever
    asks later."""
    broker(web=rule("Stream=192.0.2.0/24:80", access=["User=daemon"]))
    with make_socket(protocol, address, 8080, **options) as sock:
        hand_in_as(uid, name, sock)
        explain(WEB, REFUSED, NO_SOCKET, f"hand-in.* refused.*{cause}", "start the service")
        doctor("warn", f"hand-in.* refused.*{cause}", "restart the service")


# ---- replies of UDP

def test_udp_port(broker):
    broker(dns="Datagram=192.0.2.0/24:53")
    with serving("dns", "udp", port=5353):
        explain("udp 192.0.2.1:53", SILENCE, "replies leave from the wrong port: 5353, .* not 53",
                "bind the service to port 53", status=0)
        doctor("warn", r"udp 192\.0\.2\.0/24:53 on a socket of port 5353: its replies leave from port 5353",
               "bind the service to the port of the rule")


def test_udp_loopback(broker):
    broker(dns="Datagram=192.0.2.0/24:53")
    PlainEcho("dns", "127.0.0.2", 53)
    explain("udp 192.0.2.1:53", SILENCE, r"replies leave from the wrong address, 127\.0\.0\.2 and not 192\.0\.2\.1",
            "IP_PKTINFO", status=0)
    doctor("warn", r"udp 192\.0\.2\.0/24:53 on a socket bound to 127\.0\.0\.2:53: its replies leave from there",
           "IP_PKTINFO")


# ---- services that hand nothing in

def test_bypassed(broker):
    """It listens at the very port, answers who comes otherwise, and has never handed its socket in."""
    broker(web="Stream=192.0.2.0/24:80")
    with Service("wild", address="0.0.0.0", port=80):
        explain(WEB, REFUSED, NO_SOCKET, r"\S+ \(pid \d+\) at 0\.0\.0\.0:80 would get it without the rule",
                r"hand that socket in as 'web', narrow 192\.0\.2\.0/24:80 in /run/usher/rules\.d/web\.rule:2")
        explain("tcp 198.51.100.1:80", "wild", "no rule matches")
        doctor("warn", r"192\.0\.2\.0/24:80 before .* listens on 0\.0\.0\.0:80", "hand that socket in")


def test_v6only_without_a_rule(broker):
    broker(web="Stream=81")
    with make_socket("tcp", "::", 80, v6only=True):
        explain(WEB, REFUSED, "no rule matches", r"at \[::\]:80 is v6only: it takes no IPv4", "IPV6_V6ONLY")

# SPDX-License-Identifier: BSD-3-Clause
"""Broken set-ups of services and their sockets: explain and doctor name the cause and the remedy.

Each set-up is real, a client tries it, and the test runs usherctl as an administrator does. `pytest -rP` shows the output.
"""

import os
import re
import socket

import pytest

from harness import wire
from harness.broken import PlainEcho, connect, mptcp, serving
from harness.diagnosed import Diagnosed
from harness.host import NOBODY, rule
from harness.process import wait_until
from harness.service import Service, ServiceProcess, make_socket
from harness.traffic import REFUSED, SILENCE
from harness.wire import Refused, cookie, hand_in

from says import Doctor, Explain, Fails, fail, info, note, ok, setup, warn

WEB, WEB6, DNS = "tcp 192.0.2.1:80", "tcp [2001:db8::1]:80", "udp 192.0.2.1:53"
FILE = "/run/usher/rules.d/web.rule:2"
SOME = re.compile(r"[1-9]\d*")


@setup
def test_nothing_is_broken(broker):
    """The healthy set-up for comparison: explain and doctor find nothing wrong."""
    broker(web="Stream=192.0.2.0/24:80")
    with serving("web"):
        yield Explain(WEB, "web", says=("goes", {"address": "127.0.0.2:8080", "pid": os.getpid()}))
        yield Doctor(ok("programs:alone"))


@setup
def test_served_where_it_is_bound(broker):
    """The socket that serves is not reported as another listener, wherever it is bound."""
    broker(web=rule("Stream=80", access=["Bound=any"]))
    with serving("web", address="0.0.0.0", port=80):
        yield Explain(WEB, "web", listeners=[])
        yield Doctor()


# ---- the name has no suitable socket

@setup
def test_not_started(broker):
    """The service has not started. A name with Missing=pass does not need it."""
    broker(web="Stream=192.0.2.0/24:80", soft=rule("Stream=192.0.2.0/24:82", Missing="pass"))
    yield Explain(WEB, REFUSED, fail("missing", what="TCP over IPv4"), says=("missing", {"what": "TCP over IPv4"}))
    yield Doctor(warn("missing", n=SOME), info("missing:pass", name="soft"))


@setup
def test_died(broker):
    """The service has died."""
    running = broker(web="Stream=192.0.2.0/24:80")
    service = ServiceProcess("web", before=lambda sock: hand_in("web", sock))
    yield Explain(WEB, "web", says=("goes", {"pid": service.pid}))
    service.kill()
    wait_until(lambda: not running.sockets())
    yield Explain(WEB, REFUSED, fail("missing"), note("access", who="root only"))
    yield Doctor(warn("missing"))


@pytest.mark.parametrize("address, access", [("::1", []), ("::", ["Bound=any"])])
@setup
def test_ipv6_alone(broker, address, access):
    """An IPv6 socket that is v6only, and IPv4 clients."""
    broker(web=rule("Stream=80", access=access))
    with serving("web", address=address, v6only=True):
        yield Explain(WEB, REFUSED, fail("missing", what="TCP over IPv4"), fail("family:six"))
        yield Doctor(warn("missing:family", what="tcp over ipv4", n=SOME))


@setup
def test_ipv4_alone(broker):
    """An IPv4 socket, and IPv6 clients: reported as soon as one has come."""
    broker(web="Stream=80")
    with serving("web"):
        yield Doctor()
        yield Explain(WEB6, REFUSED, fail("missing", what="TCP over IPv6"), fail("family:four"))
        yield Doctor(warn("missing:family", what="tcp over ipv6", n=SOME))


@pytest.mark.parametrize("had, wanted", [("udp", "tcp"), ("tcp", "udp")])
@setup
def test_other_protocol(broker, had, wanted):
    """A UDP socket and TCP clients, and the reverse."""
    broker(dns=["Stream=53", "Datagram=53"])
    with serving("dns", had, port=53):
        yield Explain(f"{wanted} 192.0.2.1:53", REFUSED, fail("missing", name="dns"),
                      fail("protocol", name="dns", had=had.upper(), wanted=wanted.upper()))
        yield Doctor(warn("missing:family", name="dns", what=f"{wanted} over ipv4"))


@setup
def test_shut_down(broker):
    """A socket that was shut down after the hand-in, until it listens again."""
    broker(web="Stream=80")
    with make_socket("tcp", "127.0.0.2", 8080) as sock:
        hand_in("web", sock)
        sock.shutdown(socket.SHUT_RDWR)
        yield Explain(WEB, REFUSED, fail("socket-state", address="127.0.0.2:8080"), error="ESOCKTNOSUPPORT",
                      says=("unusable", {"error": "ESOCKTNOSUPPORT"}), sockets=[{"state": "unusable"}])
        yield Doctor(fail("listening", address="127.0.0.2:8080", pid=os.getpid()))
        sock.listen()
        yield Explain(WEB, None)
        yield Doctor()


@setup
def test_shut_down_before_another(broker):
    """The newest socket was shut down, so an older socket of the name takes its packets."""
    broker(web="Stream=80")
    with serving("web"), make_socket("tcp", "127.0.0.2", 8081) as newer:
        hand_in("web", newer)
        newer.shutdown(socket.SHUT_RDWR)
        yield Explain(WEB, "web", says=("goes", {"address": "127.0.0.2:8080"}),
                      sockets=[{"state": "unusable"}, {"state": "serving"}])
        yield Doctor(warn("listening:others", address="127.0.0.2:8081"))


@setup
def test_connected(broker):
    """A UDP socket that was connected after the hand-in."""
    broker(dns="Datagram=192.0.2.1:53")
    with make_socket("udp", "127.0.0.2", 53) as sock:
        hand_in("dns", sock)
        sock.connect(("127.0.0.9", 9))
        yield Explain(DNS, REFUSED, fail("socket-state:udp", name="dns", address="127.0.0.2:53"))
        yield Doctor(fail("listening:udp", name="dns", address="127.0.0.2:53"))


# ---- no process accepts

@setup
def test_dead_holder(broker):
    """A held socket outlives its service: connections are established, but never answered."""
    broker(web="Stream=80")
    service = ServiceProcess("web", before=lambda sock: wire.request("hold", [sock], NAME="web"), backlog=1)
    yield Explain(WEB, "web", sockets=[{"held": True}])
    service.kill()
    wait_until(lambda: not Diagnosed().wrong())
    yield Explain(WEB, None, warn("nobody-accepts"), warn("queue", n=0, most=1),
                  says=("goes", {"pid": f"{service.pid}, ended"}))
    with connect(WEB):
        yield Doctor(warn("held", n=1, most=1), ok("queues:good"))
        yield Explain(WEB, SILENCE, warn("nobody-accepts"), warn("queue", n=1, most=1), status=0)
        yield Explain(WEB, SILENCE, fail("nobody-accepts"), fail("queue-full:dead", n=2, most=1))
        yield Doctor(fail("held", n=2, most=1), warn("queues"))


@setup
def test_dead_holder_of_udp(broker):
    """The same with UDP: datagrams arrive, but no process reads them."""
    broker(dns="Datagram=53")
    ServiceProcess("dns", "udp", port=53, before=lambda sock: wire.request("hold", [sock], NAME="dns")).kill()
    yield Explain(DNS, SILENCE, warn("nobody-accepts:udp", name="dns"), note("udp-address"), status=0)


@setup
def test_queue_full(broker):
    """A service runs, but no longer accepts."""
    broker(web="Stream=80")
    with make_socket("tcp", "127.0.0.2", 8080, backlog=1) as hanging:
        hand_in("web", hanging)
        with connect(WEB), connect(WEB):
            yield Explain(WEB, SILENCE, fail("queue-full", n=2, most=1, pid=os.getpid()), says=("lost", {}),
                          sockets=[{"queue": 2, "queue_max": 1}])
            yield Doctor(warn("queues", address="127.0.0.2:8080", n=2, most=1, pid=os.getpid()))


@setup
def test_queue_of_a_group_full(broker):
    """One member of a reuseport group no longer accepts; the others get their share."""
    broker(web="Stream=80")
    with make_socket("tcp", "127.0.0.2", 8080, backlog=0, reuseport=True) as hanging:
        hand_in("web", hanging)
        with connect(WEB), make_socket("tcp", "127.0.0.2", 8080, reuseport=True):
            yield Explain(WEB, None, warn("queue-full", n=1, most=0, pid=os.getpid()), sockets=[{"group": 2}])


# ---- sockets that are refused

@pytest.mark.parametrize("address, port", [("127.0.0.2", 8080), ("0.0.0.0", 80)])
@setup
def test_mptcp(broker, address, port):
    """An MPTCP listener cannot be handed in. On the port of the packet, it is most likely the service."""
    broker(web="Stream=192.0.2.0/24:80")
    where = {"address": f"{address}:{port}", "pid": os.getpid()}
    with mptcp(address, port) as sock:
        if port == 80:
            yield Explain(WEB, REFUSED, fail("missing"), warn("mptcp", **where), warn("bypassed:mptcp", **where))
        else:
            yield Explain(WEB, REFUSED, fail("missing"), note("mptcp", **where))
        yield Doctor(warn("missing"), warn("mptcp", **where))
        yield Fails(1, "mptcp", "hand-in", "web", "--fd", sock.fileno(), pass_fds=[sock.fileno()])


@setup
def test_mptcp_beside_another(broker):
    """Once the name has a socket, only an MPTCP listener on the port of the rule matters."""
    broker(web="Stream=192.0.2.0/24:80")
    with serving("web"):
        with mptcp("0.0.0.0", 8888):
            yield Doctor()
        with mptcp("192.0.2.1", 80):
            yield Doctor(warn("mptcp", address="192.0.2.1:80"))


@pytest.mark.parametrize("match, meant", [("192.0.2.0/24:22", False), ("[2001:db8::/48]:22", True)])
@setup
def test_mptcp_of_a_family_that_no_rule_serves(broker, match, meant):
    """A port alone in [Discover] concerns only the families of its rule."""
    broker(ssh=rule(f"Stream={match}", discover=["Socket=8888"]))
    with serving("ssh", address="::1" if meant else "127.0.0.3", port=81), mptcp("::1", 8888):
        where = {"name": "ssh", "address": "[::1]:8888"}
        yield Doctor(*[warn("mptcp", **where), warn("discover:refused", **where)] * meant)


def refused_hand_in(uid, name, sock):
    with pytest.raises(Refused):
        wire.request_as(uid, uid, "hand-in", [sock], NAME=name) if uid else hand_in(name, sock)


@pytest.mark.parametrize("protocol, address, options, uid, name, cause", [
    ("tcp", "192.0.2.9", {}, 0, "web", r"192\.0\.2\.9:8181, outside of Bound="),
    ("tcp", "127.0.0.2", {}, NOBODY, "web", r"uid 65534 may not use the name 'web' \(EACCES\); User= in"),
    ("tcp", "127.0.0.2", {"listen": False}, 0, "web", "does not listen"),
    ("tcp", "127.0.0.2", {}, 0, "wbe", "no rule 'wbe'"),
    ("udp", "127.0.0.2", {}, 0, "web", "UDP"),
], ids=["bound", "user", "not listening", "name", "protocol"])
@setup
def test_refused_hand_in(broker, protocol, address, options, uid, name, cause):
    """The broker refused the service's socket: until a hand-in succeeds, explain and doctor show the reason that the service
    got."""
    broker(web=rule("Stream=192.0.2.0/24:80", access=["User=daemon"]))
    cause = {"name": name, "uid": uid, "cause": re.compile(f".*{cause}.*")}
    with make_socket(protocol, address, 8181, **options) as sock:
        refused_hand_in(uid, name, sock)
        yield Explain(WEB, REFUSED, fail("missing"),
                      warn("hand-in-refused", **cause) if name == "web" else note("hand-in-refused:other", **cause))
        yield Doctor(warn("missing"), warn("hand-ins", n=1, **cause))
    with serving("web"):
        yield Explain(WEB, "web")
        yield Doctor(info("hand-ins:before", n=1) if name == "web" else info("hand-ins", **cause))


@setup
def test_refused_hand_ins(broker):
    """A refusal under the name itself counts first, then one under a name without a rule, but never one of another rule."""
    running = broker(web="Stream=80", other="Stream=81")
    with make_socket("tcp", "198.51.100.1", 8080) as sock:
        for name in ("other", "web", "wbe"):
            refused_hand_in(0, name, sock)
        yield Explain(WEB, REFUSED, fail("missing"), warn("hand-in-refused", uid=0, pid=os.getpid()))
        with serving("web"):
            yield Explain(WEB, "web")
        wait_until(lambda: not running.sockets())
        yield Explain(WEB, REFUSED, fail("missing"), note("hand-in-refused:other", name="wbe"))
        refused_hand_in(0, "other", sock)
        yield Explain(WEB, REFUSED, fail("missing"))


# ---- UDP replies

@setup
def test_udp_port(broker, client):
    """A UDP service on another port than that of the rule: its replies leave from the wrong port."""
    broker(dns="Datagram=192.0.2.0/24:53")
    with serving("dns", "udp", port=5353):
        yield Explain(DNS, SILENCE, warn("udp-port", had=5353, wanted=53),
                      note("udp-address", had="127.0.0.2", wanted="192.0.2.1"), status=0)
        yield Explain(DNS, None, warn("udp-port"), note("udp-address"), options=["--from", "203.0.113.2:5000"])
        yield Doctor(warn("udp-port", name="dns", match="192.0.2.0/24:53", had=5353))


@setup
def test_udp_port_at_the_address(broker):
    """The same on the public address: only the port is wrong."""
    broker(dns=rule("Datagram=192.0.2.1:53", access=["Bound=any"]))
    with serving("dns", "udp", address="192.0.2.1", port=5353):
        yield Explain(DNS, SILENCE, warn("udp-port", had=5353, wanted=53), status=0)
        yield Doctor(warn("udp-port", name="dns", match="192.0.2.1:53", had=5353))


@setup
def test_udp_address(broker):
    """A UDP service on loopback that cannot know where a datagram was sent to, and one that asks."""
    broker(dns="Datagram=192.0.2.0/24:53", ntp="Datagram=192.0.2.0/24:123")
    PlainEcho("dns", "127.0.0.2", 53)
    with serving("ntp", "udp", port=123):
        yield Explain(DNS, SILENCE, note("udp-address", had="127.0.0.2", wanted="192.0.2.1"), status=0)
        yield Doctor(warn("udp-address", name="dns", match="192.0.2.0/24:53", address="127.0.0.2:53", when="now",
                          option="IP_PKTINFO"))


@setup
def test_udp_wildcard(broker):
    """A UDP service on every address: the route chooses the source of its replies. Bound to the address itself, nothing is
    wrong."""
    broker(dns=rule("Datagram=53", access=["Bound=any"]))
    with serving("dns", "udp", address="0.0.0.0", port=53):
        yield Explain(DNS, "dns", note("udp-address:any", wanted="192.0.2.1"))
    with serving("dns", "udp", port=53):
        yield Explain("udp 127.0.0.2:53", "dns")


# ---- services that hand nothing in

@pytest.mark.parametrize("address, bypassed", [
    ("0.0.0.0", warn("bypassed", match="tcp 192.0.2.0/24:80", address="0.0.0.0:80")),
    ("192.0.2.1", warn("bypassed:there", match="tcp 192.0.2.1:80")),
], ids=["wildcard", "address"])
@setup
def test_bypassed(broker, address, bypassed):
    """It listens on the port of the rule, but has never handed its socket in: with the rule in force it gets nothing."""
    with Service("wild", address=address, port=80) as wild:
        broker(web="Stream=192.0.2.0/24:80")
        yield Explain(WEB, REFUSED, fail("missing"), warn("bypassed:bound", address=f"{address}:80", pid=os.getpid(),
                                                          match="192.0.2.0/24:80", where=FILE))
        if address == "0.0.0.0":
            yield Explain("tcp 198.51.100.1:80", "wild", says=("no-rule:goes", {"address": "0.0.0.0:80"}))
        yield Doctor(warn("missing"), bypassed)
        with serving("web"):
            yield Explain(WEB, "web", shows=("listeners", {}),
                          listeners=[{"socket": f"sk:{cookie(wild.socket)}", "gets_it": False}])
            yield Doctor(bypassed)


@setup
def test_v6only_without_a_rule(broker):
    """A listener on [::] that takes no IPv4, and no rule for the port."""
    broker(web="Stream=81")
    with make_socket("tcp", "::", 80, v6only=True):
        yield Explain(WEB, REFUSED, fail("no-listener"), fail("v6only", address="[::]:80"), says=("no-rule", {}))

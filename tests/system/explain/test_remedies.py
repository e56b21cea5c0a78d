# SPDX-License-Identifier: BSD-3-Clause
"""What explain and doctor advise is done as told, and the rest of the host works as before.

The host has 203.0.113.1/24 on usher0, with a neighbour behind it, and 192.0.2.0/24 is local.
"""

import contextlib
import re
import socket

import pytest

from harness.broken import serving
from harness.diagnosed import Diagnosed
from harness.explained import Explained
from harness.host import CLIENT_V4, CLIENT_V6, HOST_V4, HOST_V6, ip, rule, run
from harness.service import Service
from harness.traffic import ask, who

from says import Doctor, Explain, fail, setup, warn

NETWORK, NETWORK_V6 = "203.0.113.0/24", "2001:db8:ffff::/64"
OF_USHER0 = f"the network {NETWORK} of usher0"


def routes():
    """Every route of every table, as ip(8) shows it."""
    return {line.removesuffix("linkdown ").strip().removesuffix(" linkdown") for family in ("-4", "-6")
            for line in run("ip", family, "route", "show", "table", "all").stdout.splitlines()}


class Host:
    """What has to work whatever an administrator was told to do: connections to and from a neighbour, and all routes."""

    def __init__(self, client, stack):
        self.client, self.before = client, set()
        self.services = [stack.enter_context(Service("host", address=HOST_V4, port=22)),
                         stack.enter_context(Service("host", address=HOST_V6, port=22))]
        with client.entered():
            services = [Service("neighbour", address=CLIENT_V4, port=22), Service("neighbour", address=CLIENT_V6, port=22)]
        self.services += [stack.enter_context(service) for service in services]

    def check(self, added=0):
        for host, neighbour in ((HOST_V4, CLIENT_V4), (HOST_V6, CLIENT_V6)):
            assert who(host, 22, netns=self.client) == "host"
            assert who(neighbour, 22) == "neighbour"
        now = routes()
        assert self.before <= now, f"gone: {self.before - now}"
        # the kernel adds those of addresses, also some time after an interface is up
        new = [route for route in now - self.before if "proto kernel" not in route]
        assert len(new) <= added, f"new: {new}"


@pytest.fixture
def host(client):
    with contextlib.ExitStack() as stack:
        made = Host(client, stack)
        made.check(added=1000)
        made.before = routes()
        yield made


def do(packet):
    """Do what explain advises about a route."""
    command = Explained(*packet.split()).codes["no-route"]["command"]
    run(*command.split())


@pytest.mark.parametrize("match, packet, taken, device", [
    (NETWORK, "203.0.113.7", OF_USHER0, "lo"),
    ("203.0.113.0/25", "203.0.113.7", OF_USHER0, "lo"),
    ("203.0.0.0/16", "203.0.113.7", OF_USHER0, "lo"),
    (NETWORK_V6, "2001:db8:ffff::7", f"the network {NETWORK_V6} of usher0", "usher0"),
], ids=["network", "part", "around", "ipv6"])
@setup
def test_address_of_a_network(broker, host, match, packet, taken, device):
    """An address in the network of an interface: it alone is made local, and neighbours reach it."""
    six = ":" in packet
    match, endpoint = (f"[{match}]:80", f"[{packet}]:80") if six else (f"{match}:80", f"{packet}:80")
    broker(web=f"Stream={match}")
    command = f"ip address add {packet}/128 dev usher0" if six else f"ip route add local {packet}/32 dev lo"
    with serving("web", address="::1" if six else "127.0.0.2"):
        yield Explain(f"tcp {endpoint}", None, fail("no-route:network", address=packet, device="usher0", taken=taken,
                                                    prefix=match.removesuffix(":80").strip("[]"), command=command), status=1)
        do(f"tcp {endpoint}")
        host.check(added=1)
        answer = ask(packet, 80, netns=host.client)
        assert answer.name == "web"
        yield Explain(f"tcp {endpoint}", "web")
        yield Doctor()


@setup
def test_another_host(broker, host):
    """A gateway, a neighbour, and the address of a route of its own: explain advises no command that takes them."""
    ip("route add 198.18.0.0/24 via 203.0.113.2", "route add 198.19.0.7/32 via 203.0.113.2")
    broker(web="Stream=80")
    with serving("web"):
        yield Explain("tcp 203.0.113.2:80", None, status=1, *[
            fail("no-route:taken", address="203.0.113.2",
                 taken=re.compile(r"203\.0\.113\.2, the gateway of the route to 198\.1[89]\.0\.[07]/\d+"))])
        ip("route del 198.18.0.0/24", "route del 198.19.0.7/32")
        yield Explain("tcp 203.0.113.2:80", None,
                      fail("no-route:taken", address="203.0.113.2", taken="203.0.113.2, a neighbour on usher0"), status=1)
        ip("route add 198.19.0.7/32 via 203.0.113.2")
        yield Explain("tcp 198.19.0.7:80", None, status=1, *[
            fail("no-route:taken", address="198.19.0.7",
                 taken="the route to 198.19.0.7/32 by the gateway 203.0.113.2")])


@pytest.mark.parametrize("route, match, packet, taken", [
    ("198.18.7.0/24 via 203.0.113.2", "198.18.0.0/16", "198.18.1.1", "the route to 198.18.7.0/24 by the gateway 203.0.113.2"),
    ("198.18.0.0/24 via 203.0.113.2", "198.18.0.0/24", "198.18.0.1", "the route to 198.18.0.0/24 by the gateway 203.0.113.2"),
    ("198.18.7.0/24 via 203.0.113.2 table 77", "198.18.0.0/16", "198.18.1.1",
     "the route to 198.18.7.0/24 by the gateway 203.0.113.2"),
    ("unreachable 198.18.7.0/24", "198.18.0.0/16", "198.18.1.1", "the route to 198.18.7.0/24, which drops packets"),
    ("198.19.0.0/24 via 198.18.0.9 dev usher0 onlink", "198.18.0.0/16", "198.18.1.1",
     "198.18.0.9, the gateway of the route to 198.19.0.0/24"),
], ids=["inside", "equal", "other table", "unreachable", "gateway"])
@setup
def test_prefix_with_a_route(broker, host, route, match, packet, taken):
    """A route or a gateway lies in the prefix of the rule: only the address asked for is made local."""
    ip(f"route add {route}")
    host.before = routes()
    broker(web=f"Stream={match}:80")
    with serving("web"):
        found = Explained("tcp", f"{packet}:80")
        assert f"but not all of {match}, which would take {taken}:" in found.because("no-route")["remedy"]
        do(f"tcp {packet}:80")
        host.check(added=1)
        yield Explain(f"tcp {packet}:80", "web")


@setup
def test_prefix_of_nobody(broker, host):
    """No route and no neighbour is in the prefix: all of it is made local."""
    broker(web="Stream=198.18.0.0/24:80")
    with serving("web"):
        do("tcp 198.18.0.1:80")
        host.check(added=1)
        assert who("198.18.0.99", 80, netns=host.client) == "web"
        yield Explain("tcp 198.18.0.99:80", "web")
        yield Doctor()


@pytest.mark.parametrize("rule, spares", [
    ("iif usher0", True), ("fwmark 1", True), ("from 198.18.0.0/24", True), ("to 198.18.0.0/24", True),
    ("iif lo", False), ("to 203.0.113.0/25", False), ("from all", False),
])
@setup
def test_local_route_of_another_table(broker, host, rule, spares):
    """A local route in a table is no fault if rules lead to it only for packets that this host does not send."""
    broker(web="Stream=80")
    with serving("web"):
        ip(f"route add local {NETWORK} dev lo table 100")
        ip(f"rule add {rule} lookup 100 priority 100")
        yield Doctor(*[] if spares else [warn("local-routes", prefix=NETWORK, taken=OF_USHER0, table=100)])


@pytest.mark.parametrize("prefix, taken", [
    (NETWORK, OF_USHER0), ("203.0.0.0/16", OF_USHER0), ("203.0.113.2/32", "203.0.113.2, the gateway of the route to 198.18.7.0/24"),
    (f"{CLIENT_V6}/128", f"{CLIENT_V6}, a neighbour on usher0"),
    (NETWORK_V6, f"the network {NETWORK_V6} of usher0"),
    ("198.18.0.0/16", "the route to 198.18.7.0/24 by the gateway 203.0.113.2"),
], ids=["network", "around", "gateway", "neighbour", "ipv6", "route"])
@setup
def test_local_route_that_takes_too_much(broker, host, prefix, taken):
    """doctor warns of a local route that cuts this host off, and its command undoes that."""
    ip("route add 198.18.7.0/24 via 203.0.113.2")
    host.before = routes()
    broker(web="Stream=80")
    with serving("web"):
        yield Doctor()
        ip(f"route add local {prefix} dev lo")
        yield Doctor(warn("local-routes", prefix=prefix, taken=taken, table=255))
        (_, _), = [row for row in Diagnosed().of("local-routes")]
        remedy, = [row["remedy"] for row in Diagnosed().rows if row["check"] == "local-routes"]
        run(*remedy.partition("then: ")[2].split())
        yield Doctor()
        host.check()

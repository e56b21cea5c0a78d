# SPDX-License-Identifier: BSD-3-Clause
"""A packet that a rule matches arrives at the socket of that name, and no other packet does.

TCP and UDP, IPv4 and IPv6, ports and ranges, prefixes and their precedence.
"""

import pytest

from harness import wire
from harness.host import CLIENT_V4, CLIENT_V6, V4, V4_OTHER, V6, V6_OTHER, rule
from harness.service import Service
from harness.traffic import REFUSED, ask, who

pytestmark = pytest.mark.vm


def bracket(address):
    return f"[{address}]" if ":" in address else address


def key_of(protocol):
    return "Stream" if protocol == "tcp" else "Datagram"


@pytest.mark.parametrize("service_address, address, other_address", [
    pytest.param("127.0.0.2", V4, V4_OTHER, id="ipv4"),
    pytest.param("fd00:1::2", V6, V6_OTHER, id="ipv6")])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
class TestRedirect:
    """The socket can have another port and address than the packet."""

    def test_port_and_address(self, broker, protocol, service_address, address, other_address):
        broker(web=f"{key_of(protocol)}={bracket(address)}:80")
        assert who(address, 80, protocol) == REFUSED, "drop on lookup: a rule without a socket refuses"
        with Service("web", protocol, service_address, 8080) as service:
            assert who(address, 80, protocol) == REFUSED, "nothing is handed in yet"
            wire.hand_in("web", service)
            assert who(address, 80, protocol) == "web"
            assert who(address, 81, protocol) == REFUSED
            assert who(other_address, 80, protocol) == REFUSED
            assert who(service_address, 8080, protocol) == "web", "the service can still be reached directly"
        assert who(address, 80, protocol) == REFUSED, "closed"

    def test_port_only(self, broker, protocol, service_address, address, other_address):
        """A rule without an address applies to every address."""
        broker(web=f"{key_of(protocol)}=80")
        with Service("web", protocol, service_address, 8080) as service:
            wire.hand_in("web", service)
            assert who(address, 80, protocol) == who(other_address, 80, protocol) == "web"

    def test_original_destination_and_client(self, broker, client, protocol, service_address, address, other_address):
        """The service sees the address to which the client connected, and the client's own address."""
        broker(web=f"{key_of(protocol)}={bracket(address)}:80")
        with Service("web", protocol, service_address, 8080) as service:
            wire.hand_in("web", service)
            answer = ask(address, 80, protocol, netns=client)
        assert (answer.local, answer.local_port) == (address, 80)
        assert answer.peer == (CLIENT_V6 if ":" in address else CLIENT_V4)


class TestFamilies:
    @pytest.mark.parametrize("protocol", ["tcp", "udp"])
    def test_dual_stack_socket_serves_both(self, broker, protocol):
        """A dual-stack socket serves IPv4 too. Only a socket bound to :: is dual-stack: bind(2) makes others v6-only."""
        broker(web=rule(f"{key_of(protocol)}=80", access=["Bound=any"]))
        with Service("web", protocol, "::", 8080, v6only=False) as service:
            wire.hand_in("web", service)
            assert (who(V6, 80, protocol), who(V4, 80, protocol)) == ("web", "web")
        assert (who(V6, 80, protocol), who(V4, 80, protocol)) == (REFUSED, REFUSED)

    @pytest.mark.parametrize("protocol", ["tcp", "udp"])
    def test_v6only_does_not_serve_ipv4(self, broker, protocol):
        broker(web=f"{key_of(protocol)}=80")
        with Service("web", protocol, "fd00:1::2", 8080, v6only=True) as service:
            wire.hand_in("web", service)
            assert (who(V6, 80, protocol), who(V4, 80, protocol)) == ("web", REFUSED)

    @pytest.mark.parametrize("protocol", ["tcp", "udp"])
    def test_ipv4_socket_does_not_serve_ipv6(self, broker, protocol):
        broker(web=f"{key_of(protocol)}=80")
        with Service("web", protocol, "127.0.0.2", 8080) as service:
            wire.hand_in("web", service)
            assert (who(V6, 80, protocol), who(V4, 80, protocol)) == (REFUSED, "web")

    @pytest.mark.vm_long
    @pytest.mark.parametrize("protocol", ["tcp", "udp"])
    @pytest.mark.parametrize("match, mine, other", [("[::/0]:80", V6, V4), ("0.0.0.0/0:80", V4, V6)])
    def test_zero_prefix_is_of_one_family(self, broker, protocol, match, mine, other):
        """`::/0` does not apply to IPv4, nor 0.0.0.0/0 to IPv6: a plain listener of the other family keeps its port."""
        broker(web=f"{key_of(protocol)}={match}")
        with Service("plain", protocol, other, 80), \
                Service("web", protocol, "fd00:1::2" if mine == V6 else "127.0.0.2", 8080) as service:
            wire.hand_in("web", service)
            assert (who(mine, 80, protocol), who(other, 80, protocol)) == ("web", "plain")

    def test_two_names_two_families(self, broker):
        broker(four="Stream=0.0.0.0/0:80", six="Stream=[::/0]:80")
        with Service("four", address="127.0.0.2") as four, Service("six", address="::1") as six:
            wire.hand_in("four", four)
            wire.hand_in("six", six)
            assert (who(V4, 80), who(V6, 80)) == ("four", "six")


class TestProtocols:
    def test_tcp_and_udp_are_apart(self, broker):
        broker(stream="Stream=53", datagram="Datagram=53")
        with Service("stream", "tcp") as stream, Service("datagram", "udp") as datagram:
            wire.hand_in("stream", stream)
            assert (who(V4, 53), who(V4, 53, "udp")) == ("stream", REFUSED)
            wire.hand_in("datagram", datagram)
            assert (who(V4, 53), who(V4, 53, "udp")) == ("stream", "datagram")

    def test_one_name_for_both(self, broker):
        broker(dns=["Stream=53", "Datagram=53"])
        with Service("stream", "tcp") as stream, Service("datagram", "udp") as datagram:
            wire.hand_in("dns", stream, datagram)
            assert (who(V4, 53), who(V4, 53, "udp")) == ("stream", "datagram")

    def test_other_protocol_is_not_touched(self, broker):
        broker(web="Stream=53")
        with Service("plain", "udp", V4, 53):
            assert (who(V4, 53), who(V4, 53, "udp")) == (REFUSED, "plain")


class TestTwoServicesOnePort:
    """The purpose of usher: two services, one port, one namespace, no proxy."""

    @pytest.mark.parametrize("protocol", ["tcp", "udp"])
    def test_by_prefix(self, broker, client, protocol):
        key = key_of(protocol)
        broker(web=f"{key}=192.0.2.0/24:80", shop=f"{key}=198.51.100.0/24:80")
        with Service("web", protocol, "127.0.0.2", 8080) as web, Service("shop", protocol, "127.0.0.3", 8080) as shop:
            wire.hand_in("web", web)
            wire.hand_in("shop", shop)
            for netns in (None, client):
                assert who("192.0.2.200", 80, protocol, netns=netns) == "web"
                assert who("198.51.100.200", 80, protocol, netns=netns) == "shop"

    def test_beats_a_plain_listener(self, broker):
        """sk_lookup runs before the listener table (Order=first)."""
        broker(web="Stream=192.0.2.1:80")
        with Service("plain", address=V4, port=80), Service("web") as web:
            assert who(V4, 80) == REFUSED, "Missing=refuse is the default, so a plain listener does not get it"
            wire.hand_in("web", web)
            assert (who(V4, 80), who("192.0.2.2", 80)) == ("web", REFUSED)

    @pytest.mark.parametrize("protocol", ["tcp", "udp"])
    def test_missing_pass(self, broker, protocol):
        broker(web=[f"{key_of(protocol)}=192.0.2.0/24:80", "Missing=pass"])
        with Service("plain", protocol, V4, 80):
            assert (who(V4, 80, protocol), who("192.0.2.2", 80, protocol)) == ("plain", REFUSED)
            with Service("web", protocol) as web:
                wire.hand_in("web", web)
                assert who(V4, 80, protocol) == who("192.0.2.2", 80, protocol) == "web"
            assert who(V4, 80, protocol) == "plain"

    def test_missing_refuse_in_words(self, broker):
        broker(web=["Stream=192.0.2.0/24:80", "Missing=refuse"])
        with Service("plain", address=V4, port=80):
            assert who(V4, 80) == REFUSED

    def test_unrelated_traffic_is_not_touched(self, broker):
        broker(web="Stream=192.0.2.0/24:80")
        with Service("plain", address=V4_OTHER, port=80), Service("more", "udp", V4, 80):
            assert (who(V4_OTHER, 80), who(V4, 80, "udp")) == ("plain", "more")


class TestPorts:
    def test_range(self, broker):
        broker(web="Stream=8000-8099")
        with Service("web") as web:
            wire.hand_in("web", web)
            assert [who(V4, port) for port in (7999, 8000, 8050, 8099, 8100)] == [REFUSED, "web", "web", "web", REFUSED]

    @pytest.mark.parametrize("match", ["*", "1-65535", "192.0.2.0/24:*"])
    def test_every_port(self, broker, match):
        """A rule for every port serves every port."""
        broker(web=f"Stream={match}")
        with Service("web") as web:
            wire.hand_in("web", web)
            assert [who(V4, port) for port in (1, 80, 443, 32768, 65535)] == ["web"] * 5

    def test_every_port_of_many_prefixes(self, broker):
        """A rule for every port works next to another one with 4,096 prefixes, also for every port."""
        prefixes = [f"198.18.{i}.{j}" for i in range(64) for j in range(0, 256, 4)]
        broker(web="Stream=192.0.2.0/24:*", many=[f"Stream={prefix}/30:*" for prefix in prefixes])
        with Service("web") as web:
            wire.hand_in("web", web)
            assert [who(V4, port) for port in (1, 65535)] == ["web"] * 2


PRECEDENCE = {
    # name: its setting; then the name that each packet finds
    "longest-prefix": (
        {"wide": "Stream=192.0.0.0/16:80", "narrow": "Stream=192.0.2.0/24:80", "host": "Stream=192.0.2.7:80"},
        {("192.0.2.7", 80): "host", ("192.0.2.8", 80): "narrow"}),
    "any-address-loses": (
        {"any": "Stream=80", "half": "Stream=128.0.0.0/1:80", "net": "Stream=192.0.2.0/24:80"},
        {("192.0.2.7", 80): "net", ("198.51.100.1", 80): "half", ("127.0.0.1", 80): "any", (V6, 80): "any"}),
    "longer-prefix-any-port-beats-shorter-exact-port": (
        {"any-port": "Stream=192.0.2.0/24:*", "exact": "Stream=192.0.0.0/16:80"},
        {("192.0.2.7", 80): "any-port", ("192.0.2.7", 81): "any-port"}),
    "narrowest-range-among-equal-prefixes": (
        {"all": "Stream=192.0.2.0/24:*", "some": "Stream=192.0.2.0/24:80-90", "one": "Stream=192.0.2.0/24:85"},
        {("192.0.2.7", 85): "one", ("192.0.2.7", 84): "some", ("192.0.2.7", 91): "all", ("192.0.2.7", 79): "all"}),
    "ipv6": (
        {"wide": "Stream=[2001:db8::/32]:80", "narrow": "Stream=[2001:db8::/48]:80", "host": "Stream=[2001:db8::7]:80",
         "any": "Stream=*"},
        {("2001:db8::7", 80): "host", ("2001:db8::8", 80): "narrow", ("2001:db8:1::1", 80): "wide",
         ("2001:db8::7", 81): "any", (V4, 80): "any"}),
}


@pytest.mark.vm_long
@pytest.mark.parametrize("case", PRECEDENCE)
def test_precedence(broker, case):
    """The longest prefix wins. Among equal prefixes, the narrowest range of ports wins."""
    settings, packets = PRECEDENCE[case]
    running = broker(**{name: rule(text, access=["Bound=any"]) for name, text in settings.items()})
    services = []
    for number, name in enumerate(settings):
        services.append(Service(name, address="::", port=8080 + number, v6only=False))
        wire.hand_in(name, services[-1])
    assert {packet: who(*packet) for packet in packets} == packets
    assert running.status()["MATCHES"] == str(len(settings))


def test_closed_socket_of_a_narrow_rule_does_not_fall_to_the_wide_one(broker):
    """A rule that matches decides. If its seat is empty, no other rule applies."""
    broker(wide="Stream=192.0.2.0/24:80", narrow="Stream=192.0.2.1:80")
    with Service("wide") as wide:
        wire.hand_in("wide", wide)
        assert (who("192.0.2.1", 80), who("192.0.2.2", 80)) == (REFUSED, "wide")

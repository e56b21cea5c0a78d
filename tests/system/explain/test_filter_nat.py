# SPDX-License-Identifier: BSD-3-Clause
"""What sends a packet elsewhere before the lookup: NAT, TPROXY, what iptables writes. explain goes on with the new
destination, and a real client meets what it says."""

import pathlib
import re
import socket

import pytest

from harness import wire
from harness.broken import serving
from harness.explained import Explained
from harness.filters import iptables, nft
from harness.host import AS_NOBODY, CLIENT_V4, CLIENT_V6, HOST_V4, HOST_V6, ip, run
from harness.process import MOMENT, PATIENCE
from harness.service import Service, make_socket
from harness.traffic import REFUSED, SILENCE, who

from says import Explain, fail, note, setup, warn
from test_filter import chain, rules, table

IP_TRANSPARENT = 19
PACKET = "tcp 192.0.2.1:80"
CAME = ["--from", f"{CLIENT_V4}:40000", "--device", "usher0"]
CAME6 = ["--from", f"[{CLIENT_V6}]:40000", "--device", "usher0"]


def nat(*lines, family="ip", hook="prerouting"):
    return table(chain(*lines, hook=hook, priority="-100", kind="nat"), family=family)


@pytest.fixture
def other():
    """Another service, which no rule of usher concerns."""
    with Service("other", address="0.0.0.0", port=8081) as service:
        yield service


def meets(expected, client, packet=PACKET):
    """The client meets that, and it waits as long as it takes."""
    protocol, endpoint = packet.split()
    address, port = endpoint.rsplit(":", 1)
    seconds = MOMENT if expected == SILENCE else PATIENCE
    found = who(address.strip("[]"), int(port), protocol, netns=client, seconds=seconds)
    assert found == expected, f"{packet} meets {found}"


# Name: (rules, what the client meets, exit status, without --from and --device)
DESTINATIONS = {
    "dnat to this host": (nat(f"tcp dport 80 dnat to {HOST_V4}:8081"), "other", 0, 0),
    "dnat, the port alone": (nat("tcp dport 80 dnat to :8081"), "other", 0, 0),
    "dnat, the address alone": (nat(f"tcp dport 80 dnat to {HOST_V4}"), REFUSED, 1, 1),
    "dnat of another port": (nat(f"tcp dport 81 dnat to {HOST_V4}:8081"), "web", 0, 0),
    "dnat to another host": (nat("tcp dport 80 dnat to 198.18.7.7:8081"), SILENCE, 1, 1),
    "dnat to several": (nat("tcp dport 80 dnat to 198.18.7.7-198.18.7.9:8081"), SILENCE, 4, 4),
    "dnat to a loopback address": (nat("tcp dport 80 dnat to 127.0.0.1:8081"), SILENCE, 1, 1),
    "dnat by map": (nat(f"tcp dport 80 dnat to tcp dport map {{ 80 : {HOST_V4} }}"), REFUSED, 1, 1),
    "dnat to a rule of usher": (nat(f"tcp dport 80 dnat to {HOST_V4}:9000"), "mail", 0, 0),
    "dnat of some sources": (nat(f"ip saddr {CLIENT_V4} tcp dport 80 dnat to {HOST_V4}:8081"), "other", 0, 4),
    "dnat in the family inet": (nat(f"tcp dport 80 dnat ip to {HOST_V4}:8081", family="inet"), "other", 0, 0),
    "redirect": (nat("tcp dport 80 redirect to :8081"), "other", 0, 4),
    "the first of two": (
        table(chain(f"tcp dport 80 dnat to {HOST_V4}:8081", hook="prerouting", priority="-100", kind="nat", name="a"),
              chain("tcp dport 80 drop", hook="prerouting", priority="-90", kind="nat", name="b"), family="ip"), "other", 0, 0),
    "a filter sees the new destination": (nat(f"tcp dport 80 dnat to {HOST_V4}:8081") + rules("tcp dport 8081 drop"), SILENCE, 1, 1),
    "a filter does not see the old one": (nat(f"tcp dport 80 dnat to {HOST_V4}:8081") + rules("tcp dport 80 drop"), "other", 0, 0),
    "a filter asks for NAT": (nat(f"tcp dport 80 dnat to {HOST_V4}:8081") + rules("ct status dnat accept", policy="drop"), "other", 0, 0),
    "a filter asks for the old destination": (
        nat(f"tcp dport 80 dnat to {HOST_V4}:8081") + rules("meta l4proto tcp ct original proto-dst 80 drop"), SILENCE, 1, 1),
    "notrack": (
        table(chain("notrack", hook="prerouting", priority="-300"), name="u") + nat(f"tcp dport 80 dnat to {HOST_V4}:8081"), "web", 0, 0),
    "packets of this host": (nat(f"tcp dport 80 dnat to {HOST_V4}:8081", hook="output"), "web", 0, 0),
    "another destination without NAT": (
        table(chain("tcp dport 80 tcp dport set 81", hook="prerouting", priority="-290")), SILENCE, 1, 1),
    "new source": (table(chain("snat to 192.0.2.9", hook="input", priority="100", kind="nat"), family="ip"), "web", 0, 0),
}


def test_destination(broker, client, other):
    broker(web="Stream=192.0.2.0/24:80", mail=f"Stream={HOST_V4}:9000")
    with serving("web"), serving("mail", port=8082):
        for name, (text, answer, status, without) in DESTINATIONS.items():
            nft("flush ruleset\n" + text)
            meets(answer, client)
            found = Explained(*PACKET.split(), *CAME)
            assert found.code == status, f"{name}\n{found.text}"
            assert found.data["local"] == "192.0.2.1:80"
            if answer in ("other", "mail"):
                assert found.data["sent_to"].startswith(HOST_V4) or "port alone" in name, f"{name}\n{found.text}"
            found = Explained(*PACKET.split())
            assert found.code == without, f"{name}\n{found.text}"


# Lines of iptables: (what the client meets, exit status, without --from and --device)
IPTABLES = {
    "-A INPUT -p tcp --dport 80 -j DROP": (SILENCE, 1, 1),
    "-A INPUT -p tcp --dport 81 -j DROP": ("web", 0, 0),
    "-A INPUT -p tcp --dport 80 -j REJECT": (REFUSED, 1, 1),
    "-P INPUT DROP": (SILENCE, 1, 1),
    "-A INPUT -p tcp -m multiport --dports 22,80:90 -j DROP": (SILENCE, 1, 1),
    "-A INPUT -p tcp -m multiport --dports 22,81:90 -j DROP": ("web", 0, 0),
    "-A INPUT -p tcp -m multiport --sports 22,81:90 -j DROP": ("web", 0, 4),
    "-A INPUT -p tcp -m conntrack --ctstate NEW -j DROP": (SILENCE, 1, 1),
    "-A INPUT -p tcp -m state --state NEW -j DROP": (SILENCE, 1, 1),
    "-A INPUT -p tcp -m conntrack --ctstate INVALID,RELATED -j DROP": ("web", 0, 0),
    "-A INPUT -m addrtype --dst-type LOCAL -j DROP": (SILENCE, 1, 1),
    "-A INPUT -m addrtype ! --dst-type LOCAL -j DROP": ("web", 0, 0),
    "-A INPUT -m addrtype --src-type LOCAL -j DROP": ("web", 0, 4),
    "-A INPUT -m comment --comment text -p tcp --dport 80 -j DROP": (SILENCE, 1, 1),
    "-A INPUT -p tcp --syn -j DROP": (SILENCE, 1, 1),
    "-A INPUT -p tcp --tcp-flags RST RST -j DROP": ("web", 0, 0),
    f"-A INPUT -s {CLIENT_V4} -j DROP": (SILENCE, 1, 4),
    "-A INPUT -i usher0 -j DROP": (SILENCE, 1, 4),
    "-A INPUT ! -i lo -j DROP": (SILENCE, 1, 1),
    "-A INPUT -i lo -j DROP": ("web", 0, 0),
    "-A INPUT -p tcp -m limit --limit 1/hour --limit-burst 50 -j DROP": (SILENCE, 4, 4),
    "-A INPUT -p tcp -m statistic --mode random --probability 1 -j DROP": (SILENCE, 4, 4),
    "-t mangle -A PREROUTING -p tcp --dport 80 -j MARK --set-mark 5": ("web", 0, 0),
    "-t nat -A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 8081": ("other", 0, 4),
    f"-t nat -A PREROUTING -p tcp --dport 80 -j DNAT --to-destination {HOST_V4}:8081": ("other", 0, 0),
    "-t nat -A PREROUTING -p tcp --dport 80 -j DNAT --to-destination :8081": ("other", 0, 0),
    f"-t nat -A PREROUTING -p tcp --dport 80 -m addrtype --dst-type LOCAL -j DNAT --to-destination {HOST_V4}:8081": ("other", 0, 0),
    "-t nat -A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 198.18.0.1-198.18.0.9": (SILENCE, 4, 4),
    "-t raw -A PREROUTING -p tcp --dport 80 -j DROP": (SILENCE, 1, 1),
    "-t raw -A PREROUTING -p tcp --dport 80 -j CT --notrack": ("web", 0, 0),
}


@pytest.mark.parametrize("group", range(2))
def test_iptables(broker, client, other, group):
    """iptables of Debian writes rules of nf_tables, some of them with matches and targets of xtables."""
    broker(web="Stream=192.0.2.0/24:80")
    with serving("web"):
        for line in list(IPTABLES)[group::2]:
            answer, status, without = IPTABLES[line]
            nft("flush ruleset\n")
            iptables(line)
            meets(answer, client)
            found = Explained(*PACKET.split(), *CAME)
            assert found.code == status, f"{line}\n{found.text}"
            found = Explained(*PACKET.split())
            assert found.code == without, f"{line}\n{found.text}"


def test_mark_of_iptables(broker, client):
    broker(web="Stream=192.0.2.0/24:80")
    with serving("web"):
        iptables("-t mangle -A PREROUTING -p tcp --dport 80 -j MARK --set-mark 5", "-A INPUT -m mark --mark 5 -j DROP")
        meets(SILENCE, client)
        assert Explained(*PACKET.split()).code == 1
        iptables("-F INPUT", "-A INPUT -m mark --mark 6 -j DROP")
        meets("web", client)
        assert Explained(*PACKET.split()).code == 0


@pytest.mark.parametrize("line, answer, status, without", [
    ("-A INPUT -p tcp --dport 80 -j DROP", SILENCE, 1, 1),
    (f"-A INPUT -s {CLIENT_V6} -j DROP", SILENCE, 1, 4),
    ("-A INPUT -s 2001:db8:77::/48 -j DROP", "web", 0, 4),
    (f"-t nat -A PREROUTING -p tcp --dport 80 -j DNAT --to-destination [{HOST_V6}]:8081", "other", 0, 0),
    ("-t nat -A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 8081", "other", 0, 4),
])
def test_six(broker, client, line, answer, status, without):
    broker(web="Stream=[2001:db8::/48]:80")
    packet = "tcp [2001:db8::1]:80"
    with serving("web", address="fd00:1::1"), Service("other", address="::", port=8081):
        iptables(line, program="ip6tables")
        meets(answer, client, packet)
        found = Explained(*packet.split(), *CAME6)
        assert found.code == status, found.text
        found = Explained(*packet.split())
        assert found.code == without, found.text


@pytest.mark.parametrize("line, answer, status", [
    ("udp dport 53 drop", SILENCE, 1),
    ("tcp dport 53 drop", "dns", 0),
    ("udp length > 5000 drop", "dns", 4),
])
def test_datagrams(broker, client, line, answer, status):
    broker(dns="Datagram=192.0.2.0/24:53")
    with serving("dns", "udp", port=53):
        nft(rules(line))
        meets(answer, client, "udp 192.0.2.1:53")
        assert Explained("udp", "192.0.2.1:53", "--from", f"{CLIENT_V4}:40000", "--device", "usher0").code == status


@pytest.mark.parametrize("text, answer, status", [
    (rules("tcp dport 80 drop", hook="output"), SILENCE, 1),
    (nat(f"tcp dport 80 dnat to {HOST_V4}:8081", hook="output"), "other", 0),
    (nat("tcp dport 80 redirect to :8081", hook="output"), "other", 0),
    (nat(f"tcp dport 80 dnat to {HOST_V4}:8081"), "web", 0),
    (rules('iifname "lo" drop'), SILENCE, 1),
    (rules('oifname "lo" drop', hook="output"), SILENCE, 1),
    (rules('iifname "usher0" drop'), "web", 0),
])
def test_packets_of_this_host(broker, other, client, text, answer, status):
    """They go through the hook output, and come back by the loopback device; NAT is decided in the first of the two."""
    broker(web="Stream=192.0.2.0/24:80")
    with serving("web"):
        nft(text)
        assert who("192.0.2.1", 80, source=HOST_V4, seconds=MOMENT if answer == SILENCE else PATIENCE) == answer
        for options in (["--from", f"{HOST_V4}:40000"], ["--from", f"{HOST_V4}:40000", "--device", "lo"]):
            found = Explained(*PACKET.split(), *options)
            assert found.code == status, found.text


def test_loopback_address(broker, client, other):
    """With route_localnet, the kernel accepts packets of other hosts to loopback addresses."""
    broker(web="Stream=192.0.2.0/24:80")
    with serving("web"):
        nft(nat("tcp dport 80 dnat to 127.0.0.1:8081"))
        meets(SILENCE, client)
        Explained(*PACKET.split()).because("loopback", "route_localnet is 0")
        pathlib.Path("/proc/sys/net/ipv4/conf/usher0/route_localnet").write_text("1")
        meets("other", client)
        assert Explained(*PACKET.split(), *CAME).code == 0
        assert Explained(*PACKET.split()).code == 4
        pathlib.Path("/proc/sys/net/ipv4/conf/usher0/route_localnet").write_text("0")
        pathlib.Path("/proc/sys/net/ipv4/conf/all/route_localnet").write_text("1")
        meets("other", client)
        assert Explained(*PACKET.split()).code == 0


@setup
def test_tproxy(broker, client):
    """Whether the socket is transparent is not looked at: the packet goes there, or to the service."""
    broker(web="Stream=192.0.2.0/24:80")
    text = "rule handle 2 of chain 'inet t c' gives it to a transparent socket that listens at 127.0.0.1:8081, if there is one (TPROXY)"
    with serving("web"):
        nft(rules("tcp dport 80 tproxy ip to 127.0.0.1:8081", hook="prerouting", priority="-150"))
        meets("web", client)
        yield Explain(PACKET, None, warn("filter", act=text, rest="", command="nft -a list chain inet t c"), status=4,
                      says=("filter:sent", {"act": text}))
        sock = make_socket("tcp", "127.0.0.1", 8081, listen=False)
        sock.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
        sock.listen()
        with Service("proxy", sock=sock):
            meets("proxy", client)
            yield Explain(PACKET, None, warn("filter"), status=4)


@setup
def test_words(broker, client, other):
    """What an administrator reads; every command of a remedy runs."""
    broker(web="Stream=192.0.2.0/24:80")
    with serving("web"):
        nft(rules("tcp dport 80 drop"))
        act = "rule handle 2 of chain 'inet t c' drops it"
        drops = fail("filter:drop", act=act, command="nft -a list chain inet t c")
        yield Explain(PACKET, None, drops, says=("filter:drop", {"act": act}), status=1, arrives=False)
        command = Explained(*PACKET.split()).codes["filter"]["command"]
        assert "drop # handle 2" in run(*command.split()).stdout

        nft("flush ruleset\n" + rules(f"ip saddr {CLIENT_V4} drop"))
        yield Explain(PACKET, None, note("filter-open", act=act, on="the source, which was not asked for",
                                         remedy=f"say what is known of the packet: usherctl explain {PACKET} --from ADDRESS:PORT"),
                      says=("undecided", {"sentence": re.compile(f"{PACKET} goes to 'web': .*")}), status=4, arrives=None)

        nft("flush ruleset\n" + rules("iifname usher0 accept", policy="drop"))
        yield Explain(PACKET, None, note("filter-open", act="the policy of chain 'inet t c' drops it",
                                         on="the device, which was not asked for (rule handle 2 of chain 'c')",
                                         remedy=f"say what is known of the packet: usherctl explain {PACKET} --device NAME"),
                      status=4)

        nft("flush ruleset\n" + rules("limit rate over 1/second drop"))
        yield Explain(PACKET, None, note("filter-open", act=act, on="the expression 'limit', which was not looked at",
                                         remedy="see what the chain asks for: nft -a list chain inet t c"), status=4)

        nft("flush ruleset\n" + nat(f"tcp dport 80 dnat to {HOST_V4}:8081"))
        act = f"rule handle 2 of chain 'ip t c' sends it to {HOST_V4}:8081"
        yield Explain(PACKET, None, warn("filter", act=act, rest=": the rest is about that destination",
                                         command="nft -a list chain ip t c"),
                      says=("filter:goes", {"packet": PACKET, "destination": f"{HOST_V4}:8081",
                                            "sentence": re.compile(f"no rule matches tcp {HOST_V4}:8081; it goes to .*")}),
                      status=0, sent_to=f"{HOST_V4}:8081")

        nft("flush ruleset\n" + nat("tcp dport 80 dnat to 198.18.7.7:8081"))
        act = "rule handle 2 of chain 'ip t c' sends it to 198.18.7.7:8081"
        yield Explain(PACKET, None, fail("filter", act=act), says=("filter:away", {"act": act}), status=1)

        nft("flush ruleset\n" + nat("tcp dport 80 dnat to 127.0.0.1:8081"))
        act = "rule handle 2 of chain 'ip t c' sends it to 127.0.0.1:8081"
        yield Explain(PACKET, None, fail("filter", act=act), fail("loopback", destination="127.0.0.1:8081"),
                      says=("filter:loopback", {"act": act}), status=1)
        nft("flush ruleset")
        yield Explain(PACKET, "web")


@setup
def test_not_looked_at(broker, client):
    """What explain sees and does not follow is named, with the command that shows it."""
    broker(web="Stream=192.0.2.0/24:80")
    with serving("web"):
        sentence = {"sentence": re.compile(f"{PACKET} goes to 'web': .*")}
        yield Explain(PACKET, None, warn("filters-unknown"), uid=65534, status=4, says=("undecided", sentence))
        run("tc", "qdisc", "add", "dev", "usher0", "clsact")
        yield Explain(PACKET, "web")
        run("tc", "filter", "add", "dev", "usher0", "ingress", "protocol", "ip", "u32", "match", "ip", "dport", "80", "0xffff",
            "flowid", "1:1")
        yield Explain(PACKET, None, note("not-looked-at:tc", device="usher0"), status=4, says=("undecided", sentence))
        command = Explained(*PACKET.split()).codes["not-looked-at"]["command"]
        assert "u32" in run(*command.split()).stdout
        yield Explain(PACKET, None, options=["--from", f"{HOST_V4}:4000"], status=0)
        run("tc", "qdisc", "del", "dev", "usher0", "clsact")


@pytest.mark.parametrize("line, does", [("-A INPUT -p tcp --dport 80 -j DROP", "filter"), ("-P INPUT DROP", "filter"),
                                        ("-t mangle -A PREROUTING -j MARK --set-mark 1", "mangle"),
                                        ("-L INPUT", None)])
@setup
def test_legacy(broker, client, line, does):
    """The tables of iptables-legacy, which nf_tables does not list"""
    iptables(line, program="iptables-legacy")
    broker(web="Stream=192.0.2.0/24:80")
    with serving("web"):
        if not does:
            yield Explain(PACKET, "web")
            return
        yield Explain(PACKET, None, note("not-looked-at:legacy", tables=does), status=4)
        run(*Explained(*PACKET.split()).codes["not-looked-at"]["command"].split())


def test_bridge(broker, client):
    """Chains of the family bridge see what comes by a bridge."""
    broker(web="Stream=192.0.2.0/24:80")
    with serving("web"):
        nft(table(chain("drop"), family="bridge"))
        meets("web", client)
        assert Explained(*PACKET.split()).code == 0
        ip("link add br0 type bridge")
        Explained(*PACKET.split()).because("not-looked-at", "chains of the family bridge see what comes by br0")
        assert Explained(*PACKET.split(), *CAME).code == 0


def test_many_rules(broker):
    """Jumps that may or may not happen multiply; explain comes to an end, and says that it did not look at all."""
    levels = "".join(f"chain x{i} {{ {'meta length > 100 jump x%d; ' % (i + 1) * 12} }}\n" for i in range(12))
    nft(table("chain x12 { tcp dport 80 drop; }\n", *reversed(levels.splitlines(True)), chain("meta length > 100 jump x0")))
    broker(web="Stream=192.0.2.0/24:80")
    with serving("web"):
        found = Explained(*PACKET.split())
        assert found.code == 4 and "not decided: whether" in found.text

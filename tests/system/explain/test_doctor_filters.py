# SPDX-License-Identifier: BSD-3-Clause
"""usherctl doctor: packet filters that keep from the rules what they match, for every client"""

from harness.broken import serving
from harness.filters import iptables, nft
from harness.host import AS_NOBODY, CLIENT_V4, HOST_V4, HOST_V6, connect_client, run
from harness.diagnosed import Diagnosed
from harness.process import MOMENT, PATIENCE
from harness.traffic import SILENCE, who

from says import Doctor, info, ok, setup, skip, warn
from test_filter import chain, rules, table


@setup
def test_filters(broker, client):
    broker(web="Stream=192.0.2.0/24:80", dns="Datagram=198.51.100.0/24:53")
    with serving("web"), serving("dns", "udp", port=53):
        yield Doctor(ok("filters:none"))
        nft(rules("tcp dport 80 drop"))
        assert who("192.0.2.1", 80, netns=client, seconds=MOMENT) == SILENCE
        assert who("198.51.100.1", 53, "udp", netns=client) == "dns"
        command = "nft -a list chain inet t c"
        yield Doctor(warn("filters", packet="tcp 192.0.2.1:80", act="rule handle 2 of chain 'inet t c' drops it", command=command))
        run(*command.split())

        nft("flush ruleset\n" + rules("tcp dport 22 accept", policy="drop"))
        assert who("198.51.100.1", 53, "udp", netns=client, seconds=MOMENT) == SILENCE
        policy = "the policy of chain 'inet t c' drops it"
        yield Doctor(warn("filters", packet="tcp 192.0.2.1:80", act=policy),
                     warn("filters", name="dns", packet="udp 198.51.100.1:53", act=policy))

        nft("flush ruleset\n" + table(chain(f"tcp dport 80 dnat to {HOST_V4}:81", hook="prerouting", priority="-100", kind="nat"),
                                      family="ip"))
        yield Doctor(warn("filters", packet="tcp 192.0.2.1:80",
                          act=f"rule handle 2 of chain 'ip t c' sends it to {HOST_V4}:81"))

        nft("flush ruleset\n" + rules(f"ip saddr {CLIENT_V4} drop"))
        yield Doctor(info("filters:open", name="dns", n=2))
        nft("flush ruleset\n" + rules("tcp dport 80 tproxy ip to 127.0.0.1:8081", hook="prerouting", priority="-150"))
        assert who("192.0.2.1", 80, netns=client, seconds=PATIENCE) == "web"
        yield Doctor(info("filters:open", packet="tcp 192.0.2.1:80", n=1))
        nft("flush ruleset\n" + rules("tcp dport 443 drop", "iif lo accept"))
        yield Doctor(ok("filters:none"))


@setup
def test_what_is_not_followed(broker, client):
    broker(web="Stream=192.0.2.0/24:80")
    with serving("web"):
        iptables("-A INPUT -p tcp --dport 80 -j DROP", program="iptables-legacy")
        yield Doctor(skip("filters:legacy", tables="filter"))
        yield Doctor(skip("filters:unprivileged"), **AS_NOBODY)
        rows = Diagnosed().of("filters")
        assert [result for result, _ in rows] == ["ok", "skip"], rows


@setup
def test_any_address(broker):
    """A match of any address is asked about with one of this host."""
    broker(web="Stream=80")
    with serving("web"):
        yield Doctor(skip("filters:address"))
        connect_client()
        yield Doctor(ok("filters:none"))
        nft(rules("tcp dport 80 drop"))
        yield Doctor(warn("filters", packet=f"tcp {HOST_V4}:80"), warn("filters", packet=f"tcp [{HOST_V6}]:80"))

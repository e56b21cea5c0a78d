# SPDX-License-Identifier: BSD-3-Clause
"""What packet filters do before the lookup: explain follows the rules of nf_tables, and a real client meets the same.

Each rule set is asked about twice: with all that is known of the client's packet, which must be decided, and without,
where what depends on the source or the device is not.
"""

import pytest

from harness.broken import serving
from harness.explained import Explained
from harness.filters import nft
from harness.host import CLIENT_V4, CLIENT_V6
from harness.process import MOMENT, PATIENCE
from harness.traffic import REFUSED, SILENCE, who

ANSWERED, DROPPED, REJECTED = "web", SILENCE, REFUSED


def chain(*rules, hook="input", priority="0", policy="accept", kind="filter", name="c"):
    return f"chain {name} {{ type {kind} hook {hook} priority {priority}; policy {policy}; {'; '.join(rules)}; }}\n"


def table(*contents, family="inet", name="t"):
    return f"table {family} {name} {{\n{''.join(contents)}}}\n"


def rules(*lines, **options):
    return table(chain(*lines, **options))


# Name: (rules, what the client meets, exit status without --from and --device)
RULE_SETS = {
    "no rules": (table(chain()), ANSWERED, 0),
    "drop": (rules("tcp dport 80 drop"), DROPPED, 1),
    "reject": (rules("tcp dport 80 reject with tcp reset"), REJECTED, 1),
    "reject by ICMP": (rules("tcp dport 80 reject"), REJECTED, 1),
    "another port": (rules("tcp dport 81 drop"), ANSWERED, 0),
    "another protocol": (rules("udp dport 80 drop"), ANSWERED, 0),
    "another family": (rules("meta nfproto ipv6 drop"), ANSWERED, 0),
    "ports of the source": (rules("tcp sport 1-1023 drop"), ANSWERED, 4),
    "policy": (rules("tcp dport 22 accept", policy="drop"), DROPPED, 1),
    "policy, accepted": (rules("ct state established,related accept", 'iif "lo" accept', "ct state invalid drop",
                               "tcp dport { 22, 80, 443 } accept", policy="drop"), ANSWERED, 0),
    "policy, one device": (rules('iifname "usher0" tcp dport 80 accept', policy="drop"), ANSWERED, 4),
    "policy, another device": (rules('iifname "eth7" tcp dport 80 accept', policy="drop"), DROPPED, 4),
    "policy, the loopback device": (rules('iifname "lo" accept', policy="drop"), DROPPED, 1),
    "all but the loopback device": (rules('iif != "lo" drop'), DROPPED, 1),
    "devices of a set": (rules('iifname { "lo", "eth7" } drop'), ANSWERED, 4),
    "the loopback device of a set": (rules('iifname { "lo" } drop'), ANSWERED, 0),
    "beginning of a device": (rules('iifname "ush*" drop'), DROPPED, 4),
    "source": (rules(f"ip saddr {CLIENT_V4} drop"), DROPPED, 4),
    "source, another": (rules("ip saddr 203.0.113.77 drop"), ANSWERED, 4),
    "source, all but it": (rules(f"ip saddr != {CLIENT_V4} drop"), ANSWERED, 4),
    "source of a network": (rules("ip saddr 203.0.113.0/24 drop"), DROPPED, 4),
    "source of a set": (rules("ip saddr { 203.0.113.0/28, 198.18.0.0/15 } drop"), DROPPED, 4),
    "source of a set, not in it": (rules("ip saddr { 203.0.113.8-203.0.113.255, 198.18.0.0/15 } drop"), ANSWERED, 4),
    "source, and dropped anyway": (rules(f"ip saddr {CLIENT_V4} drop", "drop"), DROPPED, 1),
    "source, and accepted anyway": (rules(f"ip saddr {CLIENT_V4} accept", "accept", "drop"), ANSWERED, 0),
    "destination": (rules("ip daddr 192.0.2.0/24 drop"), DROPPED, 1),
    "destination, another": (rules("ip daddr 198.51.100.0/24 drop"), ANSWERED, 0),
    "destination, a range": (rules("ip daddr 192.0.2.1-192.0.2.9 drop"), DROPPED, 1),
    "destination, a shift of bits": (rules("ip daddr & 255.255.0.255 == 192.0.0.1 drop"), DROPPED, 1),
    "ports below": (rules("tcp dport < 1024 drop"), DROPPED, 1),
    "ports above": (rules("tcp dport > 80 drop"), ANSWERED, 0),
    "ports from": (rules("tcp dport >= 80 drop"), DROPPED, 1),
    "ports up to": (rules("tcp dport <= 79 drop"), ANSWERED, 0),
    "ports of ranges": (rules("tcp dport { 1-79, 81-90, 443 } drop"), ANSWERED, 0),
    "ports not of a set": (rules("tcp dport != { 80, 443 } drop"), ANSWERED, 0),
    "flags": (rules("tcp flags & (fin|syn|rst|ack) == syn drop"), DROPPED, 1),
    "flags, another": (rules("tcp flags & (fin|syn|rst|ack) == rst drop"), ANSWERED, 0),
    "protocol": (rules("ip protocol tcp drop"), DROPPED, 1),
    "protocols of a set": (rules("meta l4proto { icmp, udp } accept", "meta l4proto tcp drop"), DROPPED, 1),
    "fragments": (rules("ip frag-off & 0x1fff != 0 drop"), ANSWERED, 0),
    "length": (rules("meta length > 5000 drop"), ANSWERED, 4),
    "limit": (rules("tcp dport 80 limit rate over 1000/second drop"), ANSWERED, 4),
    "log and counter": (rules("tcp dport 80 counter log prefix \"x\" drop"), DROPPED, 1),
    "state": (rules("ct state new tcp dport 80 drop"), DROPPED, 1),
    "state, another": (rules("ct state invalid,related drop"), ANSWERED, 0),
    "states by map": (rules("ct state vmap { established : accept, related : accept, invalid : drop, new : drop }"), DROPPED, 1),
    "address type": (rules("fib daddr type != local drop"), ANSWERED, 0),
    "address type, local": (rules("fib daddr type local tcp dport 80 drop"), DROPPED, 1),
    "address type of the source": (rules("fib saddr type local drop"), ANSWERED, 4),
    "mark": (rules("meta mark 7 drop"), ANSWERED, 0),
    "mark that a rule sets": (
        table(chain("tcp dport 80 meta mark set 7", hook="prerouting", priority="-150", name="a"), chain("meta mark 7 drop")), DROPPED, 1),
    "mark of the connection": (
        table(chain("tcp dport 80 ct mark set 7", hook="prerouting", priority="-150", name="a"), chain("ct mark 7 drop")), DROPPED, 1),
    "bits of a mark": (
        table(chain("meta mark set meta mark or 0x30", hook="prerouting", priority="-150", name="a"),
              chain("meta mark & 0x20 == 0x20 drop")), DROPPED, 1),
    "mark of some sources": (
        table(chain(f"ip saddr {CLIENT_V4} meta mark set 7", hook="prerouting", priority="-150", name="a"),
              chain("meta mark 7 drop")), DROPPED, 4),
    "prerouting": (rules("tcp dport 80 drop", hook="prerouting"), DROPPED, 1),
    "output and forward do not matter": (
        table(chain("drop", hook="forward", name="a"), chain("tcp dport 80 drop", hook="output", name="b")), ANSWERED, 0),
    "family ip": (table(chain("tcp dport 80 drop"), family="ip"), DROPPED, 1),
    "family ip6": (table(chain("tcp dport 80 drop"), family="ip6"), ANSWERED, 0),
    "family arp": (table(chain("accept", policy="accept"), family="arp"), ANSWERED, 0),
    "device": (table(chain("tcp dport 80 drop", hook='ingress device "usher0"'), family="netdev"), DROPPED, 4),
    "device of another hook": (table(chain("tcp dport 80 drop", hook='ingress device "lo"'), family="netdev"), ANSWERED, 0),
    "jump": (table("chain x { tcp dport 80 drop; }\n", chain("jump x")), DROPPED, 1),
    "jump that returns": (table("chain x { tcp dport 80 return; drop; }\n", chain("jump x", "accept")), ANSWERED, 0),
    "jump and what follows": (table("chain x { tcp dport 81 accept; }\n", chain("jump x", "tcp dport 80 drop")), DROPPED, 1),
    "goto": (table("chain x { tcp dport 81 accept; }\n", chain("goto x", "accept", policy="drop")), DROPPED, 1),
    "goto of some": (
        table("chain x { tcp dport 80 accept; }\n", chain(f"ip saddr {CLIENT_V4} goto x", "drop")), ANSWERED, 4),
    "jump of some": (
        table("chain x { tcp dport 80 drop; }\n", chain(f"ip saddr {CLIENT_V4} jump x")), DROPPED, 4),
    "return of some": (
        table(f"chain x {{ ip saddr {CLIENT_V4} return; drop; }}\n", chain("jump x")), ANSWERED, 4),
    "return of some, dropped either way": (
        table(f"chain x {{ ip saddr {CLIENT_V4} return; drop; }}\n", chain("jump x", "drop")), DROPPED, 1),
    "return of some, accepted either way": (
        table(f"chain x {{ ip saddr {CLIENT_V4} return; accept; }}\n", chain("jump x", "accept")), ANSWERED, 0),
    "jump in a jump": (
        table("chain y { tcp dport 80 drop; }\n", "chain x { jump y; }\n", chain("jump x")), DROPPED, 1),
    "map of verdicts": (rules("tcp dport vmap { 22 : accept, 80 : drop }"), DROPPED, 1),
    "map of verdicts, ranges": (rules("tcp dport vmap { 1-79 : drop, 81-65535 : drop }"), ANSWERED, 0),
    "map of verdicts, another one": (rules("tcp dport vmap { 22 : drop }"), ANSWERED, 0),
    "map of verdicts, chains": (
        table("chain x { drop; }\n", chain("ip saddr vmap { 203.0.113.0/24 : jump x, 198.18.0.0/15 : accept }")), DROPPED, 4),
    "map with anything else": (
        table("map m { type inet_service : verdict; elements = { 22 : accept, * : drop }; }\n", chain("tcp dport vmap @m")), DROPPED, 1),
    "named set": (table("set s { type inet_service; elements = { 80 }; }\n", chain("tcp dport @s drop")), DROPPED, 1),
    "set of fields": (rules("ip daddr . tcp dport { 192.0.2.1 . 80 } drop"), DROPPED, 1),
    "set of fields, another": (rules("ip daddr . tcp dport { 192.0.2.1 . 81, 192.0.2.2 . 80 } drop"), ANSWERED, 0),
    "set of fields with ranges": (rules("ip daddr . tcp dport { 192.0.2.0/24 . 70-90 } drop"), DROPPED, 1),
    "set of fields with ranges, another": (rules("ip daddr . tcp dport { 192.0.2.0/24 . 81-90, 198.51.100.0/24 . 80 } drop"), ANSWERED, 0),
    "set that packets fill": (
        table("set s { type ipv4_addr; flags dynamic; }\n", chain("tcp dport 80 add @s { ip saddr }")), ANSWERED, 0),
    "set with limits": (
        table("set s { type ipv4_addr; flags dynamic; }\n",
              chain("tcp dport 80 add @s { ip saddr limit rate over 1000/second } drop")), ANSWERED, 4),
    "two tables, the earlier drops": (
        table(chain("tcp dport 80 drop", priority="-5")) + table(chain("tcp dport 80 accept", priority="5"), name="u"), DROPPED, 1),
    "two tables, the later drops": (
        table(chain("tcp dport 80 accept", priority="-5")) + table(chain("tcp dport 80 drop", priority="5"), name="u"), DROPPED, 1),
    "dormant": ("table inet t { flags dormant; " + chain("tcp dport 80 drop") + "}", ANSWERED, 0),
    "notrack": (
        table(chain("tcp dport 80 notrack", hook="prerouting", priority="-300", name="a"), chain("ct state untracked drop")), DROPPED, 1),
    "before connections are known": (rules("ct state new drop", hook="prerouting", priority="-250"), ANSWERED, 0),
    "numbers by chance": (rules("numgen random mod 10 >= 0 tcp dport 80 drop"), DROPPED, 4),
    "a socket that it has": (rules("socket transparent 1 drop"), ANSWERED, 4),
}


UNDECIDED = {"length", "limit", "set with limits", "numbers by chance", "a socket that it has"}
GROUPS = 4


@pytest.mark.parametrize("group", range(GROUPS))
def test_rules(broker, client, group):
    broker(web="Stream=192.0.2.0/24:80")
    with serving("web"):
        for name in list(RULE_SETS)[group::GROUPS]:
            text, meets, status = RULE_SETS[name]
            nft("flush ruleset\n" + text)
            assert who("192.0.2.1", 80, netns=client, seconds=MOMENT if meets == DROPPED else PATIENCE) == meets, name
            found = Explained("tcp", "192.0.2.1:80", "--from", f"{CLIENT_V4}:40000", "--device", "usher0")
            assert found.code == (4 if name in UNDECIDED else int(meets != ANSWERED)), f"{name}\n{found.text}"
            found = Explained("tcp", "192.0.2.1:80")
            assert found.code == status, f"{name}\n{found.text}"

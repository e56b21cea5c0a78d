# SPDX-License-Identifier: BSD-3-Clause
"""Whether a packet gets to this host and its reply back: routing rules, marks, devices, VRFs, sources.

explain says what it can know from what it was told; for the rest it names the rule that decides, and exits with 4.
"""

import pathlib
import re
import socket

import pytest

from harness import wire
from harness.broken import serving
from harness.broker import ctl
from harness.explained import Explained
from harness.host import CLIENT_V4, ip, run
from harness.process import MOMENT
from harness.service import Service, make_socket
from harness.traffic import SILENCE, ask, who

from says import Doctor, Explain, fail, note, setup, warn

pytestmark = pytest.mark.vm

IP_TRANSPARENT = 19
TESTED = "198.18.0.1"
PACKET = f"tcp {TESTED}:80"
GOES = re.compile(r"tcp 198\.18\.0\.1:80 goes to 'web': .*")


@pytest.fixture
def table(client):
    """198.18.0.0/24 is local in table 100 alone."""
    ip("route add local 198.18.0.0/24 dev lo table 100")
    return client


def transparent(address="127.0.0.2", port=8080):
    sock = make_socket("tcp", address, port, listen=False)
    sock.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
    sock.listen()
    return sock


def suggested(found):
    """Ask again as the remedy says."""
    command = found.codes["routing-rule"]["command"].split()
    assert command[:2] == ["usherctl", "explain"]
    return Explained(*command[2:])


@setup
def test_mark(broker, table):
    """Local for packets with a mark, which the firewall sets: explain cannot know it."""
    ip("rule add fwmark 1 lookup 100 priority 100")
    broker(web="Stream=198.18.0.0/24:80")
    with serving("web"):
        command = f"usherctl explain {PACKET} --mark 0x1"
        yield Explain(PACKET, None, note("routing-rule", address=TESTED, rule="100: from all fwmark 0x1 lookup 100", vrf="",
                                         command=command),
                      says=("open", {"address": TESTED, "sentence": GOES}), status=4, arrives=None)
        assert suggested(Explained(*PACKET.split())).code == 0
        yield Explain(PACKET, None, options=["--mark", "1"], route="local", status=0)
        yield Explain(PACKET, None, fail("no-route:prefix", address=TESTED, prefix="198.18.0.0/24"), options=["--mark", "2"],
                      status=1)
        yield Explain("tcp 192.0.2.1:81", None, fail("no-listener"), status=1)


@setup
def test_rule_of_a_device(broker, table):
    """Local for packets that come by a device. The packet is dispatched, but no reply can leave from that address."""
    ip("rule add iif usher0 lookup 100 priority 100")
    running = broker(web="Stream=198.18.0.0/24:80")
    with serving("web"):
        yield Explain(PACKET, None, note("routing-rule", address=TESTED, rule="100: from all iif usher0 lookup 100", vrf="",
                                         command=f"usherctl explain {PACKET} --device usher0"), status=4)
        yield Explain(PACKET, None, options=["--device", "usher0"], route="local", status=0)
        yield Explain(PACKET, None, fail("no-route:prefix", address=TESTED), options=["--device", "lo"], status=1)
        came = ["--device", "usher0", "--from", f"{CLIENT_V4}:4000"]
        assert who(TESTED, 80, netns=table, seconds=MOMENT) == SILENCE
        assert running.list()[0]["LOOKUPS"] != "0"
        yield Explain(PACKET, None, warn("no-reply:table", address=TESTED), options=came, route="local", status=0)
    with transparent() as sock, Service("web", port=8081) as other:
        wire.hand_in("web", other)
        wire.hand_in("web", sock)
        with table.entered():
            socket.create_connection((TESTED, 80), timeout=10).close()
        yield Explain(PACKET, None, options=came, route="local", status=0)
    with serving("web"):
        found = Explained(*PACKET.split(), *came)
        run(*found.codes["no-reply"]["command"].split())
        assert who(TESTED, 80, netns=table) == "web"
        yield Explain(PACKET, None, options=came, status=0)


@pytest.mark.vm_long
@pytest.mark.parametrize("rule, options, status", [
    (f"from {CLIENT_V4} lookup 100", ["--from", f"{CLIENT_V4}:5"], 0),
    (f"from {CLIENT_V4} lookup 100", ["--from", "203.0.113.9:5"], 1),
    ("from all ipproto tcp dport 80 lookup 100", [], 0),
    ("from all ipproto udp lookup 100", [], 1),
    ("from all to 198.18.0.0/16 lookup 100", [], 0),
    ("from all to 198.19.0.0/16 lookup 100", [], 1),
    ("not fwmark 7 lookup 100", ["--mark", "3"], 0),
    ("not fwmark 7 lookup 100", [], 4),
    ("fwmark 0x10/0xf0 lookup 100", ["--mark", "0x12"], 0),
    ("oif usher0 lookup 100", [], 1),
    ("from all tos 0x10 lookup 100", [], 4),
    ("from all lookup 100 suppress_prefixlength 24", [], 1),
])
@setup
def test_rules(broker, table, rule, options, status):
    """What a rule asks for is compared with what is known of the packet."""
    ip(f"rule add {rule} priority 100")
    broker(web="Stream=198.18.0.0/24:80")
    with serving("web"):
        found = Explained(*PACKET.split(), *options)
        assert (found.code, "routing-rule" in found.codes) == (status, status == 4), found.text
        yield Explain("tcp 192.0.2.1:81", None, fail("no-listener"), status=1)


@setup
def test_rule_that_takes_away(broker, table):
    """The address is local, but a rule before the table local leads some packets elsewhere."""
    ip("rule add priority 1 lookup local", "rule del priority 0", "rule add fwmark 9 lookup 77 priority 0",
       "route add default via 203.0.113.2 table 77")
    broker(web="Stream=192.0.2.0/24:80")
    with serving("web"):
        yield Explain("tcp 192.0.2.1:80", "web", note("routing-rule:away", address="192.0.2.1", vrf="",
                                                      rule="0: from all fwmark 0x9 lookup 77"), status=4)
        yield Explain("tcp 192.0.2.1:80", None, options=["--mark", "0"], status=0)
        yield Explain("tcp 192.0.2.1:80", None, fail("no-route:rule", address="192.0.2.1", rule="0: from all fwmark 0x9 lookup 77"),
                      options=["--mark", "9"], status=1)


@pytest.mark.vm_long
@setup
def test_rules_that_do_not_matter(broker, table):
    """Rules for replies, as of a host with two uplinks, change nothing for local addresses and those of nobody."""
    ip("rule add from 203.0.113.1 lookup 88 priority 50", "route add default via 203.0.113.2 table 88")
    broker(web="Stream=192.0.2.0/24:80")
    with serving("web"):
        yield Explain("tcp 192.0.2.1:80", "web")
        yield Explain("tcp 198.51.100.1:80", None, fail("no-listener"), status=1)
        assert Explained(*PACKET.split()).code == 1


@pytest.mark.vm_long
@setup
def test_not_dispatched_either_way(broker, table):
    """A packet that no socket gets does not arrive, whatever the routing rules say."""
    ip("rule add fwmark 1 lookup 100 priority 100")
    broker(web="Stream=198.18.0.0/24:80")
    yield Explain(PACKET, None, fail("missing"), note("routing-rule"), status=1)


@setup
def test_no_route_back(broker, client):
    """The packet arrives, and its reply has no route: the client waits."""
    with client.entered():
        ip("address add 198.51.77.1/32 dev lo")
    broker(web="Stream=192.0.2.0/24:80")
    with serving("web"):
        assert who("192.0.2.1", 80, netns=client, source="198.51.77.1", seconds=MOMENT) == SILENCE
        came = ["--from", "198.51.77.1:4000", "--device", "usher0"]
        yield Explain("tcp 192.0.2.1:80", None, warn("no-reply", client="198.51.77.1"), options=came, status=0)
        yield Explain("tcp 192.0.2.1:80", None, options=["--from", f"{CLIENT_V4}:4000"], status=0)
        ip("route add default via 203.0.113.2")
        assert who("192.0.2.1", 80, netns=client, source="198.51.77.1") == "web"
        yield Explain("tcp 192.0.2.1:80", None, options=came, status=0)


@setup
def test_reverse_path_filter(broker, client):
    """The kernel drops packets from a source that it expects by another device."""
    ip("link add other type veth peer name other1", "link set other1 up", "link set other up", "address add 198.51.77.9/24 dev other")
    pathlib.Path("/proc/sys/net/ipv4/conf/usher0/rp_filter").write_text("1")
    with client.entered():
        ip("address add 198.51.77.1/32 dev lo")
    running = broker(web="Stream=192.0.2.0/24:80")
    with serving("web"):
        assert who("192.0.2.1", 80, netns=client, source="198.51.77.1", seconds=MOMENT) == SILENCE
        assert running.list()[0]["LOOKUPS"] == "0"
        yield Explain("tcp 192.0.2.1:80", None, fail("source-dropped", client="198.51.77.1", device="usher0"), status=1,
                      options=["--from", "198.51.77.1:4000", "--device", "usher0"], says=("dropped", {"packet": "tcp 192.0.2.1:80 from 198.51.77.1:4000 by usher0"}), route="dropped")
        yield Explain("tcp 192.0.2.1:80", None, options=["--from", f"{CLIENT_V4}:4000", "--device", "usher0"], status=0)


@setup
def test_vrf(broker, client):
    """Addresses of a VRF are local in its table only."""
    try:
        ip("link add blue type vrf table 10", "link set blue up", "link add inner type dummy", "link set inner master blue",
           "link set inner up", "address add 198.18.0.1/24 dev inner")
    except Exception as error:
        pytest.skip(f"machine: no VRF: {error}")
    broker(web="Stream=198.18.0.0/24:80")
    with serving("web"):
        yield Explain(PACKET, None, note("routing-rule", address=TESTED, rule="1000: from all lookup [l3mdev-table]",
                                         vrf=" by a device in VRF blue",
                                         command=f"usherctl explain {PACKET} --device blue"), status=4)
        for device in ("blue", "inner"):
            yield Explain(PACKET, None, warn("vrf", address="127.0.0.2:8080", vrf="blue", protocol="tcp"),
                          options=["--device", device], route="local", status=0)
        yield Explain(PACKET, None, fail("no-route:network", device="inner"), options=["--device", "usher0"], status=1)


@pytest.mark.vm_long
@pytest.mark.parametrize("options, says", [
    (["--device", "nothing9"], "no such device in this network namespace (ENODEV)"),
    (["--mark", "red"], "not a number from 0 to 0xffffffff"),
    (["--mark", "-1"], "not a number from 0 to 0xffffffff"),
    (["--mark", "0x100000000"], "not a number from 0 to 0xffffffff"),
])
def test_wrong_options(options, says):
    done = ctl("explain", *PACKET.split(), *options, check=False)
    assert (done.returncode, done.stdout) == (2, "") and says in done.stderr, done.stderr

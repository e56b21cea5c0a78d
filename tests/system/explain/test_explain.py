# SPDX-License-Identifier: BSD-3-Clause
"""usherctl explain: where a packet goes, and what each user gets to see."""

import contextlib
import os
import re
import socket

import pytest

from harness import wire
from harness.broker import ctl
from harness.daemon import SOURCE
from harness.explained import comm, explain, healthy
from harness.host import NOBODY, V4, ip, rule, write_rule
from harness.legacy import nginx
from harness.process import in_child
from harness.service import Service, ServiceProcess, make_socket
from harness.traffic import REFUSED, who


# ---- a packet that arrives

def test_served(broker):
    broker(web=["Stream=192.0.2.0/24:80", "Stream=192.0.2.0/24:1-1023"], every="Stream=*", net="Stream=192.0.0.0/16:80-81")
    with Service("older", port=8081) as older, Service("web") as service:
        wire.hand_in("web", older)
        wire.hand_in("web", service)
        found = healthy()
        sk = f"sk:{wire.cookie(service.socket)}"
        assert found.first == f"tcp 192.0.2.1:80 goes to 'web': socket {sk} at 127.0.0.2:8080 of {comm()} (pid {os.getpid()})"
        assert [(row["name"], row["match"], row["result"], row["winner"]) for row in found.data["rules"]] == [
            ("web", "192.0.2.0/24:80", "wins", True), ("web", "192.0.2.0/24:1-1023", "same name", False),
            ("net", "192.0.0.0/16:80-81", "shorter prefix", False), ("every", "*", "shorter prefix", False)]
        assert "/run/usher/rules.d/web.rule:2" in found.flat and found.data["rules"][1]["line"] == 3
        one, two = found.data["sockets"]
        assert (one["state"], one["socket"], one["queue"], one["queue_max"], one["pid"], one["process"], one["group"]) == (
            "serving", sk, 0, 1024, os.getpid(), comm(), 1)
        assert (two["state"], two["place"], two["address"]) == ("standby", 2, "127.0.0.2:8081")
        assert (found.data["route"], found.data["programs"], found.data["listeners"]) == ("local", 1, [])
        assert who(V4, 80) == "web"
        assert explain("192.0.2.1:80", "tcp", "--from", "203.0.113.5:4000").first.startswith(
            "tcp 192.0.2.1:80 from 203.0.113.5:4000 goes to 'web'")
    assert explain("192.0.2.1:80").code == 1


def test_more_ports(broker):
    broker(web="Stream=192.0.2.0/24:80", wide="Stream=192.0.2.0/24:1-1023")
    assert [row["result"] for row in explain("192.0.2.1:80").data["rules"]] == ["wins", "more ports"]


def test_fits_80_columns(broker):
    broker(web="Stream=192.0.2.0/24:80")
    with socket.create_server(("0.0.0.0", 80)):
        found = explain("192.0.2.1:80")
    assert len(found.data["findings"]) >= 3 and max(map(len, found.text.splitlines())) <= 80, found.text


def test_process_of_a_daemon(broker):
    """A daemon and its workers: explain names the master."""
    broker(web=rule("Stream=192.0.2.0/24:80"))
    server = nginx("0.0.0.0", 80)
    found = explain("192.0.2.1:80")
    assert found.code == 1 and f"nginx (pid {server.pid}) at 0.0.0.0:80" in found.because("bypassed")["text"]
    write_rule("web", rule("Stream=192.0.2.0/24:80", Missing="pass"))
    ctl("reload")
    found = explain("192.0.2.1:80")
    assert found.code == 0 and found.first.endswith(f"passes it on; it goes to nginx (pid {server.pid}) at 0.0.0.0:80")


def test_group(broker):
    """The kernel chooses a member of a reuseport group. TEST_RUN cannot tell which."""
    broker(web="Stream=80")
    members = [make_socket("tcp", "127.0.0.2", 8080, reuseport=True) for _ in range(3)]
    wire.hand_in("web", members[0])
    found = healthy()
    assert "goes to 'web': one of 3 sockets at 127.0.0.2:8080 of " in found.first
    assert found.data["sockets"][0]["group"] == 3
    members.pop().close()
    assert "one of 2 sockets" in explain("192.0.2.1:80").first


def test_dual_stack(broker):
    broker(web=rule("Stream=80", access=["Bound=any"]))
    with Service("web", address="::", v6only=False) as service:
        wire.hand_in("web", service)
        assert healthy("192.0.2.1:80").data["sockets"][0]["dual_stack"] is True
        assert healthy("[2001:db8::1]:80").data["name"] == "web"


# ---- no rule, no socket

def test_no_rule(broker):
    broker(web="Stream=192.0.2.0/24:80")
    found = explain("198.51.100.1:80")
    assert found.code == 1 and found.first == "no rule matches tcp 198.51.100.1:80, and nothing listens there: it is refused"
    assert found.data["rules"] == [] and found.because("no-listener", "usher.rules(5)")["severity"] == "fail"
    with Service("other", address="198.51.100.1", port=80, reuseport=True) as other, \
            make_socket("tcp", "0.0.0.0", 80, reuseport=True):
        found = explain("198.51.100.1:80")
        assert (found.code, found.data["findings"]) == (0, [])
        assert found.first.endswith(f"; it goes to {comm()} (pid {os.getpid()}) at 198.51.100.1:80")
        assert [(row["address"], row["gets_it"]) for row in found.data["listeners"]] == [
            ("198.51.100.1:80", True), ("0.0.0.0:80", False)]
        assert found.data["listeners"][0]["socket"] == f"sk:{wire.cookie(other.socket)}"


def test_no_socket(broker):
    """explain says who may hand in: a user who is not listed, or a socket bound elsewhere, is the usual cause."""
    broker(web=rule("Stream=192.0.2.0/24:80", access=["User=daemon", "Unit=web.service", "Bound=127.0.0.0/8"]))
    found = explain("192.0.2.1:80")
    assert found.code == 1 and found.first == "tcp 192.0.2.1:80 is refused: 'web' has no socket for TCP over IPv4"
    found.because("missing", "start the service", "journalctl USHER_NAME=web")
    found.because("access", "root and ", "User=daemon", "Unit=web.service", "127.0.0.0/8")
    assert found.data["sockets"] == [] and who(V4, 80) == REFUSED


@pytest.mark.parametrize("address, v6only, gets", [("::", False, True), ("::", True, False)])
def test_wildcard_of_ipv6(broker, address, v6only, gets):
    broker()
    with make_socket("tcp", address, 80, v6only=v6only):
        found = explain("192.0.2.1:80")
        assert (found.code == 0) == gets and ("v6only" in found.codes) != gets
        if not gets:
            found.because("v6only", "[::]:80", "takes no IPv4", "IPV6_V6ONLY")
        assert explain("[2001:db8::1]:80").code == 0


def test_preference_of_listeners(broker):
    """The order of the kernel: the address, the wildcard, the wildcard of both families."""
    broker()
    with contextlib.ExitStack() as stack:
        for name, address in (("six", "::"), ("four", "0.0.0.0"), ("exact", V4)):
            sock = stack.enter_context(Service(name, address=address, port=80, v6only=False, reuseport=True))
            found = explain("192.0.2.1:80")
            assert found.data["listeners"][0]["socket"] == f"sk:{wire.cookie(sock.socket)}"
            assert who(V4, 80) == name
        assert len(found.data["listeners"]) == 3


def test_many_listeners(broker):
    """A group with a less exact address does not crowd out the listener that gets the packet."""
    broker()
    with contextlib.ExitStack() as stack:
        for address in ["0.0.0.0"] * 20 + [V4]:
            sock = stack.enter_context(make_socket("tcp", address, 80, reuseport=True))
        found = explain("192.0.2.1:80")
        assert found.data["listeners"][0]["socket"] == f"sk:{wire.cookie(sock)}" and found.data["listeners_left_out"] == 5
        assert "and 5 more" in found.text


def test_listener_on_an_interface(broker, client):
    broker()
    with make_socket("tcp", "0.0.0.0", 80, listen=False) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
        sock.listen()
        for device, code, gets in ((None, 4, False), ("lo", 0, True), ("usher0", 1, False)):
            found = explain("192.0.2.1:80", "tcp", *(["--device", device] if device else []))
            assert found.code == code, found.text
            assert [(row["interface"], row["gets_it"]) for row in found.data["listeners"]] == [("lo", gets)]


# ---- the kernel as a listener

def test_socket_of_the_kernel(broker, rules):
    """VXLAN opens its socket in the kernel: no process is named, and nobody is sent to look for one."""
    ip("link add vxlan9 type vxlan id 9 dstport 4789 dev lo", "link set vxlan9 up")
    try:
        running = broker(web="Stream=80")
        found = explain("192.0.2.1:4789", "udp")
        assert found.code == 0 and "kernel itself, for example VXLAN or WireGuard" in found.first
        assert found.data["listeners"][0]["pid"] is None and found.data["listeners"][0]["process"] is None
        rules(web="Stream=80", other="Datagram=192.0.2.1:4789")
        checked = ctl("check").stderr
        assert "from no process of this PID namespace" in checked and "for example VXLAN or WireGuard" in checked
        assert checked.endswith("narrow the match: no process can hand that socket in\n")
        running.reload()
        assert "kernel itself" in explain("192.0.2.1:4789", "udp").flat
    finally:
        ip("link del vxlan9")


# ---- the user who asks

def test_as_nobody(broker):
    """A user who may not see processes gets what the broker knows, and the user of each socket. Packet filters
    are for root to see: whether the packet arrives is not certain."""
    broker(web="Stream=80", other="Stream=192.0.2.9:81")
    service = ServiceProcess("web", before=lambda sock: wire.request("hold", [sock], NAME="web"), backlog=1)
    with socket.create_server(("0.0.0.0", 81)):
        def look():
            return [(found.code, found.text, found.data) for found in
                    (explain(f"192.0.2.1:{port}") for port in (80, 81))] + [explain("192.0.2.9:81").text]

        (code, text, data), (_, other, rows), bypassed = in_child(look, uid=NOBODY, gid=NOBODY)
        assert code == 4 and [row["code"] for row in data["findings"]] == ["filters-unknown"] and data["sockets"][0]["queue_max"] == 1
        assert data["sockets"][0]["pid"] == service.pid
        assert "a process of uid 0, or the kernel itself (run as root to see which) at 0.0.0.0:81" in other
        assert rows["listeners"][0]["pid"] is None and rows["listeners"][0]["uid"] == 0
        assert "a process of uid 0, or the kernel itself (run as root to see which)" in " ".join(bypassed.split())
        service.kill()
        (_, text, _), *_ = in_child(look, uid=NOBODY, gid=NOBODY)
        assert "no process accepts its connections, unless one has claimed it" in " ".join(text.split())
    os.chmod("/run/usher/rules.d/web.rule", 0o600)
    text = in_child(lambda: explain("192.0.2.1:80").flat, uid=NOBODY, gid=NOBODY)
    assert "cannot be compared" in text and "EACCES" in text


def test_leaves_no_trace(broker):
    running = broker(web="Stream=80")
    with Service("web") as service:
        wire.hand_in("web", service)
        before = running.list()
        healthy()
        explain("[2001:db8::1]:80")
        assert running.list() == before


@pytest.mark.parametrize("words, says", [
    (["sctp", "192.0.2.1:80"], "bad protocol 'sctp': neither tcp nor udp"),
    (["tcp", "192.0.2.1"], "write 192.0.2.1:443 or [2001:db8::1]:443"),
    (["tcp", "localhost:80"], "host names are not resolved"),
    (["tcp", "example.org:80"], "each address that 'getent ahosts example.org' prints"),
    (["tcp", "lo:80"], "for an interface, 'ip address show dev lo' prints"),
    (["tcp", "[fe80::1%lo]:80"], "write [fe80::1]:80; ask about one address and one port at a time"),
    (["tcp", "192.0.2.7:80,443"], "192.0.2.7:80 192.0.2.7:443; ask about one address"),
    (["tcp", "192.0.2.1-192.0.2.9:80"], "192.0.2.1:80 192.0.2.2/31:80 192.0.2.4/30:80 192.0.2.8/31:80; ask about"),
    (["tcp", "192.0.2.1:80", "--from", "192.0.2.7:80,443"], "bad option --from '192.0.2.7:80,443'"),
    (["tcp", "2001:db8::1:80"], "[2001:db8::1]:443"),
    (["tcp", "192.0.2.0/24:80"], "not an IP address and a port"),
    (["tcp", "80"], "not an IP address and a port"),
    (["tcp", "192.0.2.1:0"], "not an IP address and a port"),
    (["tcp", "192.0.2.1:80-90"], "not an IP address and a port"),
    (["tcp", "0.0.0.0:80"], "nothing is sent to or from this address"),
    (["tcp", "[::]:80"], "nothing is sent to or from this address"),
    (["tcp", "192.0.2.1:80", "--from", "[2001:db8::1]:5"], "mixes IPv4 and IPv6 with 192.0.2.1:80"),
    (["tcp", "192.0.2.1:80", "--from", "203.0.113.1"], "bad option --from '203.0.113.1'"),
    (["tcp"], "'explain' needs more arguments: usherctl explain PROTO ADDRESS:PORT"),
    ([], "needs more arguments"),
    (["tcp", "192.0.2.1:80", "443"], "bad argument '443': 'explain' takes no more"),
])
def test_wrong_usage(words, says):
    done = ctl("explain", *words, check=False)
    assert (done.returncode, done.stdout) == (2, "") and says in done.stderr, done.stderr
    assert "EINVAL" in done.stderr or "usherctl" in done.stderr


def test_schema(broker):
    """The keys that usherctl(1) promises, whatever the packet."""
    page = (SOURCE / "docs/man/usherctl.1.scd").read_text()
    page = page[page.index("*explain* _PROTO_"):page.index("# RULES")]
    broker(web="Stream=80", soft=rule("Stream=81", Missing="pass"))
    with Service("web") as service, socket.create_server(("0.0.0.0", 81)):
        wire.hand_in("web", service)
        seen = [explain(f"192.0.2.1:{port}").data for port in (80, 81, 82)]
    assert len({tuple(data) for data in seen}) == 1, "always the same keys"
    keys = set(seen[0]).union(*(row for data in seen for key in ("rules", "sockets", "listeners", "findings") for row in data[key]))
    assert not [key for key in keys if not re.search(rf"_{re.escape(key)}_(?![a-z])", page.replace("\\_", "_"))]

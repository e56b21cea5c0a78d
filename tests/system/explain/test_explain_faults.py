# SPDX-License-Identifier: BSD-3-Clause
"""usherctl explain names the cause, for each set-up that is broken."""

import os
import socket

import pytest

from harness import bpf, wire
from harness.broker import Usherd, ctl
from harness.daemon import PROGRAMS
from harness.explained import Explained, comm, explain, healthy
from harness.host import Netns, ip, rule, run, write_rule
from harness.process import in_child, wait_until
from harness.service import Service, ServiceProcess, make_socket
from harness.traffic import REFUSED, SILENCE, who

V4 = "192.0.2.1"
IPPROTO_MPTCP = 262


# ---- sockets that do not fit

def test_family_v6only(broker):
    broker(web="Stream=80")
    with Service("web", address="::1") as service:
        wire.hand_in("web", service)
        found = explain("192.0.2.1:80")
        assert found.code == 1 and who(V4, 80) == REFUSED
        found.because("family", "they are v6only", "hand an IPv4 socket in as well", "IPV6_V6ONLY")


def test_family_ipv4_alone(broker):
    broker(web="Stream=80")
    with Service("web") as service:
        wire.hand_in("web", service)
        explain("[2001:db8::1]:80").because("family", "IPv4 alone", "listen on IPv6")


def test_protocol(broker):
    broker(web=["Stream=80", "Datagram=80"])
    with Service("web") as service:
        wire.hand_in("web", service)
        explain("192.0.2.1:80", "udp").because("protocol", "sockets of TCP", "hand a UDP socket in")


def test_shut_down(broker):
    broker(web="Stream=80")
    with make_socket("tcp", "127.0.0.2", 8080) as sock:
        wire.hand_in("web", sock)
        sock.shutdown(socket.SHUT_RDWR)
        found = explain("192.0.2.1:80")
        assert found.code == 1 and found.data["error"] == "ESOCKTNOSUPPORT"
        assert found.first == "tcp 192.0.2.1:80 is refused: no socket of 'web' can take it (ESOCKTNOSUPPORT)"
        found.because("socket-state", "does not listen any more", "restart the service", "usherctl withdraw web")
        assert found.data["sockets"][0]["state"] == "unusable"
        sock.listen()
        healthy()


def test_shut_down_before_another(broker):
    """A standby takes what the newest cannot."""
    broker(web="Stream=80")
    with make_socket("tcp", "127.0.0.2", 8080) as older, make_socket("tcp", "127.0.0.2", 8081) as newer:
        wire.hand_in("web", older)
        wire.hand_in("web", newer)
        newer.shutdown(socket.SHUT_RDWR)
        found = explain("192.0.2.1:80")
        assert found.code == 0 and "127.0.0.2:8080" in found.first
        assert [row["state"] for row in found.data["sockets"]] == ["unusable", "serving"]


def test_mptcp(broker):
    """The kernel does not let an MPTCP listener in, so the name stays empty."""
    try:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
    except OSError:
        pytest.skip("machine: no MPTCP in this kernel")
    broker(web="Stream=80")
    with sock:
        sock.bind(("127.0.0.2", 8080))
        sock.listen()
        found = explain("192.0.2.1:80")
        assert found.because("mptcp", f"{comm()} (pid {os.getpid()}) at 127.0.0.2:8080", "GODEBUG=multipathtcp=0")[
            "severity"] == "note"
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP) as sock:
        sock.bind(("0.0.0.0", 80))
        sock.listen()
        assert explain("192.0.2.1:80").because("mptcp", "0.0.0.0:80")["severity"] == "warn"


def test_discover(broker):
    broker(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080", "User=daemon"]))
    explain("192.0.2.1:80").because("discover", "nobody listens at Socket=127.0.0.2:8080", "web.rule:4")
    service = ServiceProcess("web")
    explain("192.0.2.1:80").because("discover", f"(pid {service.pid}) at 127.0.0.2:8080", "nobody has handed it in",
                                    "systemctl enable --now usher-discover")
    said = in_child(lambda: explain("192.0.2.1:80").codes["discover"], uid=65534, gid=65534)
    assert "usher-discover has handed in none" in said["text"] and said["command"] == "usherctl discover --dry-run web"
    service.kill()
    service = ServiceProcess("web", uid=65534, gid=65534)
    explain("192.0.2.1:80").because("discover", f"127.0.0.2:8080 (pid {service.pid})", "User=", "usherctl discover --dry-run web")
    explain("[2001:db8::1]:80").because("discover", "nobody listens at Socket=127.0.0.2:8080")


def test_refused_hand_in(broker):
    """Of the name itself, and of a name that has no rule; not of one that has."""
    broker(web="Stream=80", other="Stream=81")
    with make_socket("tcp", "198.51.100.1", 8080) as sock:
        for name in ("other", "web", "wbe"):
            with pytest.raises(wire.Refused):
                wire.hand_in(name, sock)
    because = explain("192.0.2.1:80").because("hand-in-refused", "the last hand-in as 'web' was refused", f"pid {os.getpid()}",
                                              "uid 0", "Bound=", "hand its socket in again")
    assert because["severity"] == "warn"
    with Service("web") as service:
        wire.hand_in("web", service)
        healthy()
    wait_until(lambda: explain("192.0.2.1:80").code)
    assert explain("192.0.2.1:80").because("hand-in-refused", "a hand-in as 'wbe' was refused", "no rule")["severity"] == "note"
    with make_socket("tcp", "198.51.100.1", 8080) as sock, pytest.raises(wire.Refused):
        wire.hand_in("other", sock)
    assert "hand-in-refused" not in explain("192.0.2.1:80").codes


def test_overridden(broker):
    """Of two files of one name, the one that is not read would be for it."""
    write_rule("web", rule("Stream=81"), "/etc/usher/rules.d")
    broker(web="Stream=80")
    explain("192.0.2.1:80").because("overridden", "/run/usher/rules.d/web.rule would give it to 'web'",
                                    "/etc/usher/rules.d/web.rule is read in its place")
    assert "overridden" not in explain("192.0.2.1:81").codes and "overridden" not in explain("192.0.2.1:82").codes


# ---- sockets that nobody serves

def fill(address, port):
    """Connect until the queue is full; the connections."""
    connections = []
    while True:
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.settimeout(0.3)
        try:
            connection.connect((address, port))
        except TimeoutError:
            connection.close()
            return connections
        connections.append(connection)


def test_full_queue(broker):
    broker(web="Stream=80")
    with make_socket("tcp", "127.0.0.2", 8080, backlog=1) as sock:
        wire.hand_in("web", sock)
        assert len(fill(V4, 80)) == 2
        found = explain("192.0.2.1:80")
        assert found.code == 1 and found.first.startswith("tcp 192.0.2.1:80 is lost: it is for 'web', and the queue of socket")
        found.because("queue-full", "2 of 1 connections wait", "does not accept", "somaxconn")
        assert (found.data["sockets"][0]["queue"], found.data["sockets"][0]["queue_max"]) == (2, 1)
        assert who(V4, 80, seconds=0.3) == SILENCE


def test_dead_holder(broker):
    """The broker holds the socket of a process that is gone: connections wait, and nobody accepts."""
    broker(web="Stream=80")
    service = ServiceProcess("web", before=lambda sock: wire.request("hold", [sock], NAME="web"), backlog=1)
    assert healthy().data["sockets"][0]["held"] is True
    service.kill()
    found = explain("192.0.2.1:80")
    assert found.code == 0 and f"(pid {service.pid}, ended)" in found.first
    found.because("nobody-accepts", "nobody accepts", "usherctl claim web -- COMMAND", "usherctl withdraw web")
    assert "unless" not in found.codes["nobody-accepts"]["text"], "root sees all descriptors"
    found.because("queue", "0 of 1 connections wait")
    connections = fill(V4, 80)
    found = explain("192.0.2.1:80")
    assert found.code == 1 and found.because("queue-full", "2 of 1")["severity"] == "fail"
    for connection in connections:
        connection.close()


def test_dead_holder_of_udp(broker):
    broker(dns="Datagram=53")
    service = ServiceProcess("dns", "udp", port=53, before=lambda sock: wire.request("hold", [sock], NAME="dns"))
    service.kill()
    explain("192.0.2.1:53", "udp").because("nobody-accepts", "nobody reads its datagrams")


# ---- UDP

def test_udp_replies(broker):
    """explain warns when a UDP service would answer from another port or address than the client asked."""
    broker(dns="Datagram=53")
    with Service("dns", "udp", port=5300) as service:
        wire.hand_in("dns", service)
        found = explain("192.0.2.1:53", "udp", "--from", "203.0.113.2:5000")
        assert found.code == 0, "a socket gets it"
        assert found.because("udp-port", "wrong port: 5300", "not 53", "bind the service to port 53")["severity"] == "warn"
        assert found.because("udp-address", "127.0.0.2 and not 192.0.2.1", "IP_PKTINFO")["severity"] == "note"
    with Service("dns", "udp", port=53) as service:
        wire.hand_in("dns", service)
        assert set(explain("192.0.2.1:53", "udp").codes) == {"udp-address"}
        assert not explain("127.0.0.2:53", "udp").codes


def test_udp_wildcard(broker):
    broker(dns=rule("Datagram=53", access=["Bound=any"]))
    with Service("dns", "udp", address="0.0.0.0", port=53) as service:
        wire.hand_in("dns", service)
        explain("192.0.2.1:53", "udp").because("udp-address", "an address that the route chooses")


# ---- other rules

def test_shadowed(broker):
    """A rule that wins keeps the packet, and the one with the socket gets nothing."""
    broker(web="Stream=192.0.2.0/24:80", host="Stream=192.0.2.1:*", wide="Stream=192.0.2.0/24:80-81")
    with Service("web") as service:
        wire.hand_in("web", service)
        found = explain("192.0.2.1:80")
        found.because("shadowed", "'web' has a socket for it and loses to 'host'", "longer prefix",
                      "narrow or remove 192.0.2.1/32:*", "/run/usher/rules.d/host.rule:2")
        assert len([f for f in found.data["findings"] if f["code"] == "shadowed"]) == 1
        wire.request("withdraw", NAME="web")
        wire.hand_in("wide", service)
        explain("192.0.2.2:80").because("shadowed", "'wide' has a socket", "fewer ports")


def test_early_listener(broker):
    """Bound to the very address before there was a rule: it gets nothing any more."""
    with Service("early", address=V4, port=80) as early:
        broker(web="Stream=192.0.2.0/24:80")
        found = explain("192.0.2.1:80")
        assert found.code == 1 and who(V4, 80) == REFUSED
        found.because("bypassed", f"(pid {os.getpid()}) at 192.0.2.1:80", "would get it without the rule",
                      "hand that socket in as 'web'", "/run/usher/rules.d/web.rule:2", "Missing=pass")
        with Service("web") as service:
            wire.hand_in("web", service)
            found = healthy()
            assert "Listening there as well, the one that fits best first; they get nothing:" in found.text
            assert [row["socket"] for row in found.data["listeners"]] == [f"sk:{wire.cookie(early.socket)}"]


def test_served_where_it_is_bound(broker):
    """The socket that serves is no other listener, wherever it is bound."""
    broker(web=rule("Stream=80", access=["Bound=any"]))
    with Service("web", address="0.0.0.0", port=80) as service:
        wire.hand_in("web", service)
        assert healthy().data["listeners"] == []


# ---- files

def test_files_changed(broker, rules):
    broker(web="Stream=80")
    with Service("web") as service:
        wire.hand_in("web", service)
        rules(web=["Stream=80", "Missing=pass"])
        found = explain("192.0.2.1:80")
        assert found.code == 0
        found.because("files-changed", "/run/usher/rules.d/web.rule has changed", "usherctl diff", "usherctl reload")
        rules(web="Stream=80", host="Stream=192.0.2.1:80")
        explain("192.0.2.1:80").because("files-changed", "give it to 'host' (/run/usher/rules.d/host.rule:2)")
        assert not explain("192.0.2.2:80").codes, "the change is about another address"
        os.unlink("/run/usher/rules.d/web.rule")
        explain("192.0.2.2:80").because("files-changed", "no match in the rule files")
        ctl("reload")
        assert "files-changed" not in explain("192.0.2.2:80").codes


def test_masked(broker):
    write_rule("web", rule("Stream=80"))
    os.makedirs("/etc/usher/rules.d", exist_ok=True)
    os.symlink("/dev/null", "/etc/usher/rules.d/web.rule")
    broker(other="Stream=81")
    found = explain("192.0.2.1:80")
    assert found.code == 1 and found.data["rules"] == []
    found.because("masked", "/run/usher/rules.d/web.rule would give it to 'web'", "/etc/usher/rules.d/web.rule masks",
                  "rm /etc/usher/rules.d/web.rule && usherctl reload")
    assert "masked" not in explain("192.0.2.1:81").codes


def test_bad_files(broker, rules):
    running = broker(web="Stream=80")
    rules(web="Stream=80 nonsense")
    explain("192.0.2.1:80").because("files-unknown", "web.rule:2", "nonsense", "usherctl check")
    assert ctl("reload", check=False).returncode == 65
    found = explain("192.0.2.1:80")
    found.because("reload-failed", "web.rule:2", "nonsense", "usherctl reload")
    assert "files-unknown" not in found.codes and running.running()


def test_instance():
    """The files are those of the broker that answers, whatever socket it was asked at."""
    usherd = Usherd("b")
    write_rule("web", rule("Stream=80"), "/run/usher-b/rules.d")
    usherd.start()
    with Service("web") as service:
        wire.request("hand-in", [service], usherd.socket, NAME="web")
        for words in (["--instance", "b"], ["--socket", usherd.socket]):
            assert not Explained(*words, "tcp", "192.0.2.1:80").codes


# ---- the host

@pytest.mark.parametrize("setting, address, command", [
    ("Stream=203.0.113.0/24:80", "203.0.113.9:80", "ip route add local 203.0.113.0/24 dev lo"),
    ("Stream=80", "203.0.113.9:80", "ip route add local 203.0.113.9/32 dev lo"),
    ("Stream=0.0.0.0/1:80", "10.0.0.9:80", "ip route add local 10.0.0.9/32 dev lo"),
    ("Stream=[2001:db8:77::/48]:80", "[2001:db8:77::1]:80", "ip route add local 2001:db8:77::/48 dev lo"),
])
def test_no_route(broker, setting, address, command):
    broker(web=setting)
    with Service("web", address="::1" if "[" in address else "127.0.0.2") as service:
        wire.hand_in("web", service)
        found = explain(address)
        assert found.code == 1 and found.first.startswith(f"tcp {address} does not get here: ")
        assert found.because("no-route", "is not a local address")["command"] == command
        run(*command.split())
        healthy(address)


def test_routed_elsewhere(broker, client):
    broker()
    ip("route add 203.0.113.128/25 via 203.0.113.2", "route add blackhole 198.18.0.0/15")
    found = explain("203.0.113.200:80")
    assert found.data["route"] == "elsewhere" and "another host" in found.because("no-route")["text"]
    assert explain("198.18.0.1:80").data["route"] == "none"
    assert explain("203.0.113.1:80").data["route"] == "local"
    assert "broadcast" in explain("203.0.113.255:53", "udp").because("multicast")["text"]
    assert "multicast" in explain("224.0.0.251:53", "udp").first
    assert explain("[ff02::fb]:53", "udp").code == 1


def attach(program, sock):
    run(PROGRAMS / "attach", PROGRAMS / "foreign.bpf.o", program, "/sys/fs/bpf/foreign", sock.fileno(), pass_fds=[sock.fileno()])


def test_foreign_program(broker, rules):
    with Service("foreign", address="127.0.0.9", port=9999) as foreign, Service("web") as service:
        attach("redirect", foreign.socket)
        running = broker(web="Stream=80")
        if "PROGRAMS" not in running.status():
            pytest.skip("machine: this kernel does not tell how many programs there are")
        wire.hand_in("web", service)
        found = explain("192.0.2.1:80")
        assert found.because("programs", "1 more sk_lookup program", "bpftool link show")["severity"] == "note"
        assert found.data["programs"] == 2
        assert who(V4, 80) == "foreign"
        assert explain("192.0.2.1:80").because("programs", "was first 1 times")["severity"] == "warn"


def test_detached_link(broker):
    broker(web="Stream=80")
    with Service("web") as service:
        wire.hand_in("web", service)
        run(bpf.BPFTOOL, "link", "detach", "id", bpf.links()[0]["id"])
        found = explain("192.0.2.1:80")
        assert found.code == 1 and found.first == (
            "no rule is asked for tcp 192.0.2.1:80, and nobody listens there: it is refused")
        found.because("detached", "usherctl reload")
        assert found.data["attached"] is False
        ctl("reload")
        healthy()


def test_other_namespace(broker):
    """What listens in the namespace of usherctl is none of the broker's business."""
    running = broker(web=rule("Stream=80", Missing="pass"))
    with Netns().entered(), Service("elsewhere", address="0.0.0.0", port=80):
        found = explain("192.0.2.1:80")
        assert found.code == 1 and found.first.endswith("; what listens there is not known")
        found.because("namespace", f"nsenter --net=/proc/{running.pid}/ns/net usherctl explain tcp 192.0.2.1:80")
        assert found.data["route"] == "unknown" and found.data["listeners"] == []

# SPDX-License-Identifier: BSD-3-Clause
"""Order=: rules that come before everybody, before wildcard sockets, or after all others"""

import collections
import json
import mmap
import os
import pathlib
import re
import resource
import time

import pytest

from harness import bpf
from harness.broker import ctl
from harness.diagnosed import Diagnosed
from harness.discover import mount_cgroup2
from harness.host import V4, V4_OTHER, V6, rule, run
from harness.obstacles import OBSTACLES, bound, comes_before, every_row, opened
from harness.process import ATTEMPT, Child, MOMENT, libc, wait_until
from harness.service import Service, make_socket
from harness.traffic import REFUSED, who
from harness.wire import Refused, hand_in

PORTS = {"first": 8080, "before-wildcard": 8081, "last": 8082}
ADDRESS = {4: V4, 6: V6}
MNT_DETACH = 2
PINS = pathlib.Path("/sys/fs/bpf/usher")


# On other kernels, each takes a quarter of a minute.
ROWS = [pytest.param(what, marks=pytest.mark.vm if what in ("dual-stack", "exact, MPTCP") else pytest.mark.vm_long)
        for what in OBSTACLES]


def of(order):
    return rule(f"Stream={PORTS[order]}", f"Datagram={PORTS[order]}", Order=order)


def unmount_cgroup2():
    for line in reversed(pathlib.Path("/proc/self/mountinfo").read_text().splitlines()):
        if " - cgroup2 " in line:
            libc("umount2", line.split()[4].encode(), MNT_DETACH)


def counted(running):
    """How many sockets are counted"""
    return int(running.status()["MAPS"].split("obstacles:")[1].split(":")[0])


def serve(order):
    """A service for each seat of that name"""
    services = []
    for protocol in "tcp", "udp":
        for address in "127.0.0.9", "::1":
            port = 9000 + 10 * list(PORTS).index(order) + (protocol == "udp")
            services.append(Service(order, protocol, address, port))
            hand_in(order, services[-1])
    return services


@pytest.fixture
def ordered(broker):
    """A broker with a name for each order, and a service in each of their seats."""
    mount_cgroup2()
    running = broker(**{order: of(order) for order in PORTS})
    services = [service for order in PORTS for service in serve(order)]
    yield running
    for service in services:
        service.close()


def rows_of(protocol, family, client):
    return {order: who(ADDRESS[family], PORTS[order], protocol, netns=client, seconds=ATTEMPT) for order in PORTS}


def expected(what, family):
    return {order: "other" if comes_before(what, family, order) else order for order in PORTS}


def obstacle_pins():
    return sorted(path.name for path in PINS.iterdir() if path.name.startswith(("hook_", "obstacle")))


@pytest.mark.parametrize("what", ROWS)
def test_matrix(ordered, client, what):
    """Who gets a packet that comes by a cable, for each kind of socket of somebody else, opened after the hooks."""
    for _, protocol, family in [row for row in every_row() if row[0] == what]:
        try:
            with opened(what, protocol, family, PORTS.values()):
                wait_until(lambda: rows_of(protocol, family, client) == expected(what, family), f"{protocol} {family}")
                assert rows_of(protocol, family, client) == expected(what, family)
        except OSError as error:
            if "MPTCP" not in what:
                raise
            pytest.skip(f"machine: no MPTCP ({error})")
        wait_until(lambda: rows_of(protocol, family, client) == {order: order for order in PORTS},
                   f"{protocol} {family} after it has closed")
        wait_until(lambda: counted(ordered) == 0, "nothing is counted")


@pytest.mark.parametrize("what", ROWS)
def test_older(broker, rules, client, what):
    """The same with sockets that were there before the hooks: right as soon as the reload has succeeded."""
    mount_cgroup2()
    running = broker(other="Stream=79")
    for _, protocol, family in [row for row in every_row() if row[0] == what]:
        for order in PORTS:
            pathlib.Path(f"/run/usher/rules.d/{order}.rule").unlink(missing_ok=True)
        running.reload()
        assert not obstacle_pins()
        try:
            with opened(what, protocol, family, PORTS.values()):
                rules(**{order: of(order) for order in PORTS})
                running.reload()
                services = [service for order in PORTS for service in serve(order)]
                try:
                    assert rows_of(protocol, family, client) == expected(what, family)
                finally:
                    for service in services:
                        service.stop()
        except OSError as error:
            if "MPTCP" not in what:
                raise
            pytest.skip(f"machine: no MPTCP ({error})")
        wait_until(lambda: counted(running) == 0 or rows_of(protocol, family, client) == {order: REFUSED for order in PORTS},
                   f"{protocol} {family} after it has closed")
        for service in services:
            service.close()
        wait_until(lambda: who(ADDRESS[family], PORTS["last"], protocol, netns=client, seconds=ATTEMPT) == REFUSED
                   and counted(running) == 0, "nothing is counted")


@pytest.mark.vm
def test_only_while_needed(broker, rules):
    """There is nothing of it without such a rule, and it goes with the last one; UDP's hooks with the last rule for UDP."""
    mount_cgroup2()
    running = broker(web=rule("Stream=80", "Datagram=80"))
    assert not obstacle_pins()
    rules(web=rule("Stream=80", Order="last"))
    running.reload()
    hooks = [name for name in obstacle_pins() if name.startswith("hook_")]
    assert hooks == ["hook_release", "hook_sockops"]
    rules(web=rule("Stream=80", "Datagram=80", Order="last"))
    running.reload()
    assert len([name for name in obstacle_pins() if name.startswith("hook_")]) == 6
    rules(web=rule("Stream=80", Order="last"))
    running.reload()
    assert [name for name in obstacle_pins() if name.startswith("hook_")] == hooks
    rules(web=rule("Stream=80"))
    running.reload()
    assert not obstacle_pins()


def test_detach(broker):
    """`usherctl detach` removes it as well."""
    mount_cgroup2()
    running = broker(web=rule("Stream=80", Order="last"))
    assert obstacle_pins()
    running.request("detach")
    running.wait()
    assert not PINS.exists() or not list(PINS.iterdir())


@pytest.mark.vm
@pytest.mark.parametrize("kill", [False, True])
def test_goes_on_without_the_broker(ordered, client, kill):
    """The counts are kept while there is no broker, and the next one adopts them."""
    before = bound("tcp", "192.0.2.1", PORTS["last"])
    with Service("before", sock=before):
        ordered.kill() if kill else ordered.stop()
        assert who(V4, PORTS["last"], netns=client) == "before"
        with Service("other", address=V4, port=PORTS["before-wildcard"]):
            assert who(V4, PORTS["before-wildcard"], netns=client) == "other"
            ordered.start()
            assert counted(ordered) == 2
            assert who(V4, PORTS["before-wildcard"], netns=client) == "other"
        assert who(V4, PORTS["before-wildcard"], netns=client) == "before-wildcard"
    assert who(V4, PORTS["last"], netns=client) == "last"
    assert counted(ordered) == 0


@pytest.mark.parametrize("missing", ["hook_sockops", "hook_release", "obstacles", "obstacle_counts", "obstacle_lock"])
def test_pin_is_missing(ordered, client, missing):
    """A broker that starts makes again what was removed by hand, and counts what it missed."""
    ordered.stop()
    (PINS / missing).unlink()
    with Service("other", address=V4, port=PORTS["last"]):
        ordered.start()
        assert who(V4, PORTS["last"], netns=client) == "other"
        assert counted(ordered) == 1
    wait_until(lambda: who(V4, PORTS["last"], netns=client, seconds=ATTEMPT) == "last")
    assert counted(ordered) == 0


def test_mixed_on_a_port(broker, client):
    """Rules of one port with different orders"""
    mount_cgroup2()
    broker(first=rule(f"Stream={V4}:80"), last=rule("Stream=80", Order="last"))
    with Service("first", port=9000) as first, Service("last", port=9001) as last:
        hand_in("first", first)
        hand_in("last", last)
        with Service("other", address="0.0.0.0", port=80):
            assert who(V4, 80, netns=client) == "first"
            assert who(V4_OTHER, 80, netns=client) == "other"
        assert who(V4_OTHER, 80, netns=client) == "last"


@pytest.mark.vm
def test_proxy_beside_services_on_single_addresses(broker, client):
    """A reverse proxy has everything of a port that no service on 127/8, or a ULA, listens on; nothing listens on every address."""
    mount_cgroup2()
    broker(proxy=rule("Stream=80 443", Order="before-wildcard"))
    proxies = [Service("proxy", address=address, port=8080) for address in ("127.0.0.1", "::1")]
    hand_in("proxy", *proxies)
    places = {"resolver": ("127.0.0.53", None), "backend": ("fd00:1::2", client), "tracker": ("fd00:1::3", client)}
    for _ in range(2):
        services = [Service(name, address=address, port=80) for name, (address, _) in places.items()]
        assert {name: who(address, 80, netns=netns) for name, (address, netns) in places.items()} == {name: name for name in places}
        for address, port, netns in [(V4, 80, client), (V4, 443, client), (V6, 80, client), ("fd00:1::1", 80, client),
                                     ("fd00:1::2", 443, client), ("127.0.0.54", 80, None), ("127.0.0.53", 443, None)]:
            assert who(address, port, netns=netns) == "proxy", (address, port)
        for service in services:
            service.close()
        for address, netns in places.values():
            wait_until(lambda: who(address, 80, netns=netns) == "proxy", f"{address} is the proxy's")


@pytest.mark.vm
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("order", ["before-wildcard", "last"])
def test_own_socket_is_no_obstacle(broker, client, protocol, order):
    """The service hands in the socket that is bound to the address of its rule; an older place of the name stays behind it."""
    mount_cgroup2()
    key = "Stream" if protocol == "tcp" else "Datagram"
    running = broker(web=rule(f"{key}={V4}:80", Order=order, access=["Bound=any"]))
    with Service("own", protocol, V4, 80) as own, Service("newer", protocol, "127.0.0.9", 9000) as newer:
        hand_in("web", own)
        assert who(V4, 80, protocol, netns=client) == "own"
        hand_in("web", newer)
        assert who(V4, 80, protocol, netns=client) == "newer"
        assert running.counters("web", protocol)["LOOKUPS"] >= 2


@pytest.mark.vm
def test_more_than_a_port_has_room_for(ordered, client):
    """Such a port leaves everything to others, another port is not affected, and it recovers."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    many = [make_socket("tcp", f"127.1.{i // 250}.{i % 250 + 1}", PORTS["before-wildcard"], backlog=1) for i in range(1030)]
    assert who(V4, PORTS["before-wildcard"], netns=client) == REFUSED
    assert who(V4, PORTS["last"], netns=client) == "last"
    assert ordered.status()["UNCOUNTED"] == f"tcp:ipv4:{PORTS['before-wildcard']}"
    shown = f"rules with a later order take nothing at tcp:ipv4:{PORTS['before-wildcard']}"
    assert shown in ctl("status").stdout
    (result, text), = Diagnosed().of("order")
    assert result == "warn" and text.startswith(shown)
    for sock in many:
        sock.close()
    wait_until(lambda: who(V4, PORTS["before-wildcard"], netns=client, seconds=ATTEMPT) == "before-wildcard")
    assert counted(ordered) == 0
    assert "UNCOUNTED" not in ordered.status() and Diagnosed().of("order") == [
        ("ok", "the sockets of others are counted for the rules with a later order")]


def test_no_cgroup2(usherd, rules):
    """Without cgroup v2, such rules take nothing when the broker starts, and a reload is refused."""
    unmount_cgroup2()
    rules(web=rule("Stream=80", Order="last"), other="Stream=81")
    usherd.start()
    assert "no cgroup v2 file system is mounted" in usherd.log
    with Service("web") as web, Service("other", port=8081) as other:
        hand_in("web", web)
        hand_in("other", other)
        assert (who(V4, 80), who(V4, 81)) == (REFUSED, "other")
        assert "no cgroup v2 file system is mounted" in usherd.status()["BLIND"]
        assert "rules with a later order take nothing, since nothing is counted: " in ctl("status").stdout
        (result, text), = Diagnosed().of("order")
        assert result == "fail" and "the sockets of others are not counted: " in text and "no cgroup v2" in text
        rules(web=rule("Stream=82", Order="last"))
        with pytest.raises(Refused, match="cgroup"):
            usherd.reload()
        mount_cgroup2()
        usherd.reload()
        assert who(V4, 82) == "web"


@pytest.mark.no_asan
def test_idle(ordered, client):
    """A broker is not woken by listeners and packets on other ports, nor by packets to its own sockets."""

    def switches():
        text = pathlib.Path(f"/proc/{ordered.pid}/status").read_text()
        return sum(int(line.split()[1]) for line in text.splitlines() if "ctxt_switches" in line)

    wait_until(lambda: switches() == (time.sleep(MOMENT), switches())[1], "the broker is idle")
    before = switches()
    with Service("else", address=V4, port=7000), Service("udp", "udp", V4, 7000):
        for _ in range(20):
            assert who(V4, 7000, netns=client) == "else"
            assert who(V4, PORTS["last"], netns=client) == "last"
            assert who(V4, PORTS["last"], "udp", netns=client) == "last"
    assert switches() == before


def explained(address, port, client_device="usher0"):
    return json.loads(ctl("explain", "--json", "tcp", f"{address}:{port}", "--device", client_device, check=False).stdout)


def test_explain_and_counters(ordered, client):
    """Who gets a packet, and why; how many were left to others."""
    port = PORTS["last"]
    assert explained(V4, port)["verdict"] == "dispatched"
    with Service("other", address="0.0.0.0", port=port):
        said = explained(V4, port)
        assert (said["verdict"], said["obstacle"], said["name"]) == ("yielded", "wildcard", "last")
        assert said["summary"].startswith(
            f"Order= of 'last' leaves tcp {V4}:{port} by usher0 to a socket that is bound to the port on every address; it goes to ")
        assert said["summary"].endswith(f"0.0.0.0:{port}") and said["arrives"] is True, said["summary"]
        before = ordered.counters("last")
        for _ in range(3):
            assert who(V4, port, netns=client) == "other"
        row = next(row for row in ordered.list("last") if (row["PROTOCOL"], row["FAMILY"]) == ("tcp", "ipv4"))
        assert row["YIELDED"] == "3" and ordered.counters("last")["LOOKUPS"] == before["LOOKUPS"]
        assert ordered.status()["YIELDED"] == "3"
        assert 'usher_yielded_total{name="last",protocol="tcp",family="ipv4"} 3' in ctl("metrics").stdout
        assert "3 packets to sockets of others" in ctl("status").stdout
    with Service("other", address=V4, port=port):
        assert explained(V4, port)["obstacle"] == "address"
    with Service("other", sock=bound("tcp", V4, port, device=b"usher0")):
        assert explained(V4, port)["obstacle"] == "address-device"
        assert explained(V4, port, "lo")["verdict"] == "dispatched"
    with Service("other", sock=bound("tcp", "0.0.0.0", port, device=b"usher0")):
        assert explained(V4, port)["obstacle"] == "device"
    assert explained(V4, port)["verdict"] == "dispatched"


def test_check_warns(broker, rules):
    """`check` warns where every user may take what a rule matches, and not of listeners that the rule leaves alone."""
    broker(web="Stream=79")
    rules(low=rule("Stream=80", Order="last"), high=rule("Stream=8080", Order="before-wildcard"), first="Stream=8081")
    rows = [(row["name"], row["code"]) for row in json.loads(ctl("check", "--json").stdout)["hazards"]]
    assert rows == [("high", "bindable")]
    with Service("exact", address=V4, port=8080), Service("wildcard", address="0.0.0.0", port=80):
        assert "bypass" not in ctl("check").stderr and "takes" not in ctl("check").stderr.replace("may take", "")


def churn(protocol, order, cycles, stop_at):
    """A process that opens and closes sockets of all kinds on the port; it shares with the test what is open now."""

    def cycle(tell):
        port, kinds = PORTS[order], [(V4, True), ("0.0.0.0", True), ("::", False)]
        for number in range(cycles):
            address, v6only = kinds[number % 3]
            stop_at[0] += 1  # odd: changing
            service = Service("other", protocol, address, port, **({} if ":" not in address else {"v6only": v6only}))
            stop_at[1] = 1 if address == V4 else 2
            stop_at[0] += 1
            while number < cycles and stop_at[2] <= number:
                time.sleep(0.0002)
            stop_at[0] += 1
            service.close()
            stop_at[1] = 0
            stop_at[0] += 1
            while stop_at[3] <= number:
                time.sleep(0.0002)
        stop_at[4] = 1

    return Child(cycle)


@pytest.mark.vm_long
@pytest.mark.no_asan
@pytest.mark.seconds(1200)
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("order", ["before-wildcard", "last"])
def test_come_and_go(ordered, client, protocol, order):
    """Sockets that come and go while clients connect: none reaches the wrong one, and then nothing is counted."""
    import ctypes
    memory = mmap.mmap(-1, 64)
    shared = (ctypes.c_uint32 * 8).from_buffer(memory)
    cycles = int(os.environ.get("USHER_CHURN", "150"))
    child = churn(protocol, order, cycles, shared)
    outcomes = collections.Counter()
    while not shared[4]:
        before, kind = shared[0], shared[1]
        name = who(V4, PORTS[order], protocol, netns=client, seconds=ATTEMPT)
        if shared[0] == before and not before & 1:
            right = {"other"} if kind == 1 or kind == 2 and order == "last" else {order}
            assert name in right or (protocol == "udp" and name == "silence"), (name, kind, outcomes)
            outcomes[name] += 1
            if kind:
                shared[2] += 1
            else:
                shared[3] += 1
        else:
            outcomes["changing", name] += 1
    child.result()
    assert outcomes[order] and outcomes["other"], outcomes
    wait_until(lambda: counted(ordered) == 0, f"nothing is counted: {outcomes}")


def shortest_dispatch(program):
    """The least number of instructions with which a program selects a socket from `front`."""
    text = run(bpf.BPFTOOL, "prog", "dump", "xlated", "pinned", program).stdout
    code = {int(line.split(":")[0]): line.split(": ", 1)[1] for line in text.splitlines() if re.match(r"\s*\d+: \(", line)}
    following = dict(zip(code, list(code)[1:]))
    steps = ["sock_map_lookup", "bpf_sk_lookup_assign", "bpf_sk_release"]
    todo, seen = collections.deque([(0, 0, 1)]), set()
    while todo:
        at, done, length = todo.popleft()
        if (at, done) in seen or at not in code:
            continue
        seen.add((at, done))
        line = code[at]
        if line.startswith("(95)"):
            if done == len(steps):
                return length
            continue
        done += done < len(steps) and steps[done] in line
        jump = re.search(r"goto pc([+-]\d+)", line)
        if jump:
            todo.append((at + 1 + int(jump[1]), done, length + 1))
        if not line.startswith("(05)"):
            todo.append((following.get(at), done, length + 1))
    raise AssertionError("no way through the program")


@pytest.mark.vm
def test_first_pays_nothing(broker, rules):
    """A rule with Order=first takes not one instruction more where other rules have a later order."""
    mount_cgroup2()
    running = broker(web="Stream=80 192.0.2.0/24:81")
    before = shortest_dispatch(next(PINS.glob("program-*")))
    assert not obstacle_pins() and before < 200
    rules(web="Stream=80 192.0.2.0/24:81", later=rule("Stream=82", Order="last"))
    running.reload()
    assert obstacle_pins() and shortest_dispatch(next(PINS.glob("program-*"))) <= before

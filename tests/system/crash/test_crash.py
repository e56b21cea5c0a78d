# SPDX-License-Identifier: BSD-3-Clause
"""The broker dies at any moment, and connections keep arriving.

The rules in force and the sockets in the kernel's table always stay, and the next start adopts them
(docs/architecture.md, "What is pinned, and what survives what").
"""

import os
import re
import signal
import socket

import pytest

from harness import bpf, wire
from harness.broker import Usherd
from harness.early import early_rules, held_early, let_in
from harness.host import V4, V6, rule, write_rule
from harness.process import Child, wait_until
from harness.service import Service
from harness.tracer import Tracer, attempt
from harness.traffic import REFUSED, Load, who
from harness.wire import cookie, hand_in, request


def steady(rows):
    """Rows of the listing without the values that traffic changes."""
    moving = ("LOOKUPS", "MISSING", "EVENTS_LOST")
    return [{key: value for key, value in row.items() if key not in moving and not key.startswith("REFUSED")}
            for row in rows]


@pytest.mark.vm
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_start_adopts(broker, end):
    """Sockets that were handed in serve while there is no broker, and the next broker lists them as before."""
    running = broker(web=["Stream=80", "Datagram=80"], shop="Stream=81", empty="Stream=82")
    with Service("web") as tcp, Service("six", address="::1", v6only=False) as six, \
            Service("udp", "udp") as udp, Service("old", port=8082) as old, Service("shop", port=8083) as shop:
        hand_in("web", tcp, udp, six)
        hand_in("shop", old, VIA="library")
        hand_in("shop", shop, VIA="usherctl")
        assert who(V4, 82) == REFUSED
        before, counters = running.list(), running.counters("empty")
        getattr(running, end)()
        for target in ((V4, 80, "tcp", "web"), (V6, 80, "tcp", "six"), (V4, 80, "udp", "udp"), (V4, 81, "tcp", "shop"),
                       (V4, 82, "tcp", REFUSED)):
            assert who(*target[:3]) == target[3]
        running.start()
        assert steady(running.list()) == steady(before)
        assert running.counters("empty")["MISSING"] == counters["MISSING"] + 1, "counters outlive the broker"
        assert [who(V4, 80), who(V6, 80), who(V4, 80, "udp"), who(V4, 81)] == ["web", "six", "udp", "shop"]
        shop.close()
        assert who(V4, 81) == "old"


def test_rules_that_changed_meanwhile(broker, rules):
    running = broker(web="Stream=80")
    with Service("web") as service:
        hand_in("web", service)
        running.kill()
        rules(web="Stream=81")
        assert (who(V4, 80), who(V4, 81)) == ("web", REFUSED)
        running.start()
        assert (who(V4, 80), who(V4, 81)) == (REFUSED, "web")
        assert running.sockets()[0]["COOKIE"] == cookie(service.socket)


def test_services_that_died_meanwhile(broker):
    running = broker(web="Stream=80")
    first, second = Service("first", port=8001), Service("second", port=8002)
    hand_in("web", first)
    hand_in("web", second)
    running.kill()
    second.close()
    running.start()
    assert [(row["COOKIE"], row["PLACE"]) for row in running.sockets()] == [(cookie(first.socket), "1")]
    first.close()
    running.kill()
    running.start()
    assert running.sockets() == []
    with Service("third", port=8003) as third:
        hand_in("web", third)
        assert who(V4, 80) == "third"


def test_second_broker(broker, usherd):
    """The second of two brokers says why it ends, and changes nothing."""
    running = broker(web="Stream=80")
    with Service("web") as service:
        hand_in("web", service)
        second = Usherd()
        second.spawn()
        assert second.wait() != 0
        assert "another usherd" in second.log
        assert running.status()["PID"] == str(running.pid)
        assert who(V4, 80) == "web"
        assert running.sockets()


def test_instances_are_apart(broker, rules):
    """`--instance NAME` has its own pins, socket and rules."""
    running = broker(web="Stream=80")
    write_rule("web", rule("Stream=81"), "/run/usher-b/rules.d")
    other = Usherd("b").start()
    assert other.status()["INSTANCE"] == "b"
    with Service("one", port=8001) as one, Service("two", port=8002) as two:
        hand_in("web", one)
        request("hand-in", [two], path=other.socket, NAME="web")
        assert (who(V4, 80), who(V4, 81)) == ("one", "two")
        assert [row["COOKIE"] for row in other.sockets()] == [cookie(two.socket)]
        other.request("detach")
        other.wait()
        assert (who(V4, 80), who(V4, 81)) == ("one", REFUSED)
        assert bpf.pins(other.pins) == [] and running.status()["OK"] == "1"


@pytest.mark.no_asan
@pytest.mark.vm_long
def test_kill_under_load(broker):
    """kill -9 of the broker during 1,000 new connections a second, ten times: none is refused, none is lost, and
    after the next start `list` is as before."""
    running = broker(web="Stream=192.0.2.0/24:80", shop="Stream=198.51.100.0/24:80")
    with Service("web", port=8001) as web, Service("shop", port=8002) as shop:
        hand_in("web", web)
        hand_in("shop", shop)
        before = steady(running.list())
        load = Load((V4, 80), ("198.51.100.1", 80), rate=1000)
        for _ in range(10):
            answered = web.answered
            running.kill()
            wait_until(lambda: web.answered >= answered + 50)
            running.start()
            assert steady(running.list()) == before
        results = load.finish()
    assert set(results) == {(0, "web"), (1, "shop")}, results
    print(f"{load.sent} connections at {load.rate:.0f}/s, slowest {load.slowest * 1000:.1f} ms")


# Crash points: SIGKILL at the N-th bpf(2) system call of an operation, for every N until it completes.


def pins_of(running):
    """The pins, with N for the generation number at the end of the program's pin."""
    return [re.sub(r"\d+$", "N", pin) for pin in bpf.pins(running.pins)]


def operations(running, web, spare):
    """The operations that are interrupted: {name: (prepare, act)}. `web` serves throughout."""
    return {
        "hand-in": (lambda: None, lambda: hand_in("spare", spare)),
        "hand-in-second": (lambda: None, lambda: hand_in("web", spare)),
        "hold": (lambda: None, lambda: request("hold", [spare], NAME="spare")),
        "withdraw": (lambda: hand_in("spare", spare), lambda: request("withdraw", NAME="spare")),
        "reload": (lambda: write_rule("more", rule("Stream=192.0.2.0/24:90", "Datagram=[2001:db8::/48]:*")),
                   running.reload),
    }


@pytest.mark.seconds(600)
@pytest.mark.parametrize("operation", ["hand-in", "hand-in-second", "hold", "withdraw", "reload"])
def test_killed_at_every_step(broker, operation):
    """The broker is killed at any bpf(2): sockets that were handed in before serve, the next start reconciles, and no pin
    is left over."""
    running = broker(web="Stream=192.0.2.0/24:80", spare="Stream=81")
    pins = pins_of(running)
    with Service("web", port=8001) as web:
        hand_in("web", web)
        number = done = 0
        while not done:
            number += 1
            spare = Service("spare", port=8002)
            prepare, act = operations(running, web, spare)[operation]
            prepare()
            tracer = Tracer(running, number)
            done = attempt(act)
            tracer.end()
            if not done:
                assert running.wait() == -signal.SIGKILL
                allowed = {"web", "spare"} if operation == "hand-in-second" else {"web"}
                assert who(V4, 80) in allowed, f"killed at call {number}"
                assert who(V4, 81) in ("spare", REFUSED)
                running.start()
                assert who(V4, 80) in allowed
                check_consistent(running, {"web": web, "spare": spare})
                assert pins_of(running) == pins
                assert len(bpf.links()) == 1
            elif operation == "hold":
                request("withdraw", NAME="spare")
            spare.close()
            wait_until(lambda: [row["NAME"] for row in running.sockets()] == ["web"])
            if done:
                assert who(V4, 80) == "web"
            else:
                # whatever the crash left, a complete operation works afterwards
                with Service("spare", port=8003) as again:
                    hand_in("spare", again)
                    assert (who(V4, 80), who(V4, 81)) == ("web", "spare")
                    request("withdraw", [again], NAME="spare")
            if os.path.exists("/run/usher/rules.d/more.rule"):
                os.unlink("/run/usher/rules.d/more.rule")
                running.reload()
        assert number > 1, "at least one bpf(2) call was seen"
        print(f"{operation}: {number - 1} crash points")


def check_consistent(running, services):
    """The listing and the packets agree."""
    cookies = {cookie(service.socket): name for name, service in services.items()}
    rows = running.sockets()
    assert "web" in [cookies[row["COOKIE"]] for row in rows]
    serving = {row["NAME"]: cookies[row["COOKIE"]] for row in rows if row["STATE"] == "serving"}
    assert who(V4, 80) == serving["web"]
    assert who(V4, 81) == serving.get("spare", REFUSED)


@pytest.mark.seconds(600)
@pytest.mark.parametrize("pinned", [False, True])
def test_killed_at_every_step_of_the_start(usherd, rules, pinned):
    """The same in the first start, and in a start that adopts, which is also how a new version of the program arrives."""
    rules(web="Stream=192.0.2.0/24:80")
    running = usherd
    web = Service("web", port=8001)
    running.start()
    pins = pins_of(running)
    number, ready = 0, False
    while not ready:
        number += 1
        if pinned:
            hand_in("web", web)
            running.kill()
        else:
            running.request("detach")
            running.wait()
            assert bpf.pins() == [] and bpf.links() == []
        ready = start_until_call(running, number)
        current = len(bpf.links())  # one: the broker died after it had made its program current
        if n_programs(running) > current:
            # a program that was not made current: a broker that dies here repeatedly must not pile them up
            assert not start_until_call(running, number + 2)
            assert n_programs(running) <= current + 1
        assert who(V4, 80) == ("web" if pinned else REFUSED), f"killed at call {number}"
        running.start()
        assert pins_of(running) == pins, f"killed at call {number}"
        assert len(bpf.links()) == 1
        if not pinned:
            hand_in("web", web)
        assert who(V4, 80) == "web"
        assert [row["COOKIE"] for row in running.sockets()] == [cookie(web.socket)]
    assert number > 20
    print(f"{number - 1} crash points")


LETS_IN = "[Rule]\nStream=82\n[Discover]\nSocket=127.0.0.2:8080\nUser=nobody\nListen=kernel\n"


@pytest.mark.no_asan
@pytest.mark.seconds(600)
@pytest.mark.parametrize("operation", ["hand-in", "evict", "reload"])
def test_killed_at_every_step_with_an_early_listener(broker, rules, operation):
    """Listen=kernel: the next start corrects what the crash left in the kernel's table."""
    running = broker(soon=LETS_IN)
    with Service("early") as early:
        acts = {"hand-in": lambda: hand_in("soon", early),
                "evict": lambda: request("evict", NAME="soon", COOKIE=cookie(early.socket)),
                "reload": running.reload}
        number = done = 0
        while not done:
            number += 1
            let_in(running, early, "soon")
            if operation == "reload":
                os.unlink("/run/usher/rules.d/soon.rule")
                rules(next="Stream=82")
            tracer = Tracer(running, number)
            done = attempt(acts[operation])
            tracer.end()
            if not done:
                assert running.wait() == -signal.SIGKILL
                assert who(V4, 82) in (("early",) if operation == "hand-in" else ("early", REFUSED)), f"call {number}"
                running.start()
            if operation == "reload":
                assert held_early(running) == [] and early_rules(running) == {}
                assert who(V4, 82) == REFUSED, f"killed at call {number}"
                os.unlink("/run/usher/rules.d/next.rule")
                rules(soon=LETS_IN)
                running.reload()
                continue
            assert len(early_rules(running)) == 1
            rows = [(row["STATE"], row["COOKIE"]) for row in running.list("soon") if "COOKIE" in row]
            assert len(rows) + done >= 1 and {found for _, found in rows} <= {cookie(early.socket)}
            if operation == "hand-in":
                assert who(V4, 82) == "early", f"killed at call {number}"
                assert len(rows) == 1
                assert held_early(running) == ([cookie(early.socket)] if rows[0][0] == "early" else [])
            if rows:
                request("withdraw", NAME="soon")
        assert number > 1
        print(f"{operation}: {number - 1} crash points")


def n_programs(running):
    return len([pin for pin in bpf.pins(running.pins) if pin.startswith("program-")])


def start_until_call(running, number):
    """Start the broker and kill it at its N-th bpf(2), or when it is ready. Return whether it became ready."""
    running.spawn(prefix=["strace", "-f", "-qq", "-e", "trace=bpf", "-e", f"inject=bpf:signal=KILL:when={number}",
                          "-o", "/run/test/strace"])
    is_ready = lambda: "READY=1" in "\n".join(running.notify.messages())
    wait_until(lambda: not running.running() or is_ready())
    ready = is_ready()
    try:
        # strace started the broker, and ends with it
        child, = open(f"/proc/{running.pid}/task/{running.pid}/children").read().split()
        os.kill(int(child), signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        ready = False  # it died after it was ready
    running.wait()
    return ready


def test_connections_run_through_a_restart(broker):
    """Established connections continue through a restart of the broker."""
    running = broker(web="Stream=80")
    with Service("web") as service:
        hand_in("web", service)
        connection = socket.create_connection((V4, 80))
        assert connection.recv(100).startswith(b"web ")
        for act in (running.kill, running.start, running.reload, running.stop, running.start):
            act()
            connection.send(b"still there?")
            assert connection.recv(100) == b"still there?"
        connection.close()


def test_storm_of_hand_ins_and_kills(broker):
    """The broker is killed at random moments while a client hands in and withdraws."""
    running = broker(web="Stream=192.0.2.0/24:80", spare="Stream=81")

    def work(tell):
        service = Service("spare", port=8002)
        while True:
            try:
                with wire.Connection() as connection:
                    for _ in range(100):
                        connection.request("hand-in", [service], NAME="spare")
                        connection.request("withdraw", NAME="spare")
            except (OSError, EOFError, wire.Refused):
                pass

    with Service("web", port=8001) as web:
        hand_in("web", web)
        child = Child(work)
        for number in range(15):
            generation = running.counters("spare")
            wait_until(lambda: running.sockets("spare") or True)
            running.kill()
            assert who(V4, 80) == "web"
            running.start()
            assert cookie(web.socket) in [row["COOKIE"] for row in running.sockets("web")]
        child.kill()
        wait_until(lambda: not running.sockets("spare"))
        assert generation is not None and number == 14

# SPDX-License-Identifier: BSD-3-Clause
"""Seats have places: the newest hand-in serves, and when it closes, the previous one takes over in the kernel.

The broker is stopped with SIGSTOP, so only the kernel can do this.
"""

import itertools

import pytest

from harness import wire
from harness.host import V4, V6
from harness.process import wait_until
from harness.service import Service, ServiceProcess, make_socket
from harness.traffic import REFUSED, Load, who
from harness.wire import Refused, cookie, hand_in

pytestmark = pytest.mark.vm

PLACES = 8  # bpf/usher-bpf.h USHER_PLACES_MAX


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("address, target", [("127.0.0.2", V4), ("::1", V6)])
def test_take_over_while_the_broker_is_stopped(broker, protocol, address, target):
    """The newest serves. When it closes, each older one serves in turn, while the broker is stopped."""
    running = broker(web=["Stream=80", "Datagram=80"])
    services = [Service(f"s{i}", protocol, address, 8000 + i) for i in range(4)]
    for service in services:
        hand_in("web", service)
        assert who(target, 80, protocol) == service.name
    running.pause()
    for service, following in itertools.pairwise(reversed(services)):
        service.close()
        assert who(target, 80, protocol) == following.name
    services[0].close()
    assert who(target, 80, protocol) == REFUSED
    running.resume()
    assert running.sockets() == []
    with Service("again", protocol, address, 8100) as again:
        hand_in("web", again)
        assert who(target, 80, protocol) == "again"


@pytest.mark.vm_long
def test_close_in_the_middle(broker):
    running = broker(web="Stream=80")
    one, two, three = [Service(name, port=8000 + i) for i, name in enumerate(("one", "two", "three"))]
    for service in (one, two, three):
        hand_in("web", service)
    running.pause()
    two.close()
    assert who(V4, 80) == "three"
    three.close()
    assert who(V4, 80) == "one"
    running.resume()
    assert [(row["PLACE"], row["STATE"], row["COOKIE"]) for row in running.sockets()] == [
        ("1", "serving", cookie(one.socket))]


def test_take_over_by_death(broker):
    running = broker(web="Stream=80")
    old, new = [ServiceProcess(name, "tcp", "127.0.0.2", 8000 + i, before=lambda sock: hand_in("web", sock))
                for i, name in enumerate(("old", "new"))]
    assert who(V4, 80) == "new"
    running.pause()
    new.kill()
    assert who(V4, 80) == "old"
    old.kill()
    assert who(V4, 80) == REFUSED


def test_take_over_while_the_broker_is_dead(broker):
    running = broker(web="Stream=80")
    with Service("old", port=8001) as old, Service("new", port=8002) as new:
        hand_in("web", old)
        hand_in("web", new)
        running.kill()
        assert who(V4, 80) == "new"
        new.close()
        assert who(V4, 80) == "old"
        running.start()
        assert [(row["PLACE"], row["COOKIE"]) for row in running.sockets()] == [("1", cookie(old.socket))]
        assert who(V4, 80) == "old"


@pytest.mark.vm_long
def test_old_one_hands_in_again(broker):
    """A socket that is handed in again keeps its place (KEPT in docs/protocol.md)."""
    running = broker(web="Stream=80")
    with Service("old", port=8001) as old, Service("new", port=8002) as new:
        hand_in("web", old)
        hand_in("web", new)
        assert hand_in("web", old)["KEPT"] == "1"
        assert who(V4, 80) == "new"
        assert [row["COOKIE"] for row in running.sockets()] == [cookie(new.socket), cookie(old.socket)]


@pytest.mark.vm_long
def test_withdrawn_place_does_not_serve(broker):
    running = broker(web="Stream=80")
    services = [Service(f"s{i}", port=8000 + i) for i in range(3)]
    for service in services:
        hand_in("web", service)
    wire.request("withdraw", [services[1]], NAME="web")
    services[2].close()
    assert who(V4, 80) == "s0"
    wire.request("withdraw", [services[0]], NAME="web")
    assert who(V4, 80) == REFUSED
    assert running.sockets() == []


@pytest.mark.vm_long
def test_more_than_there_are_places(broker):
    """Nine sockets for eight places: the ninth is refused with the limit, or the oldest makes room. Nothing is half done."""
    running = broker(web="Stream=80")
    services = [Service(f"s{i}", port=8000 + i) for i in range(PLACES + 1)]
    for service in services[:PLACES]:
        hand_in("web", service)
    before = running.sockets()
    try:
        hand_in("web", services[PLACES])
    except Refused as refusal:
        assert str(PLACES) in refusal.reason and "web" in refusal.reason
        assert running.sockets() == before
        assert who(V4, 80) == f"s{PLACES - 1}"
        services[0].close()
        assert hand_in("web", services[PLACES])["ADDED"] == "1", "there is room again"
    assert who(V4, 80) == f"s{PLACES}"
    assert len(running.sockets()) == PLACES


@pytest.mark.vm_long
def test_nine_in_one_packet(broker):
    running = broker(web="Stream=80")
    sockets = [make_socket("tcp", "127.0.0.2", 8000 + i) for i in range(PLACES + 1)]
    with pytest.raises(Refused):
        hand_in("web", *sockets)
    assert running.sockets() == [] and who(V4, 80) == REFUSED
    assert hand_in("web", *sockets[:PLACES])["ADDED"] == str(PLACES)


@pytest.mark.vm_long
def test_places_are_used_again(broker):
    """A thousand services come and go. The seat does not fill up, and no descriptor stays."""
    running = broker(web="Stream=80")
    before = len(running.fds())
    previous = None
    for i in range(1000):
        service = make_socket("tcp", "127.0.0.2", 8000 + i % 20)
        hand_in("web", service)
        if previous:
            previous.close()
        previous = service
    assert [row["COOKIE"] for row in running.sockets()] == [cookie(previous)]
    wait_until(lambda: len(running.fds()) <= before + 1)


@pytest.mark.vm_long
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_replacing_under_load(broker, protocol):
    """Services replace one another, and each closes after the next one is handed in: no connection is refused or lost."""
    broker(web=["Stream=80", "Datagram=80"])
    current = Service("s0", protocol, port=8000)
    hand_in("web", current)
    load = Load((V4, 80, protocol), rate=500)
    for i in range(1, 50):
        following = Service(f"s{i}", protocol, port=8000 + i)
        hand_in("web", following)
        # the client has one question open at a time: after two answers here, the older service has none open
        wait_until(lambda: following.answered >= 2)
        current.close()
        current = following
    results = load.finish()
    assert {name for _, name in results} == {f"s{i}" for i in range(50)}, results


def test_the_journal_names_the_one_before(broker):
    """A hand-in that takes over from another process says from whom; one of the same process does not."""
    running = broker(web="Stream=80")
    old = ServiceProcess("old", before=lambda sock: hand_in("web", sock) and cookie(sock))
    with make_socket("tcp", "127.0.0.2", 8081) as new, make_socket("tcp", "127.0.0.2", 8082) as newer:
        hand_in("web", new)
        wait_until(lambda: "127.0.0.2:8081 is handed in and serves, in place of that of process " in running.log)
        hand_in("web", newer)
        wait_until(lambda: "127.0.0.2:8082 is handed in and serves\n" in running.log)
    old.kill()

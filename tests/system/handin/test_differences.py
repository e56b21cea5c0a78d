# SPDX-License-Identifier: BSD-3-Clause
"""What a hand-in changes about a socket for its owner: every option, ioctl, form of receiving and scene, before and after.

There is no difference that differences.py does not name, and each that it names is there. Its table is in docs/sockets.md.
"""

import os
import pathlib
import select
import socket

import pytest

import differences
from harness import observed, scenes
from harness.host import rule
from harness.process import wait_until
from harness.service import make_socket
from harness.wire import hand_in

pytestmark = pytest.mark.vm

DOCUMENT = pathlib.Path(__file__).resolve().parents[3] / "docs/sockets.md"
RULE = rule("Stream=192.0.2.0/24:7000", "Stream=[2001:db8::/48]:7000", "Datagram=192.0.2.0/24:7000",
            "Datagram=[2001:db8::/48]:7000")
ADDRESSES = {"ipv4": "127.0.0.2", "ipv6": "::1"}


def compare(kind, before, after):
    """The differences are those of the table, no more and no less."""
    assert before.keys() == after.keys()
    kernel = differences.kernel_of(os.uname().release)
    unknown, absent = differences.judge(kind, kernel or differences.KERNELS[-1], before, after)
    shown = "\n".join([f"{what}: {one!r} became {other!r}" for what, one, other in unknown] +
                      [f"there is no {row.what}: {row.before} -> {row.after}" for row in absent])
    if shown and not kernel:
        pytest.skip(f"machine: the table has no column for Linux {os.uname().release}; other than in the last one: {shown}")
    assert not shown, shown


def kept(sock, change):
    """Whether `change` alters the value of an option."""
    before = observed.options(sock)
    change()
    return {what: "as before" if what in observed.VOLATILE or value == before[what] else "altered"
            for what, value in observed.options(sock).items()}


def before_and_after(kind, look):
    """`look(enter)` with an `enter` that does nothing, and with one that hands a socket in."""
    compare(kind, look(lambda sock: None), look(lambda sock: hand_in("web", sock)))


@pytest.mark.parametrize("family", ADDRESSES)
def test_udp(broker, family):
    broker(web=RULE)

    def look(enter):
        with make_socket("udp", ADDRESSES[family], 7000) as sock, observed.client_of(sock) as client:
            def fill(state):
                if state != "nothing waits":
                    client.sendto(b"hello" if state == "a datagram waits" else b"", sock.getsockname())
                    scenes.arrived(sock)

            observed.ask_for_everything(sock)
            observed.limit_waiting(sock)
            found = kept(sock, lambda: enter(sock))
            found.update(observed.names(sock))
            found.update(observed.receives(sock, fill, ("nothing waits", "a datagram waits", "an empty datagram waits")))
            found.update(observed.refusals(sock))
            found.update(observed.set_options(sock))
            return found

    before_and_after("udp", look)


@pytest.mark.parametrize("family", ADDRESSES)
def test_udp_scenes(broker, family):
    broker(web=RULE)

    def look(enter):
        with make_socket("udp", ADDRESSES[family], 7000, reuseport=True) as sock, observed.client_of(sock) as client:
            enter(sock)
            return scenes.datagrams(sock, client)

    before_and_after("udp", look)


@pytest.mark.parametrize("family", ADDRESSES)
def test_listener(broker, family):
    broker(web=RULE)

    def look(enter):
        clients = []
        with make_socket("tcp", ADDRESSES[family], 7000) as sock:
            def fill(state):
                if state == "a connection waits" and not select.select([sock], [], [], 0)[0]:
                    clients.append(socket.create_connection(sock.getsockname()[:2]))
                    scenes.arrived(sock)

            observed.limit_waiting(sock)
            found = kept(sock, lambda: enter(sock))
            found.update(observed.names(sock))
            found.update(observed.receives(sock, fill, ("nothing waits", "a connection waits")))
            found.update(observed.refusals(sock))
            found.update(observed.set_options(sock))
            for client in clients:
                client.close()
            return found

    before_and_after("listener", look)


@pytest.mark.parametrize("family", ADDRESSES)
def test_listener_scenes(broker, family):
    broker(web=RULE)

    def look(enter):
        with make_socket("tcp", ADDRESSES[family], 7000, reuseport=True) as sock:
            enter(sock)
            return scenes.listening(sock)

    before_and_after("listener", look)


def observe_accepted(client, accepted):
    def fill(state):
        if state == "data waits":
            client.send(b"hello")
            scenes.arrived(accepted)

    with client, accepted:
        observed.limit_waiting(accepted)
        found = observed.options(accepted)
        found.update(observed.receives(accepted, fill, ("nothing waits", "data waits")))
        found.update(observed.refusals(accepted))
        found.update(observed.set_options(accepted))
        client.close()
        wait_until(lambda: select.select([accepted], [], [], 0)[0])
        found.update({f"{what}, closed": value for what, value in observed.ready(accepted).items()})
        return found


@pytest.mark.parametrize("family", ADDRESSES)
def test_accepted(broker, family):
    """A connection of a listener that is handed in is like one of a listener that is not, even if it came before."""
    broker(web=RULE)
    with make_socket("tcp", ADDRESSES[family], 7000) as sock:
        def connect():
            return socket.create_connection(sock.getsockname()[:2])

        first, again = (observe_accepted(connect(), sock.accept()[0]) for _ in range(2))
        noise = observed.VOLATILE | {what for what in first if first[what] != again[what] and what.startswith("getsockopt")}
        before = {**first, **{what: "" for what in noise}}
        early = connect()
        scenes.arrived(sock)
        hand_in("web", sock)
        for client in (early, connect()):
            compare("accepted", before, {**observe_accepted(client, sock.accept()[0]), **{what: "" for what in noise}})


@pytest.mark.parametrize("family", ADDRESSES)
def test_accepted_scenes(broker, family):
    broker(web=RULE)
    with make_socket("tcp", ADDRESSES[family], 7000) as sock:
        def look():
            client = socket.create_connection(sock.getsockname()[:2])
            with client, sock.accept()[0] as accepted:
                return scenes.conversation(accepted, client)

        before = look()
        hand_in("web", sock)
        compare("accepted", before, look())


def test_table():
    """docs/sockets.md has the rows of differences.py, and no others."""
    table = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert table == differences.table()

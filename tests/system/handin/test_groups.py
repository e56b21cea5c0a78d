# SPDX-License-Identifier: BSD-3-Clause
"""The sockets of one SO_REUSEPORT group are one place of their seat, however many there are; while one lives, it serves"""

import os
import queue
import random
import selectors
import socket
import threading

import pytest

from harness import wire
from harness.host import V4, V6, run
from harness.process import wait_until
from harness.service import Service, ServiceProcess, make_socket
from harness.traffic import REFUSED, Load, ask, who
from harness.wire import Refused, cookie, hand_in

pytestmark = pytest.mark.vm

MEMBERS = 256  # bpf/usher-bpf.h USHER_MEMBERS_MAX
PLACES = 8


class Crew:
    """A thread that serves all members of a group. It answers with the number of the member."""

    def __init__(self, n, protocol="tcp", address="127.0.0.2", port=8080, **options):
        self.protocol = protocol
        self.sockets = dict(enumerate(make_socket(protocol, address, port, reuseport=True, **options) for _ in range(n)))
        self._orders, self._done = queue.Queue(), queue.Queue()
        self._wake, wake = os.pipe2(os.O_CLOEXEC)
        self._tell = wake
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        for number, sock in self.sockets.items():
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ, number)
        threading.Thread(target=self._serve, daemon=True).start()

    def __iter__(self):
        return iter(list(self.sockets.values()))

    def close(self, number):
        """Answer what has arrived, and close that member."""
        self._orders.put(number)
        os.write(self._tell, b"!")
        self._done.get()

    def shuffled(self):
        numbers = list(self.sockets)
        random.shuffle(numbers)
        return numbers

    def _serve(self):
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    os.read(self._wake, 1)
                    self._close(self._orders.get())
                elif key.data in self.sockets:
                    self._answer(key.data)

    def _close(self, number):
        while self._answer(number):
            pass
        sock = self.sockets.pop(number)
        self._selector.unregister(sock)
        sock.close()
        self._done.put(number)

    def _answer(self, number):
        sock = self.sockets[number]
        try:
            if self.protocol == "udp":
                _, peer = sock.recvfrom(65536)
                sock.sendto(f"{number} ? 0 ? 0\n".encode(), peer)
            else:
                connection, _ = sock.accept()
                with connection:
                    connection.sendall(f"{number} ? 0 ? 0\n".encode())
        except BlockingIOError:
            return False
        return True


def states(running, name="web"):
    return [(row["PLACE"], row["STATE"]) for row in running.sockets(name)]


def migrate():
    """A listener that closes gives its queue to another one of its group, so that what is lost is lost by the lookup."""
    run("sysctl", "-qw", "net.ipv4.tcp_migrate_req=1", check=True)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("address, target", [("127.0.0.2", V4), ("::1", V6)])
@pytest.mark.parametrize("n", [1, 2, 8, 64, MEMBERS])
def test_members_close_in_any_order(broker, protocol, address, target, n):
    """One place; who is left serves, while the broker is stopped; after the last one there is nobody."""
    running = broker(web=["Stream=80", "Datagram=80"])
    crew = Crew(n, protocol, address)
    for sock in crew:
        hand_in("web", sock)
    assert states(running) == [("1", "serving")] * n
    running.pause()
    for number in crew.shuffled():
        assert int(who(target, 80, protocol)) in crew.sockets
        crew.close(number)
    assert who(target, 80, protocol) == REFUSED
    running.resume()
    assert running.sockets() == []
    assert running.request("status")["MAPS"].split(" places:")[1].split(":")[0] == "0"


@pytest.mark.vm_long
def test_members_close_under_load(broker):
    """64 members close in any order while connections arrive and the broker takes them out: none is refused."""
    broker(web="Stream=80")
    migrate()
    crew = Crew(64)
    for sock in crew:
        hand_in("web", sock)
    load = Load((V4, 80, "tcp"), rate=2000)
    for number in crew.shuffled()[:-1]:
        crew.close(number)
        assert who(V4, 80) != REFUSED
    assert {name for _, name in load.finish()} <= {str(number) for number in range(64)}, load.results


def test_processes_are_killed(broker):
    """Ten instances, each with its own socket, as of ReusePort=yes: none is refused a place, and the last one serves."""
    running = broker(web="Stream=80")
    services = [ServiceProcess(f"s{i}", reuseport=True, before=lambda sock: hand_in("web", sock) and cookie(sock))
                for i in range(10)]
    assert states(running) == [("1", "serving")] * 10
    assert len({ask(V4, 80).name for _ in range(200)}) > 5, "the kernel chooses among all"
    in_order = list(services)
    random.shuffle(services)
    last = f"s{[one.pid for one in in_order].index(services[-1].pid)}"
    for service in services[:-1]:
        service.kill()
        assert who(V4, 80) != REFUSED
    assert who(V4, 80) == last
    wait_until(lambda: [row["COOKIE"] for row in running.sockets()] == [services[-1].before_result])
    services[-1].kill()
    assert who(V4, 80) == REFUSED
    wait_until(lambda: "there is no other one" in running.log)
    assert "the older one at" not in running.log, "a member that closes is no takeover"


@pytest.mark.parametrize("ends", ["kill", "stop"])
def test_broker_in_the_middle(broker, ends):
    """A broker that ends and starts again finds the members, and those that closed meanwhile are gone."""
    running = broker(web="Stream=80")
    crew = Crew(20)
    for sock in list(crew)[:15]:
        hand_in("web", sock)
    getattr(running, ends)()
    for number in range(10):
        crew.close(number)
        assert who(V4, 80) != REFUSED
    running.start()
    assert sorted(row["COOKIE"] for row in running.sockets()) == sorted(cookie(crew.sockets[i]) for i in range(10, 15))
    assert states(running) == [("1", "serving")] * 5
    for sock in list(crew)[5:]:
        hand_in("web", sock)
    assert states(running) == [("1", "serving")] * 10
    for number in crew.shuffled()[:-1]:
        crew.close(number)
        assert who(V4, 80) != REFUSED


def test_withdraw_one_member(broker):
    """The others stay, the place too; a withdrawal of the name takes all."""
    running = broker(web="Stream=80")
    crew = Crew(4)
    with Service("older", port=8081) as older:
        hand_in("web", older)
        for sock in crew:
            hand_in("web", sock)
        for number in (3, 0):
            wire.request("withdraw", [crew.sockets[number]], NAME="web")
        assert states(running) == [("1", "serving")] * 2 + [("2", "standby")]
        crew.close(1)
        assert who(V4, 80) in {"0", "2", "3"}, "the kernel chooses among all that are open"
        crew.close(2)
        assert who(V4, 80) == "older"
        assert wire.request("withdraw", NAME="web")["WITHDRAWN"] == "1"
        assert running.sockets() == []


def test_order_of_alternatives(broker):
    """A group beside others: its newest member decides where it is, those that close change nothing."""
    running = broker(web="Stream=80")
    crew = Crew(3)
    with Service("older", port=8081) as older, Service("newer", port=8082) as newer:
        hand_in("web", older)
        hand_in("web", crew.sockets[0], crew.sockets[1])
        hand_in("web", newer)
        assert states(running) == [("1", "serving"), ("2", "standby"), ("2", "standby"), ("3", "standby")]
        assert who(V4, 80) == "newer"
        hand_in("web", crew.sockets[2])
        assert states(running) == [("1", "serving")] * 3 + [("2", "standby"), ("3", "standby")]
        assert who(V4, 80) in {"0", "1", "2"}
        running.pause()
        crew.close(2)
        crew.close(0)
        assert who(V4, 80) == "1"
        crew.close(1)
        assert who(V4, 80) == "newer"
        newer.close()
        assert who(V4, 80) == "older"


def test_groups_have_all_places(broker):
    """Eight groups fill a seat; a ninth alternative is refused, one more member of any of them is not."""
    running = broker(web="Stream=80")
    crews = [Crew(3, port=8080 + i) for i in range(PLACES)]
    for crew in crews:
        hand_in("web", crew.sockets[0], crew.sockets[1])
    with make_socket("tcp", "127.0.0.2", 9000) as other, pytest.raises(Refused, match="'web' has 8 live TCP sockets"):
        hand_in("web", other)
    hand_in("web", crews[0].sockets[2])
    assert len(running.sockets()) == 2 * PLACES + 1
    assert who(V4, 80) in {"0", "1", "2"}


@pytest.mark.vm_long
def test_more_than_a_group_can_have(broker):
    """One member too many is refused with the limit and what to do, and gets its share all the same."""
    running = broker(web="Stream=80")
    crew = Crew(MEMBERS + 1)
    members = list(crew)
    for i in range(0, MEMBERS, 64):
        hand_in("web", *members[i:i + 64])
    with pytest.raises(Refused, match="256 sockets of its SO_REUSEPORT group at 127.0.0.2:8080 are handed in as 'web'"):
        hand_in("web", members[MEMBERS])
    assert states(running) == [("1", "serving")] * MEMBERS
    wait_until(lambda: ask(V4, 80).name == str(MEMBERS))
    crew.close(7)
    hand_in("web", members[MEMBERS])
    assert len(running.sockets()) == MEMBERS


def udp_at_one_address(uid):
    """The kernel lets two users share an address if both ask for SO_REUSEADDR. That makes no group of their sockets."""
    os.seteuid(uid)
    try:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.2", 8080))
    finally:
        os.seteuid(0)
    return sock


def test_another_owner_is_no_member(broker):
    """Sockets of two users at one address are alternatives, and the newest of them serves."""
    running = broker(web="Datagram=80")
    with Service("one", "udp", sock=udp_at_one_address(1001)) as one, \
            Service("two", "udp", sock=udp_at_one_address(1002)) as two:
        hand_in("web", one)
        hand_in("web", two)
        assert states(running) == [("1", "serving"), ("2", "standby")]
        assert who(V4, 80, "udp") == "two"
        two.close()
        assert who(V4, 80, "udp") == "one"


def test_another_kind_is_no_member(broker):
    """Nor are an IPv4 socket and an IPv6 socket of the same IPv4 address."""
    running = broker(web="Stream=80")
    mapped = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    mapped.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    mapped.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    mapped.bind(("::ffff:127.0.0.2", 8080))
    mapped.listen()
    with Service("mapped", sock=mapped) as one, Service("plain", reuseport=True) as two:
        hand_in("web", one)
        hand_in("web", two)
        assert states(running) == [("1", "serving"), ("2", "standby")]


@pytest.mark.vm_long
def test_counted_as_sockets(broker):
    """Places and sockets are counted one by one, and closed ones no longer."""
    running = broker(web="Stream=80", other="Stream=81")
    crew = Crew(40)
    for sock in crew:
        hand_in("web", sock)
        hand_in("other", sock)
    status = running.request("status")
    assert status["SOCKETS"] == "40" and "places:80:" in status["MAPS"]
    for number in crew.shuffled()[:30]:
        crew.close(number)
    wait_until(lambda: running.request("status")["SOCKETS"] == "10")

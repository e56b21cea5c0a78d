# SPDX-License-Identifier: BSD-3-Clause
"""Handing in and withdrawing: the broker's answers, its listing, and what stays the same.
"""

import contextlib
import errno
import fcntl
import os
import time

import pytest

from harness import wire
from harness.broker import ctl
from harness.host import V4, V6, rule
from harness.process import wait_until
from harness.service import Service, ServiceProcess
from harness.traffic import REFUSED, ask, who
from harness.wire import Connection, Refused, cookie, hand_in

pytestmark = pytest.mark.vm

BOTH = ["Stream=80", "Datagram=80"]


@pytest.mark.parametrize("address", ["127.0.0.2", "::1"])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_accepted_kinds(broker, protocol, address):
    """Listening TCP and unconnected UDP sockets of both families are accepted, and the listing describes them."""
    running = broker(web=BOTH)
    before = time.time()
    with Service("web", protocol, address, 8080) as service:
        flags = fcntl.fcntl(service.socket, fcntl.F_GETFL)
        reply = hand_in("web", service)
        assert (reply["ADDED"], reply["KEPT"]) == ("1", "0")
        row, = running.sockets("web")
        family = "ipv6" if ":" in address else "ipv4"
        expected = {"NAME": "web", "PROTOCOL": protocol, "FAMILY": family, "STATE": "serving", "PLACE": "1",
                    "COOKIE": cookie(service.socket), "PID": str(os.getpid()), "UID": "0", "GID": "0", "HELD": "no",
                    "DUAL_STACK": "no", "VIA": "client",
                    "ADDRESS": "[::1]:8080" if family == "ipv6" else "127.0.0.2:8080"}
        assert {key: row.get(key) for key in expected} == expected
        assert before - 1 < int(row["HANDED_IN"]) / 1e6 < time.time() + 1
        assert fcntl.fcntl(service.socket, fcntl.F_GETFL) == flags, "the status flags of the descriptor are unchanged"
        assert who(V6 if family == "ipv6" else V4, 80, protocol) == "web"


@pytest.mark.vm_long
@pytest.mark.parametrize("via, shown", [("library", "library"), ("usherctl", "usherctl"), ("discover", "discover"),
                                        ("postcard", "client"), ("systemd", "client")])
def test_via(broker, via, shown):
    running = broker(web=BOTH)
    with Service("web") as service:
        hand_in("web", service, VIA=via)
        assert running.sockets()[0]["VIA"] == shown


def test_same_socket_twice(broker):
    """Handing in the same socket again changes nothing; a dup()ed descriptor is recognised by its cookie."""
    running = broker(web=BOTH)
    with Service("web") as service:
        hand_in("web", service)
        first = running.sockets()
        again = hand_in("web", service)
        copy = os.dup(service.fileno())
        dup = wire.request("hand-in", [copy], NAME="web")
        os.close(copy)
        assert [(reply["ADDED"], reply["KEPT"]) for reply in (again, dup)] == [("0", "1"), ("0", "1")]
        assert running.sockets() == first
        both = wire.request("hand-in", [service.fileno(), service.fileno()], NAME="web")
        assert both["ADDED"] == "0" and running.sockets() == first


def test_same_socket_under_two_names(broker):
    """A socket can serve under two names, and be withdrawn from each."""
    running = broker(web="Stream=192.0.2.0/24:80", shop="Stream=198.51.100.0/24:80")
    with Service("both") as service:
        hand_in("web", service)
        hand_in("shop", service)
        assert who(V4, 80) == who("198.51.100.1", 80) == "both"
        assert {row["NAME"]: row["COOKIE"] for row in running.sockets()} == dict.fromkeys(
            ("web", "shop"), cookie(service.socket))
        wire.request("withdraw", NAME="web")
        assert (who(V4, 80), who("198.51.100.1", 80)) == (REFUSED, "both")


@pytest.mark.vm_long
def test_two_names_in_one_packet(broker):
    broker(http="Stream=80", https="Stream=443")
    with Service("http", port=8080) as http, Service("https", port=8443) as https:
        reply = wire.request("hand-in", [http, https], NAMES="http:https")
        assert reply["ADDED"] == "2"
        assert (who(V4, 80), who(V4, 443)) == ("http", "https")


def test_port_and_address_of_the_socket_do_not_matter(broker):
    """The rule decides which packets arrive, Bound= where the socket may be bound. The two need not agree."""
    broker(web="Stream=192.0.2.0/24:443")
    with Service("web", address="127.77.66.55", port=12345) as service:
        hand_in("web", service)
        assert who(V4, 443) == "web"


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_udp_service_on_the_port_of_the_rule(broker, protocol):
    """A connected client gets answers, over TCP and UDP, from a service on the port of the rule."""
    broker(echo=f"{'Datagram' if protocol == 'udp' else 'Stream'}=192.0.2.0/24:7")
    with Service("echo", protocol, "127.0.0.2", 7) as service:
        hand_in("echo", service)
        answer = ask("192.0.2.9", 7, protocol, connected=True)
    assert (answer.name, answer.source, answer.source_port, answer.local) == ("echo", "192.0.2.9", 7, "192.0.2.9")


class TestNewestServes:
    @pytest.mark.parametrize("protocol", ["tcp", "udp"])
    def test_second_hand_in_replaces(self, broker, protocol):
        """The second hand-in replaces the first, with its own cookie."""
        running = broker(web=BOTH)
        with Service("old", protocol, port=8001) as old, Service("new", protocol, port=8002) as new:
            hand_in("web", old)
            assert who(V4, 80, protocol) == "old"
            hand_in("web", new)
            assert who(V4, 80, protocol) == "new"
            rows = running.sockets()
            assert [(row["STATE"], row["PLACE"], row["COOKIE"]) for row in rows] == [
                ("serving", "1", cookie(new.socket)), ("standby", "2", cookie(old.socket))]

    @pytest.mark.vm_long
    def test_first_of_one_packet_serves(self, broker):
        broker(web=BOTH)
        with Service("first", port=8001) as first, Service("second", port=8002) as second:
            assert hand_in("web", first, second)["ADDED"] == "2"
            assert who(V4, 80) == "first"

    def test_dual_stack_stands_behind_native(self, broker):
        """docs/protocol.md: an IPv6 socket that is not v6-only also takes a place in the IPv4 seat, after native IPv4
        sockets of the same process."""
        running = broker(web=rule(*BOTH, access=["Bound=any"]))
        with Service("four", address="127.0.0.2") as four, Service("six", address="::", port=8081, v6only=False) as six:
            hand_in("web", four)
            hand_in("web", six)
            assert (who(V4, 80), who(V6, 80)) == ("four", "six")
            shown = {(row["FAMILY"], row["PLACE"]): (row["COOKIE"], row["DUAL_STACK"]) for row in running.sockets()}
            assert shown.pop(("ipv6", "1"))[0] == cookie(six.socket)
            assert shown == {("ipv4", "1"): (cookie(four.socket), "no"), ("ipv4", "2"): (cookie(six.socket), "yes")}
            four.close()
            assert who(V4, 80) == "six"

    def test_dual_stack_of_another_process_is_newest(self, broker):
        broker(web=rule(*BOTH, access=["Bound=any"]))
        with Service("four", address="127.0.0.2") as four:
            hand_in("web", four)
            other = ServiceProcess("six", "tcp", "::", 8081, v6only=False, before=lambda sock: hand_in("web", sock))
            assert (who(V4, 80), who(V6, 80)) == ("six", "six")
            other.kill()
            assert who(V4, 80) == "four"


class TestLeaving:
    def test_close_is_refused_at_once(self, broker):
        """The map holds no reference to the socket, so there is no black hole after close()."""
        running = broker(web=BOTH)
        service = Service("web")
        hand_in("web", service)
        assert who(V4, 80) == "web"
        service.close()
        assert who(V4, 80) == REFUSED
        assert running.list("web")[0]["STATE"] == "missing"

    def test_process_is_killed(self, broker):
        """After kill -9 of the service, the entry is gone, and clients are refused instead of hanging."""
        running = broker(web=BOTH)
        service = ServiceProcess("web", before=lambda sock: hand_in("web", sock))
        assert running.sockets()[0]["PID"] == str(service.pid)
        assert who(V4, 80) == "web"
        service.kill()
        assert who(V4, 80) == REFUSED
        wait_until(lambda: not running.sockets())

    def test_forked_child_keeps_it(self, broker):
        """A forked child that has the listener still serves after its parent has closed it."""
        broker(web=BOTH)
        service = Service("parent")
        hand_in("web", service)
        child = ServiceProcess("child", sock=service.socket)
        service.close()
        assert who(V4, 80) == "child"
        child.kill()
        assert who(V4, 80) == REFUSED

    @pytest.mark.vm_long
    def test_withdraw_by_name(self, broker):
        """withdraw NAME withdraws every socket of that name, and leaves them open."""
        running = broker(web=BOTH)
        with Service("tcp", "tcp") as tcp, Service("udp", "udp") as udp, Service("six", address="::1") as six:
            hand_in("web", tcp, udp, six)
            assert wire.request("withdraw", NAME="web")["WITHDRAWN"] == "3"
            assert who(V4, 80) == who(V4, 80, "udp") == who(V6, 80) == REFUSED
            assert running.sockets() == []
            assert who("127.0.0.2", 8080) == "tcp", "the socket itself goes on listening"

    @pytest.mark.vm_long
    def test_withdraw_one_of_two(self, broker):
        broker(web=BOTH)
        with Service("old", port=8001) as old, Service("new", port=8002) as new:
            hand_in("web", old)
            hand_in("web", new)
            assert wire.request("withdraw", [new], NAME="web")["WITHDRAWN"] == "1"
            assert who(V4, 80) == "old"

    @pytest.mark.vm_long
    @pytest.mark.parametrize("fields, left", [
        ({"PROTOCOL": "tcp"}, {"udp", "six-udp"}), ({"PROTOCOL": "udp"}, {"tcp", "six"}),
        ({"FAMILY": "ipv4"}, {"six", "six-udp"}), ({"FAMILY": "ipv6"}, {"tcp", "udp"}),
        ({"PROTOCOL": "tcp", "FAMILY": "ipv6"}, {"tcp", "udp", "six-udp"}),
    ])
    def test_withdraw_a_protocol_or_a_family(self, broker, fields, left):
        running = broker(web=BOTH)
        kinds = {"tcp": ("tcp", "127.0.0.2"), "udp": ("udp", "127.0.0.2"), "six": ("tcp", "::1"), "six-udp": ("udp", "::1")}
        with contextlib.ExitStack() as stack:
            services = {name: stack.enter_context(Service(name, *kind)) for name, kind in kinds.items()}
            hand_in("web", *services.values())
            options = [word for key, value in fields.items() for word in (f"--{key.lower()}", value)]
            assert ctl("withdraw", "web", *options).stdout == f"withdrew 'web': sockets: {4 - len(left)}\n"
            assert {row["COOKIE"] for row in running.sockets()} == {cookie(services[name].socket) for name in left}
            found = {who(V4, 80), who(V4, 80, "udp"), who(V6, 80), who(V6, 80, "udp")}
            assert found == left | {REFUSED}
            with pytest.raises(Refused) as refusal:
                wire.request("withdraw", NAME="web", **fields)
            assert refusal.value.number == errno.ENOENT

    @pytest.mark.vm_long
    def test_withdraw_one_family_of_a_held_socket(self, broker):
        """It serves the other family, and is still held, until that is withdrawn as well."""
        running = broker(web=rule(*BOTH, access=["Bound=any"]))
        with Service("web", address="::", port=8080, v6only=False) as service:
            wire.request("hold", [service], NAME="web")
            assert who(V4, 80) == who(V6, 80) == "web"
            assert wire.request("withdraw", NAME="web", FAMILY="ipv4")["WITHDRAWN"] == "1"
            assert (who(V4, 80), who(V6, 80)) == (REFUSED, "web") and running.status()["HELD"] == "1"
            assert wire.request("withdraw", NAME="web", FAMILY="ipv6")["WITHDRAWN"] == "1"
            assert who(V6, 80) == REFUSED and running.status()["HELD"] == "0"

    @pytest.mark.vm_long
    @pytest.mark.parametrize("fields", [{"PROTOCOL": "sctp"}, {"FAMILY": "inet"}, {"PROTOCOL": ""}])
    def test_withdraw_of_no_such_protocol(self, broker, fields):
        broker(web=BOTH)
        with Service("web") as service:
            hand_in("web", service)
            with pytest.raises(Refused, match="EINVAL"):
                wire.request("withdraw", NAME="web", **fields)
            assert who(V4, 80) == "web", "nothing is withdrawn"

    @pytest.mark.vm_long
    @pytest.mark.parametrize("fields", [{"NAME": "web"}, {"NAME": "nobody-knows"}])
    def test_withdraw_nothing(self, broker, fields):
        """Withdrawing when nothing is handed in is an error."""
        broker(web=BOTH)
        with pytest.raises(Refused, match=fields["NAME"]) as refusal:
            wire.request("withdraw", **fields)
        assert refusal.value.number == errno.ENOENT

    @pytest.mark.vm_long
    def test_withdraw_a_socket_that_is_not_there(self, broker):
        running = broker(web=BOTH)
        with Service("in") as inside, Service("out", port=8081) as outside:
            hand_in("web", inside)
            with pytest.raises(Refused):
                wire.request("withdraw", [outside], NAME="web")
            assert running.sockets()[0]["COOKIE"] == cookie(inside.socket)


@pytest.mark.vm_long
class TestListing:
    def test_missing_row(self, broker):
        running = broker(web="Stream=192.0.2.0/24:80")
        row, = running.list()
        assert (row["NAME"], row["PROTOCOL"], row["FAMILY"], row["STATE"]) == ("web", "tcp", "ipv4", "missing")
        assert "COOKIE" not in row and "LOOKUPS" in row

    def test_order(self, broker):
        """The listing is stable, and sorted by name, protocol, family and place."""
        running = broker(b=BOTH, a="Stream=81", c="Datagram=82")
        with Service("x", port=8001) as one, Service("y", port=8002) as two:
            hand_in("b", one)
            hand_in("b", two)
            keys = [(row["NAME"], row["PROTOCOL"], row["FAMILY"], int(row.get("PLACE", 0))) for row in running.list()]
            assert keys == sorted(keys) and len(keys) == 9
            assert [row["NAME"] for row in running.list("a")] == ["a", "a"]

    def test_status_counts(self, broker):
        running = broker(web="Stream=192.0.2.0/24:80 192.0.2.0/24:443", dns="Datagram=53")
        with Service("web") as service:
            hand_in("web", service)
            status = running.status()
        expected = {"PROTOCOL": "1", "RULES": "2", "MATCHES": "3", "NAMES": "1", "SOCKETS": "1", "HELD": "0",
                    "PID": str(running.pid), "RELOAD": "ok", "NETNS": str(os.stat("/proc/self/ns/net").st_ino)}
        assert {key: status[key] for key in expected} == expected

    def test_unrouted(self, broker, rules):
        """A socket whose name has lost its rule stays, and is shown as unrouted."""
        running = broker(web="Stream=80", other="Stream=81")
        with Service("web") as service:
            hand_in("web", service)
            rules(web="Stream=82", other="Stream=80")
            running.reload()
            assert who(V4, 82) == "web"
            os.unlink("/run/usher/rules.d/web.rule")
            running.reload()
            assert [(row["NAME"], row["STATE"]) for row in running.sockets()] == [("web", "unrouted")]
            assert who(V4, 82) == REFUSED


def test_counters(broker):
    """One refused and one served connection count as 2 lookups and 1 missing, and nothing else."""
    running = broker(web="Stream=192.0.2.0/24:80")
    assert who(V4, 80) == REFUSED
    with Service("web") as service:
        hand_in("web", service)
        assert running.counters("web")["LOOKUPS"] == 1, "reading and handing in do not count"
        assert who(V4, 80) == "web"
        counters = running.counters("web")
        assert counters.pop("LOOKUPS") in (2, 3), "the ACK of the handshake may be looked up again"
        assert counters.pop("MISSING") == 1
        assert set(counters.values()) == {0}
        status = running.status()
        assert (status["MISSING"], status["REFUSED"]) == ("1", "0")


@pytest.mark.vm_long
def test_counters_of_a_new_name_start_at_zero(broker, rules):
    """Counters start at zero when a seat's number is used again."""
    running = broker(web="Stream=192.0.2.0/24:80")
    assert who(V4, 80) == REFUSED
    os.unlink("/run/usher/rules.d/web.rule")
    rules(shop="Stream=192.0.2.0/24:80")
    running.reload()
    assert set(running.counters("shop").values()) == {0}
    os.unlink("/run/usher/rules.d/shop.rule")
    rules(web="Stream=192.0.2.0/24:80")
    running.reload()
    assert running.counters("web")["LOOKUPS"] in (0, 1), "a name that returns has its own counters or new ones"


@pytest.mark.vm_long
def test_many_requests_on_one_connection(broker):
    broker(web=BOTH)
    with Connection() as connection, Service("web") as service:
        for _ in range(20):
            assert connection.request("hand-in", [service], NAME="web")["OK"] == "1"
            assert connection.request("list").rows
            assert connection.request("withdraw", NAME="web")["WITHDRAWN"] == "1"


@pytest.mark.vm_long
def test_descriptors_of_the_broker_stay_the_same(broker):
    """No ordinary request leaks a descriptor."""
    running = broker(web=BOTH)

    def everything():
        with Service("tcp") as tcp, Service("udp", "udp") as udp, Service("six", address="::1", v6only=False) as six:
            hand_in("web", tcp, udp, six)
            wire.request("hold", [tcp], NAME="web")
            for fd in wire.request("claim", NAME="web").fds:
                os.close(fd)
            for verb in ("status", "list", "rules", "reload"):
                wire.request(verb)
            wire.request("withdraw", NAME="web")

    everything()
    before = len(running.fds())  # and one for a connection that is just being closed
    for _ in range(10):
        everything()
    wait_until(lambda: len(running.fds()) <= before, what="as many descriptors as before")

# SPDX-License-Identifier: BSD-3-Clause
"""Hold and claim: a socket that outlives its process, and a restart that refuses no client.

See `hold` and `claim` in docs/protocol.md.
"""

import contextlib
import errno
import socket

import pytest

from harness import wire
from harness.broker import USHERCTL, ctl, ctl_json
from harness.host import NOBODY, V4, rule, run
from harness.process import MOMENT, PATIENCE, in_child, wait_until
from harness.service import Service, ServiceProcess, make_socket
from harness.traffic import REFUSED, Load, who
from harness.wire import Refused, cookie, hand_in, request, request_as


def hold(name, *sockets, **fields):
    return request("hold", sockets, NAME=name, **fields)


def claimed_cookies(reply):
    found = []
    for fd in reply.fds:
        with socket.socket(fileno=fd) as sock:
            found.append(cookie(sock))
    return found


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.vm
def test_outlives_its_process(broker, protocol):
    """A held socket still listens after its process has ended: a client waits in the backlog and is not refused."""
    running = broker(web=["Stream=80", "Datagram=80"])
    service = ServiceProcess("web", protocol, before=lambda sock: hold("web", sock) and cookie(sock))
    assert running.sockets()[0]["HELD"] == "yes" and running.status()["HELD"] == "1"
    assert who(V4, 80, protocol) == "web"
    service.kill()
    row, = running.sockets()
    assert (row["COOKIE"], row["HELD"], row["STATE"]) == (service.before_result, "yes", "serving")
    waiting = socket.socket(socket.AF_INET, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
    waiting.connect((V4, 80))
    waiting.settimeout(PATIENCE)
    if protocol == "udp":
        waiting.send(b"?")
    reply = request("claim", NAME="web")
    assert (reply["CLAIMED"], [row["NAMES"] for row in reply.rows]) == ("1", ["web"])
    with Service("web2", protocol, sock=socket.socket(fileno=reply.fds[0])) as again:
        assert cookie(again.socket) == service.before_result, "the very same socket"
        if protocol == "tcp":
            assert waiting.recv(100).startswith(b"web2 "), "clients that connected meanwhile are served"
        else:
            wait_until(lambda: again.answered == 1)
        assert who(V4, 80, protocol) == "web2"
        assert running.sockets()[0]["HELD"] == "yes", "the broker goes on holding"


def test_withdraw_lets_go(broker):
    running = broker(web="Stream=80")
    service = Service("web")
    hold("web", service)
    service.close()
    assert request("withdraw", NAME="web")["WITHDRAWN"] == "1"
    assert who(V4, 80) == REFUSED
    assert who("127.0.0.2", 8080) == REFUSED, "closed, not only out of the table"
    assert (running.sockets(), running.status()["HELD"]) == ([], "0")


def test_hand_in_then_hold_and_back(broker):
    running = broker(web="Stream=80")
    with Service("web") as service:
        hand_in("web", service)
        assert running.sockets()[0]["HELD"] == "no"
        assert hold("web", service)["KEPT"] == "1"
        assert running.sockets()[0]["HELD"] == "yes"
        hand_in("web", service)
        assert len(running.sockets()) == 1
    row, = running.sockets()
    assert row["COOKIE"] and who("127.0.0.2", 8080, seconds=MOMENT) != REFUSED


def test_claim_order_and_names(broker):
    """claim answers with ROW=1 packets that have NAMES= and descriptors, in the order of the hand-ins."""
    broker(http="Stream=80", https="Stream=443", dns="Datagram=53")
    services = {name: Service(name, "udp" if name == "dns" else "tcp", port=8000 + i)
                for i, name in enumerate(("https", "dns", "http"))}
    for name, service in services.items():
        hold(name, service)
    reply = request("claim", NAMES="dns:http:https")
    names = ":".join(row["NAMES"] for row in reply.rows).split(":")
    assert reply["CLAIMED"] == "3" and names == list(services)
    assert claimed_cookies(reply) == [cookie(service.socket) for service in services.values()]


def test_claim_more_than_one_packet_carries(broker):
    running = broker(**{f"n{i}": f"Stream={1000 + i}" for i in range(40)})
    names = [f"n{i}" for i in range(40)]
    services = []
    for part in range(10):
        chunk = names[part * 4:part * 4 + 4]
        for number in range(8):
            group = [Service(name, port=10000 + names.index(name) * 8 + number) for name in chunk]
            request("hold", group, NAMES=":".join(chunk))
            services += group
    reply = request("claim", NAMES=":".join(names))
    assert int(reply["CLAIMED"]) == len(reply.fds) == 320 == int(running.status()["HELD"])
    assert sum(len(row["NAMES"].split(":")) for row in reply.rows) == 320
    assert sorted(claimed_cookies(reply)) == sorted(cookie(service.socket) for service in services)


def test_no_more_names_than_make_sense(broker):
    """A list of names is as long as a hand-in has sockets, at most; a name may be there twice."""
    broker(**{f"n{i}": "Stream=1000" if not i else f"Stream={1000 + i}" for i in range(3)})
    with Service("n1") as service:
        hold("n1", service)
        assert request("claim", NAMES=":".join(["n1"] * 64))["CLAIMED"] == "1"
        for verb, fds in (("claim", ()), ("hand-in", [service]), ("hold", [service])):
            for n in (65, 2030):
                with pytest.raises(Refused, match=f"{n} names came in one request, which takes 64") as refusal:
                    request(verb, fds, NAMES=":".join(["a"] * n))
                assert refusal.value.number == errno.E2BIG


def test_long_lists_are_walked_once(broker):
    """As many words as a packet has room for, while hundreds of sockets are held: the broker answers others at once."""
    running = broker(**{f"n{i}": f"Stream={1000 + i}" for i in range(64)})
    services = [Service(f"n{i}", port=10000 + i) for i in range(64)]
    for at in range(8):
        request("hold", services, NAMES=":".join(f"n{(i + at) % 64}" for i in range(64)))
    assert running.status()["HELD"] == "512"
    with wire.Connection() as connection:
        for fields in ({"NAMES": ":".join("a" * 2000)}, {"NAMES": ":".join(f"n{i}" for i in range(64))}):
            for _ in range(20):
                with contextlib.suppress(Refused):
                    connection.request("claim", **fields)
        connection.request("hand-in", [services[0]], NAME="n0", FDS=":".join("1" * 1900))
    with wire.Connection() as connection, pytest.raises(Refused):
        connection.request("monitor", EVENTS=":".join(["gone"] * 780 + ["x"]))


@pytest.mark.parametrize("name", ["web", "nobody-knows"])
def test_nothing_to_claim(broker, name):
    broker(web="Stream=80")
    with Service("web") as service:
        hand_in("web", service)
        with pytest.raises(Refused, match="nothing is held") as refusal:
            request("claim", NAME=name)
        assert refusal.value.number == errno.ENOENT


def test_claim_is_for_whom_access_lists(broker):
    broker(web=rule("Stream=80", access=["User=nobody"]), other="Stream=81")
    with Service("web") as service, Service("other", port=8081) as other:
        hold("web", service)
        hold("other", other)
        assert request_as(NOBODY, NOBODY, "claim", NAME="web")["CLAIMED"] == "1"
        for fields in ({"NAME": "other"}, {"NAMES": "web:other"}):
            with pytest.raises(Refused, match="other") as refusal:
                request_as(NOBODY, NOBODY, "claim", **fields)
            assert refusal.value.number == errno.EACCES


def test_orphan_is_dropped_for_a_newer_socket(broker):
    """An unclaimed held socket whose process has ended is dropped when a newer one of its seat comes."""
    running = broker(web="Stream=80")
    gone = ServiceProcess("gone", before=lambda sock: hold("web", sock))
    gone.kill()
    with Service("new", port=8081) as new:
        hand_in("web", new)
        assert who(V4, 80) == "new"
        wait_until(lambda: [row["COOKIE"] for row in running.sockets()] == [cookie(new.socket)])
        assert who("127.0.0.2", 8080) == REFUSED
    assert who(V4, 80) == REFUSED, "it leaves no black hole"


def test_claimed_socket_is_no_orphan(broker):
    """The same with a claimed socket: its claimer serves again when the newer socket is gone."""
    broker(web="Stream=80")
    gone = ServiceProcess("gone", before=lambda sock: hold("web", sock))
    gone.kill()
    with Service("claimed", sock=socket.socket(fileno=request("claim", NAME="web").fds[0])):
        with Service("new", port=8081) as new:
            hand_in("web", new)
            assert who(V4, 80) == "new"
        assert who(V4, 80) == "claimed"


def test_living_owner_is_no_orphan(broker):
    running = broker(web="Stream=80")
    old = ServiceProcess("old", before=lambda sock: hold("web", sock))
    with Service("new", port=8081) as new:
        hand_in("web", new)
        assert [row["HELD"] for row in running.sockets()] == ["no", "yes"]
    assert who(V4, 80) == "old"
    old.kill()


def hold_in_child(n, name="web"):
    """A process holds so many sockets of one group and ends; their cookies."""
    def run():
        sockets = [make_socket("tcp", "127.0.0.2", 8080, reuseport=True) for _ in range(n)]
        hold(name, *sockets)
        return [cookie(sock) for sock in sockets]
    return in_child(run)


def test_orphan_of_a_group_goes_with_its_process(broker):
    """A takeover within an SO_REUSEPORT group: the kernel gives each member its share of the connections, so a held one
    whose process has ended must not stay behind the one that serves."""
    running = broker(web="Stream=80")
    old, new = (ServiceProcess(name, reuseport=True, before=lambda sock: hold("web", sock) and cookie(sock))
                for name in ("old", "new"))
    old.kill()
    wait_until(lambda: [row["COOKIE"] for row in running.sockets()] == [new.before_result])
    assert {who(V4, 80) for _ in range(40)} == {"new"}
    assert running.status()["HELD"] == "1"


def test_newest_orphan_of_a_group_stays(broker):
    """Each process of a group ends right after its hand-in, as usherctl does in usher@: while its predecessor still closes, the
    newest one is not taken for one beside a living member."""
    running = broker(web="Stream=80")

    def leave():
        sock = make_socket("tcp", "127.0.0.2", 8080, reuseport=True)
        hold("web", sock)
        return cookie(sock)

    for _ in range(40):
        newest = in_child(leave)
        assert newest in [row["COOKIE"] for row in running.sockets() if row["HELD"] == "yes"]
    wait_until(lambda: [row["COOKIE"] for row in running.sockets()] == [newest], "its predecessors have gone")
    claimed, = request("claim", NAME="web").fds
    with Service("web", sock=socket.socket(fileno=claimed)):
        assert who(V4, 80) == "web"


def test_orphans_of_one_process_wait_together(broker):
    """A service with several held sockets ends: all of them wait for the one that claims them."""
    running = broker(web="Stream=80", other="Stream=81")
    held = hold_in_child(4)
    hold_in_child(1, "other")
    assert [row["COOKIE"] for row in running.sockets("web")] == held
    assert claimed_cookies(request("claim", NAME="web")) == held


def test_orphan_that_serves_one_family_stays(broker):
    """A dual-stack socket whose IPv4 clients another one serves has its IPv6 clients yet."""
    running = broker(web=rule("Stream=80", access=["User=nobody", "Bound=any"]))

    def run():
        dual = make_socket("tcp", "::", 8080, v6only=False)
        hold("web", dual)
        hold("web", make_socket("tcp", "127.0.0.2", 8081))
        return cookie(dual)
    dual = in_child(run)
    assert dual in [row["COOKIE"] for row in running.sockets() if row["FAMILY"] == "ipv6"]


@pytest.mark.parametrize("n_old, n_new", [(8, 1), (5, 5), (8, 8)])
def test_orphans_make_way_in_a_full_seat(broker, n_old, n_new):
    running = broker(web="Stream=80")
    hold_in_child(n_old)
    new = [make_socket("tcp", "127.0.0.2", 8080, reuseport=True) for _ in range(n_new)]
    assert hand_in("web", *new)["ADDED"] == str(n_new)
    wait_until(lambda: [row["COOKIE"] for row in running.sockets()] == [cookie(sock) for sock in new])
    assert running.status()["HELD"] == "0"
    for sock in new:
        sock.close()


def test_orphan_among_the_living_makes_way(broker):
    """Seven sockets have a process, one has none any more. It is the one that goes, and no other goes."""
    running = broker(web="Stream=80")
    living = [make_socket("tcp", "127.0.0.2", 8080, reuseport=True) for _ in range(7)]
    hold("web", *living[:4])
    orphan, = hold_in_child(1)
    hold("web", *living[4:])
    orphans = [row["COOKIE"] for row in running.sockets()].count(orphan)
    new = make_socket("tcp", "127.0.0.2", 8080, reuseport=True)
    assert hand_in("web", new)["ADDED"] == "1"
    wait_until(lambda: sorted(row["COOKIE"] for row in running.sockets()) == sorted(map(cookie, [*living, new])))
    assert running.status()["HELD"] == "7" and orphans <= 1
    for sock in [*living, new]:
        sock.close()


def test_orphans_make_way_in_a_full_store(usherd, rules):
    """The service manager keeps three sockets, all of a process that has ended: its successor is held nevertheless."""
    rules(web="Stream=80")
    running = usherd.start(env={"FDSTORE": "3"})
    held = hold_in_child(3)
    with Service("new", reuseport=True) as new:
        assert hold("web", new)["ADDED"] == "1"
        wait_until(lambda: [row["COOKIE"] for row in running.sockets()] == [cookie(new.socket)])
        assert running.status()["HELD"] == "1" and who(V4, 80) == "new"
        others = [make_socket("tcp", "127.0.0.2", 8080, reuseport=True) for _ in range(3)]
        with pytest.raises(Refused, match="at most 3 sockets") as refusal:
            hold("web", *others)
        assert refusal.value.number == errno.ENOSPC
        assert [row["COOKIE"] for row in running.sockets()] == [cookie(new.socket)] != held
        for sock in others:
            sock.close()


def test_refused_hand_in_costs_no_orphan(broker):
    """All or none: where not all sockets of a packet fit, those that wait for a process go on waiting. Those of one group
    would all fit."""
    running = broker(web="Stream=80")
    held = hold_in_child(8)
    new = [make_socket("tcp", "127.0.0.2", 9000 + i) for i in range(9)]
    with pytest.raises(Refused, match="8 live TCP sockets") as refusal:
        hand_in("web", *new)
    assert refusal.value.number == errno.ENOSPC
    assert [row["COOKIE"] for row in running.sockets()] == held == claimed_cookies(request("claim", NAME="web"))
    for sock in new:
        sock.close()


def test_restart_refuses_nobody(broker):
    """With hold and claim, the service is restarted repeatedly under load: connections may wait, but none is refused or
    lost."""
    broker(web="Stream=80")
    service = ServiceProcess("web", before=lambda sock: hold("web", sock))
    load = Load((V4, 80), rate=1000)
    for _ in range(20):
        wait_until(lambda: service.answered() >= 20)
        service.quit()
        service = ServiceProcess("web", sock=socket.socket(fileno=request("claim", NAME="web").fds[0]))
    results = load.finish()
    assert set(results) == {(0, "web")}, results


def test_broker_restart_keeps_what_is_held(broker):
    """A broker that stops drops no socket that still has a process. After a restart, held sockets are listed as before."""
    running = broker(web="Stream=80")
    with Service("web") as service:
        hold("web", service)
        running.restart()
        row, = running.sockets()
        assert (row["COOKIE"], row["STATE"]) == (cookie(service.socket), "serving")
        assert who(V4, 80) == "web"
        assert wire.request("withdraw", NAME="web")["WITHDRAWN"] == "1"


class TestHeld:
    """`usherctl held`: the exit status is the answer, for scripts."""

    def test_yes_and_no(self, broker):
        """0 when each name has held sockets, 1 when one has none, and a table or JSON of those that are held."""
        broker(web="Stream=80", dns="Datagram=53")
        assert ctl("held", "web", check=False).returncode == 1
        with Service("a", port=8081) as plain, Service("b") as kept:
            hand_in("web", plain)
            done = ctl("held", "web", check=False)
            assert (done.returncode, done.stdout, done.stderr) == (1, "held: 0\n", "")
            hold("web", kept)
            row, = ctl_json("held", "web")
            assert (row["name"], row["socket"], row["address"], row["waiting"]) == (
                "web", "sk:" + cookie(kept.socket), "127.0.0.2:8080", 0)
            assert "held: 1" in ctl("held").stdout
            assert ctl("--no-legend", "held", "web").stdout.split()[0] == "web"
            assert ctl("held", "web", "dns", check=False).returncode == 1
            assert "held: 1" in run("setpriv", f"--reuid={NOBODY}", "--clear-groups", USHERCTL, "held", "web").stdout

    def test_clients_wait(self, broker):
        """WAITING counts clients in the backlog of a socket whose process has ended."""
        broker(web="Stream=80")
        service = ServiceProcess("web", before=lambda sock: hold("web", sock) and cookie(sock))
        service.kill()
        with contextlib.closing(socket.create_connection((V4, 80))):
            row, = ctl_json("held", "web")
            assert (row["waiting"], row["state"]) == (1, "serving")
        assert ctl("withdraw", "web").returncode == 0
        assert ctl("held", "web", check=False).returncode == 1

    def test_not_known(self, broker):
        """That the broker does not say it is not the answer no."""
        running = broker(web="Stream=80")
        done = ctl("held", "nope", check=False)
        assert done.returncode == 1 and "nothing is held as 'nope'" in done.stderr
        running.kill()
        assert ctl("held", "web", check=False).returncode == 3
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as silent:
            running.socket.unlink(missing_ok=True)
            silent.bind(str(running.socket))
            silent.listen()
            done = ctl("--timeout=1", "held", "web", check=False)
            assert done.returncode == 4 and "cannot say what is held as 'web'" in done.stderr

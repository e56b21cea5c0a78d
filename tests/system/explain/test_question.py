# SPDX-License-Identifier: BSD-3-Clause
"""The request `explain`: what the program would do with a packet, from the live tables and without a trace.

BPF_PROG_TEST_RUN refuses sockets of reuseport groups, and changes counters. The request answers for such sockets too, and
changes no counter.
"""

import errno
import os
import socket
import time

import pytest

from harness import wire
from harness.host import NOBODY, rule
from harness.process import Child, in_child, wait_until
from harness.service import Service, make_socket
from harness.traffic import REFUSED, who

pytestmark = pytest.mark.vm


def question(broker, local, protocol="tcp", **fields):
    return broker.request("explain", PROTOCOL=protocol, LOCAL=local, **fields)


def test_verdicts(broker):
    usherd = broker(web="Stream=192.0.2.0/24:80 [2001:db8::/48]:80", soft=rule("Stream=81", Missing="pass"))
    assert question(usherd, "192.0.2.1:80")["VERDICT"] == "refused"
    assert question(usherd, "192.0.2.1:81")["VERDICT"] == "passed"
    assert question(usherd, "192.0.2.1:82")["VERDICT"] == "no-rule"
    assert question(usherd, "192.0.2.1:80", "udp")["VERDICT"] == "no-rule"
    with Service("web") as service:
        wire.hand_in("web", service)
        answer = question(usherd, "192.0.2.1:80", REMOTE="203.0.113.2:1234")
        assert (answer["VERDICT"], answer["NAME"], answer["COOKIE"]) == ("dispatched", "web", wire.cookie(service.socket))
        assert question(usherd, "[2001:db8::1]:80")["VERDICT"] == "refused"
    assert question(usherd, "192.0.2.1:80")["VERDICT"] == "refused"


@pytest.mark.vm_long
def test_leaves_no_trace(broker):
    """Only packets change counters and cause events."""
    usherd = broker(web="Stream=80", gone="Stream=81")
    with Service("web") as service:
        wire.hand_in("web", service)
        assert who("192.0.2.1", 80) == "web" and who("192.0.2.1", 81) == REFUSED
        before = usherd.counters("web"), usherd.counters("gone")
        for _ in range(20):
            question(usherd, "192.0.2.1:80")
            question(usherd, "192.0.2.1:81")
        assert (usherd.counters("web"), usherd.counters("gone")) == before


def test_reuseport(broker):
    """A group cannot choose in a test run, so the answer names the member that was handed in."""
    usherd = broker(web="Stream=80")
    one, two = (make_socket("tcp", "127.0.0.2", 8080, reuseport=True) for _ in range(2))
    wire.hand_in("web", one)
    answer = question(usherd, "192.0.2.1:80")
    assert (answer["VERDICT"], answer["COOKIE"]) == ("dispatched", wire.cookie(one))
    one.close()
    two.close()


@pytest.mark.vm_long
def test_refused_socket(broker):
    """The answer says why the kernel assigns no socket: this one has been shut down."""
    usherd = broker(web="Stream=80")
    with make_socket("tcp", "127.0.0.2", 8080) as listener:
        wire.hand_in("web", listener)
        listener.shutdown(socket.SHUT_RDWR)
        answer = question(usherd, "192.0.2.1:80")
        assert (answer["VERDICT"], answer["ERROR"]) == ("refused", "ESOCKTNOSUPPORT")


@pytest.mark.vm_long
def test_precedence(broker):
    """The answer has every match that covers the packet, strongest first. docs/rules.md has the order."""
    usherd = broker(a="Stream=*", b="Stream=192.0.2.0/24:1-1000", c="Stream=192.0.2.0/24:80", d="Stream=192.0.2.1:*",
                    e="Stream=198.51.100.0/24:80", f="Datagram=80", g="Stream=[2001:db8::/48]:80")
    answer = question(usherd, "192.0.2.1:80")
    assert [(row["NAME"], row["MATCH"], row["WINNER"]) for row in answer.rows] == [
        ("d", "192.0.2.1/32:*", "yes"), ("c", "192.0.2.0/24:80", "no"), ("b", "192.0.2.0/24:1-1000", "no"), ("a", "*", "no")]
    assert answer["NAME"] == "d"
    assert all(row["FILE"].endswith(f"/{row['NAME']}.rule") and row["LINE"] == "2" for row in answer.rows)


@pytest.mark.vm_long
def test_many_matches(broker):
    usherd = broker(**{f"n{i}": f"Stream={i + 1}-{40000 - i}" for i in range(300)})
    answer = question(usherd, "192.0.2.1:20000")
    assert len(answer.rows) == 256 and answer["LEFT_OUT"] == "44"
    assert (answer.rows[0]["NAME"], answer["NAME"]) == ("n299", "n299")


@pytest.mark.parametrize("fields, words", [
    ({"PROTOCOL": "sctp", "LOCAL": "192.0.2.1:80"}, "PROTOCOL= must be tcp or udp"),
    ({"PROTOCOL": "tcp"}, "LOCAL= is missing"),
    ({"PROTOCOL": "tcp", "LOCAL": "192.0.2.0/24:80"}, "is not one address and one port"),
    ({"PROTOCOL": "tcp", "LOCAL": "80"}, "is not one address and one port"),
    ({"PROTOCOL": "tcp", "LOCAL": "192.0.2.1:80-81"}, "is not one address and one port"),
    ({"PROTOCOL": "tcp", "LOCAL": "192.0.2.1:0"}, "LOCAL=: "),
    ({"PROTOCOL": "tcp", "LOCAL": "192.0.2.1:80", "REMOTE": "[2001:db8::1]:5"}, "mix IPv4 and IPv6"),
])
@pytest.mark.vm_long
def test_bad_questions(broker, fields, words):
    usherd = broker(web="Stream=80")
    with pytest.raises(wire.Refused) as refused:
        usherd.request("explain", **fields)
    assert refused.value.number == errno.EINVAL and words in refused.value.reason


@pytest.mark.vm_long
def test_follows_reloads(broker, rules):
    """The answer is from the tables in force."""
    usherd = broker(web="Stream=80")
    rules(web="Stream=90")
    assert question(usherd, "192.0.2.1:80")["VERDICT"] == "refused"
    generation = usherd.reload()["GENERATION"]
    answer = question(usherd, "192.0.2.1:80")
    assert (answer["VERDICT"], answer["GENERATION"]) == ("no-rule", generation)


# ---- why a name has no socket: the last refused hand-in

def refused_hand_in(**fields):
    with make_socket("tcp", "198.51.100.1", 8080) as sock, pytest.raises(wire.Refused) as refused:
        wire.request("hand-in", [sock], **fields)
    return refused.value.reason


def told(answer):
    return {key.removeprefix("HAND_IN_REFUSED").lstrip("_"): value for key, value in answer.items()
            if key.startswith("HAND_IN_REFUSED")}


@pytest.mark.vm_long
def test_refused_hand_in(broker):
    """For root, the answer has the last refused hand-in, with the reason that the client got, until one under the name succeeds."""
    usherd = broker(web="Stream=80", other="Stream=81")
    assert told(usherd.status()) == told(question(usherd, "192.0.2.1:80")) == {}
    before = time.time() * 1e6
    reason = refused_hand_in(NAME="web")
    answer = told(question(usherd, "192.0.2.1:80"))
    assert "Bound=" in reason and (answer[""], answer["NAME"], answer["PID"], answer["UID"]) == (reason, "web", str(os.getpid()), "0")
    assert before <= int(answer["TIME"]) <= time.time() * 1e6
    assert told(usherd.status()) == answer
    assert told(question(usherd, "192.0.2.1:81")) == told(question(usherd, "192.0.2.1:82")) == {}
    unknown = refused_hand_in(NAME="wbe")
    assert "there is no rule 'wbe'" in unknown and told(usherd.status())[""] == unknown
    with make_socket("tcp", "127.0.0.2", 8080) as sock:
        wire.hand_in("web", sock)
    assert told(question(usherd, "192.0.2.1:80")) == {} and told(usherd.status())["NAME"] == "wbe"


@pytest.mark.vm_long
def test_refused_hand_in_of_names(broker):
    """Each name of the packet is kept, invalid names are not, and a restart forgets all."""
    usherd = broker(web="Stream=80", other="Stream=81")
    with make_socket("tcp", "198.51.100.1", 8080) as one, make_socket("tcp", "198.51.100.1", 8081) as two:
        with pytest.raises(wire.Refused):
            wire.request("hand-in", [one, two], NAMES="web:other")
    assert {told(question(usherd, f"192.0.2.1:{port}"))["NAME"] for port in (80, 81)} == {"web", "other"}
    usherd.restart()
    refused_hand_in(NAME="a" * 64)
    refused_hand_in(NAME="-x")
    with pytest.raises(wire.Refused):
        usherd.request("hand-in")
    assert told(usherd.status()) == {}


@pytest.mark.vm_long
def test_refused_hand_ins_are_bounded(broker):
    """Of many names, only the last ones that were refused are kept."""
    usherd = broker(**{f"n{i}": f"Stream={1000 + i}" for i in range(40)})
    for i in range(40):
        refused_hand_in(NAME=f"n{i}")
    kept = [bool(told(question(usherd, f"192.0.2.1:{1000 + i}"))) for i in range(40)]
    assert kept == [False] * 8 + [True] * 32


@pytest.mark.vm_long
def test_refused_by_notify(broker):
    """FDSTORE=1 gets no reply. With this request, the client can learn the outcome."""
    usherd = broker(web="Stream=80")
    with make_socket("tcp", "198.51.100.1", 8080) as sock, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.connect("/run/usher/notify")
        socket.send_fds(notify, [b"FDSTORE=1\nFDNAME=web"], [sock.fileno()])
        wait_until(lambda: "Bound=" in told(question(usherd, "192.0.2.1:80")).get("", ""))


class TestWhomARefusalConcerns:
    LISTED, LISTED_BY_GROUP, STRANGER, OTHER = 15000, 15001, 16000, 16001
    RULE = f"[Rule]\nStream=80\n[Access]\nUser={LISTED} {LISTED_BY_GROUP}\n"

    def seen_by(self, usherd, uid, local="192.0.2.1:80"):
        """In `explain` and in `status`."""
        return in_child(lambda: (told(question(usherd, local)).get(""), told(usherd.status()).get("")), uid=uid, gid=uid)

    def refused_as(self, uid, name="web"):
        return in_child(lambda: refused_hand_in(NAME=name), uid=uid, gid=uid)

    def test_who_sees_it(self, broker):
        """Root, who was refused, and those that may use the name; of a file that root passed by mistake as well."""
        usherd = broker(web=self.RULE, other="Stream=81")
        with open("/etc/hostname" if os.path.exists("/etc/hostname") else "/etc/passwd") as file, pytest.raises(wire.Refused):
            wire.request("hand-in", [file], NAME="web")
        for uid in (0, self.LISTED, self.LISTED_BY_GROUP):
            assert all(self.seen_by(usherd, uid)), uid
        for uid in (self.STRANGER, NOBODY):
            assert self.seen_by(usherd, uid) == (None, None), uid
        reason = self.refused_as(self.STRANGER, "other")
        assert self.seen_by(usherd, self.STRANGER, "192.0.2.1:81") == (reason, reason)
        assert self.seen_by(usherd, self.OTHER, "192.0.2.1:81") == (None, None)

    def test_stranger_overwrites_nothing(self, broker):
        """Neither by the same name, nor by as many names as are kept; and a connection that is passed to root shows no more
        than its opener may see."""
        usherd = broker(web=self.RULE, **{f"n{i}": f"Stream={1000 + i}" for i in range(40)})
        reason = self.refused_as(self.LISTED)
        assert "Bound=" in reason
        for name in ("web", *(f"n{i}" for i in range(40)), *(f"none{i}" for i in range(40))):
            self.refused_as(self.STRANGER, name)
        assert self.seen_by(usherd, 0) == self.seen_by(usherd, self.LISTED) == (reason, reason)
        assert "'none39'" in self.seen_by(usherd, self.STRANGER)[1]

    def test_connection_of_somebody_else(self, broker):
        """Root that writes to a connection of a stranger is answered as the stranger."""
        broker(web=self.RULE)
        refused_hand_in(NAME="web")
        ours, theirs = socket.socketpair()

        def connect(tell):
            with wire.Connection() as connection:
                socket.send_fds(theirs, [b"x"], [connection.socket.fileno()])
                tell(True)
                theirs.recv(1)

        child = Child(connect, uid=self.STRANGER, gid=self.STRANGER, keep=[theirs.fileno()])
        assert child.hear()
        with wire.Connection() as connection, socket.socket(fileno=socket.recv_fds(ours, 1, 1)[1][0]) as passed:
            passed.settimeout(10)
            connection.socket, mine = passed, connection.socket
            assert told(connection.request("status")) == {}
            connection.socket = mine
            assert told(connection.request("status"))
        ours.send(b"x")

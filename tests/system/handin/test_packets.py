# SPDX-License-Identifier: BSD-3-Clause
"""Packets that no correct client sends. The broker always answers with a message, keeps its state and its descriptors, and
serves the next client."""

import array
import errno
import os
import socket
import struct
import time

import pytest

from harness.host import NOBODY, V4, rule
from harness.process import PATIENCE, Child, in_child, wait_until
from harness.service import Service, make_socket
from harness.traffic import who
from harness.wire import Connection, Refused, request, text_of


@pytest.fixture
def running(broker):
    """A broker that serves `web`. At the end it must be alive, with the same list and no more descriptors."""
    running = broker(web="Stream=80")
    with Service("web") as service:
        request("hand-in", [service], NAME="web")
        before = running.list(), len(running.fds())
        counters = "LOOKUPS"
        yield running
        assert running.running(), running.log
        wait_until(lambda: len(running.fds()) <= before[1], what=f"{before[1]} descriptors, as before")
        without = lambda rows: [{k: v for k, v in row.items() if k != counters} for row in rows]
        assert without(running.list()) == without(before[0])
        assert who(V4, 80) == "web"


def refused_and_closed(connection, data, fds=(), number=None, **options):
    connection.send(data, fds, **options)
    with pytest.raises(Refused) as refusal:
        connection.reply()
    if number:
        assert refusal.value.number == number
    assert refusal.value.reason
    assert connection.receive() is None, "the connection is closed"
    return refusal.value


BAD_PACKETS = {
    "empty": (b"", None),
    "one-byte": (b"x", None),
    "line-feed": (b"\n", None),
    "4096-bytes": (b"x" * 4096, None),
    "4097-bytes": (b"x" * 4097, errno.EMSGSIZE),
    "64-kib": (b"x" * 65536, errno.EMSGSIZE),
    "long-but-well-formed": (b"REQUEST=status\nX=" + b"x" * 5000 + b"\n", errno.EMSGSIZE),
    "nul": (b"REQUEST=status\0\n", errno.EBADMSG),
    "nul-hides-a-line": (b"REQUEST=status\nA=b\0\nREQUEST=detach\n", errno.EBADMSG),
    "carriage-return": (b"REQUEST=status\r\n", errno.EBADMSG),
    "escape": (b"REQUEST=status\nA=\x1b[31m\n", errno.EBADMSG),
    "invalid-utf-8": (b"REQUEST=status\nA=\xff\xfe\n", errno.EBADMSG),
    "overlong-utf-8": (b"REQUEST=status\nA=\xc0\xaf\n", errno.EBADMSG),
    "no-equals": (b"REQUEST=status\nhello\n", errno.EBADMSG),
    "duplicate": (b"REQUEST=status\nREQUEST=list\n", errno.EBADMSG),
    "lower-case-key": (b"request=status\n", errno.EBADMSG),
    "empty-key": (b"=status\n", errno.EBADMSG),
    "long-key": (b"REQUEST=status\n" + b"K" * 33 + b"=1\n", errno.EBADMSG),
    "many-lines": (b"REQUEST=status\n" + b"".join(b"K%d=1\n" % i for i in range(300)), errno.EBADMSG),
}


@pytest.mark.parametrize("what", BAD_PACKETS)
def test_unreadable_packet(running, what):
    """A packet that cannot be read is refused with EBADMSG or EMSGSIZE, and the connection is closed."""
    data, number = BAD_PACKETS[what]
    with running.connect() as connection:
        refused_and_closed(connection, data, number=number)


@pytest.mark.parametrize("what", BAD_PACKETS)
def test_unreadable_packet_with_descriptors(running, what):
    data, number = BAD_PACKETS[what]
    with running.connect() as connection:
        refused_and_closed(connection, data, [0, 1, 2], number)


@pytest.mark.parametrize("data, words", [
    (b"A=b\n", "REQUEST"),
    (b"REQUEST=\n", "request"),
    (b"REQUEST=dance\n", "dance"),
    (b"REQUEST=Status\n", "Status"),
    (b"REQUEST=hand-in\n", "NAME|no socket"),
    (b"REQUEST=withdraw\n", "NAME"),
    (b"REQUEST=claim\n", "NAME"),
])
def test_unknown_request(running, data, words):
    with running.connect() as connection:
        connection.send(data)
        with pytest.raises(Refused, match=words):
            connection.reply()


def test_unknown_keys_are_ignored(running):
    """Unknown keys are ignored, because either side can be newer."""
    assert request("status", COLOUR="blue", X9_Y="")["OK"] == "1"


@pytest.mark.parametrize("version, good", [("1", True), ("2", False), ("0", False), ("", False), ("1.0", False),
                                           ("99999999999999999999", False), ("-1", False)])
def test_version(running, version, good):
    if good:
        assert request("status", VERSION=version)["PROTOCOL"] == "1"
        return
    with pytest.raises(Refused) as refusal:
        request("status", VERSION=version)
    if version.isdigit():
        assert refusal.value.number == errno.EPROTONOSUPPORT


@pytest.mark.parametrize("text", ["REQUEST=status", "REQUEST=status\n", "VERSION=1\nREQUEST=status\n"])
def test_last_line_feed_and_order(running, text):
    with running.connect() as connection:
        connection.send(text.encode())
        assert connection.reply()["OK"] == "1"


BAD_NAMES = {
    "empty": "", "64": "n" * 64, "255": "n" * 255, "256": "n" * 256, "colon": "a:b", "slash": "a/b", "dots": "..",
    "dot-first": ".web", "dash-first": "-web", "space": "we b", "tab": "we\tb", "non-ascii": "wéb", "percent": "we%b",
    "path": "../../etc/passwd", "quote": "'web'", "star": "*",
}


@pytest.mark.parametrize("verb", ["hand-in", "hold", "withdraw", "claim"])
@pytest.mark.parametrize("what", BAD_NAMES)
def test_bad_name(running, what, verb):
    """Names that cannot be those of a rule file are refused."""
    sock = make_socket("tcp", "127.0.0.2", 8099)
    fds = [sock.fileno()] if verb in ("hand-in", "hold") else []
    with pytest.raises(Refused):
        request(verb, fds, NAME=BAD_NAMES[what])


@pytest.mark.parametrize("name", ["n" * 63, "a", "A-Z_0.9", "@odd", "getty@tty1.service", "9"])
def test_good_name(broker, name):
    broker(**{name: "Stream=99"})
    with Service("odd", port=8099) as service:
        request("hand-in", [service], NAME=name)
        assert who(V4, 99) == "odd"


def test_names_that_differ_by_case_are_different(broker):
    broker(web="Stream=80", Web="Stream=81")
    with Service("upper", port=8099) as upper, Service("web") as lower:
        request("hand-in", [upper], NAME="Web")
        request("hand-in", [lower], NAME="web")
        assert (who(V4, 80), who(V4, 81)) == ("web", "upper")


def test_zero_length_packet_with_descriptors(running):
    """A packet of 0 bytes with descriptors is refused, and the descriptors are closed."""
    with running.connect() as connection:
        refused_and_closed(connection, b"", [0, 1])


@pytest.mark.parametrize("n", [2, 64, 65, 200, 253])
def test_many_descriptors(running, n):
    """A packet may have 64 of the 253 descriptors that the kernel allows. The same socket many times is one socket."""
    with Service("x", port=8099) as service, running.connect() as connection:
        fds = [os.dup(service.fileno()) for _ in range(n)]
        connection.send(text_of({"REQUEST": "hand-in", "NAME": "web"}), fds)
        for fd in fds:
            os.close(fd)
        if n > 64:
            with pytest.raises(Refused) as refusal:
                connection.reply()
            assert refusal.value.number == errno.E2BIG
        else:
            assert connection.reply()["ADDED"] == "1"
            request("withdraw", [service], NAME="web")


def test_254_descriptors_do_not_leave_the_sender(running):
    with running.connect() as connection, pytest.raises(OSError) as error:
        connection.send(text_of({"REQUEST": "hand-in", "NAME": "web"}), [0] * 254)
    assert error.value.errno in (errno.EINVAL, errno.ETOOMANYREFS)


@pytest.mark.parametrize("verb", ["hand-in", "hold"])
def test_no_descriptor(running, verb):
    with pytest.raises(Refused, match="no socket"):
        request(verb, NAME="web")


@pytest.mark.parametrize("names, n", [("web", 2), ("web:web", 1), ("web:web:web", 2), ("", 1), ("web:", 2), (":web", 2),
                                      ("web:nobody:web", 3)])
def test_names_and_descriptors_disagree(running, names, n):
    """There must be one name for each descriptor. All are accepted, or none."""
    sockets = [make_socket("tcp", "127.0.0.2", 9000 + i) for i in range(n)]
    with pytest.raises(Refused):
        request("hand-in", sockets, NAMES=names)


def test_name_and_names(running):
    with Service("x", port=8099) as service, pytest.raises(Refused):
        request("hand-in", [service], NAME="web", NAMES="web")


def test_two_control_messages(running):
    """The kernel joins two SCM_RIGHTS in one packet, or the sender gets an error."""
    with Service("x", port=8098) as one, Service("y", port=8099) as two, running.connect() as connection:
        controls = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [s.fileno()])) for s in (one, two)]
        try:
            connection.send(text_of({"REQUEST": "hand-in", "NAME": "web"}), controls=controls)
        except OSError:
            return
        assert connection.reply()["ADDED"] == "2"
        request("withdraw", [one, two], NAME="web")


@pytest.mark.parametrize("verb", ["status", "list", "rules", "reload", "detach", "claim"])
def test_descriptors_where_none_belong(running, verb):
    """Descriptors with a request that takes none are closed, and the request is refused with EINVAL."""
    with Service("x", port=8099) as service, pytest.raises(Refused) as refusal:
        request(verb, [service, 0, 1], NAME="web")
    assert refusal.value.number == errno.EINVAL


@pytest.mark.parametrize("uid, number, word", [
    (NOBODY, errno.EMFILE, "RLIMIT_NOFILE"),
    # what is on its way in sockets counts for uid 0, as usherd is, and more than RLIMIT_NOFILE cannot be (unix(7))
    (0, errno.ETOOMANYREFS, "LimitNOFILE="),
])
def test_broker_out_of_descriptors(usherd, rules, uid, number, word):
    """When RLIMIT_NOFILE truncates control data, or forbids to pass it on, the client gets an error, and nothing stays
    open."""
    rules(web=rule("Stream=192.0.2.0/24:80", access=["User=nobody"]))
    running = usherd.start(nofile=64)

    def ask():
        with running.connect() as connection:
            connection.request("status")
            sockets = [make_socket("tcp", "127.0.0.2", 9000 + i) for i in range(80)]
            refusal = refused_and_closed(
                connection, text_of({"REQUEST": "hand-in", "NAME": "web"}), [s.fileno() for s in sockets], number)
            assert word in refusal.reason

    before = len(running.fds())
    in_child(ask, uid=uid, gid=uid)
    wait_until(lambda: len(running.fds()) <= before)
    assert running.sockets() == []
    with Service("web") as service:
        request("hand-in", [service], NAME="web")
        assert who(V4, 80) == "web"


def test_broker_cannot_accept(usherd, rules):
    """EMFILE on accept does not end the broker. Clients are served when descriptors are free again."""
    rules(web="Stream=80")
    running = usherd.start(nofile=64)
    waiting = []
    for _ in range(80):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        sock.connect("/run/usher/usher.sock")
        waiting.append(sock)
    wait_until(lambda: len(running.fds()) >= 59 or not running.running())
    assert running.running(), running.log
    for sock in waiting:
        sock.close()
    assert wait_until(running.status)["OK"] == "1"


def test_client_that_does_not_wait_for_its_answer(running):
    """A client that disappears between request and reply does no harm: there is no SIGPIPE."""
    for _ in range(50):
        connection = running.connect()
        connection.send(text_of({"REQUEST": "list"}))
        connection.close()
    assert request("status")["OK"] == "1"


def test_client_that_hands_in_and_is_gone(running):
    with Service("x", port=8099) as service:
        connection = running.connect()
        connection.send(text_of({"REQUEST": "hand-in", "NAME": "web"}), [service.fileno()])
        connection.close()
        wait_until(lambda: who(V4, 80) == "x")


def test_client_that_does_not_read(running):
    """While a client's reply queue is full, others are served. The client is dropped, or served later."""
    connection = running.connect()
    connection.socket.setblocking(False)
    text = text_of({"REQUEST": "list"})
    with pytest.raises(OSError):
        for _ in range(100000):
            connection.send(text)
    started = time.monotonic()
    assert request("status")["OK"] == "1"
    assert time.monotonic() - started < PATIENCE
    connection.close()


def test_client_that_stops_in_the_middle(running):
    """An open connection that sends nothing does not affect others."""
    idle = [running.connect() for _ in range(20)]
    assert request("status")["OK"] == "1"
    for connection in idle:
        assert connection.request("status")["OK"] == "1"
        connection.close()


def test_half_closed(running):
    with running.connect() as connection:
        connection.send(text_of({"REQUEST": "status"}))
        connection.socket.shutdown(socket.SHUT_WR)
        try:
            connection.reply()
        except EOFError:
            pass


def test_forged_credentials(running):
    """Root may claim to be another user. The packet then has the rights of that user."""
    forged = struct.pack("iII", os.getpid(), NOBODY, NOBODY)
    with Service("x", port=8099) as service, running.connect() as connection:
        connection.send(text_of({"REQUEST": "hand-in", "NAME": "web"}), controls=[
            (socket.SOL_SOCKET, socket.SCM_CREDENTIALS, forged),
            (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [service.fileno()]))])
        with pytest.raises(Refused) as refusal:
            connection.reply()
        assert refusal.value.number == errno.EACCES


def test_wrong_kind_of_socket(running):
    """The kernel refuses clients with SOCK_STREAM or SOCK_DGRAM. The mode of the socket lets everybody connect."""
    assert os.stat("/run/usher/usher.sock").st_mode & 0o777 == 0o666
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_UNIX, kind) as sock, pytest.raises(OSError) as error:
            sock.connect("/run/usher/usher.sock")
        assert error.value.errno == errno.EPROTOTYPE


def test_many_clients_at_once(running):
    """Four processes talk at the same time, and each gets its own answers."""

    def talk(tell, number):
        service = Service(f"s{number}", port=9100 + number)
        for _ in range(50):
            with Connection() as connection:
                assert connection.request("hand-in", [service], NAME="web")["OK"] == "1"
                assert connection.request("withdraw", [service], NAME="web")["WITHDRAWN"] == "1"
        return "done"

    children = [Child(talk, number) for number in range(4)]
    assert [child.result() for child in children] == ["done"] * 4

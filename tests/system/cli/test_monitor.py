# SPDX-License-Identifier: BSD-3-Clause
"""The request monitor: subscribers get the broker's messages at once, and none of them can delay the broker."""

import errno
import os
import select
import signal
import socket
import subprocess
import time

import pytest

from harness.broker import USHERD
from harness.daemon import PROGRAMS
from harness.host import CLIENT_V4, CLIENT_V6, HOST_V4, HOST_V6, NOBODY, V4, run
from harness.process import PATIENCE, SLOW, Child, wait_until
from harness.service import Service, ServiceProcess, make_socket
from harness.traffic import REFUSED, who
from harness.wire import Connection, Refused, cookie, hand_in, request

SUBSCRIBERS_MAX, EVENTS_MAX = 64, 256


class Monitor(Connection):
    """A subscriber, whose subscription has been confirmed."""

    def __init__(self, *arguments, events=None, **options):
        super().__init__(*arguments, **options)
        self.send(b"REQUEST=monitor\n" + (f"EVENTS={events}\n".encode() if events else b""))
        self.first = self.hear()
        assert self.first["EVENT"] == "subscribed"

    def hear(self):
        """The next row. Raises EOFError at the end of the connection, and Refused for a refusal."""
        packet = self.receive()
        if packet is None:
            raise EOFError("the broker closed the connection")
        fields, fds = packet
        assert not fds
        if "ERRNO" in fields:
            raise Refused(int(fields["ERRNO"]), fields["REASON"])
        assert fields.pop("ROW") == "1"
        assert abs(int(fields["TIME"]) / 1e6 - time.time()) < 60 * SLOW and fields["TEXT"]
        return fields

    def expect(self, *events):
        """The next rows, which must be of these kinds, in this order."""
        rows = [self.hear() for _ in events]
        assert tuple(row["EVENT"] for row in rows) == events, rows
        return rows if len(rows) > 1 else rows[0]

    def is_quiet(self):
        """Whether there is nothing to read."""
        return not select.select([self.socket], [], [], 0)[0]


def connections():
    """The number of connections of the broker: connected sockets of its path."""
    lines = [line.split() for line in open("/proc/net/unix")]
    return sum(words[5] == "03" and words[-1] == "/run/usher/usher.sock" for words in lines)


class TestEvents:
    """Every kind of event that a test can cause, with all its fields."""

    @pytest.mark.vm_long
    def test_life_of_a_socket(self, broker):
        running = broker(web="Stream=80")
        with Monitor() as monitor:
            with Service("first") as first:
                hand_in("web", first)
                row = monitor.expect("handed-in")
                assert row["TEXT"] in running.log
                del row["TIME"], row["TEXT"]
                assert row == {
                    "EVENT": "handed-in", "NAME": "web", "RULE": "/run/usher/rules.d/web.rule", "PROTOCOL": "tcp",
                    "FAMILY": "ipv4", "ADDRESS": "127.0.0.2:8080", "COOKIE": cookie(first.socket),
                    "PID": str(os.getpid()), "UID": "0"}
                second = ServiceProcess("second", port=8081, before=lambda sock: hand_in("web", sock))
                row = monitor.expect("handed-in")
                assert row["ADDRESS"] == "127.0.0.2:8081" and row["PID"] == str(second.pid)
                second.child.kill()
                row = monitor.expect("taken-over")
                assert (row["NAME"], row["ADDRESS"], row["COOKIE"]) == ("web", "127.0.0.2:8080", cookie(first.socket))
                request("withdraw", NAME="web")
                row = monitor.expect("withdrawn")
                assert (row["NAME"], row["COOKIE"], row["UID"]) == ("web", cookie(first.socket), "0")
            assert monitor.is_quiet()

    def test_gone(self, broker):
        broker(web="Stream=80", dns="Datagram=53")
        with Monitor() as monitor:
            web = ServiceProcess("web", before=lambda sock: hand_in("web", sock))
            row = monitor.expect("handed-in")
            web.child.kill()
            gone = monitor.expect("gone")
            assert {key: gone[key] for key in ("NAME", "COOKIE", "ADDRESS", "PROTOCOL", "FAMILY", "RULE")} == {
                key: row[key] for key in ("NAME", "COOKIE", "ADDRESS", "PROTOCOL", "FAMILY", "RULE")}
            assert "PID" not in gone, "there is no such process any more"

    @pytest.mark.vm
    @pytest.mark.parametrize("protocol", ["tcp", "udp"])
    @pytest.mark.parametrize("host, address", [(HOST_V4, CLIENT_V4), (HOST_V6, CLIENT_V6)])
    def test_missing(self, broker, client, protocol, host, address):
        """The event has the source and the destination of the packet."""
        running = broker(web="Stream=80" if protocol == "tcp" else "Datagram=80")
        spell = lambda text: f"[{text}]" if ":" in text else text
        with Monitor() as monitor:
            assert who(host, 80, protocol, netns=client) == REFUSED
            row = monitor.expect("missing")
            assert (row["NAME"], row["PROTOCOL"], row["FAMILY"]) == (
                "web", protocol, "ipv6" if ":" in host else "ipv4")
            assert row["TARGET"] == f"{spell(host)}:80"
            assert row["CLIENT"].rpartition(":")[0] == spell(address)
            assert row["CLIENT"] in row["TEXT"] and row["TARGET"] in row["TEXT"] and row["TEXT"] in running.log
            assert "ADDRESS" not in row and "UID" not in row

    def test_refused(self, broker):
        broker(web="Stream=80")
        with Monitor() as monitor, Service("web") as service:
            def ask():
                with pytest.raises(Refused):
                    hand_in("web", service)

            child = Child(lambda tell: ask(), keep=[service.fileno()], uid=NOBODY, gid=NOBODY)
            child.result()
            row = monitor.expect("refused")
            assert (row["NAME"], row["ERROR"], row["UID"], row["PID"]) == (
                "web", str(errno.EACCES), str(NOBODY), str(child.pid))
            assert "[Access]" in row["REASON"] and row["REASON"] in row["TEXT"]

    @pytest.mark.vm_long
    def test_reload(self, broker, rules):
        running = broker(web="Stream=80")
        with Monitor() as monitor:
            running.reload()
            switched, reloaded = monitor.expect("switched", "reloaded")
            assert "generation 2" in switched["TEXT"] and "1 kept" in reloaded["TEXT"]
            rules(web="Stream=nonsense", shop="Steam=80")
            with pytest.raises(Refused):
                running.reload()
            rows = [monitor.hear()]
            while "RULE" in rows[-1]:
                rows.append(monitor.hear())
            assert {row["EVENT"] for row in rows} == {"reload-failed"}
            assert {row["RULE"] for row in rows[:-1]} == {f"/run/usher/rules.d/{name}.rule" for name in ("web", "shop")}
            assert "stays in force" in rows[-1]["TEXT"] and "shop.rule" in rows[-1]["REASON"]
            running.hang_up()
            assert monitor.expect("reload-failed")

    def test_conflict(self, broker):
        running = broker(web="Stream=80")
        run(PROGRAMS / "attach", PROGRAMS / "foreign.bpf.o", "pass", "/sys/fs/bpf/foreign")
        with Monitor() as monitor:
            running.reload()
            assert "2 sk_lookup programs" in monitor.expect("switched", "conflict", "reloaded")[1]["TEXT"]

    def test_detached(self, broker):
        """The subscriber gets the last event of the broker, and then the end."""
        running = broker(web="Stream=80")
        with Monitor() as monitor:
            running.request("detach")
            assert monitor.expect("detached")
            with pytest.raises(EOFError):
                monitor.hear()
        assert running.wait() == 0

    def test_more_than_the_journal_is_told(self, broker):
        """The journal limits messages by kind and user. A subscriber gets all of them."""
        running = broker(web="Stream=80")
        with Monitor() as monitor, Service("web") as service:
            for _ in range(100):
                hand_in("web", service)
                request("withdraw", NAME="web")
                monitor.expect("handed-in", "withdrawn")
        assert running.log.count("is handed in") == 20

    def test_words_of_a_stranger(self, broker):
        """A client's words are shown, but they can add no line or field, and long ones do not cut the rest."""
        running = broker(web="Stream=80")
        with Monitor() as monitor, Connection() as connection:
            connection.send(b"REQUEST=withdraw\nNAME=" + b"\xc3\xa9" * 1900 + b"\n")
            with pytest.raises(Refused):
                connection.reply()
            row = monitor.expect("refused")
            assert len(row["NAME"]) <= 640 and row["REASON"] and row["ERROR"] == str(errno.EINVAL)
            running.reload()
            monitor.expect("switched", "reloaded")


class TestWho:
    def test_not_root(self, broker):
        broker(web="Stream=80")

        def ask():
            with pytest.raises(Refused, match="only root") as refusal:
                Monitor()
            return refusal.value.number

        assert Child(lambda tell: ask(), uid=NOBODY, gid=NOBODY).result() == errno.EPERM

    def test_descriptors(self, broker):
        broker(web="Stream=80")
        with Connection() as connection, pytest.raises(Refused, match="takes none"):
            connection.request("monitor", [make_socket("tcp", "127.0.0.2", 8080)])

    @pytest.mark.parametrize("packet", [b"REQUEST=status\n", b"REQUEST=monitor\n", b"nonsense", b"A" * 5000])
    def test_asks_once_more(self, broker, packet):
        """An endless answer leaves no room for another request: the broker says so, and closes the connection."""
        running = broker(web="Stream=80")
        with Monitor() as monitor:
            monitor.send(packet, [0])
            with pytest.raises(Refused) as refusal:
                monitor.hear()
            assert refusal.value.number in (errno.EBUSY, errno.EMSGSIZE)
            with pytest.raises(EOFError):
                monitor.hear()
        assert running.status()

    def test_at_most_so_many(self, broker):
        running = broker(web="Stream=80")
        monitors = [Monitor() for _ in range(SUBSCRIBERS_MAX)]
        with pytest.raises(Refused, match="the most there may be") as refusal, Connection() as connection:
            connection.request("monitor")
        assert refusal.value.number == errno.EUSERS
        with Service("web") as service:
            hand_in("web", service)
            for monitor in monitors:
                monitor.expect("handed-in")
        monitors.pop().close()
        wait_until(lambda: connections() == len(monitors), what="the connection is closed")
        with Monitor():
            for monitor in monitors:
                monitor.close()
        wait_until(lambda: connections() == 0, what="all connections are closed")


def stir(service, n):
    """2 n events."""
    with Connection() as connection:
        for _ in range(n):
            connection.request("hand-in", [service], NAME="web")
            connection.request("withdraw", NAME="web")


class TestSome:
    """EVENTS= selects kinds of events."""

    def test_only_these(self, broker):
        running = broker(web="Stream=80")
        with Monitor(events="withdrawn:gone:reloaded") as some, Monitor() as everything, Service("web") as service:
            stir(service, 2)
            assert who(V4, 80) == REFUSED
            running.reload()
            some.expect("withdrawn", "withdrawn", "reloaded")
            everything.expect("handed-in", "withdrawn", "handed-in", "withdrawn", "missing", "switched", "reloaded")
            assert some.is_quiet()

    def test_others_are_not_lost(self, broker):
        """A slow subscriber to a rare kind loses nothing, however many other events there are."""
        running = broker(web="Stream=80")
        with Monitor(events="reloaded") as some, Service("web") as service:
            for _ in range(3):
                running.reload()
                stir(service, EVENTS_MAX // 4)
            running.reload()
            rows = some.expect(*["reloaded"] * 4)
            assert not any("LOST" in row for row in rows)

    def test_lost(self, broker):
        """A slow subscriber to some kinds loses the oldest of these, and gets their number. Other kinds do not count."""
        broker(web="Stream=80")
        with Monitor(events="withdrawn") as slow, Service("web") as service:
            stir(service, 1500)
            told = lost = 0
            while told + lost < 1500:
                row = slow.hear()
                told, lost = told + 1, lost + int(row.get("LOST", 0))
            assert told + lost == 1500 and lost and slow.is_quiet()

    def test_unknown(self, broker):
        broker(web="Stream=80")
        with Connection() as connection:
            with pytest.raises(Refused) as refused:
                connection.request("monitor", EVENTS="gone:sunset")
        assert refused.value.number == errno.EINVAL and "there is no event 'sunset'" in refused.value.reason


class TestSlow:
    @pytest.mark.vm_long
    def test_lost(self, broker):
        """A subscriber that does not read loses the oldest events, and gets their number. Nothing waits for it."""
        running = broker(web="Stream=80")
        with Monitor() as slow, Service("web") as service:
            start = time.monotonic()
            stir(service, 1000)
            assert time.monotonic() - start < PATIENCE
            with Monitor() as other:
                running.reload()
                other.expect("switched", "reloaded")
            told = lost = gaps = 0
            while True:
                row = slow.hear()
                told += 1
                if "LOST" in row:
                    gaps += 1
                    assert int(row["LOST"]) > 0
                    lost += int(row["LOST"])
                    at_gap = told
                if row["EVENT"] == "reloaded":
                    break
            assert told + lost == 2002 and gaps == 1
            assert told - at_gap + 1 == EVENTS_MAX, "the newest remain after the gap"
            running.reload()
            for row in slow.expect("switched", "reloaded"):
                assert "LOST" not in row

    def test_memory(self, usherd, rules):
        """The memory for slow subscribers is bounded."""
        rules(web="Stream=80")
        # a sanitizer with a quarantine would show everything that was ever freed
        usherd.start(env={"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=0"})
        memory = lambda: int(open(f"/proc/{usherd.pid}/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")
        monitors = [Monitor() for _ in range(SUBSCRIBERS_MAX)]
        before = memory()
        with Service("web") as service:
            stir(service, 500)
            between = memory()
            stir(service, 500)
        # a sanitizer has shadow memory, red zones, and a store of stacks that grows by the megabyte
        first, then = (24, 2) if b"__asan_init" in USHERD.read_bytes() else (8, 1)
        assert between - before < first << 20 and memory() - between < then << 20
        for monitor in monitors:
            monitor.close()

    def test_stopped_process(self, broker):
        """A subscriber that is stopped, then killed."""
        running = broker(web="Stream=80")

        def subscribe(tell):
            monitor = Monitor()
            tell("in")
            signal.pause()
            return monitor

        child = Child(subscribe)
        child.hear()
        child.signal(signal.SIGSTOP)
        with Service("web") as service:
            stir(service, 600)
            child.kill()
            wait_until(lambda: connections() == 0, what="its connection is closed")
            stir(service, 1)
        assert running.status()["RELOAD"] == "ok"


class TestEnd:
    @pytest.mark.parametrize("way", ["close", "half-close", "kill"])
    def test_hang_up(self, broker, way):
        running = broker(web="Stream=80")
        if way == "kill":
            child = Child(lambda tell: (Monitor(), tell("in"), signal.pause()))
            child.hear()
            child.kill()
        else:
            monitor = Monitor()
            monitor.close() if way == "close" else monitor.socket.shutdown(socket.SHUT_WR)
        wait_until(lambda: connections() == 0, what="the connection is closed")
        running.reload()

    @pytest.mark.vm_long
    @pytest.mark.parametrize("reads", [True, False])
    def test_broker_ends(self, broker, reads):
        """A subscriber does not delay SIGTERM. It gets the end of the connection, and subscribes to the next broker."""
        running = broker(web="Stream=80")
        with Monitor() as monitor, Service("web") as service:
            if not reads:
                stir(service, 1000)
            start = time.monotonic()
            running.stop()
            assert time.monotonic() - start < PATIENCE
            with pytest.raises(EOFError):
                while True:
                    assert monitor.hear()["EVENT"] in ("handed-in", "withdrawn")
            running.start()
            with Monitor() as again:
                hand_in("web", service)
                again.expect("handed-in")

    def test_broker_is_killed(self, broker):
        running = broker(web="Stream=80")
        with Monitor() as monitor:
            running.kill()
            with pytest.raises((EOFError, ConnectionResetError)):
                monitor.hear()


@pytest.mark.no_asan
def test_idle(broker):
    """A broker with a subscriber makes no system call while nothing happens."""
    running = broker(web="Stream=80")
    trace = "/run/test/strace"
    with Monitor() as monitor:
        tracer = subprocess.Popen(["strace", "-f", "-qq", "-p", str(running.pid), "-o", trace],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        state = lambda: [line for line in open(f"/proc/{running.pid}/status") if line.startswith("TracerPid:")]
        wait_until(lambda: state()[0].split()[1] == str(tracer.pid) and os.path.getsize(trace), what="strace is attached")
        with pytest.raises(subprocess.TimeoutExpired):
            tracer.wait(3)  # the time in which nothing may happen
        calls = open(trace).read().splitlines()
        running.reload()
        monitor.expect("switched", "reloaded")
        tracer.send_signal(signal.SIGINT)
        tracer.wait(PATIENCE)
    assert len(calls) == 1 and "epoll_" in calls[0] and calls[0].count("(") == 1, "it still waits in the same call"
    assert len(open(trace).read().splitlines()) > 10, "the trace would have shown them"

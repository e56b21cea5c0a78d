# SPDX-License-Identifier: BSD-3-Clause
"""A client whose descriptors make a process wait that touches them stops itself, and no other client."""

import ctypes
import errno
import os
import signal
import socket
import struct

import pytest

from harness import process
from harness.faults import failing
from harness.fuse import keep_locked
from harness.host import NOBODY, V4, rule
from harness.lingering import fill, make_lingering, make_sink
from harness.notify import notify
from harness.process import Child, in_child, wait_until
from harness.service import Service, make_socket
from harness.traffic import who
from harness.wire import Connection, Refused, hand_in, request

WEB = rule("Stream=80", access=["User=nobody"])
AF_INET = struct.pack("=H", socket.AF_INET)


def as_nobody(function, *words):
    return Child(function, *words, uid=NOBODY, gid=NOBODY)


def turn_into_connection(listener, sink):
    """From now on it is a connection, and the process that closes it last waits."""
    listener.shutdown(socket.SHUT_RDWR)
    address = AF_INET + struct.pack(">H", sink.getsockname()[1]) + socket.inet_aton("127.0.0.1") + bytes(8)
    process.libc("connect", listener.fileno(), ctypes.create_string_buffer(address), 16)
    fill(listener)


def is_served(running):
    """Another client is served, at once as far as a test can say."""
    with Connection() as connection:
        assert connection.request("status")["OK"] == "1"
    with Service("root", port=8443) as service:
        hand_in("web", service)
        assert who(V4, 80) == "root"
        request("withdraw", [service], NAME="web")
    assert running.running()


# ---- SO_LINGER

@pytest.mark.parametrize("verb", ["status", "hand-in", "withdraw"])
@pytest.mark.parametrize("full", [False, True], ids=["", "no-descriptor-left"])
def test_lingering_connection(usherd, rules, verb, full):
    """The broker is about to have the last copy of a connection that close(2) waits for. Its table may be full too."""
    rules(web=WEB)
    running = usherd.start(**({"nofile": 64} if full else {}))

    def send(tell):
        sink, connections = make_sink(), []
        connection = Connection()
        for _ in range(40 if full else 0):
            connections.append(Connection())
        tell("connected")
        lingering = make_lingering(sink)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        tell("made")
        signal.sigwait([signal.SIGUSR1])
        connection.send(f"REQUEST={verb}\nNAME=web\n".encode(), [lingering.fileno()])
        os.close(lingering.detach())
        tell("sent")
        signal.pause()

    root = Connection()
    root.request("status")
    client = as_nobody(send)
    assert [client.hear() for _ in range(2)] == ["connected", "made"]
    running.pause()
    os.kill(client.pid, signal.SIGUSR1)
    assert client.hear() == "sent"
    running.resume()
    if not full:
        is_served(running)
    assert root.request("status")["OK"] == "1"
    running.stop()
    client.kill()


def test_listener_that_becomes_a_connection(broker):
    """It is one when the broker looks, and lingers when it is closed: at once, or held and withdrawn later."""
    running = broker(web=WEB)

    def hold(tell):
        sink = make_sink()
        listener = make_socket("tcp", "127.0.0.3", 0)
        request("hold", [listener], NAME="web")
        turn_into_connection(listener, sink)
        os.close(listener.detach())
        with Connection() as connection:
            connection.send(b"REQUEST=withdraw\nNAME=web\n")
            tell("sent")
            signal.pause()

    client = as_nobody(hold)
    assert client.hear() == "sent"
    is_served(running)
    assert running.status()["HELD"] == "0"
    running.stop()
    client.kill()


# ---- a file whose server does not answer

def send_stuck(tell, path, times):
    """Hand-ins of a file whose close(2) does not return: tells the errno of each."""
    opened = os.open(path, os.O_RDONLY)
    for _ in range(times):
        try:
            with Connection() as connection:
                connection.send(b"REQUEST=hand-in\nNAME=web\n", [opened])
                tell(int(connection.receive()[0]["ERRNO"]))
        except OSError as error:
            tell(error.errno)
    # the end of this process closes the file too, and hangs like the worker would


def send_stuck_and_stay(tell, path, times):
    """The same, and has the file open until the end of the test."""
    send_stuck(tell, path, times)
    signal.pause()


def test_file_whose_close_hangs(broker, stuck):
    """The broker answers, serves others, has no more workers for a uid that goes on with it, and recovers."""
    running = broker(web=WEB)
    is_served(running)
    client = as_nobody(send_stuck, stuck.file, 6)
    answers = []
    while len(answers) < 6:
        answers.append(client.hear())
        is_served(running)
    assert answers[:4] == [errno.ENOTSOCK] * 4, "each answer says what was sent"
    assert answers[4:] == [errno.EUSERS] * 2, "then nobody looks any more"
    stuck.release()
    assert client.wait() == 0

    with Service("nobody", port=8444) as service:
        def try_again():
            try:
                in_child(lambda: hand_in("web", service) and None, keep=[service.fileno()], uid=NOBODY, gid=NOBODY)
                return True
            except Refused as refusal:
                assert refusal.number == errno.EUSERS
                return False
        wait_until(try_again, what="it is served again")
        assert who(V4, 80) == "nobody"


def test_file_that_nobody_wants(broker, stuck):
    """What is refused by its text is thrown away without being received, so that nobody is asked to close it."""
    running = broker(web="Stream=80")
    client = as_nobody(send_stuck_and_stay, stuck.file, 6)
    assert [client.hear() for _ in range(6)] == [errno.EACCES] * 6
    assert stuck.flushes == []
    is_served(running)
    stuck.release()
    client.kill()


def is_being_killed(pid):
    """Whether a process waits where SIGKILL does not end it."""
    status = dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status") if ":\t" in line)
    return bool((int(status["SigPnd"], 16) | int(status["ShdPnd"], 16)) >> (signal.SIGKILL - 1) & 1)


@pytest.mark.parametrize("last", [[], [b"FDSTOREREMOVE=1\nFDNAME=web"], [b"BARRIER=1"], [b"FDSTOREREMOVE=1\nFDNAME=web"] * 99],
                         ids=["store", "remove", "barrier", "many"])
def test_datagrams_wait_for_no_other_uid(broker, stuck, last):
    """The notify door is one queue. What a uid sends there may wait for its own descriptors, and keeps nobody else waiting:
    others are served while the first of its workers has its time yet."""
    running = broker(web=WEB, other="Stream=81")
    is_served(running)

    def send(tell):
        opened = os.open(stuck.file, os.O_RDONLY)
        for _ in range(12 if not last else 2):
            notify("FDSTORE=1\nFDNAME=web", opened)
        for text in last:
            notify(text, *([opened] if b"BARRIER" in text else []))
        tell("sent")
        signal.pause()

    with Service("other", port=8081) as service:
        client = as_nobody(send)
        assert client.hear() == "sent"
        notify("FDSTORE=1\nFDNAME=other", service)
        wait_until(lambda: running.sockets("other"))
        assert stuck.flushes and not any(map(is_being_killed, running.workers()))
    if not last:
        wait_until(lambda: "uid 65534 sent keep 4 processes" in running.log)
    stuck.release()
    client.kill()


def test_socket_whose_lock_is_held(broker, stuck):
    """A process that looks at it waits, and SIGKILL does not end it."""
    running = broker(web=rule("Datagram=80", "Stream=80", access=["User=nobody"]))

    def lock(tell):
        sock = make_socket("udp", "127.0.0.3", 0)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])  # in both threads, or it would end the process
        keep_locked(sock, stuck.file)
        tell("sending")
        signal.sigwait([signal.SIGUSR1])
        try:
            with Connection() as connection:
                tell("connected")
                connection.request("hand-in", [sock], NAME="web")
                tell(0)
        except Refused as refusal:
            tell(refusal.number)
        signal.pause()

    client = as_nobody(lock)
    assert client.hear() == "sending"
    wait_until(lambda: stuck.reads, what="the lock is held")
    os.kill(client.pid, signal.SIGUSR1)
    assert client.hear() == "connected"
    is_served(running)
    assert client.hear() == errno.ETIMEDOUT
    is_served(running)
    running.stop()
    stuck.release()
    client.kill()


# ---- workers that end

def is_served_again(running):
    """In the end; before, it is said why not."""
    def is_it():
        try:
            is_served(running)
        except Refused as refusal:
            assert refusal.number == errno.ECHILD and "try again" in str(refusal)
            return False
        return True

    wait_until(is_it)


def test_workers_are_replaced(broker):
    """Without its workers the broker goes on and gets others; a client may have to ask again."""
    running = broker(web=WEB)
    is_served(running)
    for pid in running.workers():
        os.kill(pid, signal.SIGKILL)
    is_served_again(running)


@pytest.mark.parametrize("error", ["EAGAIN", "ENOMEM"])
def test_workers_cannot_be_started(broker, error):
    """As with TasksMax= of the unit: the client hears of it, requests without descriptors are served, and so are all when it
    is over."""
    running = broker(web=WEB)
    is_served(running)
    with Service("root", port=8443) as service:
        with failing(running.nursery, "clone,clone3,fork,vfork", f"error={error}"):
            for pid in running.workers():
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not running.workers())
            running.status()
            for _ in range(3):
                with pytest.raises(Refused, match="cannot be started.*try again") as refusal:
                    hand_in("web", service)
                assert refusal.value.number == errno.ECHILD
                assert running.status()["OK"] == "1"
            notify("FDSTORE=1\nFDNAME=web", service)
            wait_until(lambda: "refused 'datagram'" in running.log and "cannot be started" in running.log)
            assert running.status()["SOCKETS"] == "0"
        wait_until(lambda: running.status()["HELD"] == "1", what="the datagram that waited is served")
        request("withdraw", [service], NAME="web")
    wait_until(lambda: running.status()["SOCKETS"] == "0")
    is_served_again(running)


def test_workers_may_do_nothing(broker):
    """No capability, a filter of system calls, and nobody sends them signals but the broker."""
    running = broker(web=WEB)
    is_served(running)
    assert running.workers()
    for pid in running.workers():
        status = dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status") if ":\t" in line)
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
        assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2"
        os.kill(pid, signal.SIGTERM)
    is_served(running)


def test_workers_end_with_the_broker(broker):
    running = broker(web=WEB)
    is_served(running)
    workers = running.workers()
    running.kill()
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers), what="no worker is left")

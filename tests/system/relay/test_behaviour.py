# SPDX-License-Identifier: BSD-3-Clause
"""What usher-relay does to a connection: as far as the kernel allows, client and backend see what they would see without it.

Each case moves a million counted words where it moves anything, to a backend of each kind.
"""

import os
import random
import signal
import socket
import threading

import pytest

from harness.process import MOMENT, PATIENCE, wait_until
from harness.relay import MILLION, RESET, Backend, Relay, read_all, reset, send_later, words

pytestmark = pytest.mark.vm

BACKENDS = {"ipv4": ("127.0.0.1:7002", ("127.0.0.1", 7002)), "ipv6": ("[::1]:7002", ("::1", 7002)),
            "path": ("/run/test/backend", "/run/test/backend"), "abstract": ("@backend", "\0backend")}
TCP = ["ipv4", "ipv6"]
SIZES = [0, 1, 1000, 100_000, len(MILLION)]


@pytest.fixture(params=list(BACKENDS))
def kind(request):
    return request.param


@pytest.fixture
def relay(kind):
    return Relay(f"Connect={BACKENDS[kind][0]}").start()


@pytest.fixture
def backend(kind):
    running = []

    def start(serve=None, **options):
        running.append(Backend(BACKENDS[kind][1], serve, **options))
        return running[0]

    yield start
    for one in running:
        one.close()


def test_early_data(relay, backend):
    """The client sends, and ends, before the relay has accepted."""
    server = backend(read_all)
    relay.pause()
    for size in SIZES[1:4]:
        client = relay.connect()
        send_later(client, words(size)).join(MOMENT)  # what the queues do not take is sent later
    relay.resume()
    assert sorted(map(len, server.result(3))) == SIZES[1:4]
    assert all(data == words(len(data)) for data in server.results)


@pytest.mark.parametrize("answer", [0, 1000, len(MILLION)])
def test_half_close_of_the_client(relay, backend, answer):
    """The client sends and ends; the server reads to the end, answers, and ends."""
    def serve(connection):
        data = read_all(connection)
        connection.sendall(words(answer))
        return data

    server = backend(serve)
    for n, size in enumerate(SIZES, 1):
        with relay.connect() as client:
            send_later(client, words(size))
            assert read_all(client) == words(answer)
        assert server.result(n) is not None and server.results[n - 1] == words(size)


@pytest.mark.parametrize("size", [0, 1000, len(MILLION)])
def test_half_close_of_the_server(relay, backend, size):
    """The server sends and ends first; the client answers after that."""
    def serve(connection):
        connection.sendall(words(size))
        connection.shutdown(socket.SHUT_WR)
        return read_all(connection)

    server = backend(serve)
    with relay.connect() as client:
        assert read_all(client) == words(size)
        send_later(client, words(size)[::-1])
        assert server.result() == words(size)[::-1]


def test_late_end(relay, backend):
    """The end comes in a packet of its own, after everything else has been read."""
    def serve(connection):
        first = connection.recv(100)
        asked.set()
        rest = read_all(connection)
        connection.sendall(b"answer")
        return first, rest

    asked = threading.Event()
    server = backend(serve)
    with relay.connect() as client:
        client.sendall(b"question")
        assert asked.wait(PATIENCE)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"answer"
    assert server.result() == (b"question", b"")


def test_close_with_data_in_flight(relay, backend):
    """The client sends and closes while the server has not begun to read."""
    def serve(connection):
        assert closed.wait(PATIENCE)
        return read_all(connection)

    closed = threading.Event()
    server = backend(serve)
    client = relay.connect()
    sender = send_later(client, MILLION)
    sender.join(MOMENT)
    if sender.is_alive():  # the queues are too short for all of it
        closed.set()
        sender.join(PATIENCE)
    client.close()
    closed.set()
    assert server.result() == MILLION


@pytest.mark.parametrize("kind", TCP, indirect=True)
@pytest.mark.parametrize("size", [10, 100_000])
def test_reset_of_the_client(relay, backend, size):
    """What the client had sent arrives, then the reset."""
    def serve(connection):
        data = bytearray()
        while len(data) < size:
            data += connection.recv(65536)
        arrived.set()
        return bytes(data), read_all(connection)

    arrived = threading.Event()
    server = backend(serve)
    client = relay.connect()
    client.sendall(words(size))
    assert arrived.wait(PATIENCE)
    reset(client)
    assert server.result() == (words(size), (b"", RESET))


@pytest.mark.parametrize("size", [0, 10, 100_000, len(MILLION)])
def test_reset_of_the_server(relay, backend, size):
    """The answer is cut, and the client notices. What the server had sent before arrives."""
    def serve(connection):
        connection.recv(4)
        connection.sendall(words(size))
        assert received.wait(PATIENCE) if isinstance(connection.getsockname(), tuple) else True
        if isinstance(connection.getsockname(), tuple):
            reset(connection)
        # a Unix socket resets when something has not been read

    received = threading.Event()
    backend(serve)
    with relay.connect() as client:
        client.sendall(b"question")
        data = bytearray()
        while len(data) < size:
            data += client.recv(65536)
        received.set()
        assert data == words(size)
        assert read_all(client) == (b"", RESET)


@pytest.mark.parametrize("kind", TCP, indirect=True)
def test_answer_before_a_reset(relay, backend):
    """A server that answers and closes although not everything was read resets: the answer arrives all the same. It is one
    packet, since the server's own kernel discards what has not left yet."""
    def serve(connection):
        connection.recv(10)
        connection.sendall(MILLION[:1000])

    backend(serve)
    for _ in range(20):
        with relay.connect() as client:
            send_later(client, b"q" * 100_000, end=False)
            data = read_all(client)
            assert data == (MILLION[:1000], RESET)


def test_slow_reader(relay, backend):
    """A server that does not read holds the client back, and the memory of the relay stays as it is."""
    def serve(connection):
        assert go.wait(PATIENCE)
        return len(read_all(connection))

    go = threading.Event()
    server = backend(serve)
    before = relay.memory()
    client = relay.connect()
    client.settimeout(MOMENT)
    sent = 0
    with pytest.raises(TimeoutError):
        while sent < 1 << 30:
            sent += client.send(MILLION)
    assert relay.memory() - before < 1024, "kB: a buffer, not what the client would like to send"
    client.close()
    go.set()
    assert server.result() == sent


def test_both_ways_at_once(relay, backend):
    def serve(connection):
        sending = send_later(connection, MILLION)
        data = read_all(connection)
        sending.join()  # what ends is closed
        return data

    server = backend(serve)
    with relay.connect() as client:
        sending = send_later(client, MILLION[::-1])
        assert read_all(client) == MILLION
        sending.join()
    assert server.result() == MILLION[::-1]


def test_many_short_ones(relay, backend):
    """200 connections, 8 at a time, with a question and an answer of different sizes"""
    def serve(connection):
        data = read_all(connection)
        connection.sendall(data[::-1])

    def run(seed):
        choose = random.Random(seed).choice
        for _ in range(25):
            data = words(choose([0, 1, 100, 5000, 65536]))
            with relay.connect() as client:
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                if read_all(client) != data[::-1]:
                    bad.append(len(data))

    bad = []
    backend(serve)
    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not bad
    wait_until(lambda: relay.descriptors() < 40, "no descriptor stays open")


@pytest.mark.parametrize("kind", TCP, indirect=True)
def test_kill(relay, backend):
    """The relay is killed: both sides see a reset, so that nobody takes a cut answer for a whole one."""
    server = backend()
    client = relay.connect()
    client.sendall(b"question")
    connection = server.accept()
    assert connection.recv(100) == b"question"
    connection.sendall(b"half an answer")
    assert client.recv(100) == b"half an answer"
    os.kill(relay.pid, signal.SIGKILL)
    relay.process.wait()
    assert read_all(client) == (b"", RESET)
    assert read_all(connection) == (b"", RESET)

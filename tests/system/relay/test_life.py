# SPDX-License-Identifier: BSD-3-Clause
"""usher-relay from start to end: backends that fail, limits, timeouts, reloads, signals"""

import contextlib
import pathlib
import resource
import signal
import socket

import pytest

from harness.host import Netns, run, write_rule
from harness.process import MOMENT, PATIENCE, SLOW, Child, wait_until
from harness.relay import MILLION, RESET, Backend, Relay, queued, read_all, relay_rule, send_later

def echo(connection):
    while data := connection.recv(65536):
        connection.sendall(data)


def named(name):
    """A server that says its name and ends"""
    return lambda connection: connection.sendall(name)


def talks(client):
    """Whether somebody answers"""
    client.sendall(b"question")
    return client.recv(100) == b"question"


def is_reset(relay):
    with contextlib.suppress(ConnectionResetError):
        with relay.connect() as client:
            return read_all(client) == (b"", RESET)
    return True


# ---- backends


def test_no_backend():
    """Connecting fails: the client is reset. When the backend is there, it is served, without a reload."""
    relay = Relay("Connect=127.0.0.1:7002").start()
    assert is_reset(relay) and is_reset(relay)
    with Backend(serve=echo):
        with relay.connect() as client:
            assert talks(client)
    assert relay.log.count("cannot connect to the backend 127.0.0.1:7002: Connection refused (ECONNREFUSED)") == 1, \
        "once, until it is there again"
    assert "the backend 127.0.0.1:7002 can be reached again" in relay.log


@pytest.mark.parametrize("first", ["127.0.0.1:7003", "/run/test/none", "@none", "[::1]:7003"])
def test_next_backend(first):
    relay = Relay(f"Connect={first} 127.0.0.1:7002").start()
    with Backend(serve=named(b"second")):
        with relay.connect() as client:
            assert read_all(client) == b"second"


def test_backend_that_does_not_answer():
    """A backend that answers no SYN: the next one after ConnectTimeout=, a reset if there is none."""
    silent = socket.create_server(("127.0.0.1", 7003), backlog=0)
    fillers = []
    for _ in range(4):  # with its queue full, it drops further SYNs
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(silent.getsockname())
        fillers.append(filler)
    relay = Relay("Connect=127.0.0.1:7003", "Connect=127.0.0.1:7002", "ConnectTimeout=300ms").start()
    with Backend(serve=named(b"second")):
        with relay.connect() as client:
            assert read_all(client) == b"second"
    assert is_reset(relay)
    assert "Connection timed out (ETIMEDOUT)" in relay.log


@pytest.mark.vm
def test_queue_of_a_unix_socket_is_full():
    """connect(2) of a Unix socket does not wait for room: the relay does."""
    with Backend("/run/test/backend", backlog=0) as backend:
        relay = Relay("Connect=/run/test/backend").start()
        clients = [relay.connect() for _ in range(5)]
        connections = [backend.accept() for _ in clients]
        for client, connection in zip(clients, connections):
            connection.sendall(b"x")
        assert all(client.recv(1) == b"x" for client in clients)


@pytest.mark.vm
def test_never_connected_to_itself():
    """A port from which the kernel takes those of clients, and nobody listens there: TCP may connect a socket to itself."""
    pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("30000 30003")
    relay = Relay("Connect=127.0.0.1:30001", "ConnectTimeout=2s").start()
    for _ in range(40):
        with socket.socket() as client:
            client.settimeout(PATIENCE)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.bind(("127.0.0.9", 0))
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                client.connect(relay.address)
                client.sendall(b"question")
                assert read_all(client) == (b"", RESET)


def test_circle():
    """A backend to which the rule itself leads would fill the host with connections."""
    relay = Relay()
    write_rule("web", relay_rule("Connect=192.0.2.1:80"))
    relay.start()
    assert is_reset(relay)
    assert "this rule leads Connect=192.0.2.1:80 back to the relay (ELOOP)" in relay.log


def test_other_namespace():
    """The relay runs in the backend's network namespace, and its listening socket is the host's."""
    other = Netns()
    with other.entered():
        backend = Backend(("127.0.0.1", 80), named(b"inside"))
    relay = Relay()
    # there, this is no circle
    write_rule("web", relay_rule("Connect=127.0.0.1:80", match="Stream=80"))
    with other.entered():
        relay.start()
    with relay.connect() as client:
        assert read_all(client) == b"inside"
    backend.close()


# ---- limits


def test_max_connections():
    """At the limit, clients wait in the queue; each that ends makes room for one."""
    relay = Relay("Connect=127.0.0.1:7002", "MaxConnections=3").start()
    with Backend(serve=echo):
        clients = [relay.connect() for _ in range(3)]
        assert all(map(talks, clients))
        waiting = [relay.connect() for _ in range(2)]
        wait_until(lambda: "3 connections are open" in relay.log)
        assert queued(7001) == 2
        for client in clients[:2]:
            client.close()
        assert all(map(talks, waiting))
        assert relay.log.count("3 connections are open") == 1, "one message a minute"


def test_table_of_descriptors_is_too_small():
    relay = Relay("Connect=127.0.0.1:7002", "MaxConnections=1000").start(nofile=200)
    assert "MaxConnections=1000 needs more descriptors than the process may have, so that it is 36" in relay.log


@pytest.mark.vm
def test_no_descriptor_left():
    """Accepting pauses, and goes on when there are descriptors again: no client is lost."""
    relay = Relay("Connect=127.0.0.1:7002").start()
    with Backend(serve=echo):
        with relay.connect() as client:
            assert talks(client)
            resource.prlimit(relay.pid, resource.RLIMIT_NOFILE, (relay.descriptors(), 4096))
            waiting = relay.connect()
            wait_until(lambda: queued(7001) == 1)
            assert talks(client), "the others go on"
            resource.prlimit(relay.pid, resource.RLIMIT_NOFILE, (relay.descriptors() + 1, 4096))
            wait_until(lambda: queued(7001) == 0)  # accepted, and the one to the backend is missing
            assert talks(client)
            resource.prlimit(relay.pid, resource.RLIMIT_NOFILE, (4096, 4096))
            assert talks(waiting)


def test_blocking_socket():
    """systemd clears O_NONBLOCK of the socket whenever it passes it to another unit: the relay does not block."""
    relay = Relay("Connect=127.0.0.1:7002").start()
    with Backend(serve=echo):
        relay.listener.setblocking(True)
        with relay.connect() as first, relay.connect() as second:
            assert talks(first) and talks(second) and talks(first)


def test_listening_socket_is_shut_down():
    relay = Relay("Connect=127.0.0.1:7002").start()
    with Backend(serve=echo):
        with relay.connect() as client:
            assert talks(client)
            relay.listener.shutdown(socket.SHUT_RD)
            wait_until(lambda: "accepts no more clients" in relay.log)
            assert talks(client)
    assert len(relay.log.splitlines()) < 5, "once"


# ---- timeouts


def test_idle_timeout():
    """No byte either way: both sides are reset. Bytes of either side keep a connection alive."""
    relay = Relay("Connect=127.0.0.1:7002", "IdleTimeout=1s").start()
    with Backend() as backend:
        idle, busy = relay.connect(), relay.connect()
        ends = [backend.accept(), backend.accept()]
        idle.settimeout(0.05)

        def is_over():
            busy.sendall(b"x")
            try:
                return not idle.recv(1)
            except ConnectionResetError:
                return True
            except TimeoutError:
                return False

        wait_until(is_over)
        ends[1].sendall(b"answer")
        assert busy.recv(100) == b"answer"


def test_half_close_timeout():
    """One side has ended, the other says nothing more."""
    relay = Relay("Connect=127.0.0.1:7002", "HalfCloseTimeout=300ms").start()
    with Backend() as backend:
        both_open, half = relay.connect(), relay.connect()
        ends = [backend.accept(), backend.accept()]
        half.shutdown(socket.SHUT_WR)
        assert read_all(half) == (b"", RESET)
        both_open.settimeout(MOMENT)
        with pytest.raises(TimeoutError):
            both_open.recv(1)
        for end in ends:
            end.close()


def test_keep_alive():
    relay = Relay("Connect=127.0.0.1:7002", "KeepAlive=77s").start()
    with Backend() as backend:
        with relay.connect(), backend.accept():
            done = run("ss", "-Htno", "state", "established", "sport", "=", ":7001")
            assert "keepalive" in done.stdout and "1min" in done.stdout
            done = run("ss", "-Htno", "state", "established", "dport", "=", ":7002")
            assert "keepalive" in done.stdout
    relay.stop()
    relay.write("Connect=127.0.0.1:7002", "KeepAlive=off")
    relay.start()
    with Backend() as backend:
        with relay.connect(), backend.accept():
            assert "keepalive" not in run("ss", "-Htno", "state", "established", "sport", "=", ":7001").stdout


# ---- signals


def test_reload():
    """New connections get the new backend, old ones keep theirs."""
    relay = Relay("Connect=127.0.0.1:7002").start()
    with Backend(serve=echo), Backend(("127.0.0.1", 7003), named(b"new")):
        with relay.connect() as old:
            assert talks(old)
            relay.write("Connect=127.0.0.1:7003")
            relay.reload()
            with relay.connect() as client:
                assert read_all(client) == b"new"
            assert talks(old)
            relay.write("Connect=nonsense")
            relay.reload()
            assert "cannot reload: /run/usher/rules.d/web.rule:4: 'nonsense' is not a backend" in relay.log
            with relay.connect() as client:
                assert read_all(client) == b"new"


def test_bad_rule_at_the_start():
    """Clients are reset, and do not wait for a reload. After it, they are served."""
    relay = Relay("Connect=nonsense").start()
    assert is_reset(relay)
    assert "clients are reset until a reload finds a rule that can be used" in relay.log
    relay.write("Connect=127.0.0.1:7002")
    relay.reload()
    with Backend(serve=echo), relay.connect() as client:
        assert talks(client)


@pytest.mark.parametrize("prepare, reason", [
    (lambda: None, "there is no rule file of 'web' (ENOENT)"),
    (lambda: write_rule("web", "[Rule]\nStream=80\n"), "web.rule has no section [Relay] (ENOENT)"),
    (lambda: write_rule("web", ""), "the rule file of 'web' is masked (ENOENT)"),
])
def test_no_rule(prepare, reason):
    prepare()
    relay = Relay().start()
    assert reason in relay.log
    assert is_reset(relay)


@pytest.mark.vm
def test_drain():
    """SIGTERM: open connections go on to their end, newcomers wait for the next relay."""
    relay = Relay("Connect=127.0.0.1:7002").start()
    with Backend(serve=echo):
        client = relay.connect()
        assert talks(client)
        relay.process.send_signal(signal.SIGTERM)
        wait_until(lambda: relay.notify.last("STOPPING") == "1")
        late = relay.connect()
        late.sendall(b"question")
        send_later(client, MILLION)
        assert read_all(client) == MILLION
        client.close()
        assert relay.wait() == 0
        assert queued(7001) == 1
        relay.start()
        assert late.recv(100) == b"question"


def test_drain_takes_too_long():
    """What has not ended in time is reset."""
    relay = Relay("Connect=127.0.0.1:7002").start("--drain=1")
    with Backend() as backend:
        client, end = relay.connect(), backend.accept()
        relay.process.send_signal(signal.SIGTERM)
        assert read_all(client) == (b"", RESET)
        assert read_all(end) == (b"", RESET)
    assert relay.wait() == 0


def test_second_sigterm():
    relay = Relay("Connect=127.0.0.1:7002").start()
    with Backend() as backend:
        client, end = relay.connect(), backend.accept()
        relay.process.send_signal(signal.SIGTERM)
        wait_until(lambda: relay.notify.last("STOPPING") == "1")
        relay.process.send_signal(signal.SIGTERM)
        assert read_all(client) == (b"", RESET)
        end.close()
    assert relay.wait() == 0


# ---- numbers


def _serve_many(tell, n):
    """A backend of so many connections, in a process of its own: each takes a descriptor there"""
    with Backend() as backend:
        tell("listening")
        ends = [backend.accept() for _ in range(n)]
        for end in ends:
            end.sendall(b"answer")
        return all(end.recv(8) == b"question" for end in ends)


@pytest.mark.no_asan
def test_ten_thousand():
    """Ten thousand connections at once, each with less than half a kB of the relay's memory and two descriptors"""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    n = min(10_000 if SLOW == 1 else 1000, (most - 300) // 2)
    relay = Relay("Connect=127.0.0.1:7002", "MaxConnections=20000").start()
    memory, descriptors = relay.memory(), relay.descriptors()
    backend = Child(_serve_many, n)
    assert backend.hear() == "listening"
    clients = [relay.connect() for _ in range(n)]
    for client in clients:
        client.sendall(b"question")
    assert all(client.recv(6) == b"answer" for client in clients)
    used = (relay.memory() - memory) * 1024 / n
    assert used <= 512, f"{used:.0f} bytes"
    assert relay.descriptors() - descriptors == 2 * n
    assert backend.result()
    for client in clients:
        client.close()
    wait_until(lambda: relay.descriptors() == descriptors)


# ---- the command


@pytest.mark.parametrize("words, message", [
    ([], "give one NAME"), (["a", "b"], "give one NAME"), ([".web"], "'.web' is not a name"),
    (["--drain=soon", "web"], "--drain=soon is not a number of seconds"),
    (["--instance=.x", "web"], "'.x' is not the name of an instance"), (["--nonsense", "web"], "nonsense")])
def test_bad_options(words, message):
    done = run(Relay.program, *words, check=False)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr


def test_no_socket():
    done = run(Relay.program, "web", check=False)
    assert done.returncode == 78 and "no listening socket was passed (EBADF)" in done.stderr


def test_socket_that_does_not_listen():
    relay = Relay("Connect=127.0.0.1:7002")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        relay.spawn(sockets=[other])
        assert relay.wait() == 78
    assert "neither listens nor takes datagrams (ESOCKTNOSUPPORT)" in relay.log

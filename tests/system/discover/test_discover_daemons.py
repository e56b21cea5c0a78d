# SPDX-License-Identifier: BSD-3-Clause
"""Daemons of Debian behind usher-discover: unmodified, knowing nothing of usher, and restarted as on a real host.

Real clients use them: a login with a key, SET and GET, a name resolved over UDP.
"""

import os
import signal

import pytest

from harness import legacy
from harness.host import V4, V6, rule
from harness.legacy import Memcached, get, redis_say, resolve, ssh, ssh_banner
from harness.process import wait_until
from harness.traffic import REFUSED, who


def works(condition):
    return wait_until(condition, what="the daemon answers behind usher")


@pytest.mark.parametrize("listen", ["event", "kernel"])
def test_sshd(both, discover, listen):
    """The classic: port 5555 leads to the sshd on 22. It is started before usher, restarted, made to listen again (at
    SIGHUP it executes itself), killed, and started again."""
    sshd = legacy.sshd()
    running = both(ssh=rule("Stream=5555", access=["Bound=any"],
                            discover=["Socket=22", "User=root", "Executable=/usr/sbin/sshd", f"Listen={listen}"]))
    assert ssh(V4, 5555, "echo", "$SSH_CONNECTION").split()[2] == V4, "sshd sees the address to which the client connected"
    row, = running.sockets()
    assert (row["PID"], row["ADDRESS"], row["VIA"]) == (str(sshd.pid), "0.0.0.0:22", "discover")
    sshd.restart(wait=False)
    works(lambda: ssh_banner(V4, 5555))
    assert ssh(V4, 5555, "echo hello") == "hello\n"
    before = row["COOKIE"]
    os.kill(sshd.pid, signal.SIGHUP)
    works(lambda: [row["COOKIE"] != before and row.get("PID") == str(sshd.pid) for row in running.sockets()] == [True])
    works(lambda: ssh_banner(V4, 5555))
    sshd.kill()
    assert who(V4, 5555) == REFUSED
    sshd.start(wait=False)
    works(lambda: ssh_banner(V4, 5555))
    assert ssh(V4, 5555, "echo again") == "again\n"


def test_redis(both):
    running = both(cache=rule("Stream=192.0.2.0/24:6379 [2001:db8::/48]:6379", discover=[
        "Socket=127.0.0.2:6379 [fd00:1::2]:6379", "Executable=/usr/bin/redis-*"]))
    redis = legacy.redis("127.0.0.2", "fd00:1::2")
    for turn in range(3):
        for address in (V4, V6):
            works(lambda: redis_say(address, 6379, "PING") == "+PONG\r\n")
        assert redis_say(V4, 6379, "SET", "name", f"usher{turn}") == "+OK\r\n"
        assert redis_say(V6, 6379, "GET", "name") == f"$6\r\nusher{turn}\r\n"
        assert {row.get("PID") for row in running.sockets()} == {str(redis.pid)}
        redis.restart(wait=False)


@pytest.mark.parametrize("options", ["", "reuseport"])
def test_nginx_with_workers(both, options):
    """The master created the sockets, and the workers have them open too: the master is the owner. With `reuseport`, each
    worker has a socket of its own, and all of them serve."""
    nginx = legacy.nginx(workers=3, options=options)
    running = both(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080", "User=root"]))
    for turn in range(3):
        works(lambda: get(V4, 80).startswith("nginx"))
        sockets = 2 if options else 1  # of a group, one serves and one takes over
        wait_until(lambda: len(running.sockets()) == sockets, what="the sockets are handed in")
        assert {row.get("PID") for row in running.sockets()} == {str(nginx.pid)}
        if options:
            seen = {get(V4, 80).split()[1] for _ in range(60)}
            assert len(seen) == 3, "the kernel spreads over the workers"
        nginx.stop() if turn else nginx.kill()
        assert who(V4, 80) == REFUSED
        nginx.start(wait=False)


def test_nginx_reloads(both):
    """`nginx -s reload` starts new workers with the same socket, and nothing changes."""
    nginx = legacy.nginx()
    running = both(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080"]))
    before = [(row["COOKIE"], row["HANDED_IN"]) for row in running.sockets()]
    worker = get(V4, 80).split()[1]
    os.kill(nginx.pid, signal.SIGHUP)
    wait_until(lambda: get(V4, 80).split()[1] != worker, what="a new worker")
    assert [(row["COOKIE"], row["HANDED_IN"]) for row in running.sockets()] == before


def test_memcached(both):
    """TCP and UDP under one name, from a daemon that is not root when it creates its sockets."""
    memcached = legacy.memcached()
    both(cache=rule("Stream=11211", "Datagram=11211", discover=["Socket=127.0.0.2:11211", "User=nobody"]))
    for turn in range(2):
        with works(lambda: Memcached(V4, 11211, "tcp")) as tcp:
            assert tcp.set("name", f"usher{turn}") and tcp.get("name") == f"usher{turn}"
        with Memcached(V4, 11211, "udp") as udp:
            assert works(lambda: udp.get("name")) == f"usher{turn}"
            assert works(lambda: udp.set("other", "word")) and works(lambda: udp.get("other")) == "word"
        memcached.restart(wait=False)


@pytest.mark.parametrize("threads", [1, 2])
def test_unbound(both, threads):
    """A resolver on every address, which answers from the address that the client sent to. Root creates its sockets, and
    it runs as `unbound`. With two threads it has two sockets in an SO_REUSEPORT group."""
    unbound = legacy.unbound(threads=threads)
    running = both(dns=rule("Datagram=5300", "Stream=5300", access=["Bound=any"],
                            discover=["Socket=53", "User=unbound"]))
    for turn in range(2):
        for address in (V4, V6):
            assert works(lambda: resolve(address, 5300)) == ("192.0.2.77", address)
            works(lambda: resolve(address, 5300, protocol="tcp")[0] == "192.0.2.77")
        wait_until(lambda: len(running.sockets()) == 4 * threads, what="every socket is handed in")
        assert {row.get("PID") for row in running.sockets()} == {str(unbound.pid)}
        unbound.restart(wait=False)

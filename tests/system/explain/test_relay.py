# SPDX-License-Identifier: BSD-3-Clause
"""Relays seen from outside: explain goes on behind them, doctor finds what is wrong, metrics and list count."""

import contextlib
import os
import signal

import pytest

from harness import wire
from harness.broker import ctl, ctl_json
from harness.host import V4, Netns
from harness.process import wait_until
from harness.relay import MILLION, Backend, Relay, read_all, relay_rule, send_later

from says import Doctor, Explain, fail, note, setup, warn

WEB = f"tcp {V4}:80"
SERVICE = "usher-relay@web.service"


@pytest.fixture
def relay(broker):
    """A relay that is handed in and has not started"""
    broker(web=relay_rule("Connect=127.0.0.1:7002", "MaxConnections=5"))
    relay = Relay(address="127.0.0.2", port=8080)
    wire.hand_in("web", relay.listener)
    return relay


def meets_reset(relay):
    """A client that is reset"""
    with contextlib.suppress(ConnectionResetError):
        with relay.connect() as client:
            client.recv(1)


@setup
def test_explain_and_doctor(relay):
    yield Explain(WEB, None, note("relay-absent", service=SERVICE), status=0)
    yield Doctor()
    relay.start()
    yield Explain(WEB, None, note("relay", pid=relay.pid, backend="127.0.0.1:7002", open=0, limit=5), status=0)
    meets_reset(relay)
    unreached = {"backend": "127.0.0.1:7002", "reason": "Connection refused (ECONNREFUSED)", "service": SERVICE, "name": "web"}
    yield Explain(WEB, None, warn("relay-unreached", **unreached), status=0)
    yield Doctor(fail("relays:unreached", **unreached))
    with Backend(serve=read_all):
        clients = [relay.connect() for _ in range(5)]
        wait_until(lambda: ctl_json("list")[0]["relayed"] == 5)
        yield Explain(WEB, None, note("relay", pid=relay.pid, backend="127.0.0.1:7002", open=5, limit=5), status=0)
        yield Doctor(warn("relays:full", name="web", open=5))
        for client in clients:
            client.close()


@setup
def test_namespace_is_gone(relay):
    """A container that restarts gets another namespace; its relay is left alone in the old one."""
    other = Netns()
    with other.entered():
        keeper = os.fork()
        if not keeper:
            signal.pause()
        relay.start()
    yield Doctor()
    os.kill(keeper, 9)
    os.waitpid(keeper, 0)
    yield Doctor(fail("relays:namespace", name="web", pid=relay.pid))


def metrics():
    """{sample: value}, without the labels that all have"""
    lines = [line for line in ctl("metrics").stdout.splitlines() if line.startswith("usher_relay")]
    return {sample: int(value) for sample, value in (line.rsplit(" ", 1) for line in lines)}


def test_counted(relay):
    """What a relay has done, by name, in metrics and as JSON"""
    assert not metrics(), "no relay runs"
    relay.start()
    with Backend(serve=lambda connection: connection.sendall(read_all(connection)[:1000])):
        client = relay.connect()
        send_later(client, MILLION)
        assert len(read_all(client)) == 1000
        client.close()
        wait_until(lambda: metrics()['usher_relay_connections{name="web"}'] == 0)
        found = metrics()
    assert found['usher_relay_accepted_total{name="web"}'] == 1
    assert found['usher_relay_bytes_total{name="web",direction="sent"}'] == len(MILLION)
    assert found['usher_relay_bytes_total{name="web",direction="received"}'] == 1000
    assert found['usher_relay_ended_total{name="web",reason="unreachable"}'] == 0
    meets_reset(relay)
    assert metrics()['usher_relay_ended_total{name="web",reason="unreachable"}'] == 1
    assert ctl_json("list")[0]["relayed"] == 0
    relay.kill()
    assert not metrics() and ctl_json("list")[0]["relayed"] is None


@pytest.mark.parametrize("content", [b"", b"x" * 10, b"x" * 100_000, None])
def test_what_a_relay_may_write(relay, content):
    """The folder belongs to the relay's user, who may put anything there: it is not believed, and makes nobody wait."""
    path = relay.folder / "tally"
    relay.folder.mkdir(parents=True)
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    assert not metrics()
    path.unlink()
    path.symlink_to("/etc/passwd")
    assert not metrics()

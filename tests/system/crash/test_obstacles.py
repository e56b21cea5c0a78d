# SPDX-License-Identifier: BSD-3-Clause
"""The broker is killed while it begins or ends to count the sockets that a rule with a later order leaves packets to."""

import pathlib
import signal

import pytest

from harness.discover import mount_cgroup2
from harness.host import V4, rule
from harness.process import ATTEMPT, wait_until
from harness.service import Service
from harness.tracer import Tracer, attempt
from harness.traffic import who
from harness.wire import hand_in

PINS = pathlib.Path("/sys/fs/bpf/usher")


def obstacle_pins():
    return {path.name for path in PINS.iterdir() if path.name.startswith(("hook_", "obstacle"))}


def counted(running):
    return int(running.status()["MAPS"].split("obstacles:")[1].split(":")[0])


@pytest.mark.no_asan
@pytest.mark.seconds(900)
@pytest.mark.parametrize("before, after", [("first", "last"), ("last", "first")])
def test_killed_at_every_step(broker, rules, before, after):
    """Whatever the crash left, packets go by the old rule or by the new one, and the next start has all right."""
    mount_cgroup2()
    order = lambda word: rule("Stream=80", "Datagram=80", Order=word)
    running = broker(web=order(before))
    expected = {"first": "web", "last": "other"}
    with Service("web", port=9000) as web:
        hand_in("web", web)
        number = done = 0
        while not done:
            number += 1
            with Service("other", address=V4, port=80):
                assert who(V4, 80) == expected[before], number
                rules(web=order(after))
                tracer = Tracer(running, number)
                done = attempt(running.reload)
                tracer.end()
                if not done:
                    assert running.wait() == -signal.SIGKILL
                    assert who(V4, 80) in ("web", "other"), f"killed at call {number}"
                    running.start()
                assert who(V4, 80) == expected[after], f"killed at call {number}"
                assert counted(running) == (after == "last")
                assert len(obstacle_pins()) == (10 if after == "last" else 0), (number, obstacle_pins())
            wait_until(lambda: who(V4, 80, seconds=ATTEMPT) == "web", f"killed at call {number}: the other one has closed")
            assert counted(running) == 0
            rules(web=order(before))
            running.reload()
        assert number > 10
        print(f"{number - 1} crash points")

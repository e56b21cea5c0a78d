# SPDX-License-Identifier: BSD-3-Clause
"""What a monitoring system is told: the keys of `status` behind it, and `usherctl metrics`."""

import os
import resource

import pytest

from harness.host import rule
from harness.process import wait_until
from harness.service import make_socket
from harness.wire import Connection, Refused, hand_in
from test_notify import barrier, notify


def pairs(text):
    """{name: number, or a list of them} of a list in a value."""
    split = [word.split(":") for word in text.split()]
    return {name: int(numbers[0]) if len(numbers) == 1 else [int(number) for number in numbers]
            for name, *numbers in split}


class TestStatus:
    def test_hand_ins(self, broker):
        """Each request counts once, done or refused by reason, and its time is in the histogram when it is answered."""
        running = broker(web="Stream=192.0.2.0/24:80")
        before = running.status()
        assert before["HAND_INS"] == "0" and set(pairs(before["HAND_INS_REFUSED"]).values()) == {0}
        assert set(pairs(before["HAND_IN_TIMES"]).values()) == {0} and before["HAND_IN_NSEC"] == "0"
        with make_socket("tcp", "127.0.0.2", 8080) as sock, make_socket("udp", "127.0.0.2", 8080) as other:
            hand_in("web", sock)
            hand_in("web", sock)  # kept
            running.request("hold", [sock], NAME="web")
            for name, fd in ("none", sock), ("web", other), ("web", os.open("/dev/null", os.O_RDONLY)):
                with pytest.raises(Refused):
                    hand_in(name, fd)
            running.request("withdraw", NAME="web")
        status = running.status()
        assert status["HAND_INS"] == "3"
        refused = pairs(status["HAND_INS_REFUSED"])
        assert {key: n for key, n in refused.items() if n} == {"ENOENT": 1, "EPROTONOSUPPORT": 1, "ENOTSOCK": 1}
        assert list(refused)[-1] == "other"
        times = pairs(status["HAND_IN_TIMES"])
        assert list(times) == [*"50 100 250 500 1000 2500 5000 10000 25000 50000 100000 250000 500000 1000000".split(),
                               "inf"]
        assert list(times.values()) == sorted(times.values()) and times["inf"] == 6
        assert 6 * 1000 < int(status["HAND_IN_NSEC"]) < 10e9

    def test_fdstore(self, broker):
        """The other door: a datagram with FDSTORE=1 is a hand-in, another one is none."""
        running = broker(web="Stream=192.0.2.0/24:80")
        with make_socket("tcp", "127.0.0.2", 8080) as sock:
            notify("FDSTORE=1\nFDNAME=web\n", sock)
            notify("FDSTORE=1\nFDNAME=none\n", sock)
            notify("FDSTOREREMOVE=1\nFDNAME=web\n")
            assert barrier()
        status = running.status()
        assert status["HAND_INS"] == "1" and pairs(status["HAND_INS_REFUSED"])["ENOENT"] == 1
        assert pairs(status["HAND_IN_TIMES"])["inf"] == 2

    def test_reloads(self, broker, rules, usherd):
        running = broker(web="Stream=192.0.2.0/24:80")
        running.reload()
        rules(bad="Stream=nonsense")
        for _ in range(2):
            with pytest.raises(Refused):
                running.reload()
        running.hang_up()
        status = running.status()
        assert (status["RELOADS"], status["RELOADS_FAILED"]) == ("1", "3")
        rules(bad="Stream=81")
        running.restart()
        status = running.status()
        assert (status["RELOADS"], status["RELOADS_FAILED"]) == ("0", "0"), "they begin with the broker"

    def test_maps(self, broker):
        """A dual-stack socket has two places; prefixes are those of the program's tables."""
        running = broker(web=rule("Stream=80", "Stream=192.0.2.0/24:81", "Stream=[2001:db8::/48]:81",
                                  "Stream=[2001:db8:1::/48]:81", access=["Bound=any"]),
                         other="Stream=192.0.2.0/24:25")
        assert pairs(running.status()["MAPS"])["places"] == [0, 32768]
        with make_socket("tcp", "::", 8080, v6only=False) as sock:
            hand_in("web", sock)
            maps = pairs(running.status()["MAPS"])
        assert maps["seats"] == [3, 4095] and maps["places"] == [2, 32768]
        assert maps["prefixes4"][0] >= 1 and maps["prefixes6"][0] >= 2 and maps["prefixes4"][1] == 2000000

    def test_process(self, broker):
        running = broker(web="Stream=192.0.2.0/24:80")
        with Connection() as one, Connection():
            wait_until(lambda: one.request("status")["SESSIONS"] == "2", what="connections before these are gone")
            status = one.request("status")
            # the pidfd of who asks comes with the packet (Linux 6.5) and goes with it
            assert int(status["FDS"]) - len(running.fds()) in (0, 1)
        assert int(status["FDS_MAX"]) == resource.prlimit(running.pid, resource.RLIMIT_NOFILE)[0]
        assert 1 << 20 < int(status["RESIDENT"]) < 1 << 30
        before = int(status["CPU"])
        assert before > 0 and int(running.status()["CPU"]) >= before

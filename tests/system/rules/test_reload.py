# SPDX-License-Identifier: BSD-3-Clause
"""A reload applies all of a rule set or nothing, and no packet sees half of one.

docs/switch.md has the steps of a reload.
"""

import errno
import os
import signal
import time
from pathlib import Path

import pytest

from harness import wire
from harness.broker import ctl
from harness.host import RULE_FOLDERS, V4, V6, rule, write_rule
from harness.process import PATIENCE, Child, wait_until
from harness.service import Service
from harness.traffic import REFUSED, Load, who
from harness.wire import Refused, cookie, hand_in

FOLDER = RULE_FOLDERS[1]


def replace_rules(**files):
    """Make the folder contain just these rules."""
    for path in FOLDER.glob("*.rule"):
        if path.stem not in files:
            path.unlink()
    for name, settings in files.items():
        write_rule(name, rule(*([settings] if isinstance(settings, str) else settings)), FOLDER)


STEPS = {
    # successive rule sets: {name: matches}, and ADDED, REMOVED, KEPT of the reload
    "nothing-to-nothing": [({}, 0, 0, 0), ({}, 0, 0, 0)],
    "add": [({}, 0, 0, 0), ({"web": "Stream=80"}, 1, 0, 0)],
    "same": [({"web": "Stream=80"}, 0, 0, 1), ({"web": "Stream=80"}, 0, 0, 1)],
    "two": [({"web": "Stream=80"}, 0, 0, 1), ({"web": "Stream=80", "shop": "Stream=81"}, 1, 0, 1)],
    "swap": [({"web": "Stream=80", "shop": "Stream=81"}, 1, 0, 1), ({"web": "Stream=81", "shop": "Stream=80"}, 2, 2, 0)],
    "relabel": [({"shop": "Stream=80"}, 1, 1, 0)],
    "clear": [({"web": "Stream=80", "shop": "Stream=81"}, 1, 0, 1), ({}, 0, 2, 0)],
    "widen": [({"web": "Stream=192.0.2.0/24:80"}, 1, 1, 0), ({"web": "Stream=192.0.0.0/16:80"}, 1, 1, 0)],
}


@pytest.mark.parametrize("case", STEPS)
def test_replace(broker, case):
    """A reload reports what it added, removed and kept, and packets follow the new rules."""
    first = {"web": "Stream=80"} if STEPS[case][0][1:] != (0, 0, 0) else {}
    replace_rules(**first)
    running = broker()
    with Service("web", port=8001) as web, Service("shop", port=8002) as shop:
        for settings, added, removed, kept in STEPS[case]:
            replace_rules(**settings)
            reply = running.reload()
            assert (reply["ADDED"], reply["REMOVED"], reply["KEPT"]) == (str(added), str(removed), str(kept)), settings
            assert (reply["RULES"], reply["MATCHES"]) == (str(len(settings)), str(len(settings)))
            for service in (web, shop):
                if service.name in settings:
                    hand_in(service.name, service)
            for port in (80, 81):
                owner = [name for name, text in settings.items() if text.endswith(str(port))]
                assert who(V4, port) == (owner[0] if owner else REFUSED), (settings, port)


@pytest.mark.vm
def test_sockets_stay(broker, rules):
    """A reload keeps sockets, their details, and counters."""
    running = broker(web="Stream=80")
    with Service("web") as service:
        hand_in("web", service)
        assert who(V4, 80) == "web"
        before, counters, generation = running.sockets(), running.counters("web"), int(running.status()["GENERATION"])
        for number in range(3):
            rules(web=f"Stream=80-{81 + number}", other=f"Datagram={number + 1}")
            assert running.reload()["GENERATION"] == str(generation + number + 1)
        assert running.sockets() == before
        assert running.counters("web") == counters
        assert who(V4, 83) == "web"
        wait_until(lambda: running.status()["GENERATION"] == str(generation + 3))


def test_overlapping_steps(broker):
    """Overlapping rules come and go step by step, and no packet is misdirected."""
    replace_rules(wide="Stream=192.0.0.0/16:80")
    running = broker()
    with Service("wide", port=8001) as wide, Service("narrow", port=8002) as narrow:
        hand_in("wide", wide)
        load = Load((V4, 80), ("192.0.2.2", 80), rate=500)
        for settings in ({"wide": "Stream=192.0.0.0/16:80", "narrow": "Stream=192.0.2.2:80"},
                         {"wide": "Stream=192.0.0.0/16:80"},
                         {"wide": "Stream=192.0.0.0/16:80", "narrow": "Stream=192.0.2.2/31:80"},
                         {"wide": ["Stream=192.0.0.0/16:80", "Stream=192.0.2.2:80"]}):
            if "narrow" in settings:
                # it is in its seat before a packet can be sent there
                write_rule("narrow", rule("Stream=1"))
                running.reload()
                hand_in("narrow", narrow)
            replace_rules(**settings)
            running.reload()
            assert who("192.0.2.2", 80) == ("narrow" if "narrow" in settings else "wide")
        results = load.finish()
        assert {outcome for index, outcome in results if index == 0} == {"wide"}, results
        assert {outcome for index, outcome in results if index == 1} == {"wide", "narrow"}, results


class TestSignalAndStatus:
    def test_hang_up(self, broker, rules):
        """SIGHUP causes RELOADING=1 with MONOTONIC_USEC=, then READY=1 and STATUS=."""
        running = broker(web="Stream=80")
        assert running.notify.last("STATUS"), "a line of status from the start"
        rules(web="Stream=80-90")
        before = time.monotonic_ns() // 1000
        running.hang_up()
        text = "\n".join(running.notify.messages())
        assert "RELOADING=1" in text
        assert before <= int(running.notify.last("MONOTONIC_USEC")) <= time.monotonic_ns() // 1000
        assert text.index("RELOADING=1") < text.index("READY=1")
        assert running.notify.last("STATUS")
        assert who(V4, 90) == REFUSED and running.status()["MATCHES"] == "1"
        assert running.rules("web")[0]["VALUE"] == "80-90"

    def test_hang_up_with_a_bad_file(self, broker, rules):
        """The rules in force stay. STATUS= and the log have file:line."""
        running = broker(web="Stream=80")
        rules(web="Stream=81", shop="Stream=0")
        running.hang_up()
        assert "shop.rule:2" in running.notify.last("STATUS")
        assert "shop.rule:2" in running.log
        assert running.rules("web")[0]["VALUE"] == "80"
        status = running.status()
        assert (status["RELOAD"], status["GENERATION"]) == ("failed", "1")
        rules(shop="Stream=82")
        running.hang_up()
        assert running.status()["RELOAD"] == "ok"
        assert "shop.rule:2" not in running.notify.last("STATUS")

    def test_reload_request_tells_the_service_manager_too(self, broker):
        running = broker(web="Stream=80")
        running.notify.clear()
        running.reload()
        wait_until(lambda: "READY=1" in "\n".join(running.notify.messages()))

    def test_storm(self, broker):
        """After many SIGHUPs at once, and one during a reload, the newest files are in force."""
        replace_rules(**{f"n{i}": f"Stream={1000 + i}" for i in range(500)})
        running = broker()
        for number in range(200):
            running.process.send_signal(signal.SIGHUP)
            if number % 50 == 0:
                assert running.status()["RULES"] == "500"
        replace_rules(web="Stream=80")
        running.process.send_signal(signal.SIGHUP)
        wait_until(lambda: running.status()["RULES"] == "1")
        with Service("web") as service:
            hand_in("web", service)
            assert who(V4, 80) == "web"

    def test_two_clients_reload_at_once(self, broker):
        running = broker(web="Stream=80")
        reload = lambda tell: [running.reload()["OK"] for _ in range(20)]
        children = [Child(reload) for _ in range(3)]
        assert [child.result() for child in children] == [["1"] * 20] * 3
        assert int(running.status()["GENERATION"]) == 61


def test_bad_file_changes_nothing(broker, rules):
    """A failed reload changes no sockets, counters, generation or traffic."""
    running = broker(web="Stream=80")
    with Service("web") as service:
        hand_in("web", service)
        before = running.sockets(), running.rules(), running.status()["GENERATION"], running.status()["PROGRAM"]
        os.unlink(FOLDER / "web.rule")
        rules(shop=["Stream=443", "Stream=80", "Stream=oops"])
        for _ in range(3):
            with pytest.raises(Refused, match=r"shop\.rule:4: .*oops") as refusal:
                running.reload()
            assert refusal.value.number == errno.EBADMSG
        assert before == (running.sockets(), running.rules(), running.status()["GENERATION"],
                          running.status()["PROGRAM"])
        assert who(V4, 80) == "web"


class TestUnchangedFiles:
    """An unchanged file is not read again, and no change is missed."""

    LARGE = [f"Stream=10.{i >> 16}.{i >> 8 & 255}.{i & 255}:80" for i in range(20000)]

    @staticmethod
    def settle():
        """Wait until the files have been left alone for longer than FILE_SETTLED_SEC (src/rule/file.h)."""
        wait_until(lambda: time.time() - max(path.stat().st_ctime for path in FOLDER.iterdir()) > 2.1)

    @staticmethod
    def bytes_read(running):
        """The number of bytes that the broker reads in a reload."""
        count = lambda: int(Path(f"/proc/{running.pid}/io").read_text().split()[1])
        before = count()
        ctl("reload")
        return count() - before

    def test_a_large_file(self, broker):
        write_rule("large", rule(*self.LARGE), FOLDER)
        running = broker(web="Stream=81")
        size = (FOLDER / "large.rule").stat().st_size
        self.settle()
        ctl("reload")
        assert self.bytes_read(running) < size / 10
        write_rule("web", rule("Stream=82"), FOLDER)
        assert self.bytes_read(running) < size / 10, "only the other file has changed"
        (FOLDER / "large.rule").touch()
        assert self.bytes_read(running) >= size
        assert running.status()["MATCHES"] == "20001"

    def test_a_change_right_after_a_reload(self, broker):
        """The file is changed in place and keeps its size, so only its times differ."""
        running = broker(web="Stream=8000")
        self.settle()
        ctl("reload")
        for port in range(8001, 8051):
            (FOLDER / "web.rule").write_text(rule(f"Stream={port}"))
            ctl("reload")
            assert [row["VALUE"] for row in running.rules("web") if row["KEY"] == "Stream"] == [str(port)]


def test_descriptors_and_programs_do_not_grow(broker):
    """Old generations are freed: the number of programs, maps and descriptors stays the same."""
    running = broker(web="Stream=192.0.2.0/24:80")
    running.reload()
    before = len(running.fds())
    for _ in range(50):
        running.reload()
    wait_until(lambda: len(running.fds()) <= before)
    assert running.status()["PROGRAMS"] in ("1", None) or "PROGRAMS" not in running.status()


def test_ten_thousand_rules(broker):
    """10,000 matches in 1,000 rules are reloaded while traffic goes on."""
    settings = {f"n{i}": [f"Stream=10.{i // 250}.{i % 250}.{j}:80" for j in range(9)] + [f"Datagram={i + 1}"]
                for i in range(1000)}
    replace_rules(web="Stream=192.0.2.0/24:80")
    running = broker()
    with Service("web") as service:
        hand_in("web", service)
        load = Load((V4, 80), rate=500)
        replace_rules(web="Stream=192.0.2.0/24:80", **settings)
        started = time.monotonic()
        reply = running.reload()
        took = time.monotonic() - started
        replace_rules(web="Stream=192.0.2.0/24:80")
        running.reload()
        results = load.finish()
    assert reply["MATCHES"] == "10001"
    assert set(results) == {(0, "web")}, results
    assert took < PATIENCE, f"{took:.1f} s"


@pytest.mark.no_asan
@pytest.mark.vm_long
@pytest.mark.seconds(600)
def test_a_thousand_reloads_under_load(broker):
    """1,000 reloads between two rule sets, under load: each connection follows one of the two, and none is refused."""
    first = {"one": ["Stream=192.0.2.0/24:80", "Stream=80", "Stream=[2001:db8::/48]:80"],
             "two": ["Stream=192.0.2.7:80", "Stream=81"], "never": "Stream=192.0.3.0/24:80"}
    second = {"one": ["Stream=192.0.2.7:80", "Stream=81"],
              "two": ["Stream=192.0.2.0/24:80", "Stream=80", "Stream=[2001:db8::/48]:80"],
              "never": "Stream=192.0.4.0/24:80"}
    replace_rules(**first)
    running = broker()
    services = [Service(name, address=address, port=8000 + i) for i, name in enumerate(("one", "two", "never"))
                for address in ("127.0.0.2", "::1") if (name, address) != ("never", "::1")]
    for service in services:
        hand_in(service.name, service)
    times = int(os.environ.get("USHER_RELOADS", "1000"))
    load = Load((V4, 80), ("192.0.2.7", 80), ("198.51.100.1", 80), (V4, 81), (V6, 80), rate=1000)
    for number in range(times):
        replace_rules(**(second, first)[number % 2])
        running.reload()
    results = load.finish()
    assert {outcome for _, outcome in results} == {"one", "two"}, results
    for index in range(5):
        assert {outcome for where, outcome in results if where == index} == {"one", "two"}, "both sets were seen"
    assert load.sent > times / 10
    assert cookie(services[0].socket) in {row["COOKIE"] for row in running.sockets()}
    print(f"{times} reloads, {load.sent} connections at {load.rate:.0f}/s, slowest {load.slowest * 1000:.1f} ms")
    assert wire.request("status")["RELOAD"] == "ok"

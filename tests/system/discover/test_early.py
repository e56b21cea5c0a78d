# SPDX-License-Identifier: BSD-3-Clause
"""Listen=kernel as the broker sees it: listeners that are in the kernel's table before they are handed in.

The tests put them there, as the program of usher-discover does (let_in.c).
"""

import os
import signal
import subprocess
import time

import pytest

from harness import bpf
from harness.broker import ctl, ctl_json
from harness.early import early_rules, held_early, let_in, seats
from harness.host import NOBODY, V4, V6
from harness.process import PATIENCE, wait_until
from harness.service import Service
from harness.traffic import REFUSED, Load, who
from harness.wire import Connection, Refused, cookie, hand_in, request, request_as, text_of

SECONDS = 5  # USHER_EARLY_SECONDS

RULE = """[Rule]
Stream=80
[Discover]
Socket=127.0.0.2:8080 8090
User=nobody
Listen=kernel
"""
EVENT = RULE.replace("kernel", "event")


def early(running, name=None):
    """The cookies of the rows in state early."""
    return [row["COOKIE"] for row in running.list(name) if row["STATE"] == "early"]


@pytest.fixture
def service():
    with Service("early") as service:
        yield service


class TestRules:
    WEB4, WEB6 = ("web", "ipv4"), ("web", "ipv6")

    def test_entries(self, broker):
        """There is an entry for each socket and family, only of rules with Listen=kernel."""
        running = broker(web=RULE, other=EVENT.replace("80", "81"), six="""[Rule]
Stream=[2001:db8::/48]:82
[Discover]
Socket=[::1]:8643 127.0.0.1:8643 99
User=nobody root
Unit=sshd.service
Listen=kernel
""", units=RULE.replace("80", "83") + "Unit=a.service b.service\n", glob=RULE.replace("80", "84") + "Unit=a*.service\n")
        rules = early_rules(running)
        port = lambda number: {key: value for key, value in rules.items() if str(key[2]).startswith(str(number))}
        assert port(8080) == {("ipv4", bytes([127, 0, 0, 2]), 8080): (self.WEB4, None, [NOBODY], "")}
        assert port(8090) == {("ipv4", None, 8090): (self.WEB4, None, [NOBODY], ""),
                              ("ipv6", None, 8090): (self.WEB6, self.WEB4, [NOBODY], "")}
        six = ("six", "ipv6"), None, [NOBODY, 0], "sshd.service"
        assert port(8643) == {("ipv6", bytes(15) + b"\1", 8643): six}, "the rule has nothing for IPv4"
        assert port(99) == {("ipv6", None, 99): six}
        assert len(port(83)) == len(port(84)) == 3
        assert {value[3] for value in [*port(83).values(), *port(84).values()]} == {""}, "more than one, or a pattern"
        assert not port(81)

    def test_outside_of_bound(self, broker, rules):
        """Sockets that could not be handed in are never let in."""
        text = RULE.replace("127.0.0.2:8080", "0.0.0.0:8080")
        running = broker(web=text)
        assert {key[2] for key in early_rules(running)} == {8090}
        rules(web=text + "[Access]\nBound=any\n")
        running.reload()
        assert {key[2] for key in early_rules(running)} == {8080, 8090}

    def test_reload(self, broker, rules):
        running = broker(web=RULE)
        assert len(early_rules(running)) == 3
        rules(web=RULE.replace("8090", ""), other=RULE.replace("80", "81"))
        running.reload()
        assert {(family, port): seat for (family, _, port), (seat, *_) in early_rules(running).items()} == {
            ("ipv4", 8080): ("web", "ipv4"), ("ipv4", 8181): ("other", "ipv4"), ("ipv4", 8190): ("other", "ipv4"),
            ("ipv6", 8190): ("other", "ipv6")}
        rules(web=EVENT, other=EVENT.replace("80", "81"))
        running.reload()
        assert early_rules(running) == {}
        rules(web=RULE)
        running.reload()
        running.kill()
        rules(web=EVENT)
        running.start()
        assert early_rules(running) == {}, "from an earlier broker"

    def test_same_socket_twice(self, broker, rules):
        """The first rule by name gets it, however old its seat is."""
        running = broker(web=RULE, zebra=RULE.replace("Stream=80", "Stream=81"))
        assert {value[0][0] for value in early_rules(running).values()} == {"web"}
        rules(anna=RULE.replace("Stream=80", "Stream=82"))
        running.reload()
        assert {value[0][0] for value in early_rules(running).values()} == {"anna"}

    def test_too_many(self, broker, rules):
        """Too many entries are refused, and nothing is half applied."""
        running = broker(web="Stream=80")
        ports = " ".join(str(port) for port in range(1000, 3049))
        rules(web=RULE.replace("127.0.0.2:8080 8090", ports))
        with pytest.raises(Refused, match="4098.*4096.*ENOSPC") as refusal:
            running.reload()
        assert "Listen=event" in refusal.value.reason
        assert running.status()["GENERATION"] == "1" and running.rules("web")[0]["VALUE"] == "80"
        assert early_rules(running) == {} and set(seats(running).values()) == {("web", "ipv4"), ("web", "ipv6")}
        rules(web=RULE.replace("127.0.0.2:8080 8090", ports.removeprefix("1000 ")))
        running.reload()
        assert len(early_rules(running)) == 4096


class TestListener:
    @pytest.mark.vm
    def test_serves_and_is_listed(self, broker, service):
        running = broker(web=RULE)
        assert who(V4, 80) == REFUSED
        let_in(running, service)
        assert (who(V4, 80), who(V6, 80)) == ("early", REFUSED)
        rows = running.list("web")
        assert [(row["FAMILY"], row["STATE"]) for row in rows] == [("ipv4", "early"), ("ipv6", "missing")]
        assert rows[0]["COOKIE"] == cookie(service.socket)
        assert not {"PLACE", "ADDRESS", "PID", "UID", "VIA"} & set(rows[0])
        explained = request("explain", PROTOCOL="tcp", LOCAL=f"{V4}:80")
        assert (explained["VERDICT"], explained["COOKIE"]) == ("dispatched", rows[0]["COOKIE"])
        counters = running.counters("web")
        assert counters.pop("LOOKUPS") >= 2 and counters.pop("MISSING") == 1 and not any(counters.values())
        row, = [row for row in ctl_json("list", broker=running) if row["state"] == "early"]
        assert row["socket"] == f"sk:{cookie(service.socket)}" and row["address"] is None
        line, = [line for line in ctl("list", broker=running).stdout.splitlines() if " early " in line]
        assert f"sk:{cookie(service.socket)}" in line
        service.close()
        assert who(V4, 80) == REFUSED and early(running) == []

    def test_places_come_first(self, broker, service):
        running = broker(web=RULE)
        with Service("web", port=8081) as web:
            hand_in("web", web)
            let_in(running, service)
            assert who(V4, 80) == "web"
            assert [(row["STATE"], row.get("PLACE")) for row in running.list("web")][:2] == [
                ("serving", "1"), ("early", None)]
        assert who(V4, 80) == "early"

    @pytest.mark.vm
    def test_hand_in(self, broker, service):
        """The same socket is handed in: no connection is ever refused, and the slot is empty afterwards."""
        running = broker(web=RULE)
        for _ in range(5):
            let_in(running, service)
            load = Load((V4, 80), rate=500)
            hand_in("web", service)
            assert held_early(running) == []
            row, = running.sockets()
            assert (row["COOKIE"], row["STATE"], row["ADDRESS"]) == (cookie(service.socket), "serving", "127.0.0.2:8080")
            answered = service.answered
            wait_until(lambda: service.answered > answered + 50)
            assert set(load.finish()) == {(0, "early")}
            request("withdraw", NAME="web")

    def test_hand_in_together(self, broker, service):
        """The record and the hand-in await the broker at the same time."""
        running = broker(web=RULE)
        for _ in range(5):
            running.pause()
            let_in(running, service)
            with Connection() as connection:
                connection.send(text_of({"REQUEST": "hand-in", "NAME": "web"}), [service.fileno()])
                running.resume()
                assert connection.reply()["ADDED"] == "1"
            wait_until(lambda: held_early(running) == [])
            assert who(V4, 80) == "early"
            request("withdraw", NAME="web")

    def test_let_in_again(self, broker, service):
        """A socket that has a place already is not let in again, for example because it called listen(2) again."""
        running = broker(web=RULE)
        hand_in("web", service)
        let_in(running, service)
        wait_until(lambda: held_early(running) == [])
        assert who(V4, 80) == "early" and "taken out" not in running.log

    def test_dual_stack(self, broker):
        """One socket is in two seats, with one record."""
        running = broker(web=RULE + "[Access]\nBound=any\n")
        with Service("six", address="::", port=8090, v6only=False) as six:
            let_in(running, six, family="ipv4", silent=True)
            let_in(running, six, family="ipv6")
            assert (who(V4, 80), who(V6, 80)) == ("six", "six")
            assert early(running) == [cookie(six.socket)] * 2
            hand_in("web", six)
            assert held_early(running) == []
            assert (who(V4, 80), who(V6, 80)) == ("six", "six")

    def test_of_another_name(self, broker, service):
        """A hand-in under one name does not remove the listener of another."""
        running = broker(web=RULE, other=RULE.replace("80", "81"))
        let_in(running, service)
        let_in(running, service, "other")
        hand_in("other", service)
        assert early(running) == early(running, "web") == [cookie(service.socket)]
        assert (who(V4, 80), who(V4, 81)) == ("early", "early")


class TestEnd:
    def test_time(self, broker, service):
        """Nobody hands it in: the broker removes it after five seconds, and logs that."""
        running = broker(web=RULE)
        begin = time.monotonic()
        let_in(running, service)
        wait_until(lambda: early(running) == [])
        assert SECONDS - 1 < time.monotonic() - begin < SECONDS + PATIENCE
        assert who(V4, 80) == REFUSED and held_early(running) == []
        line, = [line for line in running.log.splitlines() if "taken out" in line]
        for word in ("'web'", "127.0.0.2:8080", f"sk:{cookie(service.socket)}", "5 seconds", "usher-discover"):
            assert word in line
        let_in(running, service)
        assert who(V4, 80) == "early", "it may try again"

    @pytest.mark.no_asan
    def test_time_of_two_seats(self, broker):
        running = broker(web=RULE)
        with Service("six", address="::", port=8090, v6only=False) as six:
            let_in(running, six, family="ipv4", silent=True)
            let_in(running, six, family="ipv6")
            wait_until(lambda: held_early(running) == [])
            line, = [line for line in running.log.splitlines() if "taken out" in line]
            assert "[::]:8090" in line

    @pytest.mark.no_asan
    def test_nothing_wakes_the_broker(self, broker, service):
        """Once `early` is empty, no timer wakes the broker."""
        running = broker(web=RULE)
        let_in(running, service)
        hand_in("web", service)
        tracer = subprocess.Popen(["strace", "-qq", "-f", "-p", str(running.pid), "-o", "/run/test/strace"])
        wait_until(lambda: f"TracerPid:\t{tracer.pid}\n" in open(f"/proc/{running.pid}/status").read())
        settled = time.monotonic() + 1.5  # by then the clock of the workers, which ran for the hand-in, has stopped
        wait_until(lambda: time.monotonic() > settled)
        before = open("/run/test/strace").read()
        wait_until(lambda: time.monotonic() > settled + SECONDS + 1)
        tracer.send_signal(signal.SIGINT)
        tracer.wait(PATIENCE)
        lines = open("/run/test/strace").read()[len(before):].splitlines()
        assert [line for line in lines if "<detached ...>" not in line] == [] and len(lines) == 1

    def test_evict(self, broker, service):
        running = broker(web=RULE, other=RULE.replace("80", "81"))
        let_in(running, service)
        let_in(running, service, "other")
        evict = lambda **fields: request("evict", **{"NAME": "web", "COOKIE": cookie(service.socket), **fields})
        assert evict(COOKIE="1")["EVICTED"] == evict(NAME="none")["EVICTED"] == "0"
        assert len(early(running)) == 2
        with Connection() as monitor:
            monitor.send(text_of({"REQUEST": "monitor"}))
            assert monitor.receive()[0]["EVENT"] == "subscribed"
            assert evict(REASON="it is owned by uid 7")["EVICTED"] == "1"
            row, _ = monitor.receive()
        assert [row[key] for key in ("EVENT", "NAME", "ADDRESS", "COOKIE", "REASON")] == [
            "evicted", "web", "127.0.0.2:8080", cookie(service.socket), "it is owned by uid 7"]
        assert (who(V4, 80), who(V4, 81)) == (REFUSED, "early")
        line, = [line for line in running.log.splitlines() if "taken out" in line]
        assert "'web'" in line and "127.0.0.2:8080" in line and "it is owned by uid 7" in line
        assert evict()["EVICTED"] == "0"
        hand_in("other", service)
        assert evict(NAME="other")["EVICTED"] == "0"
        assert who(V4, 81) == "early", "evict does not remove a place"

    @pytest.mark.parametrize("fields", [{}, {"NAME": "web"}, {"COOKIE": "1"}, {"NAME": "web", "COOKIE": "x"},
                                        {"NAME": "web", "COOKIE": "0"}, {"NAME": "web", "COOKIE": "-1"},
                                        {"NAME": "web", "COOKIE": "1" * 17}])
    def test_bad_evict(self, broker, fields):
        broker(web=RULE)
        with pytest.raises(Refused, match="EINVAL"):
            request("evict", **fields)

    def test_evict_is_roots(self, broker, service):
        running = broker(web=RULE)
        let_in(running, service)
        with pytest.raises(Refused, match="only root"):
            request_as(NOBODY, NOBODY, "evict", NAME="web", COOKIE=cookie(service.socket))
        with pytest.raises(Refused, match="takes none"):
            request("evict", [service], NAME="web", COOKIE=cookie(service.socket))
        assert who(V4, 80) == "early"

    def test_withdraw(self, broker, service):
        running = broker(web=RULE)
        with Service("web", port=8081) as web:
            hand_in("web", web)
            let_in(running, service)
            assert request("withdraw", [web], NAME="web")["WITHDRAWN"] == "1"
            assert who(V4, 80) == "early", "only what was named"
            assert request("withdraw", NAME="web")["WITHDRAWN"] == "1"
            assert who(V4, 80) == REFUSED and held_early(running) == []
            hand_in("web", web)
            let_in(running, service)
            assert request("withdraw", NAME="web")["WITHDRAWN"] == "2"
            let_in(running, service)
            assert request("withdraw", [service], NAME="web")["WITHDRAWN"] == "1"
            with pytest.raises(Refused, match="ENOENT"):
                request("withdraw", NAME="web")

    @pytest.mark.parametrize("text", [EVENT, RULE.replace("Stream=80", "Stream=[2001:db8::/48]:80"), None])
    def test_reload_that_drops_the_rule(self, broker, rules, service, text):
        """The rule loses a match or all of them. A name that gets the seat afterwards does not get the listener."""
        running = broker(web=RULE)
        let_in(running, service)
        os.unlink("/run/usher/rules.d/web.rule")
        if text:
            rules(web=text)
        running.reload()
        assert held_early(running) == []
        rules(next="Stream=90")
        running.reload()
        assert who(V4, 90) == REFUSED

    def test_reload_that_keeps_the_rule(self, broker, rules, service):
        """The listener stays, and its time does not start again."""
        running = broker(web=RULE)
        begin = time.monotonic()
        let_in(running, service)
        while time.monotonic() < begin + SECONDS - 2:
            name, port = time.monotonic_ns() % 10, time.monotonic_ns() % 1000
            rules(**{f"n{name}": f"Stream={1024 + 1000 * name + port}"})  # no two names with one port
            running.reload()
            assert who(V4, 80) == "early"
        wait_until(lambda: early(running) == [])
        assert time.monotonic() < begin + SECONDS + 3

    def test_lost_record(self, broker, service):
        """The ring buffer had no room for the record: whatever wakes the broker next reveals the listener."""
        running = broker(web=RULE, other="Stream=81")
        let_in(running, service, silent=True)
        wait_until(lambda: who(V4, 81) == REFUSED and "no socket is handed in as 'other'" in running.log)
        wait_until(lambda: early(running) == [])
        assert "taken out" in running.log and "an unknown address" in running.log

    def test_not_allowed(self, broker, service):
        """The program had read the entry before a reload removed it: the record reveals the listener."""
        running = broker(web=EVENT)
        let_in(running, service)
        wait_until(lambda: held_early(running) == [])
        assert who(V4, 80) == REFUSED

    @pytest.mark.no_asan
    def test_another_one_comes(self, broker, service):
        """Each listener has its own time."""
        running = broker(web=RULE)
        let_in(running, service)
        begin = time.monotonic()
        wait_until(lambda: time.monotonic() > begin + SECONDS - 1)
        with Service("second", port=8090) as second:
            let_in(running, second)
            wait_until(lambda: time.monotonic() > begin + SECONDS + 1)
            assert who(V4, 80) == "second"
            wait_until(lambda: early(running) == [])


class TestRestart:
    @pytest.mark.no_asan
    @pytest.mark.vm_long
    @pytest.mark.parametrize("end", ["stop", "kill"])
    def test_time_begins_anew(self, broker, service, end):
        running = broker(web=RULE)
        let_in(running, service)
        getattr(running, end)()
        assert who(V4, 80) == "early"
        running.start()
        begin = time.monotonic()
        assert who(V4, 80) == "early" and early(running) == [cookie(service.socket)]
        wait_until(lambda: early(running) == [])
        assert time.monotonic() > begin + SECONDS - 1

    def test_came_while_there_was_no_broker(self, broker, service):
        running = broker(web=RULE)
        running.kill()
        let_in(running, service)
        assert who(V4, 80) == "early"
        running.start()
        assert early(running) == [cookie(service.socket)]
        hand_in("web", service)
        assert held_early(running) == [] and who(V4, 80) == "early"

    def test_rules_that_changed_meanwhile(self, broker, rules, service):
        running = broker(web=RULE)
        let_in(running, service)
        running.kill()
        rules(web=EVENT)
        running.start()
        assert held_early(running) == [] and early_rules(running) == {}
        assert who(V4, 80) == REFUSED

    def test_died_before_the_slot_was_empty(self, broker, service):
        """The socket is handed in and still in `early`: the next broker sees that it has a place."""
        running = broker(web=RULE)
        hand_in("web", service)
        running.kill()
        let_in(running, service, silent=True)
        running.start()
        assert held_early(running) == []
        assert who(V4, 80) == "early" and running.sockets()[0]["STATE"] == "serving"

    @pytest.mark.parametrize("pin", ["seats", "early", "early_rules"])
    def test_pin_deleted_by_hand(self, broker, service, pin):
        """Without the pinned seats, `early` would lead to other names."""
        running = broker(web=RULE)
        let_in(running, service)
        running.kill()
        os.unlink(running.pins / pin)
        running.start()
        assert len(early_rules(running)) == 3
        assert early(running) == ([cookie(service.socket)] if pin == "early_rules" else [])
        let_in(running, service)
        assert who(V4, 80) == "early"

    def test_detach(self, broker, service):
        running = broker(web=RULE)
        let_in(running, service)
        running.request("detach")
        running.wait()
        assert bpf.pins() == []
        assert who(V4, 80) == REFUSED
        running.start()
        assert early(running) == [] and who(V4, 80) == REFUSED
        assert len(early_rules(running)) == 3

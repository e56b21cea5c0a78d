# SPDX-License-Identifier: BSD-3-Clause
"""usherctl monitor and usherctl top: live output."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

from harness import wire
from harness.broker import USHERCTL, ctl
from harness.host import NOBODY
from harness.process import PATIENCE, wait_until
from harness.service import Service
from harness.traffic import REFUSED, who


class Watcher:
    """usherctl with its output in a pipe, read line by line."""

    def __init__(self, *words, **options):
        self.process = subprocess.Popen([str(word) for word in (USHERCTL, *words)], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, **options)
        self.lines, self._rest = [], b""

    def line(self, words):
        """The next line that has all the words."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if b"\n" in self._rest:
                line, _, self._rest = self._rest.partition(b"\n")
                self.lines.append(line.decode())
                if all(word in self.lines[-1] for word in words):
                    return self.lines[-1]
            elif select.select([self.process.stdout], [], [], 0.1)[0]:
                data = os.read(self.process.stdout.fileno(), 65536)
                if not data:
                    break
                self._rest += data
        raise AssertionError(f"no line with {words} among {self.lines}, {self.process.poll()}")

    def end(self):
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, (self._rest + out).decode(), err.decode()


@pytest.fixture
def watch():
    watchers = []

    def start(*words, **options):
        watchers.append(Watcher(*words, **options))
        return watchers[-1]

    yield start
    for watcher in watchers:
        if watcher.process.poll() is None:
            watcher.process.kill()
        watcher.process.communicate()


class TestMonitor:
    def test_events(self, broker, watch):
        """Hand-in, miss (with client and rule), takeover, loss, reload, refusal: each is shown at once, in words."""
        usherd = broker(web="Stream=192.0.2.0/24:80")
        monitor = watch("monitor")
        monitor.line(["TIME", "EVENT", "WHAT HAPPENED"])
        assert who("192.0.2.1", 80) == REFUSED
        monitor.line(["missing", "to 192.0.2.1:80 was refused", "'web'"])
        with Service("one", port=8080) as one:
            wire.hand_in("web", one)
            line = monitor.line(["handed-in", "127.0.0.2:8080"])
            assert re.match(r"\d\d:\d\d:\d\d\.\d{3}  handed-in ", line)
            assert ctl("withdraw", "web").returncode == 0
            monitor.line(["withdrawn", "'web'"])
        with pytest.raises(wire.Refused):
            wire.hand_in("nobody", os.pipe()[0])
        monitor.line(["refused", "'nobody'"])
        usherd.reload()
        monitor.line(["reloaded"])

    def test_one_name(self, broker, watch):
        broker(web="Stream=80", mail="Stream=25")
        monitor = watch("monitor", "--count", "1", "mail")
        monitor.line(["TIME"])
        with Service("web") as web, Service("mail", port=8025) as mail:
            wire.hand_in("web", web)
            wire.hand_in("mail", mail)
            code, out, _ = monitor.end()
        assert code == 0 and "'mail'" in out and "'web'" not in out

    def test_json(self, broker, watch):
        """Each line is one object, and numbers are numbers."""
        broker(web="Stream=80")
        monitor = watch("--json", "monitor")
        wait_until(lambda: who("192.0.2.1", 80) == REFUSED and select.select([monitor.process.stdout], [], [], 0)[0])
        event = json.loads(monitor.line(['"missing"']))
        assert event["name"] == "web" and event["target"] == "192.0.2.1:80" and event["event"] == "missing"
        assert isinstance(event["time"], int) and event["rule"].endswith("/web.rule")
        assert event["client"].rpartition(":")[0], "which client"

    def test_broker_ends(self, broker, watch):
        usherd = broker(web="Stream=80")
        monitor = watch("monitor")
        monitor.line(["TIME"])
        usherd.stop()
        code, _, err = monitor.end()
        assert code == 1 and err.startswith("usherctl: cannot go on watching events: ")

    def test_not_for_everybody(self, broker):
        broker(web="Stream=80")
        done = ctl("monitor", check=False, preexec_fn=lambda: os.setuid(NOBODY))
        assert done.returncode == 77 and "only root may ask for 'monitor'" in done.stderr

    def test_no_broker(self):
        done = ctl("monitor", check=False)
        assert done.returncode == 3 and "usherctl: cannot watch events: " in done.stderr

    def test_reader_goes_away(self, broker, watch):
        """The reader ends, as in `usherctl monitor | head -1`."""
        broker(web="Stream=80")
        monitor = watch("monitor")
        monitor.line(["TIME"])
        monitor.process.stdout.close()
        wait_until(lambda: who("192.0.2.1", 80) == REFUSED and monitor.process.poll() is not None)


class TestTop:
    def test_rates(self, broker):
        """Lookups per second since the previous table, busiest name first."""
        broker(busy="Stream=80", quiet="Stream=81", missing="Stream=82")
        with Service("busy") as busy, Service("quiet", port=8081) as quiet:
            wire.hand_in("busy", busy)
            wire.hand_in("quiet", quiet)
            process = subprocess.Popen([USHERCTL, "--json", "top", "--interval", "1", "--count", "2"], text=True,
                                       stdout=subprocess.PIPE)
            begin, first = time.monotonic(), read_document(process.stdout)
            process.send_signal(signal.SIGSTOP)  # so that the second table has all of them, however long they take
            for _ in range(40):
                assert who("192.0.2.1", 80) == "busy"
            assert who("192.0.2.1", 82) == REFUSED
            process.send_signal(signal.SIGCONT)
            second, took = read_document(process.stdout), time.monotonic() - begin
            assert process.wait(PATIENCE) == 0
        assert [row["lookups/s"] for row in first] == [0, 0, 0], "nothing to compare with"
        assert [row["name"] for row in second] == ["busy", "missing", "quiet"]
        assert second[0]["lookups"] == 40 and second[0]["sockets"] == 1 and 40 / took - 1 <= second[0]["lookups/s"] <= 40
        assert (second[1]["missing"], second[1]["sockets"]) == (1, 0)

    def test_text(self, broker):
        broker(web="Stream=80", mail="Stream=25")
        done = ctl("top", "--count", "1", "--sort", "name")
        lines = done.stdout.splitlines()
        assert lines[0].split() == ["NAME", "SOCKETS", "LOOKUPS/S", "MISSING/S", "REFUSED/S", "LOOKUPS", "MISSING", "REFUSED",
                                    "LAST_MINUTE"]
        assert [line.split()[0] for line in lines[1:]] == ["mail", "web"]
        assert [line.split()[0] for line in ctl("top", "--count=1", "--no-legend", "web").stdout.splitlines()] == ["web"]

    @pytest.mark.parametrize("words, message", [
        (["--sort", "size"], "bad option --sort 'size': not lookups, missing, refused or name (EINVAL)"),
        (["--interval", "0"], "bad option --interval '0': not a number of seconds from 0.1 to 3600 (EINVAL)"),
        (["--interval", "1,5"], "bad option --interval '1,5'"),
        (["--interval", "nan"], "bad option --interval 'nan'"),
        (["--count", "0"], "bad option --count '0'")])
    def test_bad_options(self, broker, words, message):
        broker(web="Stream=80")
        done = ctl("top", *words, check=False)
        assert done.returncode == 2 and message in done.stderr and not done.stdout

    def test_name_without_rule(self, broker):
        broker(web="Stream=80")
        done = ctl("top", "nobody", check=False)
        assert done.returncode == 1 and "there is no rule and no socket 'nobody' (ENOENT)" in done.stderr

    @pytest.mark.parametrize("charset, bars", [("C.UTF-8", "▁▂▃▄▅▆▇█"), ("C", ".:-=+*#@")])
    def test_terminal(self, broker, charset, bars):
        """The table is refreshed in place, sorted by a key and ended by q. Afterwards the terminal is as before."""
        broker(web="Stream=80", mail="Stream=25")
        master, slave = pty.openpty()
        before = subprocess.run(["stty", "-g"], stdin=slave, capture_output=True, check=True).stdout
        process = subprocess.Popen([USHERCTL, "top", "--interval", "0.2"], stdin=slave, stdout=slave, stderr=slave,
                                   env={**os.environ, "LC_ALL": charset})
        screen = b""

        def has(*words):
            nonlocal screen
            while select.select([master], [], [], 0.05)[0]:
                screen += os.read(master, 65536)
            last = screen.decode(errors="replace").split("\033[H\033[J")
            return any(all(word in text for word in words) for text in last)

        def is_drawn():
            assert who("192.0.2.1", 80) == REFUSED
            return any(has("web", "by lookups", bar) for bar in bars)

        wait_until(is_drawn, what="bars of the last minute")
        os.write(master, b"n")
        wait_until(lambda: has("by name"), what="sorted by name")
        os.write(master, b"q")
        assert process.wait(PATIENCE) == 0
        assert subprocess.run(["stty", "-g"], stdin=slave, capture_output=True, check=True).stdout == before
        os.close(master)
        os.close(slave)


def read_document(stream):
    text = ""
    for line in stream:
        text += line
        if line == "}\n":
            break
    return json.loads(text)["rates"]

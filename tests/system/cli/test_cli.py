# SPDX-License-Identifier: BSD-3-Clause
"""usherctl as a person or a unit file uses it: usage, exit codes, output, errors. usherctl(1) has the promises."""

import json
import os
import pty
import re
import shutil
import subprocess

import pytest

from harness.bad_rules import BAD_RULES
from harness.broker import USHERCTL, USHERD, ctl, ctl_json, fails
from harness.host import AS_NOBODY, RULE_FOLDERS, V4, WORK, rule, run, write_rule
from harness.process import PATIENCE
from harness.service import Service
from harness.traffic import REFUSED, who
from harness.wire import cookie, hand_in

VERBS = ["status", "list", "rules", "show", "explain", "check", "cat-config", "diff", "reload", "hand-in", "withdraw", "claim",
         "discover", "doctor", "detach"]


class TestUsage:
    @pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"], *[[verb, "--help"] for verb in VERBS]])
    def test_help(self, words):
        """Help needs no broker, is on standard output, and exits with 0. After a verb, it is the help for that verb."""
        done = ctl(*words)
        assert "usherctl" in done.stdout and done.stderr == ""
        if len(words) == 1:
            assert all(verb in done.stdout for verb in VERBS)
        else:
            assert done.stdout.startswith(f"usherctl [OPTION…] {words[0]}")

    def test_version(self):
        assert re.search(r"0\.1\.0", ctl("--version").stdout)

    @pytest.mark.parametrize("words", [["dance"], ["--dance"], ["show"], ["withdraw"], ["claim"], ["status", "--fd"],
                                       ["hand-in", "web", "--fd", "x"], ["hand-in", "web", "--fd", "-1"],
                                       ["list", "--timeout", "soon"], ["show", "a", "b"], ["reload", "now"]])
    def test_wrong_usage(self, words):
        """Wrong usage exits with 2 and a hint."""
        fails(2, *words, match="usherctl")


class TestNoBroker:
    @pytest.mark.parametrize("words", [["status"], [], ["list"], ["rules"], ["show", "web"], ["reload"], ["diff"],
                                       ["withdraw", "web"], ["claim", "web", "--", "true"]])
    def test_status_3(self, words):
        fails(3, *words, match="/run/usher/usher.sock")

    def test_hand_in(self):
        with Service("web") as service:
            fd = service.fileno()
            fails(3, "hand-in", "web", "--fd", fd, pass_fds=[fd], match="usher.sock")
            done = ctl("hand-in", "web", "--fd", fd, "--if-broker", "--", "echo", "started", pass_fds=[fd])
            assert done.stdout == "started\n"
        assert ctl("withdraw", "web", "--if-broker").returncode == 0

    def test_check_needs_none(self):
        write_rule("web", rule("Stream=80"))
        assert ctl("check").returncode == 0

    def test_status_tells_that_dispatch_goes_on(self, broker):
        broker(web="Stream=80").kill()
        done = ctl("status", check=False)
        assert done.returncode == 3 and "goes on" in done.stdout

    def test_detach_without_a_broker(self, broker):
        running = broker(web="Stream=80")
        with Service("web") as service:
            hand_in("web", service)
            running.kill()
            assert who(V4, 80) == "web"
            ctl("detach")
            assert who(V4, 80) == REFUSED and not running.pins.exists()


class TestReading:
    def test_tables(self, broker):
        """JSON and the table have the same columns, with everything known about a socket."""
        running = broker(web="Stream=192.0.2.0/24:80", empty="Datagram=[2001:db8::/48]:53")
        with Service("web") as service:
            ctl("hand-in", "web", "--fd", service.fileno(), pass_fds=[service.fileno()])
            assert who(V4, 80) == "web"
            rows = ctl_json("list")
            table = ctl("list").stdout
            bare = ctl("--no-legend", "list").stdout
            row, = [row for row in rows if row["name"] == "web"]
            assert (row["proto"], row["family"], row["state"], row["address"], row["via"], row["held"]) == (
                "tcp", "ipv4", "serving", "127.0.0.2:8080", "usherctl", False)
            assert row["socket"] == f"sk:{cookie(service.socket)}", "as ss -e shows it"
            assert row["lookups"] >= 1 and isinstance(row["lookups"], int)
            assert [row["name"] for row in rows] == ["empty", "web"]
            assert [row["state"] for row in rows] == ["missing", "serving"]
            head, *lines = [line for line in table.splitlines() if line.strip()]
            assert head.split()[:4] == ["NAME", "PROTO", "FAMILY", "STATE"]
            assert len(bare.splitlines()) == 2 and "NAME" not in bare
            for column in head.split():
                assert column.lower() in row or column.lower() == "age", column
            (again,) = ctl_json("list", "web")
            assert {**again, "age": None} == {**rows[1], "age": None}, "a second may have ended between the two"
            assert running.sockets()

    def test_reading_changes_nothing(self, broker):
        running = broker(web="Stream=80")
        costs = {"FDS", "RESIDENT", "CPU", "SESSIONS"}  # the request costs the process something

        def counted():
            return running.list(), {key: value for key, value in running.status().items() if key not in costs}

        before = counted()
        for words in (["status"], ["list"], ["rules"], ["show", "web"], ["check"], ["cat-config"], ["diff"]):
            ctl(*words)
            ctl("--json", *words, check=False)
        assert before == counted()

    def test_status(self, broker):
        running = broker(web="Stream=80")
        found = json.loads(ctl("--json", "status").stdout)
        assert (found["running"], found["dispatch"], found["pid"], found["rules"]) == (True, "attached", running.pid, 1)
        assert str(running.pid) in ctl().stdout

    def test_rules_and_show(self, broker):
        broker(wide="Stream=192.0.0.0/16:80", web=["Stream=192.0.2.0/24:80-90", "Stream=192.0.2.0/24:85", "Missing=pass"])
        rows = ctl_json("rules")
        order = [(row["name"], row["ports"]) for row in rows]
        assert order == [("web", "85"), ("web", "80-90"), ("wide", "80")], "in the order in which they win"
        assert ctl("rules", "wide").stdout.count("wide") >= 1
        shown = ctl("show", "web").stdout
        assert "Stream=192.0.2.0/24:85\n" in shown and "Missing=pass\n" in shown
        assert all("=" in line for line in shown.splitlines() if line)

    def test_discover_is_shown(self, broker, rules):
        broker(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080", "User=daemon"]))
        shown = ctl("show", "web").stdout
        assert "\nDiscoverSocket=127.0.0.2/32:8080\nDiscoverUser=daemon\nDiscoverListen=event\n" in shown
        found = [row for row in json.loads(ctl("--json", "show", "web").stdout)["settings"]
                 if row["section"] == "Discover"]
        assert [row["key"] for row in found] == ["Socket", "User", "Listen", "ScanInterval"]
        assert "[Discover]\nSocket=127.0.0.2:8080\n" in ctl("cat-config").stdout
        ctl("diff")
        rules(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080", "User=daemon", "ScanInterval=10"]))
        changes = [line.split("   ")[0] for line in ctl("--no-legend", "diff", check=False).stdout.splitlines()]
        assert changes == ["+ web [Discover] ScanInterval=10s", "- web [Discover] ScanInterval=5s"]

    @pytest.mark.parametrize("verb", ["list", "rules", "show"])
    def test_unknown_name(self, broker, verb):
        broker(web="Stream=80")
        fails(1, verb, "nobody-knows", match="nobody-knows")

    def test_names_differ_by_case(self, broker):
        broker(web="Stream=80", Web="Stream=81")
        assert {row["name"] for row in ctl_json("list", "Web")} == {"Web"}

    def test_as_nobody(self, broker):
        """Everybody may read, but only root may reload. The error says that root is needed."""
        broker(web="Stream=80")
        shutil.copy(USHERCTL, WORK / "usherctl")
        user = AS_NOBODY
        for words in (["status"], ["list"], ["rules"], ["show", "web"]):
            run(WORK / "usherctl", *words, **user)
        for words in (["reload"], ["detach"], ["withdraw", "web"]):
            done = run(WORK / "usherctl", *words, check=False, **user)
            assert done.returncode == 77, done.stderr
            assert done.stderr.startswith("usherctl: ")


class TestChanging:
    def test_reload(self, broker, rules):
        broker(web="Stream=80")
        rules(web="Stream=81", shop="Stream=82")
        text = ctl("diff", check=False)
        assert text.returncode == 1
        assert re.search(r"(?m)^- .*Stream=80$|^-.*80", text.stdout) and re.search(r"(?m)^\+.*82", text.stdout)
        assert ctl("reload").stdout
        assert ctl("--no-legend", "diff").stdout == ""

    def test_reload_with_a_bad_file(self, broker, rules):
        """A reload with a bad file exits with 65 and prints file:line: reason on standard error."""
        broker(web="Stream=80")
        rules(shop=["Stream=0", "Stream=81", "Oops=1"])
        text = fails(65, "reload", match=r"/run/usher/rules\.d/shop\.rule:2: ")
        assert "shop.rule:4: " in text
        for verb in ("check", "diff"):
            assert "shop.rule:2: " in fails(65, verb)

    def test_stray_file(self, broker):
        """Every verb that reads the rule directories names a file there that is not read."""
        broker(web="Stream=80")
        stray = RULE_FOLDERS[1] / "site.conf"
        stray.write_text(rule("Stream=81"))
        for verb in (["check", "--no-listeners"], ["diff"], ["reload"], ["cat-config"]):
            done = ctl(*verb)
            assert f"{stray}: warning: it is not read: rule files are named NAME.rule\n" in done.stderr, (verb, done)
        assert "warnings: 1" in ctl("check", "--no-listeners").stdout
        stray.unlink()
        assert not ctl("reload").stderr

    def test_check_paths(self):
        good, bad = WORK / "good.rule", WORK / "bad.rule"
        good.write_text(rule("Stream=80"))
        bad.write_text(rule("Stream=80", "Strem=81"))
        ctl("check", good)
        fails(65, "check", good, bad, match=rf"{bad}:3: ")
        fails(1, "check", WORK / "nowhere.rule", match="nowhere.rule")
        assert json.loads(ctl("--json", "check", bad, check=False).stdout)["problems"][0]["line"] == 3

    @pytest.mark.no_asan
    def test_check_is_the_parser_of_the_broker(self, broker):
        """A reload accepts what `check` accepts, and refuses what `check` refuses, in the same words."""
        running = broker(web="Stream=80")
        for what, (lines, number, _) in BAD_RULES.items():
            if number is None:
                continue
            path = running.run_dir / "rules.d/shop.rule"
            path.write_bytes(("\n".join(lines) + "\n").encode(errors="surrogateescape"))
            checked, reloaded = ctl("check", check=False), ctl("reload", check=False)
            assert (checked.returncode, reloaded.returncode) == (65, 65), what
            problems = lambda done: sorted(line.removeprefix("usherctl: ") for line in done.stderr.splitlines()
                                           if "shop.rule" in line)
            assert problems(checked)[0] in problems(reloaded), what

    def test_cat_config(self, broker):
        broker(web=rule("Stream=80", access=["User=nobody"]))
        text = ctl("cat-config").stdout
        assert "/run/usher/rules.d/web.rule" in text and "Stream=80" in text and "User=nobody" in text

    def test_hand_in_and_withdraw(self, broker):
        running = broker(web="Stream=80")
        with Service("one") as one, Service("two", port=8081) as two:
            fds = [one.fileno(), two.fileno()]
            ctl("hand-in", "web", "--fd", fds[0], "--fd", fds[1], pass_fds=fds)
            assert len(running.sockets()) == 2 and who(V4, 80) == "one"
            ctl("withdraw", "web", "--fd", fds[0], pass_fds=fds)
            assert who(V4, 80) == "two"
            ctl("withdraw", "web")
            assert who(V4, 80) == REFUSED
        fails(1, "withdraw", "web", match="web")

    def test_refusal_in_words(self, broker):
        """usherctl prints the message of the broker: object, reason, errno, remedy."""
        broker(web="Stream=80")
        with Service("web", address="192.0.2.1", port=8080) as service:
            fd = service.fileno()
            text = ctl("hand-in", "web", "--fd", fd, pass_fds=[fd], check=False).stderr
        assert re.search(rf"^usherctl: .*'web'.*socket {fd}.*192\.0\.2\.1.*\(E[A-Z]+\).*Bound", text), text

    @pytest.mark.parametrize("fd, match", [("99", "99"), ("1000000", "1000000")])
    def test_closed_descriptor(self, broker, fd, match):
        """The number of a closed descriptor is refused."""
        running = broker(web="Stream=80")
        assert fails(1, "hand-in", "web", "--fd", fd, match=match)
        assert running.sockets() == []

    def test_command_is_not_executed_when_refused(self, broker):
        broker(web="Stream=80")
        done = ctl("hand-in", "web", "--fd", "0", "--", "echo", "started", check=False)
        assert done.returncode != 0 and "started" not in done.stdout

    @pytest.mark.parametrize("command, status", [(["true"], 0), (["false"], 1), (["sh", "-c", "exit 42"], 42),
                                                 (["/nonexistent"], 127), (["/etc/passwd"], 126)])
    def test_exit_code_of_the_command(self, broker, command, status):
        broker(web="Stream=80")
        with Service("web") as service:
            done = ctl("hand-in", "web", "--fd", service.fileno(), "--", *command, check=False,
                       pass_fds=[service.fileno()])
            assert done.returncode == status


class TestTerminal:
    """Output is complete on a terminal, in a pipe and in any locale. A reader that is gone causes no crash."""

    def test_closed_output(self, broker):
        """A reader that is gone causes neither a crash nor an endless loop. /dev/full is a failure."""
        broker(**{f"n{i}": f"Stream={1000 + i}" for i in range(500)})
        done = subprocess.run(f"{USHERCTL} list | head -1; echo ${{PIPESTATUS[0]}}", shell=True, text=True,
                              capture_output=True, executable="/bin/bash", timeout=PATIENCE)
        assert done.stdout.startswith("NAME") and int(done.stdout.split()[-1]) in (0, 1, 141)
        full = subprocess.run(f"{USHERCTL} list > /dev/full", shell=True, capture_output=True, timeout=PATIENCE)
        assert full.returncode == 1 and full.stderr
        closed = subprocess.run(f"{USHERCTL} list >&-", shell=True, capture_output=True, timeout=PATIENCE)
        assert closed.returncode == 1

    @pytest.mark.parametrize("environment", [{"COLUMNS": "40"}, {"NO_COLOR": "1"}, {"LC_ALL": "de_DE.UTF-8"},
                                             {"LC_ALL": "C"}, {"LANG": "xx", "TERM": "dumb"}])
    def test_environment_does_not_matter(self, broker, environment):
        """With 40 columns and a locale with a decimal comma, nothing is cut, and JSON is valid."""
        broker(**{"a-name-that-is-quite-long-for-a-terminal-of-forty-columns": "Stream=192.0.2.0/24:8000-8099"})
        env = {**os.environ, **environment}
        assert "a-name-that-is-quite-long-for-a-terminal-of-forty-columns" in ctl("list", env=env).stdout
        assert ctl_json("list", env=env) == ctl_json("list")
        assert ctl_json("rules", env=env)[0]["ports"] == "8000-8099"

    def test_on_a_terminal(self, broker):
        broker(web="Stream=80")
        main, terminal = pty.openpty()
        subprocess.run([str(USHERCTL), "list"], stdin=terminal, stdout=terminal, check=True, timeout=PATIENCE)
        os.close(terminal)
        assert b"web" in os.read(main, 65536)
        os.close(main)

    def test_every_json_parses(self, broker):
        broker(web="Stream=80")
        for words in (["status"], ["list"], ["rules"], ["show", "web"], ["check"], ["diff"]):
            done = ctl("--json", *words, check=False)
            json.loads(done.stdout)
        for words in (["list"], ["rules"]):
            assert isinstance(ctl_json(*words), list)


class TestBrokerThatHangs:
    def test_timeout(self, broker):
        """When the broker does not answer, usherctl fails within the timeout and says so."""
        running = broker(web="Stream=80")
        running.pause()
        text = fails(1, "--timeout", "1", "status", match="usher.sock|answer|time")
        assert "ETIMEDOUT" in text or "answer" in text
        running.resume()

    def test_if_broker_is_no_excuse_for_one_that_hangs(self, broker):
        running = broker(web="Stream=80")
        running.pause()
        with Service("web") as service:
            done = ctl("--timeout", "1", "hand-in", "web", "--fd", service.fileno(), "--if-broker", "--", "echo",
                       "started", pass_fds=[service.fileno()], check=False)
        assert done.returncode != 0 and "started" not in done.stdout
        running.resume()


def test_socket_variable(broker, usherd):
    """$USHER_SOCKET is used, and --socket overrides it."""
    running = broker(web="Stream=80")
    away = {**os.environ, "USHER_SOCKET": "/run/test/elsewhere"}
    fails(3, "status", env=away, match="elsewhere")
    assert ctl("--socket", running.socket, "status", env=away).returncode == 0


def test_completion_of_names(broker):
    """The completion asks the broker that the command line names. tests/unit/test_completion.py has the rest."""
    running = broker(web="Stream=80", dns="Datagram=53")
    completion = USHERCTL.parent / "completion/usherctl"
    script = '. "$1"; shift; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _usherctl; printf "%s\n" "${COMPREPLY[@]}"'
    for socket, names in (running.socket, ["dns", "web"]), ("/run/test/elsewhere", [""]):
        done = run("bash", "-c", script, "bash", completion, USHERCTL, "--socket", socket, "show", "")
        assert done.stdout.splitlines() == names and done.stderr == "", done


def test_usherd_usage():
    assert run(USHERD, "--help").stdout
    assert "0.1.0" in run(USHERD, "--version").stdout
    for words in (["--dance"], ["extra"], ["--instance"], ["--instance", "../x"], ["--instance", "n" * 32]):
        done = run(USHERD, *words, check=False)
        assert done.returncode == 2 and done.stderr, words
    write_rule("web", rule("Stream=80"))
    assert run(USHERD, "--check").returncode == 0
    write_rule("web", rule("Stream=0"))
    done = run(USHERD, "--check", check=False)
    assert done.returncode == 78 and "web.rule:2: " in done.stderr

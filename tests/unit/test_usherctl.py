#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""usherctl without a broker and without privileges: test_usherctl.py USHERCTL SOURCE-ROOT. Prints TAP."""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from tap import run_tests, test
from usherctl_help import Help

USHERCTL, ROOT = Path(sys.argv[1]).resolve(), Path(sys.argv[2])


def run(*args, listen=None, names=None, **kwargs):
    """Run usherctl without a broker. `listen` are sockets to pass as the service manager does."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("LISTEN_")}
    environ |= {"USHER_SOCKET": "/nonexistent/usher.sock"} | kwargs.pop("environ", {})
    command = [str(USHERCTL), *args]
    if listen is not None:
        # exec keeps the pid of the shell, which $LISTEN_PID must be
        environ |= {"LISTEN_FDS": str(len(listen))} | ({"LISTEN_FDNAMES": names} if names is not None else {})
        command = ["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", *command]

        def place():
            high = [os.dup2(fd, 100 + i) for i, fd in enumerate(listen)]
            for i, fd in enumerate(high):
                os.dup2(fd, 3 + i)

        kwargs |= {"preexec_fn": place, "close_fds": False}
    kwargs = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | kwargs
    return subprocess.run(command, env=environ, text=True, timeout=30, check=False, **kwargs)


def expect(done, code, stdout=None, stderr=None):
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert stdout is None or re.search(stdout, done.stdout), done.stdout
    assert stderr is None or re.search(stderr, done.stderr), done.stderr


def write(folder, **files):
    for name, text in files.items():
        (Path(folder) / f"{name}.rule").write_text(text)


@test
def help_has_a_line_for_each_row_of_the_tables():
    found = Help(USHERCTL)
    for table, names in ("verbs", found.verbs), ("options", found.options):
        rows = re.findall(r"^(?:VERB|OPTION)\(\w+, (?:\w+\(\w+\), )?\"([a-z-]+)\"", (ROOT / f"src/ctl/{table}.def").read_text(), re.M)
        assert len(rows) > 15 and rows == [name.lstrip("-") for name in names], (rows, names)


@test
def a_verb_accepts_the_options_of_its_help():
    found = Help(USHERCTL)
    assert sum(len(option.verbs) for option in found.options.values()) > 10
    for verb in found.verbs.values():
        for option in found.options.values():
            accepted = not option.verbs or verb.name in option.verbs
            assert accepted == (option in verb.options), (verb.name, option.name)
            if not accepted:
                expect(run(verb.name, option.name, *["1"] * bool(option.argument and not option.optional)), 2, "^$",
                       rf"^usherctl: bad option '{option.name}': '{verb.name}' does not accept it \(EINVAL\); "
                       rf"see usherctl {verb.name} --help\n$")
            elif option.verbs:  # an empty socket path is refused last, so nothing is done
                value = "web.socket" if option.name == "--unit" else "1"
                words = [*[value] * bool(option.argument and not option.optional), "--socket", ""]
                if option.name == "--listen-fds":
                    words += ["--fd", "3"]
                if option.name == "--members":
                    words += ["--stand-in", "127.0.0.2:53"]
                arguments = {"NAME": ["web"], "PROTO ADDRESS:PORT": ["tcp", "192.0.2.1:80"], "[NAME…]": ["web"],
                             "[PATH…]": [], "[NAME[=FDNAME]…] [--] [COMMAND…]": ["web", "--", "true"],
                             "NAME… -- COMMAND…": ["web", "--", "true"]}[verb.arguments]
                if option.name in ("--unit", "--again"):
                    arguments = []
                expect(run(verb.name, option.name, *words, *arguments), 2, "^$", "^usherctl: bad socket path ''")


@test
def options_of_socket_units():
    """They go with nothing that says otherwise which sockets are handed in, or as what."""
    for words in ["--unit", "web"], ["--unit", "web.service"]:
        expect(run("hand-in", *words), 2, "^$", "it is not a socket unit")
    for words in ["web"], ["web=http"], ["web", "--fd", "0"], ["web", "--stand-in", "127.0.0.2:53", "--", "true"]:
        expect(run("hand-in", "--unit", "web.socket", *words), 2, "^$", "^usherctl: bad option '--unit'")
    for words in ["web"], ["--hold"], ["--strict"], ["--", "true"]:
        expect(run("hand-in", "--again", *words), 2, "^$", "^usherctl: bad option '--again'")
    expect(run("hand-in", "--unit", "web.socket"), 3, "^$", "^usherctl: cannot hand in 'web.socket': ")
    for words in ["--unit", "web.socket"], ["--again"], ["--again", "--unit", "web.socket"]:
        expect(run("hand-in", "--if-broker", *words), 0, "^$", "^$")



MAN_OPTION = re.compile(r"\[(--[a-z-]+(?:\[=\w+\]| [A-Z:]+)?)…?\]")


def plain(text):
    """Text of the manual page without its markup"""
    return re.sub(r"[*_]", "", text).replace("\\", "").replace("...", "…")


@test
def man_page_has_each_verb_with_its_options_and_begins_with_its_help():
    found, page = Help(USHERCTL), (ROOT / "docs/man/usherctl.1.scd").read_text()
    synopsis = plain(page[page.index("# SYNOPSIS"):page.index("# DESCRIPTION")])
    lines = [line.split("[OPTION…] ", 1)[1].rstrip("+") for line in synopsis.splitlines() if "usherctl" in line]
    for verb in found.verbs.values():
        heading, text = re.search(rf"^(\*{verb.name}\*(?: .*)?)\n\t(.*)", page, re.M).groups()
        assert plain(text).startswith(verb.text), f"{verb.name}: {text}"
        options = {option.left for option in verb.options if option.verbs}
        line = next(line for line in lines if verb.name in re.split(r"[][ |]", line))
        for of_verb in plain(heading), line:
            shown = MAN_OPTION.findall(of_verb)
            assert set(shown) == options and len(shown) == len(options), (of_verb, options)
        assert MAN_OPTION.sub("", plain(heading)).split() == [verb.name, *verb.arguments.split()], heading


@test
def man_page_has_each_option_and_begins_with_its_help():
    found, page = Help(USHERCTL), (ROOT / "docs/man/usherctl.1.scd").read_text()
    options = page[page.index("\n# OPTIONS"):page.index("\n# OUTPUT")]
    shown = {}
    for heading, text in re.findall(r"^(\*-.*)\n\t(.*)", options, re.M):
        verbs, text = re.fullmatch(r"(?:([a-z-]+(?:, [a-z-]+)*): )?(.*)", plain(text)).groups()
        shown[plain(heading)] = set(verbs.split(", ")) if verbs else None, text[0].upper() + text[1:]
    assert sorted(shown) == sorted(option.left for option in found.options.values())
    for option in found.options.values():
        verbs, text = shown[option.left]
        assert text.startswith(option.text), (option.left, text)
        assert verbs is None or verbs == option.verbs, (option.left, verbs)


@test
def version_names_program_protocol_and_schema():
    expect(run("--version"), 0, r"^usherctl \S+, protocol \d+, schema \d+\n$")


@test
def wrong_command_lines_are_usage_errors():
    for line in (["explain"], ["explain", "sctp", "192.0.2.1:80"], ["explain", "tcp", "192.0.2.1"],
                 ["explain", "tcp", "::1:80"], ["explain", "tcp", "192.0.2.1:80", "--from", "[::1]:80"],
                 ["list", "--from", "192.0.2.1:80"], ["status", "x"], ["doctor", "web"], ["doctor", "--fd", "0"], ["--bogus"], ["list", "--dry-run"], ["discover", "--no-listeners"], ["list", "--fd", "3"], ["list", "a b"], ["show"],
                 ["claim", "web"], ["claim", "--", "true"], ["hand-in", "--fd", "0"], ["hand-in", "web", "--fd", "x"],
                 ["hand-in", "web", "--fd", "0", "--fd", "0"], ["hand-in", "web", "dns=x"], ["hand-in", "dns=x", "w b=x"],
                 ["hand-in", "web="], ["hand-in", "web=a:b"], ["hand-in", "web=x", "--fd", "0"],
                 ["hand-in", "web", "--listen-fds", "true"], ["hand-in", "web", "--fd", "0", "--listen-fds"],
                 ["withdraw"], ["--timeout", "0"], ["--timeout", "1,5"],
                 ["--instance", "-x"], ["--socket", "x" * 108], ["--socket", ""], ["list", "--timeout"]):
        expect(run(*line), 2, "^$", "^usherctl: .*\n$")


@test
def what_may_be_meant_is_said():
    for word, meant in {"lsit": "'list'", "explian": "'explain'", "handin": "'hand-in'", "mon": "'monitor'", "helo": "'held' or 'help'",
                        "cat": "'cat-config'", "reloads": "'reload'", "re": "'reload'", "dis": "'discover'"}.items():
        expect(run(word), 2, "^$", rf"^usherctl: unknown verb '{word}' \(EINVAL\); did you mean {meant}\?\n$")
        expect(run("help", word), 2, "^$", rf"^usherctl: unknown verb '{word}' \(EINVAL\); did you mean {meant}\?\n$")
    expect(run("d"), 2, "^$", "see usherctl --help\n$")
    expect(run("frobnicate"), 2, "^$", "see usherctl --help\n$")
    expect(run("--jsno"), 2, "^$", r"bad option '--jsno'.*; did you mean '--json'\?\n$")
    expect(run("list", "--grpah=dot"), 2, "^$", r"did you mean '--graph'\?\n$")
    expect(run("check", "--no-l"), 2, "^$", r"did you mean '--no-listeners' or '--no-legend'\?\n$")
    expect(run("list", "--no-lsiteners"), 2, "^$", "see usherctl list --help\n$")  # no option of list
    expect(run("list", "-x"), 2, "^$", "bad option '-x'.*see usherctl list --help\n$")


@test
def help_of_a_verb_is_that_of_its_option():
    for verb in Help(USHERCTL).verbs:
        done = run("help", verb)
        expect(done, 0, rf"^usherctl \[OPTION…\] {verb}\b", "^$")
        assert done.stdout == run(verb, "--help").stdout
    assert run("help").stdout == run("--help").stdout
    expect(run("help", "list", "show"), 2, "^$", "takes no more arguments")


@test
def no_broker_is_said_and_has_its_own_code():
    for line in (["list"], ["rules"], ["show", "web"], ["diff"], ["reload"], ["withdraw", "web"], ["list", "--json"],
                 ["explain", "tcp", "192.0.2.1:80"]):
        expect(run(*line), 3, "^$", r"^usherctl: cannot .*/nonexistent/usher.sock \(ENOENT\); .*\n$")
    expect(run(), 3, "not running")
    assert json.loads(run("status", "--json").stdout)["running"] is False
    expect(run("metrics"), 3, r"(?m)^usher_up 0\n# EOF\n\Z", "ENOENT")


@test
def check_accepts_good_rules():
    with tempfile.TemporaryDirectory() as folder:
        write(folder, web="[Rule]\nStream=192.0.2.0/24:80\n", dns="[Rule]\nDatagram=53\n[Access]\nUser=root\n")
        expect(run("check", "--no-listeners", folder), 0, r"^ok: rules: 2, matches: 2\n$", "^$")
        expect(run("check", f"{folder}/web.rule"), 0, r"^ok: rules: 1, matches: 1(, warnings: \d+)?\n$")


@test
def check_names_file_line_and_reason():
    with tempfile.TemporaryDirectory() as folder:
        write(folder, a="[Rule]\nStream=80\n", b="[Rule]\nStream=80\n[Access]\nUser=nobody-of:that-name\n")
        done = run("check", folder)
        expect(done, 65, "^$", rf"{folder}/b.rule:4: .*nobody-of:that-name")
        write(folder, b="[Rule]\nStream=80\n[Access]\nUser=nobody-of-that-name\n")
        expect(run("check", folder), 65, "^$", rf"{folder}/b.rule:2: .*{folder}/a.rule:2")
        write(folder, b="[Rule]\nStream=81\n[Access]\nUser=nobody-of-that-name\n")
        expect(run("check", "--no-listeners", folder), 0, "^ok: rules: 2, matches: 2, warnings: 1$",
               rf"{folder}/b.rule:4: warning: .*nobody-of-that-name")
        write(folder, b="[Rule]\nStream=80\n")
        done = run("check", folder)
        assert done.returncode == 65
        problems = json.loads(run("check", "--json", folder).stdout)["problems"]
        assert {"file", "line", "problem"} == set(problems[0]), problems
        expect(run("check", f"{folder}/none"), 1, "^$", "ENOENT")
        expect(run("check", folder, f"{folder}/a.rule"), 1, "^$", "mixed")


@test
def check_names_what_is_not_read():
    with tempfile.TemporaryDirectory() as folder:
        write(folder, web="[Rule]\nStream=80\n")
        for name in "site.conf", "web.rules", "web.rule.example", "web.rule~", "web.rule.dpkg-new", "README", ".web.rule.swp":
            (Path(folder) / name).touch()
        expect(run("check", "--no-listeners", folder), 0, "^ok: rules: 1, matches: 1, warnings: 2\n$",
               rf"^{folder}/site.conf: warning: it is not read: rule files are named NAME.rule\n{folder}/web.rules: .*\n$")
        stray = json.loads(run("check", "--no-listeners", "--json", folder).stdout)["stray"]
        assert [one["file"] for one in stray] == [f"{folder}/site.conf", f"{folder}/web.rules"], stray


@test
def check_of_nothing_fails():
    with tempfile.TemporaryDirectory() as folder:
        expect(run("check", folder), 1, "^$", rf"^usherctl: cannot check '{folder}': it has no file NAME.rule .*/etc/usher/rules.d\n$")
        (Path(folder) / "site.conf").touch()
        expect(run("check", folder), 1, "^$", rf"{folder}/site.conf: warning: it is not read")
        (Path(folder) / "rules.d").mkdir()
        expect(run("check", folder), 1, "^$", rf"ENOENT.*; did you mean {folder}/rules.d\?\n$")
        write(f"{folder}/rules.d", web="")
        expect(run("check", "--no-listeners", f"{folder}/rules.d"), 0, "^ok: rules: 0, matches: 0\n$", "^$")


@test
def check_does_not_wait_for_a_fifo():
    with tempfile.TemporaryDirectory() as folder:
        os.mkfifo(f"{folder}/web.rule")
        expect(run("check", folder), 65, "^$", "web.rule")


@test
def what_was_passed_is_checked_before_the_broker_is_asked():
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        fds = [one.fileno(), two.fileno()]
        expect(run("hand-in", "web"), 78, "^$", "LISTEN_FDS is not set")
        expect(run("hand-in", "web", environ={"LISTEN_FDS": "1"}), 78, "^$", "LISTEN_PID is not .*hand-in NAME --fd 3")
        expect(run("hand-in", "web", environ={"LISTEN_FDS": "1", "LISTEN_PID": "1"}), 78, "^$", "process 1 ")
        expect(run("hand-in", listen=fds), 78, "^$", "LISTEN_FDNAMES is not set")
        expect(run("hand-in", listen=fds, names="one"), 78, "^$", "1 names for 2")
        expect(run("hand-in", listen=fds, names="a b:-c"), 78, "^$", "'a b' is not handed in: a rule cannot have this name")
        expect(run("hand-in", listen=fds, names="a b:c"), 3, "^$", "cannot hand in 'c': no broker")
        expect(run("hand-in", "web", listen=fds * 33), 1, "^$", "66 sockets.*E2BIG")
        expect(run("hand-in", "web", listen=fds, names="http:admin"), 78, "^$", "2 names.*'http', 'admin'.*web=FDNAME")
        expect(run("hand-in", "web=https", listen=fds, names="http:admin"), 78, "^$", "'https' .*there are 'http', 'admin'")
        expect(run("hand-in", "web=http", listen=fds), 78, "^$", "LISTEN_FDNAMES is not set")
        expect(run("hand-in", "web=http", listen=fds, names="http:admin"), 3, "^$", "cannot hand in 'web': no broker")
        expect(run("hand-in", "--strict", listen=fds, names="http:a b"), 1, "^$", "--strict demands")
        expect(run("hand-in", "web", "--fd", "99"), 1, "^$", "99 is not open")
        expect(run("hand-in", listen=fds, names="http:web.socket"), 3, "^$", "'http:web.socket': no broker")


@test
def if_broker_goes_on_with_the_command():
    with socket.create_server(("127.0.0.1", 0)) as one:
        script = 'echo $LISTEN_FDS $LISTEN_FDNAMES; [ $LISTEN_PID = $$ ] && [ -S /proc/self/fd/3 ]; exit $?'
        expect(run("hand-in", "--if-broker", "--", "sh", "-c", script, listen=[one.fileno()], names="web"), 0,
               "^1 web\n$", "^$")
    expect(run("hand-in", "web", "--fd", "0", "--if-broker"), 0, "^$", "^$")
    expect(run("hand-in", "web", "--if-broker", "--fd", "0", "echo", "--json"), 0, "^--json\n$")
    expect(run("claim", "web", "--if-broker", "--", "sh", "-c", "exit 7"), 7)
    expect(run("claim", "web", "--if-broker", "--", "/nonexistent"), 127, "^$", "ENOENT")
    expect(run("claim", "web", "--if-broker", "--", "/etc/passwd"), 126, "^$", "EACCES")
    expect(run("claim", "web", "--", "echo", "no"), 3, "^$")


@test
def doctor_needs_no_broker_and_fails_without():
    done = run("doctor")
    expect(done, 1, r"(?m)^fail  answer: no broker listens on /nonexistent/usher.sock \(ENOENT\).*\n      systemctl start ", "^$")
    findings = json.loads(run("doctor", "--json").stdout)["findings"]
    assert {"section", "check", "result", "text", "remedy"} == set(findings[0]), findings
    assert all(finding["result"] in ("ok", "info", "skip", "warn", "fail") for finding in findings)
    assert len(done.stdout.splitlines()) > len(findings)


@test
def output_that_is_lost_is_a_failure():
    with open("/dev/full", "w", encoding="ascii") as full:
        expect(run("help", stdout=full), 1, stderr="ENOSPC")
    expect(run("help", stdout=None, preexec_fn=lambda: os.close(1)), 1, stderr="EBADF")


@test
def a_reader_that_leaves_is_told_nothing():
    for restore in True, False:
        reader, writer = os.pipe()
        os.close(reader)
        done = run("help", stdout=writer, restore_signals=restore)
        os.close(writer)
        assert done.returncode in (-13, 1) and done.stderr == "", done


@test
def closed_standard_descriptors_are_closed_for_the_command():
    done = run("hand-in", "web", "--if-broker", "--fd", "2", "sh", "-c", "ls -l /proc/self/fd >&2", stdin=None,
               preexec_fn=lambda: os.close(0))
    assert done.returncode == 0 and "/dev/null" not in done.stderr, done


run_tests()

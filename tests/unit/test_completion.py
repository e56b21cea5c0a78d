#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""How bash, zsh and fish complete verbs, options, names, paths and commands. Prints TAP.

usage: test_completion.py USHERCTL SOURCE-FOLDER BASH ZSH FISH, of which the last three are the completions
"""

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

from shells import Bash, BashCompletion, Fish, Zsh, is_installed
from tap import Skip, run_tests, test
from usherctl_help import Help

USHERCTL, ROOT, BASH, ZSH, FISH = (Path(argument).resolve() for argument in sys.argv[1:])
SHELLS = {Bash: BASH, BashCompletion: BASH, Zsh: ZSH, Fish: FISH}
HELP = Help(USHERCTL)
# the words that an option accepts, by the table
VALUES = {f"--{name}": set(values.split()) for name, values in re.findall(
    r'^OPTION\(\w+, [^"]*"([a-z-]+)",(?:(?!^OPTION).)*?\.values = "([^"]*)"',
    (ROOT / "src/ctl/options.def").read_text(), re.M | re.S)}


def in_each_shell(function):
    """A test for each shell"""
    def run(shell):
        if not is_installed(shell):
            raise Skip(f"{shell.package} is not installed")
        with shell(SHELLS[shell]) as running:
            function(running)

    for shell in SHELLS:
        one = functools.partial(run, shell)
        one.__name__ = f"{function.__name__}_in_{shell.__name__}"
        test(one)


def long_options(words):
    """Reduce --graph=dot to --graph."""
    return {word.partition("=")[0] for word in words}


@in_each_shell
def verbs_and_their_options(shell):
    general = {option.name for option in HELP.options.values() if not option.verbs}
    assert shell.words("usherctl ") == set(HELP.verbs)
    assert shell.words("usherctl --json wit") == {"withdraw"}
    assert shell.words("usherctl --timeout 3 mon") == {"monitor"}
    assert long_options(shell.words("usherctl --")) == general
    for verb in HELP.verbs.values():
        found = long_options(shell.words(f"usherctl {verb.name} --"))
        assert found == {option.name for option in verb.options}, (verb.name, found)


@in_each_shell
def options_have_letters(shell):
    assert {"-h", "-j"} == {option.letter for option in HELP.options.values() if option.letter}
    assert {"-h", "-j"} <= shell.words("usherctl list -")


@in_each_shell
def values_of_options(shell):
    assert set(VALUES) == {"--family", "--graph", "--protocol", "--sort"}, VALUES
    for option in map(HELP.options.get, VALUES):
        for verb in option.verbs:
            assert shell.words(f"usherctl {verb} {option.name}=") == VALUES[option.name]
            if not option.optional:
                assert shell.words(f"usherctl {verb} {option.name} ") == VALUES[option.name]
    assert shell.words("usherctl top --sort=mis") == {"missing"}


@in_each_shell
def names_are_those_of_the_broker(shell):
    for verb in HELP.verbs.values():
        line = f"usherctl {verb.name} "
        if "NAME" not in verb.arguments:
            assert not {"web", "dns"} & shell.words(line), verb.name
            continue
        assert shell.words(line) == {"web", "dns"}, verb.name
        assert shell.words(line + "d") == {"dns"}, verb.name
        assert shell.words(f"usherctl --json {verb.name} --no-legend w") == {"web"}, verb.name
        more = {"web", "dns"} & shell.words(line + "web ")
        assert bool(more) == ("NAME…" in verb.arguments), (verb.name, more)
    assert shell.words("usherctl hand-in --fd 3 w") == {"web"}


@in_each_shell
def names_are_asked_of_the_broker_that_is_meant(shell):
    for options in "", "--instance blue ", "--socket /tmp/x ", "--instance blue --socket /tmp/x ":
        assert shell.words(f"usherctl {options}show ") == {"web", "dns"}
        assert shell.asked() == f"{options}--no-legend list"
    assert shell.words("usherctl --instance=blue show ") == {"web", "dns"}
    assert shell.asked().replace("=", " ") == "--instance blue --no-legend list"
    # the value of an option is not a verb
    assert shell.words("usherctl --instance list sho") == {"show"}


@in_each_shell
def packets(shell):
    assert shell.words("usherctl explain ") == {"tcp", "udp"}
    assert shell.words("usherctl explain --from 192.0.2.1:80 t") == {"tcp"}
    assert not shell.words("usherctl explain tcp ") & {"tcp", "udp", "web", "dns"}
    assert shell.words("usherctl explain tcp 192.0.2.1:80 --fro") == {"--from"}


@in_each_shell
def paths(shell):
    (shell.home / "rules.d").mkdir()
    (shell.home / "rule.txt").touch()
    for before in "usherctl check ", "usherctl check --json /tmp ", "usherctl --socket ", "usherctl list --socket ":
        found = {os.path.basename(word) for word in shell.words(f"{before}{shell.home}/ru")}
        assert found == {"rules.d", "rule.txt"}, (before, found)
    assert not shell.words(f"usherctl status {shell.home}/ru")


@in_each_shell
def command_is_a_line_of_its_own(shell):
    for name in "web-server", "web-client":
        (shell.home / "bin" / name).write_text("#!/bin/sh\n")
        (shell.home / "bin" / name).chmod(0o755)
    (shell.home / "page.html").touch()
    for before in ("hand-in -- ", "hand-in web -- ", "hand-in web ", "hand-in --fd 3 --hold web ", "claim web -- ",
                   "claim web dns --if-held -- "):
        assert shell.words(f"usherctl {before}web-s") == {"web-server"}, before
        found = shell.words(f"usherctl {before}web-server {shell.home}/pa")
        assert {os.path.basename(word) for word in found} == {"page.html"}, (before, found)
        # a word of the command may look like one of usherctl
        assert not shell.words(f"usherctl {before}web-server --if-"), before


@test
def zsh_and_fish_show_the_help():
    def quoted(text, quote, special):
        return re.sub(f"([{re.escape(special)}])", r"\\\1", text).replace("'", quote)

    zsh, fish = ZSH.read_text(), FISH.read_text()
    for verb in HELP.verbs.values():
        assert f"'{verb.name}:" + quoted(verb.text, "'\\''", "\\:") + "'\n" in zsh, verb.name
        assert f" -a {verb.name} -d '" + quoted(verb.text, "\\'", "\\") + "'\n" in fish, verb.name
    for option in HELP.options.values():
        assert f"[{quoted(option.text, chr(39) + chr(92) + chr(39) * 2, chr(92) + '[]')}]" in zsh, option.name
        assert f" -l {option.name[2:]} " in fish and quoted(option.text, "\\'", "\\") in fish, option.name
    if not is_installed(Fish):
        raise Skip("fish is not installed")
    with Fish(FISH) as shell:
        assert shell.descriptions("usherctl ") == {verb.name: verb.text for verb in HELP.verbs.values()}
        for verb in HELP.verbs.values():
            found = shell.descriptions(f"usherctl {verb.name} --")
            assert {word.rstrip("="): text for word, text in found.items()} == {
                option.name: option.text for option in verb.options}, verb.name


@test
def usherctl_accepts_the_values():
    for option in map(HELP.options.get, VALUES):
        for verb in option.verbs:
            for value in VALUES[option.name] | {"nonsense"}:
                done = subprocess.run([USHERCTL, "--socket", "/nonexistent/usher.sock", verb, f"{option.name}={value}",
                                       *(["web"] if HELP.verbs[verb].arguments == "NAME" else [])], capture_output=True, text=True, timeout=60, check=False)
                assert done.returncode == (2 if value == "nonsense" else 3), (verb, option.name, value, done)


run_tests()

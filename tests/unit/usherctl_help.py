# SPDX-License-Identifier: BSD-3-Clause
"""The output of `usherctl --help` and `usherctl VERB --help`, which comes from the tables of verbs and options."""

import re
import subprocess


class Option:
    def __init__(self, left, text):
        self.left = left  # "-j, --json", "--fd N", "--graph[=FORM]"
        self.letter, self.name, self.argument = re.fullmatch(r"(?:(-\w), )?(--[a-z-]+)(?:\[=| )?(\S*?)\]?", left).groups()
        self.optional = "[=" in left
        match = re.fullmatch(r"(.*?)(?: \(([a-z, -]+)\))?", text)
        self.text, self.verbs = match[1], set(match[2].split(", ")) if match[2] else set()


class Verb:
    def __init__(self, name, arguments, text):
        self.name, self.arguments, self.text = name, arguments, text
        self.options = []  # the options in its help


class Help:
    def __init__(self, usherctl):
        def ask(*words):
            return subprocess.run([usherctl, *words], check=True, capture_output=True, text=True, timeout=60).stdout

        verbs, options = ask("--help").split("\n\n")[2:4]
        self.verbs = {}
        for line in verbs.splitlines():
            name, arguments, text = re.fullmatch(r"  (\S+) +((?:\S+ )*\S+)?  +(\S.*)", line).groups()
            self.verbs[name] = Verb(name, arguments or "", text)
        self.options = self._options(options, known=())
        for verb in self.verbs.values():
            first, text, options = ask(verb.name, "--help").split("\n\n")[:3]
            assert first == f"usherctl [OPTION…] {verb.name} {verb.arguments}".rstrip(), first
            assert text == verb.text + ".", text
            verb.options = list(self._options(options, known=self.options).values())

    @staticmethod
    def _options(text, known):
        options = {}
        for line in text.splitlines():
            option = Option(*re.fullmatch(r"  (\S+(?: \S+)*)  +(\S.*)", line).groups())
            options[option.name] = known[option.name] if known else option
            assert option.left == options[option.name].left and option.text == options[option.name].text, line
        return options

# SPDX-License-Identifier: BSD-3-Clause
"""bash, zsh and fish, and how they complete a line"""

import os
import pty
import select
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

SECONDS = 60  # for an answer, even on a busy machine


class Shell:
    """A shell with a home of its own, where `usherctl` is a script that records its words and prints two names."""

    package = None  # package of Debian, named as the program

    def __init__(self, completion):
        self.completion = completion
        self.home = Path(tempfile.mkdtemp(prefix="usher-shell-"))
        stub = self.home / "bin/usherctl"
        stub.parent.mkdir()
        stub.write_text(f'#!/bin/sh\necho "$*" >> {self.home}/asked\n'
                        'printf "web tcp ipv4\\nweb tcp ipv6\\ndns udp ipv4\\n"\n')
        stub.chmod(0o755)
        # HOME is for the files that a shell keeps
        self.environ = {"HOME": str(self.home), "PATH": f"{stub.parent}:/usr/bin:/bin", "LC_ALL": "C.UTF-8",
                        "TERM": "dumb"}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.home)

    def asked(self):
        """The words of the last command of the stub"""
        return (self.home / "asked").read_text().splitlines()[-1]

    def words(self, line):
        """The completions of the last word of the line; for --option=VALUE, the values."""
        head, _, last = line.rpartition(" ")
        start = last.partition("=")[0] + "=" if "=" in last else ""
        words = [word.removeprefix(start) for word in self.complete(line, head + " ")]
        return {word.rstrip("=/") for word in words}


class TerminalShell(Shell):
    """A shell that completes only on an interactive line. ^O inserts all completions, ^T reports the line."""

    argv, start, ask = (), "", ""

    def __enter__(self):
        self.answers, answers = os.pipe()
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.dup2(answers, 9)
            os.execve(f"/usr/bin/{self.argv[0]}", self.argv, self.environ)
        os.close(answers)
        script = self.home / "start"
        script.write_text(self.start.format(completion=self.completion, folder=self.completion.parent))
        self._send(f'. {script}; printf "ready\\0" >&9\n')
        assert self._answer() == "ready"
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.terminal)
        os.close(self.answers)
        super().__exit__()

    def _send(self, text):
        os.write(self.terminal, text.encode())

    def _answer(self):
        shown, answer, end = b"", b"", time.monotonic() + SECONDS
        while not answer.endswith(b"\0"):
            ready, _, _ = select.select([self.answers, self.terminal], [], [], max(0, end - time.monotonic()))
            assert ready, f"{self.argv[0]} gave no answer; its terminal shows {shown[-2000:]}"
            if self.terminal in ready:
                shown += os.read(self.terminal, 4096)
            if self.answers in ready:
                answer += os.read(self.answers, 4096)
        return answer[:-1].decode()

    def complete(self, line, head):
        self._send(line + "\x0f\x14")
        answer = self._answer()
        assert answer.startswith(head), answer
        return [] if answer == line else answer[len(head):].split()


class Bash(TerminalShell):
    package = "bash"
    argv = ("bash", "--norc", "-i")
    start = r"""
unset HISTFILE
hand_out() {{ printf '%s\0' "$READLINE_LINE" >&9; READLINE_LINE='' READLINE_POINT=0; }}
bind 'set bell-style none'
bind '"\C-o": insert-completions'
bind -x '"\C-t": hand_out'
. {completion}
"""


class BashCompletion(Bash):
    """bash with the package bash-completion, which loads the completions of commands."""
    package = "bash-completion"
    start = Bash.start + ". /usr/share/bash-completion/bash_completion\n"


class Zsh(TerminalShell):
    package = "zsh"
    argv = ("zsh", "-f", "-i")
    start = r"""
unset HISTFILE
setopt no_beep
fpath=({folder} $fpath)
autoload -U compinit
compinit -u -D
zstyle ':completion:*' completer _all_matches _complete
zstyle ':completion:*' insert true
zstyle ':completion:*' rehash true
zle -C all-matches complete-word _generic
bindkey '^O' all-matches
hand_out() {{ printf '%s\0' "$BUFFER" >&9; BUFFER= }}
zle -N hand_out
bindkey '^T' hand_out
"""


class Fish(Shell):
    package = "fish"

    def descriptions(self, line):
        """{word: description}"""
        done = subprocess.run(["fish", "--no-config", "-c", "source $argv[1]; complete -C $argv[2]",
                               str(self.completion), line], env=self.environ, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=SECONDS, check=True)
        assert done.stderr == "", done.stderr
        return dict(answer.partition("\t")[::2] for answer in done.stdout.splitlines())

    def complete(self, line, head):
        return list(self.descriptions(line))


def is_installed(shell):
    if shell is BashCompletion:
        return Path("/usr/share/bash-completion/bash_completion").exists()
    return Path(f"/usr/bin/{shell.package}").exists()

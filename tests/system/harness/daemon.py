# SPDX-License-Identifier: BSD-3-Clause
"""Daemons of usher, run as a service manager runs them"""

import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import threading

from .host import WORK
from .process import PATIENCE, PR_SET_PDEATHSIG, libc, wait_until

SOURCE = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("USHER_BUILD", "/nonexistent")).absolute()
PROGRAMS = BUILD / "tests/system/programs"

SANITIZER = re.compile(r"(AddressSanitizer|LeakSanitizer|runtime error:|UndefinedBehaviorSanitizer).*")


class Notify:
    """The datagrams that a service manager gets on NOTIFY_SOCKET, in order. A thread reads them, as a service manager
    would, because sd_notify(3) blocks when the queue is full."""

    def __init__(self, path):
        self.path, self._messages = str(path), []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while data := self._socket.recv(65536):
            self._messages.append(data.decode())

    def messages(self):
        return list(self._messages)

    def ready(self):
        return "READY=1" in "\n".join(self.messages()).splitlines()

    def clear(self):
        self._messages.clear()

    def last(self, key):
        """The last value of a key, or None."""
        found = re.findall(rf"(?m)^{key}=(.*)$", "\n".join(self.messages()))
        return found[-1] if found else None

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        os.unlink(self.path)


class Daemon:
    """A daemon that can be started repeatedly, with the same instance and log."""

    _all = []
    program = None

    def __init__(self, instance=None):
        self.instance = instance
        self.process = self.notify = None
        self.name = self.program.name
        self.number = len(Daemon._all)
        self.log_path = WORK / f"{self.name}{self.number}.log"
        self.log_path.touch()
        Daemon._all.append(self)

    @property
    def pid(self):
        return self.process.pid

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def spawn(self, *arguments, prefix=(), env=None, nofile=None, **options):
        """Start it and return at once."""
        assert not self.running(), f"{self.name} runs already"
        if self.notify:
            self.notify.close()
        self.notify = Notify(WORK / f"notify{self.number}")
        env = env or {}
        if "strace" in prefix:  # only one of the two can trace
            env = {**env, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
        words = [*prefix, self.program, *(["--instance", self.instance] if self.instance else []), *arguments]

        def prepare():
            libc("prctl", PR_SET_PDEATHSIG, signal.SIGKILL)
            if nofile:
                resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))

        with open(self.log_path, "a") as log:
            self.process = subprocess.Popen(
                [str(word) for word in words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=prepare,
                env={**os.environ, "NOTIFY_SOCKET": self.notify.path, **env}, **options)
        return self

    def start(self, *arguments, **options):
        """Start it and wait until it is ready."""
        self.spawn(*arguments, **options)
        return self.wait_ready()

    def is_ready(self):
        return self.notify.ready()

    def wait_ready(self):
        def ready_or_dead():
            if self.process.poll() is not None:
                return AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.log}")
            return self.is_ready()

        result = wait_until(ready_or_dead, f"{self.name} is ready")
        if isinstance(result, AssertionError):
            raise result
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    def wait(self):
        """Wait until it ends by itself; returns its exit status."""
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {PATIENCE:g} s:\n{self.log}") from None

    def stop(self):
        """As the service manager stops it."""
        self.process.terminate()
        status = self.wait()
        assert status == 0, f"{self.name} ended with {status} at SIGTERM:\n{self.log}"

    def kill(self):
        self.process.kill()
        self.process.wait()

    def restart(self):
        self.stop()
        self.start()

    def pause(self):
        """SIGSTOP: from now on, only the kernel acts."""
        self.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: self._state() == "T", what=f"{self.name} is stopped")

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def _state(self):
        return pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]

    def fds(self):
        """Its open descriptors: {number: target}."""
        folder = f"/proc/{self.pid}/fd"
        found = {}
        for entry in os.listdir(folder):
            try:
                found[int(entry)] = os.readlink(f"{folder}/{entry}")
            except FileNotFoundError:
                pass
        return found

    def hang_up(self):
        """SIGHUP, and wait until the reload has succeeded or failed."""
        self.notify.clear()
        self.process.send_signal(signal.SIGHUP)
        wait_until(self.notify.ready, what="READY=1 after SIGHUP")

    @classmethod
    def end_all(cls):
        """Kill what still runs; returns the complaints of sanitizers in all logs."""
        complaints = []
        for daemon in reversed(cls._all):
            if daemon.running():
                daemon.resume()
                daemon.process.terminate()
                try:
                    daemon.process.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    complaints.append(f"{daemon.name} does not end at SIGTERM")
                    daemon.kill()
            complaints += [match.group() for match in SANITIZER.finditer(daemon.log)]
        return complaints

    @classmethod
    def logs(cls):
        return "\n".join(f"{daemon.name}: {line}" for daemon in cls._all for line in daemon.log.splitlines())

# SPDX-License-Identifier: BSD-3-Clause
"""usherd and usherctl, as a user runs them."""

import json
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import threading

from . import wire
from .host import WORK, run
from .process import PR_SET_PDEATHSIG, SLOW, libc, wait_until

BUILD = pathlib.Path(os.environ.get("USHER_BUILD", "/nonexistent")).absolute()
USHERD = BUILD / "src/daemon/usherd"
USHERCTL = BUILD / "src/ctl/usherctl"

SANITIZER = re.compile(r"(AddressSanitizer|LeakSanitizer|runtime error:|UndefinedBehaviorSanitizer).*")


class Notify:
    """What a service manager hears: the datagrams of NOTIFY_SOCKET, in order. A thread reads them, as a service manager
    would: sd_notify(3) blocks when the queue is full."""

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

    def clear(self):
        self._messages.clear()

    def last(self, key):
        """The newest value of a key, or None."""
        found = re.findall(rf"(?m)^{key}=(.*)$", "\n".join(self.messages()))
        return found[-1] if found else None

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        os.unlink(self.path)


class Usherd:
    """One run of the broker after another, with the same instance, rules and pins."""

    _all = []

    def __init__(self, instance=None):
        self.instance = instance
        self.run_dir = pathlib.Path("/run/usher" + (f"-{instance}" if instance else ""))
        self.pins = pathlib.Path("/sys/fs/bpf/usher" + (f"-{instance}" if instance else ""))
        self.socket = self.run_dir / "usher.sock"
        self.process = self.notify = None
        self.log_path = WORK / f"usherd{len(Usherd._all)}.log"
        self.log_path.touch()
        Usherd._all.append(self)

    @property
    def pid(self):
        return self.process.pid

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def spawn(self, *arguments, prefix=(), env=None, nofile=None, **options):
        """Start the broker and return at once."""
        assert not self.running(), "the broker runs already"
        if self.notify:
            self.notify.close()
        self.notify = Notify(WORK / f"notify{Usherd._all.index(self)}")
        env = env or {}
        if "strace" in prefix:  # the two cannot both trace
            env = {**env, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
        words = [*prefix, USHERD, *(["--instance", self.instance] if self.instance else []), *arguments]

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
        """Start the broker and wait until it answers."""
        self.spawn(*arguments, **options)
        return self.wait_ready()

    def wait_ready(self, seconds=30):
        def ready():
            assert self.process.poll() is None, f"usherd ended with {self.process.returncode}:\n{self.log}"
            return "READY=1" in "\n".join(self.notify.messages()).splitlines() and self.status()

        def ready_or_dead():
            try:
                return ready()
            except AssertionError as error:
                return error

        result = wait_until(ready_or_dead, seconds, "usherd is ready")
        if isinstance(result, AssertionError):
            raise result
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    def wait(self, seconds=20):
        """Wait until the broker ends by itself; its exit status."""
        try:
            return self.process.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"usherd still runs after {seconds} s:\n{self.log}") from None

    def stop(self):
        """As the service manager stops it."""
        self.process.terminate()
        status = self.wait()
        assert status == 0, f"usherd ended with {status} at SIGTERM:\n{self.log}"

    def kill(self):
        self.process.kill()
        self.process.wait()

    def restart(self):
        self.stop()
        self.start()

    def pause(self):
        """SIGSTOP: nobody but the kernel does anything from here on."""
        self.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: self._state() == "T", what="usherd is stopped")

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def _state(self):
        return pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]

    def fds(self):
        """What the broker has open: {number: target}."""
        folder = f"/proc/{self.pid}/fd"
        found = {}
        for entry in os.listdir(folder):
            try:
                found[int(entry)] = os.readlink(f"{folder}/{entry}")
            except FileNotFoundError:
                pass
        return found

    # asked over the socket

    def connect(self, **options):
        return wire.Connection(self.socket, **options)

    def request(self, verb, fds=(), **fields):
        return wire.request(verb, fds, self.socket, **fields)

    def status(self):
        return self.request("status")

    def list(self, name=None):
        return self.request("list", **({"NAME": name} if name else {})).rows

    def sockets(self, name=None):
        """The rows of `list` that are sockets."""
        return [row for row in self.list(name) if "COOKIE" in row]

    def rules(self, name=None):
        return self.request("rules", **({"NAME": name} if name else {})).rows

    def reload(self):
        return self.request("reload")

    def counters(self, name, protocol="tcp", family="ipv4"):
        """{LOOKUPS: n, MISSING: n, ...} of a seat."""
        for row in self.list(name):
            if (row["PROTOCOL"], row["FAMILY"]) == (protocol, family) and "LOOKUPS" in row:
                return {key: int(value) for key, value in row.items()
                        if key in ("LOOKUPS", "MISSING", "EVENTS_LOST") or key.startswith("REFUSED_")}
        raise AssertionError(f"no seat {name} {protocol} {family}")

    def hang_up(self):
        """SIGHUP, and wait for the reload to be over, good or bad."""
        self.notify.clear()
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "READY=1" in "\n".join(self.notify.messages()).splitlines(), what="READY=1 after SIGHUP")

    @classmethod
    def end_all(cls):
        """Kill what still runs; complaints of sanitizers in any of the logs."""
        complaints = []
        for broker in cls._all:
            if broker.running():
                broker.resume()
                broker.process.terminate()
                try:
                    broker.process.wait(10 * SLOW)
                except subprocess.TimeoutExpired:
                    complaints.append("usherd does not end at SIGTERM")
                    broker.kill()
            complaints += [match.group() for match in SANITIZER.finditer(broker.log)]
        return complaints

    @classmethod
    def logs(cls):
        return "\n".join(broker.log for broker in cls._all)


def ctl(*words, check=True, broker=None, **options):
    """Run usherctl to its end. AssertionError when it fails, unless check=False."""
    front = ["--socket", broker.socket] if broker else []
    done = run(USHERCTL, *front, *words, check=check, **options)
    assert not SANITIZER.search(done.stderr), done.stderr
    return done


def ctl_json(*words, **options):
    """The rows of a table of usherctl."""
    document = json.loads(ctl("--json", *words, **options).stdout)
    (rows,) = document.values()
    return rows

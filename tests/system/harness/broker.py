# SPDX-License-Identifier: BSD-3-Clause
"""usherd and usherctl, as a user runs them"""

import json
import pathlib
import re

from . import wire
from .daemon import BUILD, SANITIZER, Daemon
from .host import run

USHERD = BUILD / "src/daemon/usherd"
USHERCTL = BUILD / "src/ctl/usherctl"


def reads(path):
    """The text of a file of /proc, or None when its process has gone."""
    try:
        return path.read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None


class Usherd(Daemon):
    """The broker, with the same rules and pins from one run to the next."""

    program = USHERD

    def __init__(self, instance=None):
        super().__init__(instance)
        self.run_dir = pathlib.Path("/run/usher" + (f"-{instance}" if instance else ""))
        self.pins = pathlib.Path("/sys/fs/bpf/usher" + (f"-{instance}" if instance else ""))
        self.socket = self.run_dir / "usher.sock"

    def is_ready(self):
        return super().is_ready() and self.status()

    def _is_worker(self, pidfd):
        """Whether this descriptor of the broker is the pidfd of one of its workers."""
        try:
            info = pathlib.Path(f"/proc/{self.pid}/fdinfo/{pidfd}").read_text()
            pid = re.search(r"(?m)^Pid:\s*(-?\d+)", info)[1]
            return pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "usherd-worker"
        except (FileNotFoundError, ProcessLookupError):
            return False

    def workers(self):
        """pids of the processes that look at descriptors, and that have not been asked to yet."""
        return [int(path.parent.name) for path in pathlib.Path("/proc").glob("[0-9]*/comm")
                if reads(path) == "usherd-worker"]

    @property
    def nursery(self):
        """The process that forks them."""
        pid, = [int(path.parent.name) for path in pathlib.Path("/proc").glob("[0-9]*/comm") if reads(path) == "usherd-nursery"]
        return pid

    def fds(self):
        """Without the channel and the pidfd of each worker: of these there are as many as the broker likes to have."""
        found = super().fds()
        pidfds = [number for number, target in found.items() if "pidfd" in target and self._is_worker(number)]
        channels = [number for number, target in found.items() if target.startswith("socket:")][-len(pidfds):]
        return {number: target for number, target in found.items()
                if not pidfds or number not in pidfds + channels}

    # the answer to status

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


def ctl(*words, check=True, broker=None, **options):
    """Run usherctl to its end. Raises AssertionError if it fails, unless check=False."""
    front = ["--socket", broker.socket] if broker else []
    done = run(USHERCTL, *front, *words, check=check, **options)
    assert not SANITIZER.search(done.stderr), done.stderr
    return done


def ctl_json(*words, **options):
    """The rows of a table of usherctl."""
    document = json.loads(ctl("--json", *words, **options).stdout)
    (rows,) = document.values()
    return rows


def fails(status, *words, match=None, **options):
    """The command fails with that status and prints one line on standard error, which begins with its name and says why."""
    done = ctl(*words, check=False, **options)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    assert done.stderr.strip(), "a failure without a message"
    if match:
        assert re.search(match, done.stderr), done.stderr
    return done.stderr

# SPDX-License-Identifier: BSD-3-Clause
"""Processes of a test, and waiting for conditions"""

import ctypes
import os
import pickle
import select
import signal
import sys
import time
import traceback

_libc = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1

# How much slower this machine is than an ordinary one.
SLOW = float(os.environ.get("USHER_SLOW", "1"))

# How long a test waits, in seconds, for what must come: so long that only a test that fails waits until the end, however
# busy the machine is;
PATIENCE = 60 * SLOW
# to see that nothing comes;
MOMENT = 0.4 * SLOW
# and in each of several attempts, where an answer can be lost, as that of a socket that is just being closed.
ATTEMPT = 1 * SLOW


def libc(name, *arguments):
    """Make a libc call; raises OSError with its errno if it returns -1."""
    result = getattr(_libc, name)(*arguments)
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def wait_until(condition, what=None, seconds=PATIENCE):
    """Call `condition` until it returns something true, and return that. Raises AssertionError when it takes too long.

    An AssertionError or OSError of the condition counts as false. The last one is shown when time is up.
    """
    deadline = time.monotonic() + seconds
    pause = 0.001
    while True:
        last = None
        try:
            result = condition()
            if result:
                return result
        except (AssertionError, OSError) as error:
            last = error
        if time.monotonic() > deadline:
            name = what or getattr(condition, "__name__", "condition")
            raise AssertionError(f"{name}: not within {seconds:g} s") from last
        select.select([], [], [], pause)
        pause = min(pause * 2, 0.05)


def close_all_except(keep):
    keep = set(keep) | {0, 1, 2}
    for entry in os.listdir("/proc/self/fd"):
        number = int(entry)
        if number not in keep:
            try:
                os.close(number)
            except OSError:
                pass


class Child:
    """A forked copy of the test that runs one function.

    It inherits only the descriptors in `keep`, because a listening socket would stay open in it. The function gets
    `tell(value)` as its first argument, and `hear()` returns the values. `result()` returns its result, or raises the
    exception that ended it.
    """

    _all = []

    def __init__(self, function, *arguments, keep=(), uid=None, gid=None, groups=()):
        read, write = os.pipe2(os.O_CLOEXEC)
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                libc("prctl", PR_SET_PDEATHSIG, signal.SIGKILL)
                close_all_except(set(keep) | {write})
                os.set_inheritable(write, False)
                if gid is not None:
                    os.setgroups(list(groups))
                    os.setresgid(gid, gid, gid)
                if uid is not None:
                    os.setresuid(uid, uid, uid)
                def tell(value, kind="told"):
                    data = pickle.dumps((kind, value))
                    data = len(data).to_bytes(8, "little") + data
                    while data:
                        data = data[os.write(write, data):]

                try:
                    tell(function(tell, *arguments), "result")
                    status = 0
                except BaseException as error:  # every exception goes to the parent, even KeyboardInterrupt
                    text = traceback.format_exc()
                    try:
                        tell((error, text), "error")
                    except Exception:
                        tell((RuntimeError(repr(error)), text), "error")
            finally:
                sys.stdout.flush()
                os._exit(status)
        os.close(write)
        self._pipe = read
        self.status = None
        Child._all.append(self)

    def hear(self):
        """The next value from the child's `tell`."""
        kind, value = self._receive()
        if kind == "error":
            raise value[0] from RuntimeError(value[1])
        assert kind == "told", f"the child ended: {value}"
        return value

    def _read(self, size, deadline):
        data = b""
        while len(data) < size:
            if not select.select([self._pipe], [], [], max(0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"nothing from child {self.pid} in time")
            part = os.read(self._pipe, size - len(data))
            if not part:
                raise AssertionError(f"child {self.pid} ended without a result, status {self.wait()}")
            data += part
        return data

    def _receive(self):
        deadline = time.monotonic() + PATIENCE
        size = int.from_bytes(self._read(8, deadline), "little")
        return pickle.loads(self._read(size, deadline))

    def result(self):
        """Wait for the end; returns the function's result, or raises its exception."""
        while True:
            kind, value = self._receive()
            if kind != "told":
                break
        self.wait()
        if kind == "error":
            raise value[0] from RuntimeError(value[1])
        return value

    def wait(self):
        if self.status is None:
            _, status = os.waitpid(self.pid, 0)
            self.status = os.waitstatus_to_exitcode(status)
            os.close(self._pipe)
        return self.status

    def signal(self, number):
        assert self.status is None
        os.kill(self.pid, number)

    def kill(self):
        """SIGKILL, and wait."""
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()

    @classmethod
    def kill_all(cls):
        for child in cls._all:
            child.kill()
        cls._all.clear()


def in_child(function, *arguments, **options):
    """Run a function in a child, for instance as another user, and return its result."""
    return Child(lambda tell, *a: function(*a), *arguments, **options).result()

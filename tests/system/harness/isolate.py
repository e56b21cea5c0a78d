# SPDX-License-Identifier: BSD-3-Clause
"""Run a test, or a benchmark, in a child that is process 1 of new namespaces: network, mount, pid, IPC, host name.

pytest itself stays in the namespaces in which it was started. Everything that a test leaves ends with its process 1:
processes, sockets, mounts, pins and programs.
"""

import contextlib
import faulthandler
import glob
import json
import os
import shutil
import signal
import sys
import tempfile
import traceback

from . import process

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 0x4000, 1 << 18
MNT_DETACH = 2


def mount(source, target, kind, flags=0, options=None):
    encode = lambda text: None if text is None else text.encode()
    process.libc("mount", encode(source), encode(target), encode(kind), flags, encode(options))


def _enter():
    """In the new namespaces: make mounts private, and mount separate folders over everything that usher writes to."""
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("proc", "/proc", "proc")
    mount("tmpfs", "/run", "tmpfs", 0, "mode=755")
    mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=700")
    os.mkdir("/run/test", 0o777)
    os.chmod("/run/test", 0o777)
    for folder in ("/etc", "/usr/lib", "/usr/local/lib"):
        overlay(folder)


def overlay(folder):
    """Make a folder writable for this test only, without the rules that the host has there."""
    upper = f"/run/.overlay{folder.replace('/', '-')}"
    os.makedirs(upper + "/up")
    os.makedirs(upper + "/work")
    mount("overlay", folder, "overlay", 0, f"lowerdir={folder},upperdir={upper}/up,workdir={upper}/work")
    for rules in glob.glob(f"{folder}/usher*/"):
        shutil.rmtree(rules)


def _fork_process_1(function, dump):
    """Call a function, which must not return, as process 1 of new namespaces. Returns the pid of a process that waits for
    process 1 and exits with its status; a signal to that process reaches process 1."""
    outer = os.fork()
    if outer:
        return outer
    try:
        process.libc("prctl", process.PR_SET_PDEATHSIG, signal.SIGKILL)
        process.libc("unshare", CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET)
        inner = os.fork()
        if inner == 0:
            process.libc("prctl", process.PR_SET_PDEATHSIG, signal.SIGKILL)
            function()
        _, status = os.waitpid(inner, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    except KeyboardInterrupt:
        pass
    except BaseException:
        dump.write(traceback.format_exc())
        dump.flush()
    finally:
        os._exit(98)


def run_program(main):
    """Call main() as process 1 of new namespaces. Returns the exit status: what main() returned, or 1 with the exception on
    stderr."""
    def process_1():
        status = 1
        try:
            _enter()
            status = main()
        except KeyboardInterrupt:
            status = 130
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    sys.stdout.flush()
    pid = _fork_process_1(process_1, sys.stderr)
    try:
        _, status = os.waitpid(pid, 0)
    except KeyboardInterrupt:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):  # it may have ended because of that, too
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        return 130
    return os.waitstatus_to_exitcode(status) & 0xFF


def _run_test(item, pipe, seconds, dump):
    """Process 1: run the test and its fixtures. Never returns."""
    from _pytest.runner import runtestprotocol

    try:
        faulthandler.dump_traceback_later(seconds, exit=True, file=dump)
        _enter()
        reports = runtestprotocol(item, nextitem=None, log=False)
        to_plain = item.config.hook.pytest_report_to_serializable
        text = json.dumps([to_plain(config=item.config, report=report) for report in reports])
        with os.fdopen(pipe, "w") as stream:
            stream.write(text)
        os._exit(0)
    except BaseException:
        dump.write(traceback.format_exc())
        dump.flush()
    finally:
        os._exit(99)


def run(item, seconds):
    """Run one pytest item in new namespaces and return its reports."""
    from _pytest.reports import TestReport

    def process_1():
        os.close(read)
        _run_test(item, write, seconds, dump)

    read, write = os.pipe2(os.O_CLOEXEC)
    with tempfile.TemporaryFile("w+") as dump:
        outer = _fork_process_1(process_1, dump)
        os.close(write)
        with os.fdopen(read) as stream:
            text = stream.read()
        _, status = os.waitpid(outer, 0)
        if text:
            from_plain = item.config.hook.pytest_report_from_serializable
            reports = [from_plain(config=item.config, data=data) for data in json.loads(text)]
            for report in reports:
                if isinstance(report.longrepr, list):  # the reason of a skip is a tuple, which JSON lacks
                    report.longrepr = tuple(report.longrepr)
            return reports
        dump.seek(0)
        trace = dump.read()
    reason = f"the test ended without a report, status {os.waitstatus_to_exitcode(status)} (time limit {seconds} s)"
    return [TestReport(item.nodeid, item.location, {}, "failed", f"{reason}\n{trace}", "call")]

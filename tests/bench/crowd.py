#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""How long a scan takes, and how much memory, among many processes and sockets.

usage: crowd.py SCAN [PROCESSES [SOCKETS [COMMAND...]]]

SCAN is the program of tests/system/programs/scan.c. As root; everything is in namespaces of its own. The processes sleep.
The sockets are spread over them, a quarter each of TCP and UDP, IPv4 and IPv6; each process has six more descriptors.
Measured are scans for the daemon of one rule; for 100 rules; with a port that every socket has; and with the pid from an
event. With a COMMAND, that is run instead.
"""

import ctypes
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
PR_SET_PDEATHSIG = 1
TIMES = 21
PORTS = 10000  # different ports, from 20000 on
libc = ctypes.CDLL(None, use_errno=True)


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def enter():
    """Become process 1 of new namespaces; the original process waits."""
    check(libc.unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET))
    pid = os.fork()
    if pid:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "proc", "proc", "/proc"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def bound(number):
    """Socket number n: no two have the same protocol, family, address and port."""
    kind, rest = number % 4, number // 4
    family = socket.AF_INET6 if kind & 1 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM if kind & 2 else socket.SOCK_STREAM)
    if family == socket.AF_INET6:
        sock.bind(("::1", 20000 + rest % PORTS))
    else:
        sock.bind((f"127.0.{rest // PORTS}.2", 20000 + rest % PORTS))
    if not kind & 2:
        sock.listen()
    return sock


def member(first, last):
    """One of the crowd; its pid."""
    pid = os.fork()
    if pid:
        return pid
    check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
    sockets = [bound(number) for number in range(first, last)]
    for sock in sockets:
        os.set_inheritable(sock.fileno(), True)
    for _ in range(3):
        os.set_inheritable(os.open("/dev/null", os.O_RDONLY), True)
    os.execv("/usr/bin/sleep", ["sleep", "infinity"])  # as a fork of this process, each would use a megabyte


def gather(processes, sockets):
    share = [sockets * i // processes for i in range(processes + 1)]
    pids = [member(*share[i:i + 2]) for i in range(processes)]
    for pid, first, last in zip(pids, share, share[1:]):
        folder = pathlib.Path(f"/proc/{pid}/fd")
        while os.readlink(folder.parent / "exe") != "/usr/bin/sleep" or len(list(folder.iterdir())) < 6 + last - first:
            time.sleep(0.001)
    return pids


def rule(folder, name, sockets):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.rule").write_text(
        f"[Rule]\nStream=192.0.2.0/24:80\n[Access]\nBound=any\n[Discover]\nSocket={sockets}\n")


def measure(what, scan, folder, *words):
    output = subprocess.run([scan, folder, f"times={TIMES}", *words], check=True, capture_output=True, text=True).stdout
    lines = [line.split("\t") for line in output.splitlines()]
    times = sorted(int(words[3]) / 1000 for words in lines if words[0] == "=")
    accepted = sum(words[0] == "+" for words in lines) // TIMES
    refused = sum(words[0] == "-" for words in lines) // TIMES
    cpu = statistics.median(int(words[4]) / 1000 for words in lines if words[0] == "=")
    peak = max(int(words[5]) for words in lines if words[0] == "=")
    print(f"{what:24} {statistics.median(times):8.1f} ms, {times[-1]:8.1f} at most, {cpu:8.1f} of a processor; peak {peak} KiB; "
          f"{accepted} accepted, {refused} refused", flush=True)


def main():
    scan, processes, sockets, *command = sys.argv[1:2] + [int(word) for word in sys.argv[2:4]] + sys.argv[4:] \
        if len(sys.argv) > 3 else [sys.argv[1], 5000, 20000]
    scan = os.path.abspath(scan)
    enter()
    pids = gather(processes, sockets)
    print(f"{processes} processes, {sockets} sockets", flush=True)
    if command:
        sys.exit(subprocess.run(command).returncode)
    with tempfile.TemporaryDirectory() as path:
        path = pathlib.Path(path)
        rule(path / "one", "web", "127.0.0.2:20077")
        for i in range(100):
            rule(path / "hundred", f"web{i}", f"127.0.0.2:{20000 + i}")
        rule(path / "none", "web", "127.0.0.2:19999")
        rule(path / "all", "web", " ".join(str(20000 + i) for i in range(min(PORTS, 4000))))
        holder = pids[77 * 4 * processes // sockets]
        measure("one rule", scan, path / "one")
        measure("one rule, with its pid", scan, path / "one", f"pid={holder}")
        measure("nothing listens", scan, path / "none")
        measure("100 rules", scan, path / "hundred")
        measure("4000 ports of one rule", scan, path / "all")


main()

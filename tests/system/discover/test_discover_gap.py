# SPDX-License-Identifier: BSD-3-Clause
"""Prints what discovery costs: `USHER_RESTARTS=200 USHER_IDLE_SECONDS=60 USHER_CROWD=5000 pytest -rP
test_discover_gap.py`. No time is limited."""

import os
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import sys
import time

import pytest

from harness.host import V4, WORK, rule
from harness.process import Child, wait_until
from harness.service import ServiceProcess, make_socket
from harness.traffic import REFUSED, serves, who

RESTARTS = int(os.environ.get("USHER_RESTARTS", "20"))
CROWD_SIZE = int(os.environ.get("USHER_CROWD", "500"))
IDLE_SECONDS = float(os.environ.get("USHER_IDLE_SECONDS", "10"))


def figures(what, values):
    values = sorted(values)
    print(f"{what}: median {statistics.median(values) * 1000:.2f} ms, 99 of 100 within "
          f"{values[int(len(values) * 0.99) - 1] * 1000:.2f} ms, maximum {values[-1] * 1000:.2f} ms; n {len(values)}")


@pytest.mark.no_asan
@pytest.mark.seconds(RESTARTS + 300)
@pytest.mark.parametrize("listen", ["event", "kernel"])
def test_gap(both, discover, listen):
    """The time from listen(2) to the first connection that arrives, with a new process each time. usher-discover is idle
    before, as usual: it limits itself to ten scans in a tenth of a second."""
    running = both(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080", "User=root", f"Listen={listen}"]))

    def bind():
        try:
            return make_socket("tcp", "127.0.0.2", 8080, listen=False)
        except OSError:  # the listener of the previous process is just being copied, and stays open until that is done
            return None

    def once(tell):
        sock = wait_until(bind)
        begin, refused = time.monotonic(), 0
        sock.listen()
        while True:
            with socket.socket() as client:
                if client.connect_ex((V4, 80)) == 0:
                    return time.monotonic() - begin, refused
            refused += 1

    results = []
    for _ in range(RESTARTS):
        results.append(Child(once).result())
        discover.settle(0.12)
    figures(f"Listen={listen}: listen(2) to the first connection", [seconds for seconds, _ in results])
    print(f"Listen={listen}: first connections refused: {sum(1 for _, refused in results if refused)} of {RESTARTS}")
    if listen == "kernel":
        assert not any(refused for _, refused in results), "there is no gap"
    assert running.sockets() == [] and who(V4, 80) == REFUSED


def test_first_socket_loads_nothing(both, discover):
    """What takes long (loading programs and the types of the kernel) happens before READY=1, not when a daemon begins to
    listen."""
    both(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080", "User=root"]))
    discover.settle()
    scanner = discover.scanner
    with subprocess.Popen(["strace", "-f", "-qq", "-p", str(scanner), "-o", str(WORK / "strace"), "-e",
                           "trace=openat,bpf"]) as strace:
        wait_until(lambda: f"TracerPid:\t{strace.pid}\n" in
                   pathlib.Path(f"/proc/{scanner}/status").read_text(), what="strace is attached")
        ServiceProcess("web", port=8080)
        serves("web")
        strace.send_signal(signal.SIGINT)
    trace = (WORK / "strace").read_text()
    assert "/proc/" in trace and "vmlinux" not in trace and "PROG_LOAD" not in trace


@pytest.mark.no_asan
@pytest.mark.seconds(IDLE_SECONDS + 300)
def test_idle(both, discover):
    """While nothing happens, it is not scheduled even once. Traffic does not wake it either."""
    lines = ["Socket=127.0.0.2:8080", "User=root"]
    both(web=rule("Stream=80", discover=[*lines, "Listen=event"]),
         more=rule("Stream=81", discover=["Socket=127.0.0.2:8081", "User=root", "Listen=kernel"]))
    for name, port in (("web", 8080), ("more", 8081)):
        ServiceProcess(name, port=port)
        serves(name, port=port - 8000)
    discover.settle(1.0)
    before, end = discover.switches(), time.monotonic() + IDLE_SECONDS
    while time.monotonic() < end:
        assert (who(V4, 80), who(V4, 81)) == ("web", "more")
        time.sleep(0.1)
    woken = discover.switches() - before
    print(f"idle for {IDLE_SECONDS:g} s under traffic: woken {woken} times")
    assert woken == 0


CROWD = """
import gc, os, signal, socket, sys
processes, each = map(int, sys.argv[1:])
gc.freeze()
for number in range(processes):
    pid = os.fork()
    if pid == 0:
        keep = [socket.create_server((f"127.{1 + number // 250}.{1 + number % 250}.1", 9000 + i)) for i in range(each)]
        os.write(1, b".")
        signal.pause()
signal.pause()
"""


@pytest.mark.no_asan
def test_scale(broker, discover):
    """A start among many listening processes, one of which is described. $USHER_CROWD sets how many."""
    broker(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080", "User=root"]))
    crowd = subprocess.Popen([sys.executable, "-c", CROWD, str(CROWD_SIZE), "4"], stdout=subprocess.PIPE)
    ServiceProcess("web", port=8080)
    seen = 0
    while seen < CROWD_SIZE:
        seen += len(os.read(crowd.stdout.fileno(), 65536))
    begin = time.monotonic()
    discover.start()
    ready = time.monotonic() - begin
    assert who(V4, 80) == "web"
    status = pathlib.Path(f"/proc/{discover.pid}/status").read_text()
    cpu = sum(map(int, pathlib.Path(f"/proc/{discover.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))
    print(f"{CROWD_SIZE} processes with {4 * CROWD_SIZE} sockets: ready after {ready * 1000:.0f} ms, "
          f"{cpu * 1000 // os.sysconf('SC_CLK_TCK')} ms of processor time, "
          f"{re.search('VmHWM:.*?([0-9]+ kB)', status)[1]} at most")
    crowd.kill()

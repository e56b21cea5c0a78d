#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""How long the hand-in of one user takes while others flood the broker.

usage: floods.py [--quick] [--priority] [--only WORD] [BUILD]

BUILD is the build directory; the default is $USHER_BUILD. Runs the real usherd, as root, in namespaces of its own. The
processes that flood share one processor, and the broker and who hands in may use all. With --priority, these have
a real-time priority, so that other work of a busy machine does not count. Each hand-in is one of a new socket on a new
connection, 2 ms after the last one. Prints a table in Markdown.
"""

import argparse
import contextlib
import errno
import gc
import mmap
import os
import pathlib
import signal
import socket
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PARSER = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0])
PARSER.add_argument("--quick", action="store_true")
PARSER.add_argument("--priority", action="store_true")
PARSER.add_argument("--only", default="")
PARSER.add_argument("build", nargs="?", default=os.environ.get("USHER_BUILD"))
OPTIONS = PARSER.parse_args()
if not OPTIONS.build or not (pathlib.Path(OPTIONS.build) / "src/daemon/usherd").exists():
    sys.exit("floods.py: there is no usherd in the build directory; give it as BUILD or in $USHER_BUILD")
os.environ["USHER_BUILD"] = str(pathlib.Path(OPTIONS.build).absolute())
sys.path.insert(0, str(HERE.parent / "system"))

from harness import host, isolate
from harness.broker import Usherd
from harness.daemon import Daemon
from harness.fuse import Stuck
from harness.lingering import make_lingering, make_sink
from harness.process import Child
from harness.service import make_socket
from harness.wire import Connection, request, text_of

TIMES = 20 if OPTIONS.quick else 2000
SECONDS = 20  # or fewer times
NAMES = 300
UIDS = range(20000, 20050)
VICTIM = 30000
PAUSE = 0.002
CONNECTIONS = 1000  # of all who flood: the broker has 1024
COUNTS = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")  # of each process that floods
me = 0  # the number of this process among them


def count():
    COUNTS[me] += 1


# ---- what floods; each begins with tell(), and never ends

def ask(verb):
    def flood(tell, file, each):
        """Ask again as soon as there is an answer, and never read all of it."""
        del file
        text, connections = text_of({"REQUEST": verb}), []
        tell(None)
        while True:
            with contextlib.suppress(OSError):
                while len(connections) < each:
                    connections.append(Connection())
                    connections[-1].socket.setblocking(False)
            for connection in connections[:]:
                try:
                    connection.socket.send(text)
                    count()
                    for _ in range(20):
                        connection.socket.recv(8192)
                except BlockingIOError:
                    pass
                except OSError:
                    connections.remove(connection)
                    connection.close()
    return flood


def stay(tell, file, each):
    """Idle connections; another one for each that the broker closes."""
    del file
    connections = []
    tell(None)
    while True:
        with contextlib.suppress(OSError):
            while len(connections) < each:
                connections.append(Connection())
                connections[-1].socket.setblocking(False)
                count()
        for connection in connections[:]:
            try:
                if connection.socket.recv(8192, socket.MSG_PEEK) == b"" or connection.socket.recv(8192):
                    raise ConnectionError
            except BlockingIOError:
                pass
            except OSError:
                connections.remove(connection)
                connection.close()


def connect_and_close(tell, file, each):
    del file, each
    tell(None)
    while True:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK) as connection:
            with contextlib.suppress(OSError):
                connection.connect("/run/usher/usher.sock")
                count()


def send_again(number, each):
    """Hand-ins of one descriptor, on several connections at a time."""
    connections = []
    while True:
        with contextlib.suppress(OSError):
            while len(connections) < min(each, 8):
                connections.append(Connection())
                connections[-1].socket.setblocking(False)
        for connection in connections[:]:
            try:
                connection.send(b"REQUEST=hand-in\nNAME=web\n", [number])
                count()
                connection.socket.recv(8192)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.ETOOMANYREFS):
                    connections.remove(connection)
                    connection.close()


def send_files(tell, file, each):
    number = os.open(file, os.O_RDONLY)
    tell(None)
    send_again(number, each)


def send_lingering(tell, file, each):
    del file
    sink = make_sink()
    lingering = make_lingering(sink)
    tell(None)
    send_again(lingering.fileno(), each)


def notify(make):
    def flood(tell, file, each):
        """Datagrams with a descriptor to the notify door."""
        del each
        number, _peer = make(file)
        tell(None)
        while True:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.connect("/run/usher/notify")
                while True:
                    socket.send_fds(sender, [b"FDSTORE=1\nFDNAME=web"], [number])
                    count()
    return flood


def open_file(file):
    return os.open(file, os.O_RDONLY), None


def open_lingering(file):
    del file
    sink = make_sink()
    return make_lingering(sink).detach(), sink


FLOODS = {
    "nothing": None,
    "`status` requests": ask("status"),
    "`list` requests": ask("list"),
    "`rules` requests": ask("rules"),
    "idle connections": stay,
    "connect and close": connect_and_close,
    "hand-ins of a file that cannot be closed": send_files,
    "hand-ins of a connection that lingers": send_lingering,
    "datagrams with a file that cannot be closed": notify(open_file),
    "datagrams with a connection that lingers": notify(open_lingering),
}


def on_one_processor(flood):
    def begin(tell, number, file, each):
        global me
        me = number
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        flood(tell, file, each)
    return begin


# ---- who is served meanwhile

def hand_in_again(tell):
    """Milliseconds of each hand-in, in order of size."""
    del tell
    gc.disable()
    found, end = [], time.monotonic() + SECONDS
    while len(found) < TIMES and time.monotonic() < end:
        with make_socket("tcp", "127.0.0.2", 0) as sock:
            begin = time.monotonic()
            reply = request("hand-in", [sock], NAME="own")
            found.append((time.monotonic() - begin) * 1e3)
            assert reply["ADDED"] == "1"
        time.sleep(PAUSE)
    return sorted(found)


def measure(broker, name, uids, stuck):
    children = [Child(on_one_processor(FLOODS[name]), number, stuck.file, min(64, CONNECTIONS // len(uids)), uid=uid, gid=uid)
                for number, uid in enumerate(uids)]
    for child in children:
        child.hear()
    slow = int(broker.status()["SLOW_TURNS"])
    before, begin = sum(COUNTS), time.monotonic()
    found = Child(hand_in_again, uid=VICTIM, gid=VICTIM).result()
    rate = (sum(COUNTS) - before) / (time.monotonic() - begin)
    status = broker.status()
    assert status["OK"] == "1" and broker.running()
    for child in children:
        os.kill(child.pid, signal.SIGKILL)
    return found, children, rate, int(status["SLOW_TURNS"]) - slow


def row(name, uids):
    """In a broker of its own, since what cannot be closed stays until the file system has gone."""
    for number in range(NAMES):
        host.write_rule(f"n{number:04}", host.rule(f"Stream={10000 + number}"))
    host.write_rule("web", host.rule("Stream=80", access=["User=" + " ".join(map(str, UIDS))]))
    host.write_rule("own", host.rule("Stream=81", access=[f"User={VICTIM}"]))
    folder = tempfile.mkdtemp(dir="/run/test")
    os.chmod(folder, 0o755)
    stuck = Stuck(folder)
    broker = Usherd().start()
    try:
        found, children, rate, slow = measure(broker, name, UIDS[:uids], stuck)
    finally:
        stuck.release()
    for child in children:
        child.kill()
    broker.stop()
    columns = [name, uids or "", f"{rate:,.0f}" if uids else "", f"{len(found):,}", f"{percentile(found, 0.5):.2f}",
               f"{percentile(found, 0.99):.1f}", f"{found[-1]:.1f}", slow]
    print(f"| {' | '.join(map(str, columns))} |", flush=True)


def percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def main():
    host.set_up()
    if OPTIONS.priority:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    print("| flood | users | floods per second | hand-ins | p50, ms | p99, ms | max, ms | slow turns |\n" + "| --- " * 8 + "|",
          flush=True)
    try:
        for name, flood in FLOODS.items():
            for uids in (1, len(UIDS)) if flood else (0,):
                if OPTIONS.only in name:
                    row(name, uids)
    finally:
        Daemon.end_all()
    return 0


if __name__ == "__main__":
    sys.exit(isolate.run_program(main))

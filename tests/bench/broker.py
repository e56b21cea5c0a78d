#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the control plane costs: hand-ins, rules, and an idle broker.

usage: broker.py [--quick] [--table TABLE]... [BUILD]

BUILD is the build directory; the default is $USHER_BUILD. Runs the real usherd, as root, in namespaces of its own, through
its public doors. Prints JSON lines on standard output, one for the samples of each row and column, and progress and errors
on standard error.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent


def arguments():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0])
    parser.add_argument("--quick", action="store_true", default=bool(os.environ.get("QUICK")))
    parser.add_argument("--table", action="append", choices=["hand-in", "rules", "compile", "broker"])
    parser.add_argument("build", nargs="?", default=os.environ.get("USHER_BUILD"))
    return parser.parse_args()


OPTIONS = arguments()
if not OPTIONS.build or not (pathlib.Path(OPTIONS.build) / "src/daemon/usherd").exists():
    sys.exit("broker.py: there is no usherd in the build directory; give it as BUILD or in $USHER_BUILD")
os.environ["USHER_BUILD"] = str(pathlib.Path(OPTIONS.build).absolute())
sys.path.insert(0, str(HERE.parent / "system"))

import rule_sets
from harness import bpf, host, isolate
from harness.broker import USHERCTL, Usherd, ctl
from harness.daemon import BUILD, Daemon
from harness.process import Child, wait_until
from harness.service import Service
from harness.traffic import Load

QUICK = OPTIONS.quick
PROGRAMS = BUILD / "tests/bench"
MIB = 1 << 20
NAMES = 24 if QUICK else 1000
FOLDER = host.RULE_FOLDERS[1]


def emit(table, row, column, unit, values, **more):
    print(json.dumps({"table": table, "row": row, "column": column, "unit": unit,
                      "values": [float(f"{value:.6g}") for value in values], **more}, ensure_ascii=False), flush=True)


def say(what):
    print(f"broker.py: {what}", file=sys.stderr, flush=True)


# ---- the broker from outside

def memory(broker, key):
    """VmRSS and VmHWM, in bytes."""
    for line in pathlib.Path(f"/proc/{broker.pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(key)


def switches(broker):
    """How often a thread of it has been scheduled."""
    return sum(int(line.split()[1]) for path in pathlib.Path(f"/proc/{broker.pid}/task").glob("*/status")
               for line in path.read_text().splitlines() if "ctxt_switches" in line)


def processor_seconds(broker):
    """From /proc: to answer, the broker would need processor time."""
    return sum(int(path.read_text().split()[0])
               for path in pathlib.Path(f"/proc/{broker.pid}/task").glob("*/schedstat")) / 1e9


def settle(broker):
    """Wait until it is idle."""
    before = -1
    while before != (before := switches(broker)):
        time.sleep(0.1)


def kernel_memory(broker):
    """Bytes of every map that it has open or that its programs use, whatever their names."""
    maps, programs = set(), set()
    for path in pathlib.Path(f"/proc/{broker.pid}/fdinfo").iterdir():
        try:
            fields = dict(line.split(":\t", 1) for line in path.read_text().splitlines() if ":\t" in line)
        except FileNotFoundError:  # of a connection that is just being closed
            continue
        if "map_id" in fields:
            maps.add(int(fields["map_id"]))
        if "prog_id" in fields:
            programs.add(int(fields["prog_id"]))
    for number in programs:
        maps.update(bpf.bpftool("prog", "show", "id", number).get("map_ids", []))
    return sum(bpf.bpftool("map", "show", "id", number)["bytes_memlock"] for number in maps)


def start(broker):
    """Start it; returns the milliseconds until it is ready."""
    begin = time.monotonic()
    broker.spawn()
    while not broker.notify.ready():
        if broker.process.poll() is not None:
            raise AssertionError(f"usherd ended:\n{broker.log}")
        time.sleep(0.0002)
    return (time.monotonic() - begin) * 1000


def end(broker):
    """End it, and remove everything of it from the kernel."""
    ctl("detach", broker=broker)
    broker.wait()


def no_sockets(broker):
    wait_until(lambda: broker.status()["SOCKETS"] == "0", "the sockets of the last round are gone")


def write_names():
    """Write a rule for each name, each with a port, for any address of both families."""
    for number in range(NAMES):
        host.write_rule(f"n{number:04}", host.rule(f"Stream={10000 + number}"), FOLDER)


def forget_rules():
    if FOLDER.is_symlink():
        FOLDER.unlink()
    else:
        shutil.rmtree(FOLDER, ignore_errors=True)


# ---- hand-ins

def clients(mode, *words):
    """Run bench_hand_in to its end; returns (seconds of all, sorted microseconds of each)."""
    done = host.run(PROGRAMS / "bench_hand_in", mode, *words, timeout=600)
    return parse_clients(done.stdout)


def parse_clients(text):
    everything, *each = [int(word) for word in text.split()]
    return everything / 1e9, sorted(nanoseconds / 1000 for nanoseconds in each)


def percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Holders:
    """Processes that hand in, and stay until `close()`."""

    def __init__(self, mode, names):
        self._process = subprocess.Popen([PROGRAMS / "bench_hand_in", mode, str(names)], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True)
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"bench_hand_in {mode} ended with {self._process.wait()}")
        self.seconds, self.each = parse_clients(line)

    def close(self):
        self._process.stdin.close()
        self._process.stdout.close()
        if self._process.wait(60):
            raise AssertionError("bench_hand_in failed")


HAND_INS = [  # row, mode, sockets of one call
    ("usher_hand_in(), one after another", "library", 1),
    ("protocol, one connection for all", "session", 1),
    ("protocol, 64 sockets a packet", "packets", 64),
    ("usher_hand_in(), 8 processes at once", "crowd", 1),
    ("usher_hand_in() and the first connection", "first", 1),
]
FILLS = [
    ("10,000 sockets of 1,000 names, a call each", "fill"),
    ("10,000 sockets of 1,000 names, 1,000 processes at once", "services"),
]


def table_hand_in():
    write_names()
    broker = Usherd().start()
    rounds = 2 if QUICK else 11
    samples = {mode: [] for _, mode, _ in HAND_INS}
    clients("library", NAMES)  # the first time, everything is slower
    no_sockets(broker)
    for number in range(rounds):
        for _, mode, _ in HAND_INS[::-1] if number % 2 else HAND_INS:
            samples[mode].append(clients(mode, NAMES))
            no_sockets(broker)
    for row, mode, sockets in HAND_INS:
        if mode != "first":
            emit("hand-in", row, "sockets per second", "1/s", [NAMES / seconds for seconds, _ in samples[mode]])
        note = {"note": f"times are for one call with {sockets} sockets"} if sockets > 1 else {}
        emit("hand-in", row, "p50", "µs", [percentile(each, 0.5) for _, each in samples[mode]], **note)
        emit("hand-in", row, "p99", "µs", [percentile(each, 0.99) for _, each in samples[mode]], **note)
    for row, mode in FILLS:
        found = {"sockets per second": [], "p50": [], "p99": [], "all": [], "RSS": [], "kernel memory": []}
        for _ in range(1 if QUICK else 5):
            holders = Holders(mode, NAMES)
            assert broker.status()["SOCKETS"] == str(10 * NAMES)
            found["sockets per second"].append(10 * NAMES / holders.seconds)
            found["p50"].append(percentile(holders.each, 0.5))
            found["p99"].append(percentile(holders.each, 0.99))
            found["all"].append(holders.seconds)
            found["RSS"].append(memory(broker, "VmRSS") / MIB)
            found["kernel memory"].append(kernel_memory(broker) / MIB)
            holders.close()
            no_sockets(broker)
        units = {"sockets per second": "1/s", "p50": "µs", "p99": "µs", "all": "s"}
        for column, values in found.items():
            emit("hand-in", row, column, units.get(column, "MiB"), values,
                 note="5 IPv4 and 5 IPv6 listeners for each name")
    end(broker)


# ---- rules

def reload(broker):
    """Run usherctl reload; returns its milliseconds, and those of processor time of the broker."""
    before = processor_seconds(broker)
    begin = time.monotonic()
    host.run(USHERCTL, "reload", timeout=300)
    passed = time.monotonic() - begin
    return passed * 1000, (processor_seconds(broker) - before) * 1000


def use(folder):
    """Have the broker read this folder."""
    beside = FOLDER.with_name("rules.d.new")
    beside.symlink_to(folder)
    os.replace(beside, FOLDER)


def measure_case(case, rounds):
    work = host.WORK / "sets"
    size = rule_sets.quick(case) if QUICK else case
    files = rule_sets.texts(size)
    folders = [rule_sets.write(work / "a", files), rule_sets.write(work / "b", rule_sets.texts(size, 444))]
    name, text = rule_sets.changed(size, files)
    if not QUICK:
        rule_sets.age(*folders)
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    found = {"start": [], "reload, everything": [], "processor, everything": [], "reload, one line": [],
             "processor, one line": [], "peak RSS": [], "RSS": [], "kernel memory": []}
    for number in range(rounds):
        use(folders[0])
        broker = Usherd()
        found["start"].append(start(broker))
        for folder in folders[::-1]:
            use(folder)
            passed, busy = reload(broker)
            found["reload, everything"].append(passed)
            found["processor, everything"].append(busy)
        for line in (text, files[name]):
            host.write_rule(name, line, folders[0])
            passed, busy = reload(broker)
            found["reload, one line"].append(passed)
            found["processor, one line"].append(busy)
        status = broker.status()
        assert (status["MATCHES"], status["RULES"]) == (str(size.matches), str(size.names)), status
        found["peak RSS"].append(memory(broker, "VmHWM") / MIB)
        found["RSS"].append(memory(broker, "VmRSS") / MIB)
        found["kernel memory"].append(kernel_memory(broker) / MIB)
        end(broker)
    for column, values in found.items():
        memory_column = column in ("peak RSS", "RSS", "kernel memory")
        emit("rules", case.row, column, "MiB" if memory_column else "ms", values)
    forget_rules()
    shutil.rmtree(work)


def table_rules():
    for case in rule_sets.CASES:
        say(f"rules: {case.row}")
        measure_case(case, 1 if QUICK else 3 if case.matches >= 1000000 else 5)


def table_compile():
    """A reload of one line, in a program that works as the broker does, with the time of each step."""
    for case in rule_sets.CASES:
        say(f"compile: {case.row}")
        work = host.WORK / "steps"
        size = rule_sets.quick(case) if QUICK else case
        files = rule_sets.texts(size)
        before = rule_sets.write(work / "a", files)
        name, text = rule_sets.changed(size, files)
        after = rule_sets.link(work / "b", before)
        host.write_rule(name, text, after)
        if not QUICK:
            rule_sets.age(before, after)
        done = host.run(PROGRAMS / "bench_compile", 2 if QUICK else 10, before, after, timeout=600)
        for line in done.stdout.splitlines():
            step, *times = line.split()
            emit("compile", case.row, step, "ms", [float(value) for value in times])
        shutil.rmtree(work)


# ---- the broker

def watch(broker, seconds):
    """(wake-ups per minute, processor time in percent) over a period."""
    before, woken, begin = processor_seconds(broker), switches(broker), time.monotonic()
    time.sleep(seconds)
    woken, passed = switches(broker) - woken, time.monotonic() - begin
    return woken * 60 / passed, (processor_seconds(broker) - before) * 100 / passed


def emit_broker(row, broker, measures, **more):
    emit("broker", row, "RSS", "MiB", [memory(broker, "VmRSS") / MIB])
    emit("broker", row, "wake-ups per minute", "1/min", [woken for woken, _ in measures])
    emit("broker", row, "processor", "%", [busy for _, busy in measures], **more)
    emit("broker", row, "kernel memory", "MiB", [kernel_memory(broker) / MIB])


def table_broker():
    seconds = 1 if QUICK else 60
    write_names()
    broker = Usherd().start()
    settle(broker)
    say(f"broker: idle for {seconds} s")
    emit_broker("1,000 names, no socket", broker, [watch(broker, seconds)])
    holders = Holders("services", NAMES)
    settle(broker)
    say(f"broker: idle for {seconds} s with sockets")
    emit_broker("1,000 names, 10,000 sockets of 1,000 processes", broker, [watch(broker, seconds)])
    holders.close()
    no_sockets(broker)

    say("broker: clients")
    rate, seconds = (200, 1) if QUICK else (1000, 20)
    with Service("n0000") as service:
        broker.request("hand-in", [service], NAME="n0000")
        load = Load(("192.0.2.1", 10000), rate=rate)
        measures = [watch(broker, seconds) for _ in range(1 if QUICK else 3)]
        results = load.finish()
        assert set(results) == {(0, "n0000")}, results
        emit_broker("clients connect", broker, measures, note=f"{load.rate:.0f} connections/s, {rate} requested")
    no_sockets(broker)

    say("broker: hand-ins")
    rate = 100
    watched = Child(lambda tell: clients("steady", rate, seconds + 1, NAMES))
    measures = [watch(broker, seconds)]
    watched.result()
    emit_broker("hand-ins at a steady rate", broker, measures, note=f"{rate} hand-ins/s, one socket each")
    end(broker)


def main():
    tables = {"hand-in": table_hand_in, "rules": table_rules, "compile": table_compile, "broker": table_broker}
    host.set_up()
    try:
        for name, run in tables.items():
            if name in (OPTIONS.table or tables):
                say(f"table {name}")
                run()
                forget_rules()
    finally:
        Daemon.end_all()
    return 0


if __name__ == "__main__":
    sys.exit(isolate.run_program(main))

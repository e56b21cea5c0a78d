#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What it costs that a public address and port reach one service, for each way that people use today, side by side.

usage: peers.py [--quick] [--rounds=N] [--seconds=S] [--two-processors] [WAY...]

As root; $USHER_BUILD is the build directory. Everything is in namespaces of its own: ways.py sets up a
server and a client for each way. All of them stay ready while the rounds go from one way to the next, with one measurement
after another, in reverse order every other round. tests/bench/packages lists what they need. A way that the machine cannot
have is left out, with a note.

Prints one line of JSON for each row and column, with the values of all rounds:
  tcp         connections per second: connect, a byte there, a byte back, reset; 64 at a time, and one at a time
  udp         datagrams of 32 bytes that come back, 32 in flight: all in one flow, and each in a flow of its own
  throughput  of one TCP connection, from the server to the client
WAY limits the run to these ways.

Everything runs on one processor, which is never idle, so a figure is all the work that a connection or a datagram causes.
With separate processors for client and server, the side that waits would hide its cost, and most of the time would be the
time to wake the other side up.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))

from harness import isolate  # noqa: E402
from harness.daemon import BUILD, Daemon  # noqa: E402

import ways  # noqa: E402

ROUNDS, SECONDS = 60, 0.12
QUICK = 1, 0.05
BASELINE = {"tcp": "direct", "udp": "empty program", "throughput": "direct"}

# table, protocol, arguments of the load, and its columns: name, unit, function of the load's output
MEASURES = [
    ("tcp", "tcp", ["connections", 64], [
        ("connections/s", "1/s", lambda load: load["done"] / load["seconds"]),
        ("p50", "µs", lambda load: load["p50"] / 1000),
        ("p99", "µs", lambda load: load["p99"] / 1000),
        ("failed", "", lambda load: load["failed"])]),
    ("tcp", "tcp", ["connections", 1], [
        ("p50, one at a time", "µs", lambda load: load["p50"] / 1000),
        ("p99, one at a time", "µs", lambda load: load["p99"] / 1000)]),
    ("udp", "udp", ["requests", 32], [
        ("one flow", "1/s", lambda load: load["done"] / load["seconds"]),
        ("lost, one flow", "", lambda load: load["failed"])]),
    ("udp", "udp", ["requests", 32, ways.FIRST_SOURCE, ways.N_SOURCES], [
        ("a flow each", "1/s", lambda load: load["done"] / load["seconds"]),
        ("lost, a flow each", "", lambda load: load["failed"])]),
    ("throughput", "tcp", ["stream"], [
        ("throughput", "Gbit/s", lambda load: load["done"] * 8 / load["seconds"] / 1e9)]),
]


def say(**line):
    print(json.dumps(line, ensure_ascii=False), flush=True)


def complain(text):
    print(f"peers.py: {text}", file=sys.stderr, flush=True)


def set_up(wanted):
    """Set up the ways that this machine can have. The others get a note in the tables."""
    found = []
    for kind in ways.WAYS:
        if wanted and kind.name not in wanted:
            continue
        try:
            found.append(kind())
        except ways.Missing as reason:
            complain(f"{kind.name}: {reason}")
            for table in dict.fromkeys(measure[0] for measure in MEASURES if measure[1] in kind.protocols):
                say(table=table, row=kind.name, note=str(reason))
    return found


def note_what_was_seen(found, client, server):
    """Notes about what the figures do not show."""
    where = "client and server share one processor" if client == server else "client and server each have a processor"
    versions = [f"{package} {version}" for package, version in map(ways.version, ways.PACKAGES) if version]
    say(table="tcp", note=f"{where}; {', '.join(versions)}")
    for way in found:
        for table, note in way.notes.items():
            say(table=table, note=note)
    saw = {True: [], False: []}
    for way in found:
        for protocol in way.protocols:
            way.is_right(protocol)
        if "tcp" in way.protocols:
            saw[way.ask("tcp").peer == ways.CLIENT].append(way.name)
    say(table="tcp", note=f"the service sees the client's address with {', '.join(saw[True]) or 'none'}; "
                          f"the proxy's with {', '.join(saw[False]) or 'none'}")


def measure(way, words, seconds, processor):
    """Run the load once; returns its output."""
    kind, *rest = words
    with way.client.entered():
        done = subprocess.run(
            [str(word) for word in (BUILD / "tests/bench/load", kind, ways.PUBLIC, ways.PORT, seconds, *rest)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds + 60,
            preexec_fn=lambda: os.sched_setaffinity(0, {processor}))
    if done.returncode:
        raise AssertionError(f"{way.name}: {done.stderr.strip()}\n{way.log()}")
    outcome = json.loads(done.stdout)
    assert outcome["done"], f"{way.name}: no result of {kind}\n{way.log()}"
    return outcome


def check_counts(way, before, answered):
    """Check that the answered packets went this way."""
    for protocol, count in before.items():
        rise = way.count(protocol) - count
        least = answered.get(protocol, 0) if way.counts == "packets" or protocol == "tcp" else 1
        assert rise >= least, f"{way.name}: {rise} counted, {least} answered"


def main(options):
    *others, processor = sorted(os.sched_getaffinity(0))
    client = others[0] if options.two_processors else processor
    os.sched_setaffinity(0, [processor])  # with everything that it starts for the server
    found = set_up(options.ways)
    values = {}
    answered = {way: {} for way in found}
    before = {way: {protocol: way.count(protocol) for protocol in way.protocols} for way in found if way.counts}
    for number in range(options.rounds):
        for index, (_, protocol, words, columns) in enumerate(MEASURES):
            for way in found if number % 2 == 0 else reversed(found):
                if protocol not in way.protocols:
                    continue
                outcome = measure(way, words, options.seconds, client)
                if words[0] != "stream":
                    answered[way][protocol] = answered[way].get(protocol, 0) + outcome["done"]
                for name, _, function in columns:
                    values.setdefault((index, name, way), []).append(round(function(outcome), 3))
        complain(f"round {number + 1} of {options.rounds}")
    for way in found:
        if way.counts:
            check_counts(way, before[way], answered[way])
    note_what_was_seen(found, client, processor)
    for index, (table, protocol, _, columns) in enumerate(MEASURES):
        for way in found:
            for name, unit, _ in columns:
                if protocol in way.protocols:
                    compared = {"baseline_row": BASELINE[table]} if unit else {}  # not the lost ones: there should be none
                    say(table=table, row=way.name, column=name, unit=unit, values=values[index, name, way], **compared)
    complaints = Daemon.end_all()
    assert not complaints, complaints
    return 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK") == "1", help="one short round")
    parser.add_argument("--rounds", type=int, help=f"default {ROUNDS}")
    parser.add_argument("--seconds", type=float, help=f"of each measure of each way in each round, default {SECONDS}")
    parser.add_argument("--two-processors", action="store_true", help="the client has one of its own")
    parser.add_argument("ways", nargs="*", metavar="WAY", help=", ".join(kind.name for kind in ways.WAYS))
    options = parser.parse_args()
    rounds, seconds = QUICK if options.quick else (ROUNDS, SECONDS)
    options.rounds, options.seconds = options.rounds or rounds, options.seconds or seconds
    if options.two_processors and len(os.sched_getaffinity(0)) < 2:
        parser.error("there is one processor")
    unknown = set(options.ways) - {kind.name for kind in ways.WAYS}
    if unknown:
        parser.error(f"no way {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    parsed = parse()
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    sys.exit(isolate.run_program(lambda: main(parsed)))

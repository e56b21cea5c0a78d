#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a relay costs: usher-relay beside systemd-socket-proxyd, HAProxy and nginx, in one run.

usage: relays.py [--quick] [--rounds=N] [--seconds=S] [WAY...]

As root; $USHER_BUILD is the build directory. The ways, and the service behind them, are those of peers.py: the same
network namespaces, and the same service on a private address. All stay ready while the rounds go from one to the next, in
reverse order every other round, so that a busy machine is busy for all. A way that the machine cannot have is left out.

Prints one line of JSON for each way and column, with the values of all rounds, and a table of the medians with the median
of the ratios to "direct" within a round:
  bulk         Gbit/s of one connection, from the service to the client
  relay CPU    seconds of the relay for each GB of that
  connections  for each second: connect, a byte there, a byte back, reset; 1, 100 and 1000 at a time
  ping         µs of a byte there and back on an open connection; the median of a thousand
  idle         kB of the relay and descriptors for each of 500 connections that do nothing
"""

import argparse
import json
import os
import pathlib
import socket
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))

from harness import isolate  # noqa: E402
from harness.daemon import BUILD, SOURCE  # noqa: E402
from harness.host import write_rule  # noqa: E402
from harness.relay import relay_rule  # noqa: E402

import ways  # noqa: E402
from peers import complain, measure, say  # noqa: E402

ROUNDS, SECONDS = 20, 0.3
QUICK = 1, 0.05
AT_ONCE = (1, 100, 1000)
PINGS, IDLE = 1000, 500


class UsherRelay(ways.Proxy):
    """With the listening socket that a socket unit would pass to it"""

    name = "usher-relay"
    protocols = ("tcp",)

    def set_up(self):
        write_rule("bench", relay_rule(f"Connect={ways.LOOPBACK}:{ways.PORT}"))
        self.spawn(SOURCE / "examples/with-socket", "bench", f"{ways.PUBLIC}:{ways.PORT}", "--",
                   BUILD / "src/relay/usher-relay", "bench")


WAYS = [ways.Direct, UsherRelay, ways.SocketProxyd, ways.Haproxy, ways.Nginx]


def relay_processes(way):
    """The pids of what was started before the service, and of its children"""
    pids = [process.pid for process in way.processes[:-1]]
    for pid in list(pids):
        pids += map(int, pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return pids


def spent(way):
    """Seconds of all threads of the relay"""
    total = 0
    for pid in relay_processes(way):
        for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
            total += int(path.read_text().split()[0])
    return total / 1e9


def held(way):
    """kB and descriptors of the relay"""
    memory = descriptors = 0
    for pid in relay_processes(way):
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        memory += int(status.split("RssAnon:")[1].split()[0])
        descriptors += len(os.listdir(f"/proc/{pid}/fd"))
    return memory, descriptors


def connect(way):
    with way.client.entered():
        client = socket.create_connection((ways.PUBLIC, ways.PORT), timeout=60)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def measure_bulk(way, seconds, processor):
    before = spent(way)
    load = measure(way, ["stream"], seconds, processor)
    yield "bulk", load["done"] * 8 / load["seconds"] / 1e9
    yield "relay CPU", (spent(way) - before) / (load["done"] / 1e9)


def measure_connections(way, seconds, processor):
    for n in AT_ONCE:
        load = measure(way, ["connections", n], seconds, processor)
        yield f"connections, {n} at a time", load["done"] / load["seconds"]


def measure_ping(way, seconds, processor):
    times = []
    with connect(way) as client:
        for _ in range(PINGS):
            start = time.perf_counter()
            client.send(b"w")
            client.recv(100)
            times.append(time.perf_counter() - start)
    yield "ping", statistics.median(times) * 1e6


def measure_idle(way, seconds, processor):
    memory, descriptors = held(way)
    clients = [connect(way) for _ in range(IDLE)]
    for client in clients:
        client.send(b"w")
        client.recv(100)
    more_memory, more_descriptors = held(way)
    for client in clients:
        client.close()
    yield "idle, kB", (more_memory - memory) / IDLE
    yield "idle, descriptors", (more_descriptors - descriptors) / IDLE


def set_up(wanted):
    found = []
    for kind in WAYS:
        if wanted and kind.name not in wanted:
            continue
        try:
            found.append(kind())
        except ways.Missing as reason:
            complain(f"{kind.name}: {reason}")
            say(table="relays", row=kind.name, note=str(reason))
    return found


def show(found, values):
    columns = list(dict.fromkeys(column for _, column in values))
    print(f"\n{'':28}" + "".join(f"{way.name:>24}" for way in found))
    for column in columns:
        cells = []
        for way in found:
            mine, direct = values.get((way.name, column)), values.get(("direct", column))
            if not mine:
                cells.append("-")
                continue
            text = f"{statistics.median(mine):.3g}"
            if direct and all(direct):
                text += f" (x{statistics.median(a / b for a, b in zip(mine, direct)):.2f})"
            cells.append(text)
        print(f"{column:28}" + "".join(f"{cell:>24}" for cell in cells))


def main(options):
    processor = max(os.sched_getaffinity(0))
    found, values = set_up(options.ways), {}
    for number in range(options.rounds):
        for function in measure_idle, measure_bulk, measure_connections, measure_ping:
            if function is measure_idle and number:  # memory that is free again would be used
                continue
            for way in found if number % 2 == 0 else reversed(found):
                if way.name == "direct" and function is measure_idle:
                    continue
                for column, value in function(way, options.seconds, processor):
                    if way.name != "direct" or column != "relay CPU":
                        values.setdefault((way.name, column), []).append(value)
    for (row, column), numbers in values.items():
        say(table="relays", row=row, column=column, values=numbers)
    show(found, values)
    return 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, help=f"default {ROUNDS}")
    parser.add_argument("--seconds", type=float, help=f"of each measure of each way in each round, default {SECONDS}")
    parser.add_argument("ways", nargs="*", metavar="WAY", help=", ".join(kind.name for kind in WAYS))
    options = parser.parse_args()
    rounds, seconds = QUICK if options.quick else (ROUNDS, SECONDS)
    options.rounds = options.rounds or rounds
    options.seconds = options.seconds or seconds
    return options


if __name__ == "__main__":
    parsed = parse()
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    sys.exit(isolate.run_program(lambda: main(parsed)))

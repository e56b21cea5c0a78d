# SPDX-License-Identifier: BSD-3-Clause
"""Rule sets of any size, for benchmarks: the matches of a case, spread over its names, one on each line.

Every name has its own share of the prefixes, and neighbours belong to different names, so that nothing can be merged. If
the prefixes are in one /8, they are 16 addresses apart with lengths of 29 to 32, so that none touches the next. If they
are mixed, half are IPv4 and half IPv6, of every length from /9 and /33 on, nested, for a port, a range or every port, TCP
and UDP.
"""

import collections
import ipaddress
import pathlib
import random
import time

Case = collections.namedtuple("Case", "row matches names mixed")

CASES = [
    Case("1 match", 1, 1, False),
    Case("1,000 matches, 1 name", 1000, 1, False),
    Case("1,000 matches, 1,000 names", 1000, 1000, False),
    Case("10,000 matches, 1 name", 10000, 1, False),
    Case("10,000 matches, 1,000 names", 10000, 1000, False),
    Case("100,000 matches, 1 name", 100000, 1, False),
    Case("100,000 matches, 1,000 names", 100000, 1000, False),
    Case("100,000 matches, 1,000 names, mixed", 100000, 1000, True),
    Case("1,000,000 prefixes, 1 name", 1000000, 1, False),
]


def quick(case):
    """A small part of a case, for a quick run."""
    names = min(10, case.names)
    return case._replace(matches=max(names, case.matches // 1000), names=names)


def _in_one_network(number):
    """Prefix number n of 10.0.0.0/8."""
    address = number * 16
    return f"10.{address >> 16}.{address >> 8 & 255}.{address & 255}/{29 + number % 4}"


def _mixed(n):
    """n different prefixes of both families."""
    chance, found = random.Random(6), {}
    while len(found) < n:
        if len(found) % 2:
            length = chance.choice([*range(33, 65), 48, 48, 56, 64, 128])
            bits, prefix = 128, f"[%s/{length}]"
            address = 0x20010db8 << 96 | chance.getrandbits(96)
        else:
            length = chance.choice([*range(9, 33), 16, 24, 24, 24, 32])
            bits, prefix = 32, f"%s/{length}"
            address = chance.getrandbits(32) % (223 << 24) + (1 << 24)
        address = address >> bits - length << bits - length
        kind = ipaddress.IPv6Address if bits == 128 else ipaddress.IPv4Address
        found[prefix % kind(address)] = None
    return list(found)


def _lines(case, port):
    if not case.mixed:
        return [f"Stream={_in_one_network(number)}:{port}" for number in range(case.matches)]
    ports = [port] * 12 + [f"{port + 1000}-{port + 1099}"] * 3 + ["*"]
    return [f"{'Datagram' if number % 8 == 7 else 'Stream'}={prefix}:{ports[number % len(ports)]}"
            for number, prefix in enumerate(_mixed(case.matches))]


def texts(case, port=443):
    """{name: text of its rule file}. With another port, every match changes, but the size does not."""
    lines = _lines(case, port)
    return {f"n{number:04}": "\n".join(["[Rule]", *lines[number::case.names], ""]) for number in range(case.names)}


def changed(case, files):
    """(name, text) of a file with another match in its middle."""
    name = f"n{case.names // 2:04}"
    lines = files[name].splitlines()
    lines[(len(lines) + 1) // 2] = "Stream=10.255.255.240/29:443"
    return name, "\n".join([*lines, ""])


def write(folder, files):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / f"{name}.rule").write_text(text)
    return folder


def link(folder, other):
    """Link the files of another folder into this one."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    for path in other.iterdir():
        (folder / path.name).hardlink_to(path)
    return folder


def age(*folders):
    """Wait until the files are old enough that the broker does not read unchanged ones again (src/rule/file.h)."""
    newest = max(path.stat().st_ctime for folder in folders for path in folder.iterdir())
    while time.time() < newest + 2.5:
        time.sleep(0.1)

# SPDX-License-Identifier: BSD-3-Clause
"""Listen=kernel: its maps, and what the program of usher-discover does to them"""

import struct

from . import bpf
from .daemon import PROGRAMS
from .host import run

AF = {2: "ipv4", 10: "ipv6"}


def let_in(running, service, name="web", family="ipv4", silent=False):
    """Put the socket of a service into the seat of a name; with `silent`, without a record in the ring buffer."""
    run(PROGRAMS / "let_in", PROGRAMS / "listened.bpf.o", running.pins, name, family, service.fileno(),
        *["silent"] * silent, pass_fds=[service.fileno()])


def held_early(running):
    """The cookies in the map itself."""
    dump = bpf.bpftool("map", "dump", "pinned", running.pins / "early")
    values = [entry["value"] for entry in dump if "error" not in str(entry["value"])]
    return [f"{int.from_bytes(bytes(int(byte, 16) for byte in value), 'little'):x}" for value in values]


def seats(running):
    """{number: (name, family)} of the seats in use."""
    found = {}
    for entry in bpf.bpftool("map", "dump", "pinned", running.pins / "seats"):
        key, value = (bytes(int(byte, 16) for byte in entry[part]) for part in ("key", "value"))
        if value[8]:
            found[int.from_bytes(key, "little")] = value[16:].split(b"\0")[0].decode(), AF[value[9]]
    return found


def early_rules(running):
    """{(family, address or None, port): (seat, seat of IPv4, uids, unit)} with seats as (name, family)."""
    found, names = {}, {0: None, **seats(running)}
    for entry in bpf.bpftool("map", "dump", "pinned", running.pins / "early_rules"):
        key, value = (bytes(int(byte, 16) for byte in entry[part]) for part in ("key", "value"))
        family, any_address, port = struct.unpack("=BBH", key[:4])
        address = None if any_address else key[4:8] if AF[family] == "ipv4" else key[4:]
        seat, seat_ipv4, n_uids, *uids = struct.unpack("=3I8I", value[:44])
        found[AF[family], address, port] = (
            names[seat], names[seat_ipv4], uids[:n_uids], value[48:].split(b"\0")[0].decode())
    return found

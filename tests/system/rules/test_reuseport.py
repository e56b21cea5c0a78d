# SPDX-License-Identifier: BSD-3-Clause
"""SO_REUSEPORT groups: after a member is selected, the group chooses among its own.

Members that close while others live, connected members, and programs of the group.
"""

import ctypes
import os
import socket

import pytest

from harness.bpf import BPFTOOL
from harness.broker import ctl_json
from harness.daemon import PROGRAMS
from harness.host import V4, V6, run
from harness.process import libc
from harness.service import Service, make_socket
from harness.traffic import REFUSED, who
from harness.wire import hand_in

pytestmark = pytest.mark.vm

BOTH = ["Stream=80", "Datagram=80"]
SO_ATTACH_REUSEPORT_EBPF, BPF_OBJ_GET = 52, 7


@pytest.mark.parametrize("member", [0, 1])
def test_reuseport(broker, member):
    """If one member of a group is handed in, the whole group serves. When that member closes, the entry is removed although
    others live: a service that wants more has to hand in more members."""
    broker(web=BOTH)
    group = [Service(f"member{i}", reuseport=True) for i in range(2)]
    hand_in("web", group[member])
    seen = {who(V4, 80) for _ in range(60)}
    assert seen == {"member0", "member1"}, "the kernel spreads over the group"
    group[member].close()
    assert who(V4, 80) == REFUSED
    hand_in("web", group[1 - member])
    assert who(V4, 80) == f"member{1 - member}"


def test_reuseport_both_members(broker):
    """If both members are handed in, the second place takes over when the first closes."""
    broker(web=BOTH)
    first, second = [Service(f"member{i}", reuseport=True) for i in range(2)]
    hand_in("web", first, second)
    first.close()
    assert {who(V4, 80) for _ in range(20)} == {"member1"}


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("address", ["127.0.0.2", "fd00:1::2"])
def test_members_serve_together(broker, protocol, address):
    """list and explain say so: of the group that serves no member stands by. A socket of its own does, and so does a group
    after a newer hand-in."""
    running = broker(web=BOTH)
    group = [Service(f"member{i}", protocol, address, 8080, reuseport=True) for i in range(3)]
    with Service("old", protocol, address, 8079, reuseport=True) as old:
        hand_in("web", old)
        hand_in("web", *group)
        assert [row["STATE"] for row in running.sockets("web")] == ["serving"] * 3 + ["standby"]
        assert [row["state"] for row in ctl_json("list", "web") if row["state"] != "missing"] == ["serving"] * 3 + ["standby"]
        with Service("new", protocol, address, 8078) as new:
            hand_in("web", new)
            assert [row["STATE"] for row in running.sockets("web")] == ["serving"] + ["standby"] * 4
    for member in group:
        member.close()


def test_reuseport_udp_with_a_connected_member(broker):
    """A connected UDP member of the group gets no datagrams from others."""
    broker(web=BOTH)
    with Service("member", "udp", reuseport=True) as member:
        connected = make_socket("udp", "127.0.0.2", 8080, reuseport=True)
        connected.connect(("127.0.0.9", 9))
        hand_in("web", member)
        assert {who(V4, 80, "udp") for _ in range(20)} == {"member"}


def open_pin(path):
    name = ctypes.create_string_buffer(str(path).encode())
    attributes = (ctypes.c_uint64 * 4)(ctypes.addressof(name))
    return libc("syscall", {"x86_64": 321, "aarch64": 280}[os.uname().machine], BPF_OBJ_GET, attributes, 32)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("address, target", [("127.0.0.2", V4), ("fd00:1::2", V6)])
def test_program_of_the_group_drops(broker, protocol, address, target):
    """The group's own program decides last. There is no fallback to another place."""
    broker(web=BOTH)
    run(BPFTOOL, "prog", "loadall", PROGRAMS / "foreign.bpf.o", "/sys/fs/bpf/foreign")
    with Service("old", protocol, address, 8079) as old, Service("group", protocol, address, 8080, reuseport=True) as group:
        hand_in("web", old)
        hand_in("web", group)
        assert who(target, 80, protocol) == "group"
        program = open_pin("/sys/fs/bpf/foreign/drop_all")
        group.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, program)
        assert who(target, 80, protocol) == REFUSED
        group.close()
        assert who(target, 80, protocol) == "old"

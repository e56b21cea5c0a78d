# SPDX-License-Identifier: BSD-3-Clause
"""BPF programs before the packet filters (XDP) and between the lookup and the socket (cgroups), which others attach.
tests/systemd/test_admission.py has those of systemd."""

import contextlib
import os
import pathlib

import pytest

from harness import wire
from harness.broken import serving
from harness.daemon import PROGRAMS
from harness.discover import CGROUP, mount_cgroup2
from harness.explained import Explained
from harness.host import CLIENT_V4, run
from harness.process import MOMENT, PATIENCE
from harness.service import Service
from harness.traffic import SILENCE, who

from says import Explain, note, setup

PACKET = "tcp 192.0.2.1:80"
PINS = "/sys/fs/bpf/filters"


@pytest.fixture
def programs():
    """The programs of filters.bpf.o, pinned"""
    run("bpftool", "prog", "loadall", PROGRAMS / "filters.bpf.o", PINS)
    yield {path.name: path for path in pathlib.Path(PINS).iterdir()}


@pytest.fixture
def cgroup():
    mount_cgroup2()
    folder = CGROUP / f"usher-guard-{os.getpid()}-{os.urandom(4).hex()}"
    folder.mkdir()
    yield folder
    with contextlib.suppress(FileNotFoundError):
        folder.rmdir()


@contextlib.contextmanager
def inside(folder):
    """This process in a cgroup: sockets that it creates belong to it."""
    (folder / "cgroup.procs").write_text("0")
    try:
        yield
    finally:
        (CGROUP / "cgroup.procs").write_text("0")


def meets(expected, client):
    assert who("192.0.2.1", 80, netns=client, seconds=MOMENT if expected == SILENCE else PATIENCE) == expected


@setup
def test_xdp(broker, client, programs):
    broker(web="Stream=192.0.2.0/24:80")
    with serving("web"):
        run("bpftool", "net", "attach", "xdpgeneric", "pinned", programs["at_device"], "dev", "usher0")
        meets(SILENCE, client)
        yield Explain(PACKET, None, note("not-looked-at:xdp", device="usher0"), status=4)
        assert "xdp" in run(*Explained(*PACKET.split()).codes["not-looked-at"]["command"].split()).stdout
        run("bpftool", "net", "detach", "xdpgeneric", "dev", "usher0")
        meets("web", client)
        yield Explain(PACKET, None, status=0)


@setup
def test_cgroup(broker, client, programs, cgroup):
    """A program of somebody at the cgroup of the socket; after that is gone, there is still the program."""
    broker(web="Stream=192.0.2.0/24:80")
    with inside(cgroup):
        service = Service("web")
    with service:
        wire.hand_in("web", service)
        meets("web", client)
        yield Explain(PACKET, None, status=0)
        run("bpftool", "cgroup", "attach", cgroup, "cgroup_inet_ingress", "pinned", programs["at_cgroup"])
        meets(SILENCE, client)
        yield Explain(PACKET, None, note("not-looked-at:cgroup", program="at_cgroup"), status=4)
        command = Explained(*PACKET.split()).codes["not-looked-at"]["command"].split()
        assert "at_cgroup" in run(*command).stdout
        cgroup.rmdir()
        meets(SILENCE, client)
        yield Explain(PACKET, None, note("not-looked-at:gone"), status=4)


@setup
def test_cgroup_of_another(broker, client, programs, cgroup):
    """A program at another cgroup than that of the socket"""
    broker(web="Stream=192.0.2.0/24:80")
    run("bpftool", "cgroup", "attach", cgroup, "cgroup_inet_ingress", "pinned", programs["at_cgroup"])
    with serving("web"):
        meets("web", client)
        yield Explain(PACKET, None, status=0)
        assert Explained(*PACKET.split(), "--from", f"{CLIENT_V4}:4000", "--device", "usher0").code == 0

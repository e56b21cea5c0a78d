# SPDX-License-Identifier: BSD-3-Clause
"""The broker needs CAP_BPF and CAP_NET_ADMIN, and no other capability. Only its loader keeps them.

Without CAP_PERFMON, the verifier checks the program more strictly, as that of an untrusted loader.
"""

import os
import pathlib
import signal

import pytest

from harness import wire
from harness.service import Service
from harness.traffic import REFUSED, who

pytestmark = pytest.mark.vm


TWO = 1 << 39 | 1 << 12  # CAP_BPF, CAP_NET_ADMIN


def capabilities(pid):
    """The sets of a process but the bounding set."""
    pairs = [line.split() for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
             if line.startswith("Cap")]
    return {name.rstrip(":"): int(value, 16) for name, value in pairs if name != "CapBnd:"}


def processes(usherd):
    """{pid: name} of the broker and all its descendants."""
    found, todo = {}, [usherd.pid]
    while todo:
        pid = todo.pop()
        found[pid] = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
        todo += [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return found


def loader_of(usherd):
    pid, = [pid for pid, name in processes(usherd).items() if name == "usherd-loader"]
    return pid


def test_parsers_have_no_capability(broker):
    """Started as root with everything, the broker keeps nothing, before and after a reload; only its loader has two."""
    running = broker(web="Stream=192.0.2.0/24:80")
    with Service("web") as service:
        wire.hand_in("web", service)
        running.reload()
        names = processes(running)
        assert {"usherd", "usherd-loader", "usherd-nursery", "usherd-worker"} <= set(names.values())
        for pid, name in names.items():
            wanted = TWO if name == "usherd-loader" else 0
            assert capabilities(pid) == {"CapInh": 0, "CapPrm": wanted, "CapEff": wanted, "CapAmb": 0}, name
        assert who("192.0.2.1", 80) == "web"


def test_loader_has_no_descriptor_of_others(usherd, rules):
    """Nothing that the broker has is open in the loader, so it is never the last one to have a client's socket."""
    rules(web="Stream=192.0.2.0/24:80")
    usherd.start()
    with Service("web") as service:
        wire.hand_in("web", service)
        wire.request("hold", [service], NAME="web")
        usherd.reload()
        folder = pathlib.Path(f"/proc/{loader_of(usherd)}/fd")
        targets = {int(path.name): os.readlink(path) for path in folder.iterdir()}
        assert set(targets) == {0, 1, 2, 3}, targets  # three standard ones, and its channel


def test_loader_ends(usherd, rules):
    """Without its loader, the broker cannot reload: it ends, so that it is started anew. Dispatch goes on."""
    rules(web="Stream=192.0.2.0/24:80")
    usherd.start()
    with Service("web") as service:
        wire.hand_in("web", service)
        os.kill(loader_of(usherd), signal.SIGKILL)
        assert usherd.wait() == 71
        assert "the event loop failed (ECHILD)" in usherd.log
        assert who("192.0.2.1", 80) == "web"
        usherd.start()
        usherd.reload()
        assert who("192.0.2.1", 80) == "web"


@pytest.mark.parametrize("rule", ["Stream=80", "Stream=192.0.2.0/24:80 [2001:db8::/48]:80"])
def test_two_capabilities(usherd, rules, rule):
    rules(web=rule)
    usherd.start(prefix=["setpriv", "--bounding-set=-all,+bpf,+net_admin"])
    for private, public in (("127.0.0.2", "192.0.2.1"), ("fd00:1::2", "2001:db8::1")):
        with Service("first", "tcp", private, 8080) as first:
            wire.hand_in("web", first)
            with Service("second", "tcp", private, 8081) as second:
                wire.hand_in("web", second)
                assert who(public, 80) == "second"
            assert who(public, 80) == "first", "the next place"
        assert who(public, 80) == REFUSED


def test_everything_with_two_capabilities(usherd, rules):
    rules(web="Stream=192.0.2.0/24:80")
    usherd.start(prefix=["setpriv", "--bounding-set", "-all,+bpf,+net_admin", "--inh-caps", "-all", "--no-new-privs"])
    assert capabilities(loader_of(usherd)) == {"CapInh": 0, "CapPrm": TWO, "CapEff": TWO, "CapAmb": 0}
    with Service("web") as service:
        wire.hand_in("web", service)
        wire.request("hold", [service], NAME="web")
        assert who("192.0.2.1", 80) == "web"
        assert len(wire.request("claim", NAME="web").fds) == 1
        usherd.reload()
        assert usherd.sockets()[0]["PID"] == str(os.getpid())
        usherd.request("detach")
        usherd.wait()
        assert who("192.0.2.1", 80) == REFUSED

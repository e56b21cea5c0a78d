# SPDX-License-Identifier: BSD-3-Clause
"""Broken set-ups of host and broker: explain and doctor name the cause and the remedy.

Each set-up is real, a client tries it, and the test runs usherctl as an administrator does. `pytest -rP` shows the output.
"""

import os
import pathlib
import re

import pytest

from harness import bpf, wire
from harness.broken import UNREACHABLE, ask, attach, serving
from harness.broker import Usherd, ctl
from harness.diagnosed import Diagnosed
from harness.discover import Discover
from harness.host import NOBODY, Netns, ip, rule, run, write_rule
from harness.isolate import MNT_DETACH, MS_RDONLY, MS_REMOUNT, mount
from harness.process import libc
from harness.service import Service, ServiceProcess
from harness.traffic import REFUSED

from says import Doctor, Explain, Fails, fail, info, note, setup, skip, warn

WEB = "tcp 192.0.2.1:80"
PINS = pathlib.Path("/sys/fs/bpf/usher")
SOME = re.compile(r"[1-9]\d*")


# ---- routes

@pytest.mark.parametrize("match, packet, prefix, checked", [
    ("203.0.113.0/24:80", "tcp 203.0.113.9:80", "203.0.113.0/24", True),
    ("80", "tcp 203.0.113.9:80", "203.0.113.9/32", False),
    ("0.0.0.0/1:80", "tcp 10.0.0.9:80", "10.0.0.9/32", False),
    ("10.9.8.7:80", "tcp 10.9.8.7:80", "10.9.8.7/32", True),
    ("[2001:db8:77::/48]:80", "tcp [2001:db8:77::1]:80", "2001:db8:77::/48", True),
])
@setup
def test_no_route(broker, match, packet, prefix, checked):
    """The address is not local: the remedy is the command that makes it local, for the whole prefix unless that is wide."""
    broker(web=f"Stream={match}")
    address = packet.split()[1].removesuffix(":80").strip("[]")
    with serving("web", address="::1" if "[" in packet else "127.0.0.2"):
        key = "no-route" if prefix.endswith(("/32", "/128")) else "no-route:prefix"
        yield Explain(packet, UNREACHABLE, fail(key, address=address, prefix=prefix, bits=32),
                      says=("no-route", {"address": address}))
        yield Doctor(*[warn("routes", prefix=prefix)] * checked)
        run("ip", "route", "add", "local", prefix, "dev", "lo")
        yield Explain(packet, "web")
        yield Doctor()


@setup
def test_routed_elsewhere(broker, client):
    """The address is routed to another host. For a subnet of this host, one local address is enough."""
    ip("route add 203.0.113.128/25 via 203.0.113.2")
    broker(web="Stream=203.0.113.128/25:80", near="Stream=203.0.113.0/24:81")
    with serving("web"), Service("near", port=8081) as near:
        wire.hand_in("near", near)
        yield Explain("tcp 203.0.113.129:80", None, fail("no-route:elsewhere", prefix="203.0.113.128/25",
                                                             taken="the network 203.0.113.0/24 of usher0"), route="elsewhere",
                      status=1)
        yield Doctor(warn("routes:elsewhere", prefix="203.0.113.128/25"))


@setup
def test_no_host(broker, client):
    """Addresses that have a route but no host: a black hole, broadcast, multicast."""
    broker()
    ip("route add blackhole 198.18.0.0/15")
    yield Explain("tcp 198.18.0.1:80", None, fail("no-route"), fail("no-listener"), route="none", status=1)
    yield Explain("tcp 203.0.113.1:80", None, fail("no-listener"), route="local", status=1)
    for address, what in (("203.0.113.255", "broadcast"), ("224.0.0.251", "multicast"), ("[ff02::fb]", "multicast")):
        yield Explain(f"udp {address}:53", None, fail("multicast", what=what), fail("no-listener:multicast"),
                      says=("multicast", {"what": what}), status=1)


# ---- other programs

@pytest.fixture
def foreign():
    with Service("foreign", address="127.0.0.9", port=9999) as service:
        yield service.socket


@setup
def test_foreign_program_first(broker, foreign):
    """An sk_lookup program chooses before usher's program runs: EEXIST."""
    attach("redirect", foreign)
    running = broker(web="Stream=80")
    if "PROGRAMS" not in running.status():
        pytest.skip("machine: this kernel does not tell how many programs there are")
    with serving("web"):
        yield Explain(WEB, "foreign", note("programs"), programs=2)
        yield Explain(WEB, "foreign", warn("programs:first", n=1))
        yield Doctor(warn("programs", n=SOME))


@setup
def test_foreign_program_after(broker, foreign):
    """An sk_lookup program replaces the choice of usher's program."""
    broker(web="Stream=80")
    with serving("web"):
        attach("replace", foreign)
        yield Explain(WEB, "foreign", note("programs"))
        yield Doctor(warn("programs", n=0))


@setup
def test_two_instances(broker):
    """Both have a rule and a socket for the port: the instance that started first gets the packets."""
    other = Usherd("blue")
    write_rule("web", rule("Stream=80"), other.run_dir / "rules.d")
    other.start()
    broker(web="Stream=80")
    with Service("blue", port=8081) as blue, serving("web"):
        wire.request("hand-in", [blue], other.socket, NAME="web")
        assert ask(WEB) == "blue"
        yield Explain(WEB, "blue", warn("programs:first", n=1))
        yield Doctor(warn("programs", n=SOME), info("instances", instance="blue"))


# ---- the broker

@setup
def test_link_detached(broker):
    """Somebody detached the link, with bpftool for instance; a reload attaches it again."""
    broker(web="Stream=80")
    with serving("web"):
        run(bpf.BPFTOOL, "link", "detach", "id", bpf.links()[0]["id"])
        yield Explain(WEB, REFUSED, fail("detached"), fail("no-listener:detached"), says=("detached", {}), attached=False)
        yield Doctor(fail("dispatch"))
        ctl("reload")
        yield Explain(WEB, "web")
        yield Doctor()


@setup
def test_broker_killed(broker):
    """Clients are served, but changes go unnoticed. After detach, nothing is dispatched."""
    running = broker(web="Stream=80")
    with serving("web"):
        running.kill()
        assert ask(WEB) == "web"
        yield Fails(3, "absent", "explain", *WEB.split(), values={"packet": WEB})
        yield Doctor(fail("answer"), warn("pins:absent"))
        ctl("detach")
        yield Fails(3, "absent:nothing", "explain", *WEB.split(), values={"packet": WEB})


@setup
def test_no_broker(rules):
    """The broker has never run."""
    rules(web="Stream=192.0.2.0/24:80")
    assert ask(WEB) == REFUSED
    yield Fails(3, "absent:nothing", "explain", *WEB.split(), values={"packet": WEB})
    yield Doctor(fail("answer"))


@setup
def test_broker_hangs(broker):
    """The broker is stopped or overloaded: no verb waits longer than --timeout."""
    running = broker(web="Stream=80")
    running.pause()
    yield Fails(1, "late", "--timeout", "1", "explain", *WEB.split())
    yield Doctor(fail("answer:late"), warn("pins:absent"), front=["--timeout", "1"])
    running.resume()


@setup
def test_other_namespace(broker):
    """usherctl runs in the network namespace of a container, and the broker serves that of the host: listeners in one do not
    matter in the other."""
    running = broker(web="Stream=80", soft=rule("Stream=81", Missing="pass"))
    elsewhere = Netns()
    with serving("web"):
        with elsewhere.entered():
            other = Service("elsewhere", address="0.0.0.0", port=81)
        with other:
            yield Explain(WEB, None, warn("namespace", pid=running.pid, packet=WEB), namespace=elsewhere, route="unknown",
                          listeners=[])
            yield Explain("tcp 192.0.2.1:81", None, warn("namespace"), warn("missing", name="soft"), namespace=elsewhere,
                          says=("passed:unknown", {"name": "soft"}), listeners=[], status=4)
            yield Doctor(warn("namespace", pid=running.pid), skip("routes:skipped"), skip("bypassed:skipped"),
                         skip("listening:skipped"), skip("mptcp:skipped"), namespace=elsewhere)


@setup
def test_instance():
    """explain compares the files of the broker that answers, whichever socket it was asked on."""
    usherd = Usherd("b")
    write_rule("web", rule("Stream=80"), "/run/usher-b/rules.d")
    usherd.start()
    with Service("web") as service:
        wire.request("hand-in", [service], usherd.socket, NAME="web")
        for front in (["--instance", "b"], ["--socket", usherd.socket]):
            yield Explain(WEB, "web", front=front)


# ---- pins and BPF file systems

@setup
def test_left_over(broker):
    """Another instance that runs is fine. When it is killed, it still dispatches."""
    old = Usherd("old")
    write_rule("old", rule("Stream=99"), old.run_dir / "rules.d")
    old.start()
    broker(web="Stream=80")
    with serving("web"):
        yield Doctor(warn("programs"), info("instances", instance="old"))
        old.kill()
        yield Doctor(warn("programs"), warn("instances:left", instance="old"))
        yield Doctor(fail("answer", instance="-old", unit="@old"),
                     warn("pins:absent", instance="-old", unit="@old", option=" --instance old"), front=["--instance", "old"])


@setup
def test_pin_removed(broker):
    """Somebody removed the pin of the link."""
    broker(web="Stream=80")
    with serving("web"):
        (PINS / "link").unlink()
        yield Doctor(fail("pins:link"))


@pytest.mark.parametrize("mode", [0o777, 0o770])
@setup
def test_folder_that_others_may_write(broker, mode):
    """Everybody, or a group, may write to the folder of the pins."""
    broker(web="Stream=80")
    with serving("web"):
        PINS.chmod(mode)
        yield Doctor(fail("pins-folder:mode", mode=f"{mode:04o}"))


@setup
def test_folder_of_another_user(broker):
    """The folder of the pins does not belong to root."""
    broker(web="Stream=80")
    with serving("web"):
        os.chown(PINS, NOBODY, NOBODY)
        yield Doctor(fail("pins-folder:owner", uid=NOBODY))


@setup
def test_old_generation(broker):
    """The program of a generation that is not in force, as a broker that was killed during a switch leaves it."""
    broker(web="Stream=80")
    with serving("web"):
        current, = PINS.glob("program-*")
        run(bpf.BPFTOOL, "prog", "pin", "pinned", current, PINS / "program-999")
        yield Doctor(warn("program-pins", program="program-999"))


def unmount(kind):
    """Unmount every file system of a type."""
    for line in reversed(pathlib.Path("/proc/self/mountinfo").read_text().splitlines()):
        if f" - {kind} " in line:
            libc("umount2", line.split()[4].encode(), MNT_DETACH)


@pytest.mark.parametrize("remove", [lambda: unmount("bpf"), lambda: mount("tmpfs", "/sys/fs/bpf", "tmpfs")],
                         ids=["nothing", "tmpfs"])
@setup
def test_no_bpffs(rules, remove):
    """No BPF file system is mounted, or another file system is in its place."""
    rules(web="Stream=192.0.2.0/24:80")
    remove()
    yield Doctor(fail("bpffs"), fail("answer"))


@setup
def test_read_only_bpffs(broker):
    """The BPF file system is mounted read-only."""
    broker(web="Stream=80")
    with serving("web"):
        mount("bpf", "/sys/fs/bpf", "bpf", MS_REMOUNT | MS_RDONLY)
        yield Doctor(fail("bpffs:read-only"))


# ---- what usher-discover needs, and limits

DISCOVER = rule("Stream=192.0.2.0/24:22", discover=["Socket=127.0.0.3:81"])


@setup
def test_no_cgroup2(broker):
    """No cgroup v2 is mounted, and a rule has [Discover]."""
    unmount("cgroup2")
    broker(ssh=DISCOVER)
    ServiceProcess("ssh", address="127.0.0.3", port=81)
    ctl("discover", "ssh")
    yield Doctor(warn("cgroup2"))


@setup
def test_lockdown(broker, rules):
    """Lockdown matters only to rules with [Discover], and only if the kernel keeps its memory confidential."""
    mount("tmpfs", "/sys/kernel/security", "tmpfs")
    lockdown = pathlib.Path("/sys/kernel/security/lockdown")
    lockdown.write_text("none integrity [confidentiality]\n")
    broker(web="Stream=80")
    with serving("web"):
        yield Doctor(info("lockdown:unimportant"))
        Discover()
        rules(ssh=DISCOVER)
        ctl("reload")
        ServiceProcess("ssh", address="127.0.0.3", port=81)
        ctl("discover", "ssh")
        yield Doctor(warn("lockdown"))
        lockdown.write_text("none [integrity] confidentiality\n")
        assert Diagnosed().of("lockdown")[0][0] == "ok"


@setup
def test_descriptors(rules, usherd):
    """Clients use up the broker's descriptors."""
    rules(web="Stream=192.0.2.0/24:80")
    usherd.start(nofile=256)
    connections = [usherd.connect() for _ in range(int(usherd.status()["FDS_MAX"]) - 40)]
    assert len(connections) > 100
    yield Doctor(warn("descriptors", n=SOME, most=256), warn("missing"))

# SPDX-License-Identifier: BSD-3-Clause
"""Broken set-ups of host, kernel and broker: does usherctl name the cause?

set-up                              command            cause that is named
----------------------------------  -----------------  ------------------------------------------------------------
no route to the address             explain, doctor    not a local address; the command that makes it one
address routed to another host      explain, doctor    it goes on to another host
sk_lookup program that is first     explain, doctor    another program, and how often it was first
sk_lookup program that comes after  explain, doctor    another program, which may choose instead
second instance of usher            explain, doctor    another program; that instance
link detached with bpftool          explain, doctor    somebody detached the link
broker killed                       explain, doctor    it does not answer, dispatch goes on by the pins
broker has never run                explain, doctor    it does not answer, nothing is dispatched
broker hangs                        explain, doctor    it does not answer in time
broker of another namespace         explain, doctor    the namespace, and how to ask there
pins of a broker that is gone       doctor             the instance that does not run
pin of the link removed by hand     doctor             somebody removed the link
folder of the pins is everybody's   doctor             others may write to it
no BPF file system                  doctor             none is mounted
program of an older generation      doctor             it is pinned and not in force

Each is built for real, a client tries it, and usherctl is run as an administrator runs it. `pytest -rP` has the screens.
"""

import pathlib

import pytest

from harness import bpf, wire
from harness.broken import UNREACHABLE, ask, attach, doctor, explain, says, serving, show
from harness.broker import Usherd
from harness.host import Netns, ip, rule, run, write_rule
from harness.service import Service
from harness.traffic import REFUSED

WEB = "tcp 192.0.2.1:80"
PINS = pathlib.Path("/sys/fs/bpf/usher")


# ---- routes

def test_no_route(broker):
    broker(web="Stream=203.0.113.0/24:80")
    with serving("web"):
        explain("tcp 203.0.113.9:80", UNREACHABLE, r"203\.0\.113\.9 is not a local address", "there is no route for it",
                "ip route add local 203.0.113.0/24 dev lo")
        doctor("warn", r"203\.0\.113\.0/24 is in a rule, and no address of it is local",
               "ip route add local 203.0.113.0/24 dev lo")
        run("ip", "route", "add", "local", "203.0.113.0/24", "dev", "lo")
        explain("tcp 203.0.113.9:80", "web")


def test_routed_elsewhere(broker, client):
    ip("route add 203.0.113.128/25 via 203.0.113.2")
    broker(web="Stream=203.0.113.128/25:80")
    with serving("web"):
        explain("tcp 203.0.113.129:80", None, r"203\.0\.113\.129 is not a local address", "goes on to another host",
                "ip route add local 203.0.113.128/25 dev lo", status=1)
        doctor("warn", r"203\.0\.113\.128/25 is in a rule, and no address of it is local: .*go on to another host",
               "ip route add local")


# ---- other programs

@pytest.fixture
def foreign():
    with Service("foreign", address="127.0.0.9", port=9999) as service:
        yield service.socket


def test_foreign_program_first(broker, foreign):
    """It chooses before usher's program is asked: EEXIST."""
    attach("redirect", foreign)
    broker(web="Stream=80")
    with serving("web"):
        assert ask(WEB) == "foreign"
        explain(WEB, "foreign", "1 more sk_lookup program", "Another one was first 1 times", "bpftool link show")
        doctor("warn", "1 more sk_lookup program.*another one came first: [1-9]", "bpftool")


def test_foreign_program_after(broker, foreign):
    """It replaces what usher's program has chosen."""
    broker(web="Stream=80")
    with serving("web"):
        attach("replace", foreign)
        explain(WEB, "foreign", "1 more sk_lookup program", "choose another socket first or instead", "bpftool link show")
        doctor("warn", "1 more sk_lookup program", "bpftool")


def test_two_instances(broker):
    """Both have a rule and a socket for the port: the one that was started first has the packets."""
    other = Usherd("blue")
    write_rule("web", rule("Stream=80"), other.run_dir / "rules.d")
    other.start()
    broker(web="Stream=80")
    with Service("blue", port=8081) as blue, serving("web"):
        wire.request("hand-in", [blue], other.socket, NAME="web")
        assert ask(WEB) == "blue"
        explain(WEB, "blue", "1 more sk_lookup program", "Another one was first 1 times", "bpftool link show")
        done = doctor("warn", "1 more sk_lookup program.*another one came first: [1-9]", "bpftool")
        assert "/sys/fs/bpf/usher-blue" in done.flat


# ---- the broker

def test_link_detached(broker):
    broker(web="Stream=80")
    with serving("web"):
        run(bpf.BPFTOOL, "link", "detach", "id", bpf.links()[0]["id"])
        explain(WEB, REFUSED, "no rule is asked", "somebody detached the link of usherd", "usherctl reload")
        doctor("fail", r"somebody detached link \d+: nothing is dispatched", "usherctl reload")


def test_broker_killed(broker):
    """Clients are served, and whatever happens next is not noticed."""
    running = broker(web="Stream=80")
    with serving("web"):
        running.kill()
        explain(WEB, "web", "usher.sock", "dispatch goes on without it, by what is pinned in /sys/fs/bpf/usher", status=3)
        doctor("fail", "usher.sock", "systemctl start usherd.service", "journalctl")
        doctor("warn", "dispatch goes on without a broker, pinned in /sys/fs/bpf/usher", "systemctl start usherd.service")


def test_no_broker(rules):
    rules(web="Stream=80")
    explain(WEB, REFUSED, "usher.sock", "nothing is dispatched, nothing is pinned", status=3)
    doctor("fail", "usher.sock", "systemctl start usherd.service")


def test_broker_hangs(broker):
    running = broker(web="Stream=80")
    running.pause()
    done = show("--timeout", "1", "explain", "tcp", "192.0.2.1:80")
    hangs = ["has not finished within 1000 ms", "see whether usherd is stopped or overloaded"]
    assert done.returncode == 1
    says(done, hangs)
    done = show("--timeout", "1", "doctor")
    assert done.returncode == 1
    says(done, [r"fail +answer: .*" + hangs[0]])
    running.resume()


def test_other_namespace(broker):
    """usherctl runs in a container's network, the broker serves the host's."""
    running = broker(web="Stream=80")
    with serving("web"):
        enter = rf"nsenter --net=/proc/{running.pid}/ns/net usherctl"
        elsewhere = Netns()
        explain(WEB, None, "another network namespace", f"{enter} explain tcp 192.0.2.1:80", namespace=elsewhere)
        doctor("warn", "another", f"{enter} doctor", namespace=elsewhere)


# ---- pins

def test_left_over(broker):
    """Another instance has been killed, and goes on dispatching."""
    old = Usherd("old")
    write_rule("web", rule("Stream=80"), old.run_dir / "rules.d")
    old.start().kill()
    broker(web="Stream=81")
    doctor("warn", "/sys/fs/bpf/usher-old is of a broker that does not run: dispatch goes on by it",
           "usherctl --instance old detach")


def test_pin_removed(broker):
    broker(web="Stream=80")
    (PINS / "link").unlink()
    doctor("fail", "somebody removed the link in /sys/fs/bpf/usher", "systemctl restart usherd.service")


def test_folder_of_the_pins(broker):
    broker(web="Stream=80")
    PINS.chmod(0o777)
    doctor("fail", "/sys/fs/bpf/usher may be written by others", "chmod go-w /sys/fs/bpf/usher")


def test_no_bpffs(rules):
    rules(web="Stream=80")
    run("mount", "-t", "tmpfs", "none", "/sys/fs/bpf")
    doctor("fail", "no BPF file system is mounted on /sys/fs/bpf", "mount -t bpf bpf /sys/fs/bpf")


def test_old_generation(broker):
    """A broker that was killed in the middle of a switch."""
    broker(web="Stream=80")
    program = bpf.bpftool("prog", "show", "pinned", str(next(PINS.glob("program-*"))))
    run(bpf.BPFTOOL, "prog", "pin", "id", program["id"], PINS / "program-999")
    doctor("warn", "/sys/fs/bpf/usher/program-999 is pinned, and generation 1 is in force",
           "rm /sys/fs/bpf/usher/program-999")

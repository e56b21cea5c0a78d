# SPDX-License-Identifier: BSD-3-Clause
"""Other sk_lookup programs in the same network namespace, and manual changes of ours.

Programs that select first, or that replace a selection; more programs than a namespace takes; and our link, detached or
given another program by hand.
"""

import json
import os
import pathlib

import pytest

from harness import bpf
from harness.broker import ctl
from harness.daemon import PROGRAMS
from harness.host import V4, run
from harness.process import wait_until
from harness.service import Service
from harness.traffic import REFUSED, who
from harness.wire import Refused, hand_in

pytestmark = pytest.mark.vm


def attach(program, sock=None, link=None):
    """Attach a program of foreign.bpf.c after the existing ones."""
    fds = [sock.fileno()] if sock else []
    link = link or f"/sys/fs/bpf/foreign{len(bpf.pins())}"
    run(PROGRAMS / "attach", PROGRAMS / "foreign.bpf.o", program, link, *fds, pass_fds=fds)


@pytest.fixture
def foreign():
    with Service("foreign", address="127.0.0.9", port=9999) as service:
        yield service


# what usher has for port 80, and the outcome for a packet with each foreign program (attached before or after)
VERDICTS = {
    # usher: no rule, a rule without a socket, a rule and a socket
    "pass": (REFUSED, REFUSED, "web"),
    "drop": (REFUSED, REFUSED, "web"),
    "redirect-before": ("foreign", "foreign", "foreign"),
    "redirect-after": ("foreign", "foreign", "web"),
    "replace-before": ("foreign", "foreign", "foreign"),
    "replace-after": ("foreign", "foreign", "foreign"),
}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("program", ["pass", "drop", "redirect", "replace"])
def test_verdicts(broker, usherd, foreign, program, when):
    """A selection beats a drop in either order. The first selection stays unless a program replaces it."""
    if when == "before":
        attach(program, foreign.socket)
    running = broker(other="Stream=81")
    if when == "after":
        attach(program, foreign.socket)
    no_rule, missing, served = VERDICTS.get(program, VERDICTS.get(f"{program}-{when}"))
    assert who(V4, 80) == no_rule
    with Service("web") as service:
        pathlib.Path("/run/usher/rules.d/web.rule").write_text("[Rule]\nStream=80\n")
        running.reload()
        assert who(V4, 80) == missing
        hand_in("web", service)
        assert who(V4, 80) == served
        exists = running.counters("web")["REFUSED_EXISTS"]
        assert (exists > 0) == (served == "foreign" and when == "before"), "EEXIST is counted on its own"
        assert running.status().get("PROGRAMS", "2") == "2"


def test_sixty_fifth(usherd, rules):
    """The 65th program is refused (E2BIG), and the message names the limit."""
    rules(web="Stream=80")
    for _ in range(64):
        attach("pass")
    usherd.spawn()
    assert usherd.wait() != 0
    assert "64" in usherd.log and "E2BIG" in usherd.log
    assert "link" not in bpf.pins(usherd.pins)
    os.unlink("/sys/fs/bpf/foreign0")
    wait_until(lambda: len(bpf.links()) == 63)
    usherd.start()
    with Service("web") as service:
        hand_in("web", service)
        assert who(V4, 80) == "web"
    assert len(bpf.links()) == 64


def test_link_detached_by_hand(broker):
    """Dispatch ends, and status says so. A reload restores it, with every socket in its place."""
    running = broker(web="Stream=80")
    with Service("web") as service:
        hand_in("web", service)
        link, = bpf.links()
        run(bpf.BPFTOOL, "link", "detach", "id", link["id"])
        assert who(V4, 80) == REFUSED
        assert running.running() and bpf.links() == []
        assert "detached" in ctl("status").stdout
        assert json.loads(ctl("--json", "status").stdout)["dispatch"] == "none"
        running.reload()
        assert who(V4, 80) == "web"
        assert len(bpf.links()) == 1


def test_link_detached_while_the_broker_is_dead(broker):
    running = broker(web="Stream=80")
    with Service("web") as service:
        hand_in("web", service)
        running.kill()
        run(bpf.BPFTOOL, "link", "detach", "id", bpf.links()[0]["id"])
        running.start()
        assert who(V4, 80) == "web"
        assert len(bpf.links()) == 1 and len(running.sockets()) == 1


def test_program_replaced_by_hand(broker):
    """Somebody put another program on our link: a reload reports that, and does not overwrite it."""
    running = broker(web="Stream=80")
    with Service("web") as service:
        hand_in("web", service)
        attach("pass", link=f"={running.pins}/link")
        assert who(V4, 80) == REFUSED
        before = running.status()["GENERATION"]
        with pytest.raises(Refused, match="link") as refusal:
            running.reload()
        assert "EPERM" in refusal.value.reason or "replaced" in refusal.value.reason
        assert running.status()["GENERATION"] == before
        assert len(bpf.pins(running.pins)) == len(set(bpf.pins(running.pins)))


def test_query(broker):
    """Our link is in the list of the namespace until detach."""
    running = broker(web="Stream=80")
    link, = bpf.links()
    assert (str(link["id"]), str(link["prog_id"])) == (running.status()["LINK"], running.status()["PROGRAM"])
    assert link["type"] == "netns" and link["attach_type"] == "sk_lookup"
    running.request("detach")
    running.wait()
    assert bpf.links() == [] and bpf.pins() == []

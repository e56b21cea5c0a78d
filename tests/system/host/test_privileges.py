# SPDX-License-Identifier: BSD-3-Clause
"""The broker needs CAP_BPF and CAP_NET_ADMIN, and no other capability.

Without CAP_PERFMON, the verifier checks the program more strictly, as that of an untrusted loader.
"""

import os
import pathlib

import pytest

from harness import wire
from harness.service import Service
from harness.traffic import REFUSED, who

pytestmark = pytest.mark.vm


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
    effective, = [line for line in pathlib.Path(f"/proc/{usherd.pid}/status").read_text().splitlines()
                  if line.startswith("CapEff")]
    assert int(effective.split()[1], 16) == 1 << 39 | 1 << 12, "CAP_BPF, CAP_NET_ADMIN"
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

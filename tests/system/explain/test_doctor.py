# SPDX-License-Identifier: BSD-3-Clause
"""usherctl doctor itself: what it checks, its output, and kernels and brokers that the test has to simulate.

test_broken_*.py have the set-ups that keep usher from serving, with the output of explain and doctor.
"""

import contextlib
import ctypes
import json
import os
import re
import selectors
import shutil
import socket

import pytest

from harness import bpf
from harness.broker import USHERCTL, ctl
from harness.diagnosed import Diagnosed
from harness.host import AS_NOBODY, NOBODY, V4, WORK, rule, run
from harness.isolate import MS_BIND, mount
from harness.process import Child
from harness.service import Service, ServiceProcess
from harness.wire import hand_in, request

from says import Doctor, fail, info, setup, warn

PR_SET_NAME = 15


@pytest.fixture
def healthy(broker):
    """A healthy broker and service; more rules make other set-ups of it."""
    with contextlib.ExitStack() as stack:
        def start(**files):
            running = broker(web="Stream=192.0.2.0/24:80", **files)
            hand_in("web", stack.enter_context(Service("web")))
            return running

        yield start


class TestHealthy:
    def test_nothing_is_wrong(self, healthy):
        """A healthy set-up with TCP and UDP, both families, a rule for every port of an address, and one for an interface's
        address."""
        any_address = {"access": ["Bound=any"]}
        running = healthy(dns=rule(f"Datagram={V4}:53", **any_address), six="Stream=[2001:db8::/48]:443",
                          own=rule("Datagram=[fd00:1::/64]:99", **any_address), all=f"Stream={V4}:*")
        with Service("dns", "udp", V4, 53) as dns, Service("six", address="::1", port=8443) as six, \
                Service("own", "udp", "::", 99) as own, Service("all", port=8081) as every:
            for name, service in {"dns": dns, "six": six, "own": own, "all": every}.items():
                hand_in(name, service)
            found = Diagnosed()
            assert found.wrong() == [], found.screen()
            assert {row["section"] for row in found.rows} == {"kernel", "host", "broker", "rules", "sockets"}
            ok = {row["check"] for row in found.rows if row["result"] == "ok"}
            assert {"version", "maps", "program", "netns-cookie", "sock-diag", "bpffs", "pins-folder", "capabilities",
                    "descriptors", "answer", "dispatch", "namespace", "programs", "reload", "hand-ins", "pins", "program-pins",
                    "instances", "files", "masked", "in-force", "missing", "unrouted", "discover", "routes", "local-routes", "bypassed",
                    "listening", "queues", "held", "udp-port", "udp-address", "mptcp"} <= ok, found.text
            assert any(f"pid {running.pid}" in text for _, text in found.of("answer"))

    def test_changes_nothing(self, healthy):
        running = healthy()
        status, pins, rows = running.status(), bpf.pins(), running.list()
        Diagnosed()
        after = running.status()
        for key in ("GENERATION", "LOOKUPS", "SOCKETS", "HELD", "PROGRAM", "LINK", "HAND_INS", "RELOADS"):
            assert after[key] == status[key]
        assert (bpf.pins(), running.list()) == (pins, rows)

    def test_text(self, healthy):
        """A line for each finding with the remedy below, and headings and a summary, unless --no-legend."""
        healthy(late="Stream=192.0.2.0/24:81")
        done = ctl("doctor")
        assert [line for line in done.stdout.splitlines() if re.fullmatch("[a-z]+", line)] == [
            "kernel", "host", "broker", "rules", "sockets"]
        assert done.stdout.endswith("\n\nwarnings: 1, failures: 0\n")
        bare = ctl("doctor", "--no-legend").stdout
        assert re.search(r"(?m)^warn  missing: .*'late'.*\n      \S", bare)
        for line in bare.splitlines():
            assert re.match(r"(ok|info|skip|warn|fail) +[a-z0-9-]+: \S|      \S", line), line
        assert not re.search(r"\.$", bare, re.M)

    def test_as_nobody(self, healthy):
        """An unprivileged user gets fewer findings, but the same verdict."""
        healthy(late="Stream=192.0.2.0/24:81")
        shutil.copy(USHERCTL, WORK / "usherctl")
        found = Diagnosed(command=WORK / "usherctl", **AS_NOBODY)
        assert found.wrong() == [("missing", "warn")]
        skipped = {row["check"] for row in found.rows if row["result"] == "skip" and "run as root" in row["text"]}
        assert {"maps", "program", "pins-folder", "pins", "program-pins", "instances", "filters", "held"} == skipped

    def test_usage(self):
        assert ctl("doctor", "web", check=False).returncode == 2
        assert ctl("doctor", "--dry-run", check=False).returncode == 2

    def test_many_prefixes(self, healthy):
        """Of one kind of findings, 24 are shown, and the others are counted."""
        healthy(far="Stream=" + " ".join(f"10.9.{i}.0/24:81" for i in range(80)))
        with Service("far", port=8181) as service:
            hand_in("far", service)
            lines = Diagnosed().of("routes")
        assert len(lines) == 25 and lines[-1] == ("warn", "and 41 more of this kind")


def injecting(what):
    """Run usherctl with system calls that fail, as on another kernel."""
    return {"prefix": ["strace", "-qq", "-o", "/dev/null", "-e", f"inject={what}"],
            "env": {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}}


class TestKernel:
    @setup
    def test_old(self, healthy):
        healthy()
        yield Doctor(fail("version:old", version=re.compile(r"2\.6\.\d+.*")), prefix=["setarch", "--uname-2.6"])

    @pytest.mark.parametrize("call, finding", [
        (1, fail("maps", type="SOCKHASH")), (2, fail("maps", type="SOCKMAP")), (3, fail("maps", type="RINGBUF")),
        (4, fail("program"))], ids=["SOCKHASH", "SOCKMAP", "RINGBUF", "program"])
    @setup
    def test_lacks(self, healthy, call, finding):
        """Calls fail as in a kernel that lacks a feature."""
        healthy()
        yield Doctor(finding, **injecting(f"bpf:error=EINVAL:when={call}"))

    @setup
    def test_without_sock_diag(self, healthy):
        healthy()
        yield Doctor(warn("sock-diag"), **injecting("sendto:error=ENOENT"))

    @setup
    def test_everybody_may_use_bpf(self, healthy):
        healthy()
        (WORK / "0").write_text("0\n")
        mount(str(WORK / "0"), "/proc/sys/kernel/unprivileged_bpf_disabled", None, MS_BIND)
        yield Doctor(info("unprivileged-bpf"))


class FakeBroker:
    """A fake broker that sends given answers over usher.sock, with fake pins."""

    def __init__(self, **status):
        os.makedirs("/sys/fs/bpf/usher", 0o700)
        run(bpf.BPFTOOL, "map", "create", "/sys/fs/bpf/usher/link", "type", "array", "key", 4, "value", 4, "entries", 1,
            "name", "x")
        os.makedirs("/run/usher", exist_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.bind("/run/usher/usher.sock")
        self._socket.listen()
        self._status = {"OK": "1", "VERSION": "0.1.0", "PROTOCOL": "1", "SCHEMA": "1", "INSTANCE": "", "GENERATION": "1",
                        "NETNS": os.stat("/proc/self/ns/net").st_ino, "PROGRAMS": "1", "RELOAD": "ok", "FDS": "9",
                        "FDS_MAX": "999", **status}
        self._status = {key: value for key, value in self._status.items() if value is not None}
        self.child = Child(self._serve, keep=[self._socket.fileno()], uid=NOBODY, gid=NOBODY)
        self._socket.close()
        self.child.hear()

    def _serve(self, tell):
        ctypes.CDLL(None).prctl(PR_SET_NAME, b"usherd", 0, 0, 0)
        tell("ready")
        selector = selectors.DefaultSelector()
        selector.register(self._socket, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is self._socket:
                    selector.register(self._socket.accept()[0], selectors.EVENT_READ)
                elif data := key.fileobj.recv(4096):
                    answer = {**self._status, "PID": os.getpid()} if b"REQUEST=status" in data else {"OK": "1"}
                    key.fileobj.send("".join(f"{name}={value}\n" for name, value in answer.items()).encode())
                else:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()


class TestBroker:
    @pytest.mark.parametrize("what", [{"VERSION": "0.0.9"}, {"PROTOCOL": "2"}, {"SCHEMA": "7"}])
    @setup
    def test_version_skew(self, what):
        """The files were upgraded, but the old usherd still runs."""
        FakeBroker(**what)
        yield Doctor(warn("version:skew", **{key.lower(): value for key, value in what.items()}), fail("capabilities"))

    @setup
    def test_without_capabilities(self):
        yield Doctor(fail("capabilities", pid=FakeBroker().child.pid))


class TestNotLookedAt:
    """What was not looked at is never "ok"."""

    def test_a_broker_that_says_nothing(self):
        """Of a broker that reports nothing, only that it answers is known."""
        FakeBroker(**{key: None for key in ("VERSION", "PROTOCOL", "SCHEMA", "NETNS", "PROGRAMS", "RELOAD", "FDS", "FDS_MAX",
                                            "GENERATION")})
        found = Diagnosed()
        assert {row["check"] for row in found.rows if row["section"] == "broker" and row["result"] == "ok"} == {
            "answer", "pins", "instances"}, found.text
        for check in ("dispatch", "namespace", "programs", "reload", "hand-ins", "events", "order", "program-pins"):
            [(result, text)] = found.of(check)
            assert result == "skip" and re.search("not report|not looked at", text), (check, text)

    def test_a_link_that_leads_nowhere(self):
        FakeBroker(NETNS=0)
        found = Diagnosed()
        assert [result for result, _ in found.of("dispatch")] == ["fail"]
        assert [result for result, _ in found.of("namespace")] == ["skip"]

    def test_lockdown(self, healthy):
        """Without securityfs nobody knows whether the kernel is locked down."""
        healthy()
        os.makedirs("/sys/kernel/security", exist_ok=True)
        mount("tmpfs", "/sys/kernel/security", "tmpfs", 0)
        [(result, text)] = Diagnosed().of("lockdown")
        assert result == "skip" and "mount -t securityfs" in text

    def test_rule_directory_of_root(self, healthy):
        """A directory that may not be listed may have any file."""
        healthy()
        os.makedirs("/etc/usher/rules.d", exist_ok=True)
        os.chmod("/etc/usher/rules.d", 0o700)
        shutil.copy(USHERCTL, WORK / "usherctl")
        found = Diagnosed(command=WORK / "usherctl", **AS_NOBODY)
        for check in ("ignored", "masked"):
            assert {result for result, _ in found.of(check)} == {"skip"}, found.text
        assert all("/etc/usher/rules.d" in text for _, text in found.of("ignored"))

    @pytest.mark.parametrize("text", ["[Rule]\nStream=80\n[Discover]\nSocket=127.0.0.1:8080\n", "[Rule]\nnonsense\n"])
    def test_discovery(self, text):
        """Without a broker nobody knows what is handed in, and without rules whether anything has to be discovered."""
        os.makedirs("/run/usher/rules.d", exist_ok=True)
        with open("/run/usher/rules.d/web.rule", "w", encoding="utf-8") as file:
            file.write(text)
        with ServiceProcess("web", address="127.0.0.1", port=8080):
            found = Diagnosed()
        assert {result for result, _ in found.of("discover")} == {"skip"}, found.text
        if "nonsense" in text:
            assert [result for result, _ in found.of("discover-unit")] == ["skip"]

    def test_connections_that_wait(self, healthy):
        """Whether a service has a held socket open is seen only where all processes are."""
        healthy(held="Stream=192.0.2.0/24:82")
        with socket.create_server(("127.0.0.2", 8082)) as sock:
            request("hold", [sock], NAME="held")
            with socket.create_connection(("127.0.0.2", 8082)):
                done = run("unshare", "--pid", "--fork", "--mount-proc", USHERCTL, "doctor", "--json", check=False)
                found = {row["check"]: row for row in json.loads(done.stdout)["findings"]}
                assert found["held"]["result"] == "skip" and "PID namespace" in found["held"]["text"]

    def test_many_prefixes(self, healthy):
        healthy(far="Stream=" + " ".join(f"192.0.2.{i}/32:81" for i in range(80)))
        assert [result for result, _ in Diagnosed().of("routes")] == ["ok", "skip"]

# SPDX-License-Identifier: BSD-3-Clause
"""usherctl doctor: each set-up that keeps usher from serving is named, with what to do."""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import selectors
import shutil
import socket

import pytest

from harness import bpf
from harness.broker import USHERCTL, Usherd, ctl
from harness.daemon import PROGRAMS
from harness.discover import Discover
from harness.host import WORK, Netns, rule, run
from harness.isolate import mount
from harness.process import Child, libc, wait_until
from harness.service import Service, ServiceProcess, make_socket
from harness.traffic import REFUSED, who
from harness.wire import Refused, hand_in, request, request_as

V4, V6 = "192.0.2.1", "2001:db8::1"
NOBODY = 65534
MPTCP = 262
MS_RDONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096
MNT_DETACH = 2
PR_SET_NAME = 15


def doctor(*words, command=USHERCTL, prefix=(), **options):
    """All findings; the exit code says whether one is a failure."""
    done = run(*prefix, command, "--json", "doctor", *words, check=False, **options)
    assert done.returncode in (0, 1) and done.stderr == "", (done.returncode, done.stdout, done.stderr)
    rows = json.loads(done.stdout)["findings"]
    assert done.returncode == any(row["result"] == "fail" for row in rows)
    for row in rows:
        assert row["result"] in ("ok", "info", "skip", "warn", "fail")
        assert (row["remedy"] is not None) >= (row["result"] == "fail"), f"a failure without a remedy: {row}"
    return rows


def bad(rows):
    """{check: result} of what is wrong."""
    return {row["check"]: row["result"] for row in rows if row["result"] in ("warn", "fail")}


def finds(check, result, text, remedy, *others, **options):
    """That and nothing else is wrong, but `others`; the first line of the check has this text and remedy."""
    rows = doctor(**options)
    assert bad(rows) == {check: result, **dict(others)}, [row for row in rows if row["check"] in bad(rows)]
    row = next(row for row in rows if row["check"] == check and row["result"] == result)
    assert re.search(text, row["text"]), row
    assert re.search(remedy, row["remedy"] or ""), row
    return rows


def told(rows, check):
    """(result, text) of each line of a check."""
    return [(row["result"], row["text"]) for row in rows if row["check"] == check]


@pytest.fixture
def healthy(broker):
    """A broker and a service with which nothing is wrong; more rules make other set-ups of it."""
    with contextlib.ExitStack() as stack:
        def start(**files):
            running = broker(web="Stream=192.0.2.0/24:80", **files)
            hand_in("web", stack.enter_context(Service("web")))
            return running

        yield start


LEGACY = rule("Stream=192.0.2.0/24:22", discover=["Socket=127.0.0.3:81"])


@pytest.fixture
def legacy():
    """A daemon that LEGACY describes. It is no part of the test's process, which is number 1 here."""
    services = []
    yield lambda: services.append(ServiceProcess("ssh", address="127.0.0.3", port=81))


class TestHealthy:
    def test_nothing_is_wrong(self, healthy):
        """With TCP and UDP, both families, a rule for every port of an address, and an interface's address alone."""
        any_address = {"access": ["Bound=any"]}
        running = healthy(dns=rule(f"Datagram={V4}:53", **any_address), six="Stream=[2001:db8::/48]:443",
                          own=rule("Datagram=[fd00:1::/64]:99", **any_address), all=f"Stream={V4}:*")
        with Service("dns", "udp", V4, 53) as dns, Service("six", address="::1", port=8443) as six, \
                Service("own", "udp", "::", 99) as own, Service("all", port=8081) as every:
            for name, service in {"dns": dns, "six": six, "own": own, "all": every}.items():
                hand_in(name, service)
            rows = doctor()
            assert bad(rows) == {}, [row for row in rows if row["check"] in bad(rows)]
            assert {row["section"] for row in rows} == {"kernel", "host", "broker", "rules", "sockets"}
            ok = {row["check"] for row in rows if row["result"] == "ok"}
            assert {"version", "maps", "program", "netns-cookie", "sock-diag", "bpffs", "pins-folder", "capabilities",
                    "descriptors", "answer", "dispatch", "namespace", "programs", "reload", "hand-ins", "pins", "program-pins",
                    "instances", "files", "masked", "in-force", "missing", "unrouted", "discover", "routes", "bypassed",
                    "listening", "queues", "held", "udp-port", "udp-address", "mptcp"} <= ok, rows
            assert any(f"pid {running.pid}" in row["text"] for row in rows if row["check"] == "answer")

    def test_changes_nothing(self, healthy):
        running = healthy()
        status, pins, rows = running.status(), bpf.pins(), running.list()
        doctor()
        after = running.status()
        for key in ("GENERATION", "LOOKUPS", "SOCKETS", "HELD", "PROGRAM", "LINK", "HAND_INS", "RELOADS"):
            assert after[key] == status[key]
        assert (bpf.pins(), running.list()) == (pins, rows)

    def test_text(self, healthy):
        """A line for each finding, the remedy below, headings and a summary unless they are not wanted."""
        healthy(late="Stream=192.0.2.0/24:81")
        done = ctl("doctor")
        assert [line for line in done.stdout.splitlines() if re.fullmatch("[a-z]+", line)] == [
            "kernel", "host", "broker", "rules", "sockets"]
        assert done.stdout.endswith("\n\nwarnings: 1, failures: 0\n")
        bare = ctl("doctor", "--no-legend").stdout
        assert re.search(r"(?m)^warn  missing: no socket is handed in as 'late': .*\n      start the service; ", bare)
        for line in bare.splitlines():
            assert re.match(r"(ok|info|skip|warn|fail) +[a-z0-9-]+: \S|      \S", line), line
        assert not re.search(r"\.$", bare, re.M)

    def test_as_nobody(self, healthy):
        """With fewer findings, and the same verdict."""
        healthy(late="Stream=192.0.2.0/24:81")
        shutil.copy(USHERCTL, WORK / "usherctl")
        rows = doctor(command=WORK / "usherctl", user=NOBODY, group=NOBODY, extra_groups=[])
        assert bad(rows) == {"missing": "warn"}
        skipped = {row["check"] for row in rows if row["result"] == "skip" and "run as root" in row["text"]}
        assert {"maps", "program", "pins-folder", "pins", "program-pins", "instances", "held"} == skipped

    def test_usage(self):
        assert ctl("doctor", "web", check=False).returncode == 2
        assert ctl("doctor", "--dry-run", check=False).returncode == 2


class TestKernel:
    def test_old(self, healthy):
        healthy()
        finds("version", "fail", r"this is Linux 2\.6\.\d+.*, and usher needs 6\.1", "newer kernel",
              prefix=["setarch", "--uname-2.6"])

    @pytest.mark.parametrize("call, check, text", [
        (1, "maps", "SOCKHASH.*EINVAL"), (2, "maps", "SOCKMAP"), (3, "maps", "RINGBUF"),
        (4, "program", "sk_lookup program cannot be loaded.*EINVAL")])
    def test_lacks(self, healthy, call, check, text):
        """As a kernel does that was built without."""
        healthy()
        finds(check, "fail", text, "use a kernel", env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
              prefix=["strace", "-qq", "-o", "/dev/null", "-e", f"inject=bpf:error=EINVAL:when={call}"])

    def test_without_sock_diag(self, healthy):
        healthy()
        finds("sock-diag", "warn", "sock_diag", "modprobe -a tcp_diag", env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
              prefix=["strace", "-qq", "-o", "/dev/null", "-e", "inject=sendto:error=ENOENT"])

    def test_locked_down(self, healthy, legacy):
        """It matters to those who discover."""
        running = healthy()
        mount("tmpfs", "/sys/kernel/security", "tmpfs")
        lockdown = pathlib.Path("/sys/kernel/security/lockdown")
        lockdown.write_text("none integrity [confidentiality]\n")
        assert told(doctor(), "lockdown")[0][0] == "info"
        Discover()
        running.run_dir.joinpath("rules.d/ssh.rule").write_text(LEGACY)
        running.reload()
        legacy()
        ctl("discover", "ssh")
        finds("lockdown", "warn", "confidentiality", "ScanInterval=")
        lockdown.write_text("none [integrity] confidentiality\n")
        assert told(doctor(), "lockdown")[0][0] == "ok"

    def test_everybody_may_use_bpf(self, healthy):
        healthy()
        (WORK / "0").write_text("0\n")
        mount(str(WORK / "0"), "/proc/sys/kernel/unprivileged_bpf_disabled", None, MS_BIND)
        rows = doctor()
        assert bad(rows) == {} and told(rows, "unprivileged-bpf")[0][0] == "info"


class TestHost:
    def test_bpffs_is_not_mounted(self, rules):
        rules(web="Stream=192.0.2.0/24:80")
        while os.path.ismount("/sys/fs/bpf"):
            libc("umount2", b"/sys/fs/bpf", MNT_DETACH)
        finds("bpffs", "fail", "no BPF file system", "^mount -t bpf bpf /sys/fs/bpf$", ("answer", "fail"))

    def test_bpffs_is_read_only(self, healthy):
        healthy()
        mount("bpf", "/sys/fs/bpf", "bpf", MS_REMOUNT | MS_RDONLY)
        finds("bpffs", "fail", "read-only", "remount,rw")

    @pytest.mark.parametrize("spoil, text, remedy", [
        (lambda path: path.chmod(0o770), "written by others .mode 0770", "^chmod go-w /sys/fs/bpf/usher$"),
        (lambda path: os.chown(path, NOBODY, NOBODY), "belongs to uid 65534", "chown"),
    ], ids=["mode", "owner"])
    def test_pins_folder(self, healthy, spoil, text, remedy):
        spoil(healthy().pins)
        finds("pins-folder", "fail", text, remedy)

    def test_no_cgroup2(self, healthy, legacy):
        """It matters to those who discover."""
        while "cgroup2" in pathlib.Path("/proc/self/mountinfo").read_text():
            for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
                if " - cgroup2 " in line:
                    libc("umount2", line.split()[4].encode(), MNT_DETACH)
        healthy(ssh=LEGACY)
        legacy()
        ctl("discover", "ssh")
        finds("cgroup2", "warn", "no cgroups of version 2", "mount -t cgroup2")

    def test_descriptors(self, rules, usherd):
        rules(web="Stream=192.0.2.0/24:80")
        usherd.start(nofile=256)
        connections = [usherd.connect() for _ in range(int(usherd.status()["FDS_MAX"]) - 30)]
        assert len(connections) > 100
        finds("descriptors", "warn", r"usherd has \d+ of 256 descriptors open", "LimitNOFILE=", ("missing", "warn"))


class FakeBroker:
    """Says what it is told to, over usher.sock."""

    def __init__(self, **status):
        os.makedirs("/run/usher", exist_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.bind("/run/usher/usher.sock")
        self._socket.listen()
        self._status = {"OK": "1", "VERSION": "0.1.0", "PROTOCOL": "1", "SCHEMA": "1", "INSTANCE": "", "GENERATION": "1",
                        "NETNS": os.stat("/proc/self/ns/net").st_ino, "PROGRAMS": "1", "RELOAD": "ok", "FDS": "9",
                        "FDS_MAX": "999", **status}
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


def pinned():
    """As a broker leaves it, which is of no interest here."""
    os.makedirs("/sys/fs/bpf/usher", 0o700)
    run(bpf.BPFTOOL, "map", "create", "/sys/fs/bpf/usher/link", "type", "array", "key", 4, "value", 4, "entries", 1, "name", "x")


class TestBroker:
    def test_absent(self, rules):
        rules(web="Stream=192.0.2.0/24:80")
        finds("answer", "fail", "no broker listens on /run/usher/usher.sock", "^systemctl start usherd.service")

    def test_dead(self, healthy):
        """Dispatch goes on by the pins, and that is said."""
        healthy().kill()
        assert who(V4, 80) == "web"
        finds("pins", "warn", "dispatch goes on without a broker, pinned in /sys/fs/bpf/usher", "usherctl detach",
              ("answer", "fail"))

    def test_hangs(self, healthy):
        running = healthy()
        running.pause()
        rows = doctor("--timeout", "1")
        running.resume()
        assert bad(rows)["answer"] == "fail" and "ETIMEDOUT" in told(rows, "answer")[0][1]

    @pytest.mark.parametrize("what", [{"VERSION": "0.0.9"}, {"PROTOCOL": "2"}, {"SCHEMA": "7"}])
    def test_version_skew(self, what):
        """An upgrade of the files, and the old usherd still runs."""
        pinned()
        FakeBroker(**what)
        ((key, value),) = what.items()
        finds("version", "warn", rf"usherd is .*{value}.*, and usherctl is 0\.1\.0 \(protocol 1, schema 1\)",
              "restart usherd.*systemctl restart usherd.service", ("capabilities", "fail"))

    def test_without_capabilities(self):
        pinned()
        broker = FakeBroker()
        finds("capabilities", "fail", rf"usherd \(pid {broker.child.pid}\) has no CAP_BPF and CAP_NET_ADMIN",
              "CapabilityBoundingSet=CAP_BPF CAP_NET_ADMIN")

    def test_detached(self, healthy):
        running = healthy()
        run(bpf.BPFTOOL, "link", "detach", "id", bpf.links()[0]["id"])
        assert who(V4, 80) == REFUSED
        finds("dispatch", "fail", "somebody detached link", "^usherctl reload")
        running.reload()
        assert bad(doctor()) == {}

    def test_other_namespace(self, healthy):
        running = healthy()
        with Netns().entered():
            rows = finds("namespace", "warn", r"usherd serves network namespace \d+, and usherctl runs in another one",
                         rf"^nsenter --net=/proc/{running.pid}/ns/net usherctl doctor$")
        assert {row["check"] for row in rows if row["result"] == "skip"} >= {"routes", "bypassed", "listening", "mptcp"}

    def test_foreign_program(self, healthy):
        """One that comes first, so that clients of port 80 get somebody else."""
        with Service("foreign", address="127.0.0.9", port=9999) as foreign:
            run(PROGRAMS / "attach", PROGRAMS / "foreign.bpf.o", "redirect", "/sys/fs/bpf/foreign",
                foreign.fileno(), pass_fds=[foreign.fileno()])
            healthy()
            assert who(V4, 80) == "foreign"
            finds("programs", "warn", r"1 more sk_lookup program runs .* another one came first: [1-9]\d*", "bpftool net")

    def test_reload_failed(self, healthy, rules):
        running = healthy()
        rules(web=["Stream=80", "Oops=1"])
        with pytest.raises(Refused):
            running.reload()
        finds("reload", "fail", r"web\.rule:3: .*Oops", "usherctl check && usherctl reload", ("files", "fail"))

    def test_denied_user(self, healthy):
        """Who was refused, and why, as long as a name has no socket for it."""
        healthy(late=rule("Stream=192.0.2.0/24:81", access=["User=root"]))
        with Service("late", port=8181) as service:
            with pytest.raises(Refused, match="User="):
                request_as(NOBODY, NOBODY, "hand-in", [service.fileno()], NAME="late")
            finds("hand-ins", "warn", "refused, as 'late' by uid 65534: uid 65534 may not use the name 'late' .EACCES.; User= in",
                  "journalctl -u usherd.service' has all 1", ("missing", "warn"))
            hand_in("late", service)
            rows = doctor()
        assert bad(rows) == {} and told(rows, "hand-ins")[0][0] == "info"

    def test_wrong_bound(self, healthy):
        healthy(late="Stream=192.0.2.0/24:81")
        with Service("late", address="192.0.2.9", port=8181) as service:
            with pytest.raises(Refused, match="Bound="):
                hand_in("late", service)
            finds("hand-ins", "warn", "'late' by uid 0: .*192.0.2.9:8181, outside of Bound=", "mend that", ("missing", "warn"))

    def test_wrong_name(self, healthy):
        """The name of the rule is another one than that of the socket."""
        healthy(late="Stream=192.0.2.0/24:81")
        with Service("late", port=8181) as service:
            with pytest.raises(Refused):
                hand_in("lat", service)
            finds("hand-ins", "warn", "refused, as 'lat' by uid 0: ", "mend that", ("missing", "warn"))
            hand_in("late", service)
            assert bad(doctor()) == {}


class TestPins:
    def test_link_removed(self, healthy):
        os.unlink(healthy().pins / "link")
        rows = doctor()
        assert bad(rows)["pins"] == "fail"
        (row,) = [row for row in rows if row["check"] == "pins"]
        assert "somebody removed the link in /sys/fs/bpf/usher" in row["text"] and "systemctl restart usherd" in row["remedy"]

    def test_stale_program(self, healthy):
        running = healthy()
        current, = [name for name in bpf.pins(running.pins) if name.startswith("program-")]
        run(bpf.BPFTOOL, "prog", "pin", "pinned", running.pins / current, running.pins / "program-999")
        finds("program-pins", "warn", "usher/program-999 is pinned, and generation 1 is in force",
              "^rm /sys/fs/bpf/usher/program-999")

    def test_other_instances(self, healthy):
        """One that runs is fine; one that does not goes on dispatching."""
        healthy()
        os.makedirs("/run/usher-blue/rules.d")
        pathlib.Path("/run/usher-blue/rules.d/x.rule").write_text("[Rule]\nStream=99\n")
        blue = Usherd("blue").start()
        rows = doctor()
        assert told(rows, "instances") == [("info", "another instance runs, with pins in /sys/fs/bpf/usher-blue")]
        assert bad(rows) == {"programs": "warn"}
        blue.kill()
        finds("instances", "warn", "/sys/fs/bpf/usher-blue is of a broker that does not run",
              "systemctl start usherd@blue.service, or 'usherctl --instance blue detach'", ("programs", "warn"))
        assert bad(doctor("--instance", "blue"))["pins"] == "warn"


class TestRules:
    def test_bad_files(self, healthy, rules):
        healthy()
        rules(mail="Stream=192.0.2.0/24:80", none=["Stream=81", "[Access]", "User=nobody-of-that-name"])
        rows = finds("files", "fail", r"rule:\d+: ", "usherctl check")
        text = " ".join(text for _, text in told(rows, "files"))
        assert "web.rule:2" in text and "mail.rule:2" in text, "a conflict names both"
        assert "nobody-of-that-name" in text

    def test_not_in_force(self, healthy, rules):
        healthy()
        rules(late="Stream=192.0.2.0/24:81")
        finds("in-force", "warn", "settings to add: 1, to remove: 0", "usherctl diff && usherctl reload")

    def test_masked(self, healthy):
        healthy()
        os.makedirs("/etc/usher/rules.d")
        os.symlink("/dev/null", "/etc/usher/rules.d/web.rule")
        rows = finds("in-force", "warn", "to add: 0, to remove: 1", "usherctl diff")
        assert told(rows, "masked") == [("info", "/etc/usher/rules.d/web.rule masks the rule of that name")]

    def test_no_socket(self, healthy):
        healthy(late="Stream=192.0.2.0/24:81", other=rule("Stream=192.0.2.0/24:82", Missing="pass"))
        assert who(V4, 81) == REFUSED
        rows = finds("missing", "warn", r"no socket is handed in as 'late': its clients are refused, so far: [1-9]\d*$",
                     "start the service; .*usherctl hand-in late")
        assert [result for result, _ in told(rows, "missing")] == ["warn", "info"]

    def test_wrong_family(self, healthy):
        """An IPv4 socket, and clients that come by IPv6."""
        healthy(both="Stream=81")
        with Service("both", port=8181) as service:
            hand_in("both", service)
            assert bad(doctor()) == {}
            assert who(V6, 81) == REFUSED
            finds("missing", "warn", r"'both' has sockets, and none for tcp over ipv6; clients that came for one: [1-9]\d*$", "dual-stack")

    def test_unrouted(self, healthy):
        running = healthy(late="Stream=192.0.2.0/24:81")
        with Service("late", port=8181) as service:
            hand_in("late", service)
            os.unlink("/run/usher/rules.d/late.rule")
            running.reload()
            finds("unrouted", "warn", "1 socket of 'late' for tcp over ipv4, and no rule leads to it",
                  "write /etc/usher/rules.d/late.rule and usherctl reload, or usherctl withdraw late")

    def test_bypassed(self, healthy):
        """A web server on INADDR_ANY, which gets what the rule leaves."""
        healthy()
        with make_socket("tcp", "0.0.0.0", 80):
            finds("bypassed", "warn", r"'web' takes tcp 192\.0\.2\.0/24:80 before .*, which listens on 0\.0\.0\.0:80",
                  "hand that socket in, or narrow the match")

    @pytest.mark.parametrize("prefix, text, remedy", [
        ("10.9.8.0/24", "10.9.8.0/24 is in a rule, and no address of it is local: packets to it have no route", "10.9.8.0/24"),
        ("10.9.8.7", "10.9.8.7/32 is in a rule", "10.9.8.7/32"),
        ("[2001:db8:9::/48]", "2001:db8:9::/48 is in a rule", "2001:db8:9::/48"),
    ])
    def test_no_route(self, healthy, prefix, text, remedy):
        healthy(far=f"Stream={prefix}:81")
        with Service("far", address="::1" if ":" in prefix else "127.0.0.2", port=8181) as service:
            hand_in("far", service)
            finds("routes", "warn", re.escape(text), f"^ip route add local {re.escape(remedy)} dev lo$")
            run("ip", "route", "add", "local", remedy, "dev", "lo")
            assert bad(doctor()) == {}

    def test_route_elsewhere(self, healthy, client):
        """The subnet of an interface: one address of it is this host's, and that is enough; another subnet is not."""
        run("ip", "route", "add", "10.9.8.0/24", "via", "203.0.113.2")
        healthy(far="Stream=10.9.8.0/24:81 203.0.113.0/24:81")
        with Service("far", port=8181) as service:
            hand_in("far", service)
            rows = finds("routes", "warn", "10.9.8.0/24 .* go on to another host", "ip route add local 10.9.8.0/24 dev lo")
            assert len(told(rows, "routes")) == 1

    def test_many_prefixes(self, healthy):
        healthy(far="Stream=" + " ".join(f"10.9.{i}.0/24:81" for i in range(80)))
        with Service("far", port=8181) as service:
            hand_in("far", service)
            rows = doctor()
        lines = told(rows, "routes")
        assert len(lines) == 25 and lines[-1] == ("warn", "and 41 more of this kind")


class TestDiscover:
    """[Discover] names a socket, and the name does not get it."""

    def test_not_handed_in(self, healthy, legacy):
        Discover()
        healthy(ssh=LEGACY)
        legacy()
        finds("discover", "warn", "'ssh' should have socket 127.0.0.3:81 by its .Discover., and has it not",
              "systemctl enable --now usher-discover, or usherctl discover ssh", ("missing", "warn"))
        ctl("discover", "ssh")
        assert bad(doctor()) == {}

    @pytest.mark.parametrize("discover, access, text", [
        (["Socket=127.0.0.3:81", "Unit=other.service"], ["Bound=any"], "Unit= under .Discover."),
        (["Socket=127.0.0.3:81", "Executable=/usr/sbin/nginx"], ["Bound=any"], "Executable= under .Discover."),
        (["Socket=127.0.0.3:81"], ["Bound=127.0.0.2"], "outside of Bound="),
    ])
    def test_refused(self, healthy, legacy, discover, access, text):
        Discover()
        healthy(ssh=rule("Stream=192.0.2.0/24:22", access=access, discover=discover))
        legacy()
        finds("discover", "warn", f"'ssh' does not get socket 127.0.0.3:81, which .*{text}",
              "usherctl discover --dry-run ssh", ("missing", "warn"))


class TestSockets:
    def test_shut_down(self, healthy):
        """The service is alive and its socket is not; when another one is, that is no more than a warning."""
        healthy(late="Stream=192.0.2.0/24:81")
        with Service("old", port=8181) as old, make_socket("tcp", "127.0.0.2", 8182) as new:
            hand_in("late", new)
            new.shutdown(socket.SHUT_RDWR)
            finds("listening", "fail", "socket 127.0.0.2:8182 of 'late' does not listen any more.*no other socket",
                  "usherctl withdraw late")
            hand_in("late", old)
            finds("listening", "warn", "does not listen any more.*others of the name do", "restart the service")

    def test_connected(self, healthy):
        healthy(dns="Datagram=192.0.2.1:53")
        with make_socket("udp", "127.0.0.2", 53) as sock:
            hand_in("dns", sock)
            sock.connect(("127.0.0.9", 9))
            finds("listening", "fail", "socket 127.0.0.2:53 of 'dns' is connected: it gets no datagrams of others", "withdraw dns")

    def test_dead_holder(self, healthy):
        """A held socket goes on listening: connections wait for a service that does not come."""
        healthy(late="Stream=192.0.2.0/24:81")
        service = ServiceProcess("late", port=8181, backlog=1, before=lambda sock: request("hold", [sock], NAME="late"))
        service.kill()
        wait_until(lambda: bad(doctor()) == {})
        clients = [socket.create_connection((V4, 81), 5)]
        rows = finds("held", "warn", "connections wait in a socket held for 'late', which no service has open: 1 of 1",
                     "usherctl claim late -- COMMAND.*usherctl withdraw late")
        assert told(rows, "queues")[0][0] == "ok"
        clients.append(socket.create_connection((V4, 81), 5))
        finds("held", "fail", "no service has open: 2 of 1", "start the service", ("queues", "warn"))
        for client in clients:
            client.close()

    def test_does_not_accept(self, healthy):
        healthy(late="Stream=192.0.2.0/24:81")
        with make_socket("tcp", "127.0.0.2", 8181, backlog=1) as sock:
            hand_in("late", sock)
            clients = [socket.create_connection((V4, 81), 5) for _ in range(2)]
            finds("queues", "warn", "socket 127.0.0.2:8181 of 'late' is full, .*: 2 wait, and its backlog is 1",
                  rf"pid {os.getpid()}.*somaxconn")
            for client in clients:
                client.close()

    def test_port_of_replies(self, healthy):
        healthy(dns=rule(f"Datagram={V4}:53", access=["Bound=any"]))
        with make_socket("udp", V4, 5353) as sock:
            hand_in("dns", sock)
            rows = finds("udp-port", "warn", "'dns' gets what is sent to udp 192.0.2.1:53 on a socket of port 5353: its replies "
                         "leave from port 5353", "bind the service to the port of the rule")
        assert len(told(rows, "udp-port")) == 1

    def test_address_of_replies(self, healthy):
        """Bound to loopback; the remedy is there once."""
        healthy(dns=f"Datagram={V4}:53", ntp=f"Datagram={V4}:123")
        with make_socket("udp", "127.0.0.2", 53) as dns, make_socket("udp", "127.0.0.2", 123) as ntp:
            hand_in("dns", dns)
            hand_in("ntp", ntp)
            rows = finds("udp-address", "warn", r"'dns' gets what is sent to udp 192\.0\.2\.1:53 on a socket bound to 127\.0\.0\.2:53",
                         "IP_PKTINFO")
        assert [bool(row["remedy"]) for row in rows if row["check"] == "udp-address"] == [True, False]

    def test_mptcp(self, healthy):
        """What Go listens with; on a port of the rule, or on any when a name has no socket."""
        healthy(late="Stream=192.0.2.0/24:81")
        with Service("late", port=8181) as late, socket.socket(socket.AF_INET, socket.SOCK_STREAM, MPTCP) as sock:
            sock.bind(("0.0.0.0", 8888))
            sock.listen()
            finds("mptcp", "warn", r"\(pid \d+\) listens on 0\.0\.0\.0:8888 with MPTCP.*EOPNOTSUPP", "GODEBUG=multipathtcp=0",
                  ("missing", "warn"))
            hand_in("late", late)
            assert bad(doctor()) == {}
        with Service("late", port=8181) as late, socket.socket(socket.AF_INET, socket.SOCK_STREAM, MPTCP) as sock:
            hand_in("late", late)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((V4, 80))
            sock.listen()
            finds("mptcp", "warn", r"listens on 192\.0\.2\.1:80 with MPTCP", "SetMultipathTCP.false.")

    @pytest.mark.parametrize("setting, meant", [("Stream=192.0.2.0/24:22", False), ("Stream=[2001:db8::/48]:22", True)])
    def test_mptcp_of_a_family_that_no_rule_serves(self, healthy, setting, meant):
        """A port alone of [Discover] is about the families of its rule."""
        address = "::1" if meant else "127.0.0.3"
        healthy(ssh=rule(setting, discover=["Socket=8888"]))
        with Service("ssh", address=address, port=81) as ssh, \
                socket.socket(socket.AF_INET6, socket.SOCK_STREAM, MPTCP) as sock:
            hand_in("ssh", ssh)
            sock.bind(("::1", 8888))
            sock.listen()
            (row,) = [row for row in doctor() if row["check"] == "mptcp"]
            assert (row["result"] == "warn") == meant, row

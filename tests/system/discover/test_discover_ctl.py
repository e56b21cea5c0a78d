# SPDX-License-Identifier: BSD-3-Clause
"""usherctl discover: the sockets that [Discover] describes, their owners, and which are handed in."""

import json
import pwd
import shutil

import pytest

from harness.broker import USHERCTL, ctl, ctl_json
from harness.host import AS_NOBODY, NOBODY, V4, V6, WORK, Netns, rule, run
from harness.legacy import get, memcached, nginx, redis, redis_say, ssh, sshd
from harness.service import ServiceProcess
from harness.traffic import REFUSED, who
from harness.wire import cookie

COLUMNS = ["name", "proto", "socket", "owner", "pid", "uid", "unit", "cookie", "result", "reason"]


def discover(*words, status=0, **options):
    """The rows of a run that exits with that status."""
    done = ctl("--json", "discover", *words, check=False, **options)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    (rows,) = json.loads(done.stdout).values()
    return rows


def results(*words, **options):
    return [(row["name"], row["proto"], row["socket"], row["result"]) for row in discover(*words, **options)]


@pytest.fixture
def daemons(rules):
    """Three daemons of Debian, and a rule each."""
    rules(ssh=rule(f"Stream={V4}:5555", access=["Bound=any"], discover=["Socket=0.0.0.0:22", "User=root"]),
          cache=rule("Stream=192.0.2.2:6379 [2001:db8::2]:6379", discover=["Socket=127.0.0.2:6379 [::1]:6379"]),
          web=rule("Stream=192.0.2.3:80", discover=["Socket=127.0.0.0/8:8080", "Executable=/usr/sbin/nginx"]))
    return {"ssh": sshd(), "cache": redis("127.0.0.2", "::1"), "web": nginx()}


class TestDryRun:
    def test_daemons(self, daemons):
        """Everything matches the rules. No broker runs, and nothing changes."""
        rows = discover("--dry-run")
        assert all(list(row) == COLUMNS for row in rows)
        assert [(row["name"], row["proto"], row["socket"], row["owner"], row["pid"], row["uid"], row["result"], row["reason"])
                for row in rows] == [
            ("cache", "tcp", "127.0.0.2:6379", "redis-server", daemons["cache"].pid, 0, "accepted", None),
            ("cache", "tcp", "[::1]:6379", "redis-server", daemons["cache"].pid, 0, "accepted", None),
            ("ssh", "tcp", "0.0.0.0:22", "sshd", daemons["ssh"].pid, 0, "accepted", None),
            ("web", "tcp", "127.0.0.2:8080", "nginx", daemons["web"].pid, 0, "accepted", None)]
        assert all(row["cookie"].startswith("sk:") for row in rows)

    def test_table(self, daemons):
        head, *lines = ctl("discover", "--dry-run").stdout.splitlines()
        assert head.split() == [column.upper() for column in COLUMNS]
        assert [line.split()[:4] for line in lines[:4]] == [
            ["cache", "tcp", "127.0.0.2:6379", "redis-server"], ["cache", "tcp", "[::1]:6379", "redis-server"],
            ["ssh", "tcp", "0.0.0.0:22", "sshd"], ["web", "tcp", "127.0.0.2:8080", "nginx"]]
        assert lines[4:] == ["", "accepted: 4, refused: 0, missing: 0"]
        assert len(ctl("--no-legend", "discover", "--dry-run", "cache").stdout.splitlines()) == 2

    def test_missing(self, daemons):
        daemons["ssh"].kill()
        done = ctl("discover", "--dry-run", "ssh", check=False)
        assert done.returncode == 1 and "accepted: 0, refused: 0, missing: 1" in done.stdout
        (row,) = discover("--dry-run", "ssh", status=1)
        assert (row["proto"], row["socket"], row["result"], row["pid"], row["cookie"]) == (
            "tcp", "0.0.0.0:22", "missing", None, None)
        assert "/run/usher/rules.d/ssh.rule:6" in row["reason"]
        assert results("--dry-run", "cache", "web") and len(results("--dry-run", status=1)) == 4

    def test_missing_protocols(self, rules):
        """Each Socket= is looked for in each protocol of the rule."""
        rules(dns=rule("Stream=53", "Datagram=53", discover=["Socket=127.0.0.2:53 127.0.0.3:54"]))
        service = ServiceProcess("dns", "udp", "127.0.0.2", 53)
        assert results("--dry-run", status=1) == [
            ("dns", "udp", "127.0.0.2:53", "accepted"), ("dns", "tcp", "127.0.0.2:53", "missing"),
            ("dns", "tcp", "127.0.0.3:54", "missing"), ("dns", "udp", "127.0.0.3:54", "missing")]
        service.kill()
        assert {row[3] for row in results("--dry-run", status=1)} == {"missing"}

    @pytest.mark.parametrize("setting, found", [
        (f"Stream={V4}:80", ["[::1]:8080 refused", "8080 missing"]),
        (f"Stream=[{V6}]:80", ["[::1]:8080 accepted"]),
        ("Stream=80", ["[::1]:8080 accepted"]),
    ])
    def test_port_alone_of_one_family(self, rules, setting, found):
        """A port alone describes only sockets of the families that the rule has a match for: a process that listens there
        over IPv6 is not the daemon that an IPv4 rule waits for."""
        rules(web=rule(setting, discover=["Socket=8080 [::1]:8080"]))
        ServiceProcess("web", "tcp", "::1", 8080)
        rows = discover("--dry-run", status="missing" in found[-1])
        assert [f"{row['socket']} {row['result']}" for row in rows] == found

    def test_memcached(self, rules):
        """A daemon that does not run as root, over TCP and UDP."""
        rules(cache=rule("Stream=11211", "Datagram=11211", discover=["Socket=127.0.0.2:11211", "User=nobody"]))
        server = memcached()
        assert [(row["proto"], row["owner"], row["pid"], row["uid"], row["result"]) for row in discover("--dry-run")] == [
            (protocol, "memcached", server.pid, pwd.getpwnam("nobody").pw_uid, "accepted") for protocol in ("tcp", "udp")]

    @pytest.mark.parametrize("settings, words", [
        (["User=daemon"], ["User="]),
        (["Unit=nginx.service"], ["Unit="]),
        (["Executable=/usr/bin/nginx"], ["Executable="]),
        ([], ["User=", "[Discover]"]),
    ])
    def test_refused(self, rules, settings, words):
        """The reason names the key to edit."""
        rules(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080", *settings]))
        service = ServiceProcess("web", uid=NOBODY, gid=NOBODY)
        (row,) = discover("--dry-run", status=1)
        assert (row["result"], row["pid"], row["uid"]) == ("refused", service.pid, NOBODY)
        assert all(word in row["reason"] for word in ["EACCES", "web.rule", *words]), row["reason"]

    def test_bound(self, rules):
        """Bound= applies to discovered sockets too."""
        rules(ssh=rule("Stream=192.0.2.1:22", discover=["Socket=22"]))
        service = ServiceProcess("ssh", "tcp", "0.0.0.0", 22)
        (row,) = discover("--dry-run", status=1)
        assert (row["result"], row["pid"]) == ("refused", service.pid) and "Bound=" in row["reason"]

    def test_as_nobody(self, daemons):
        """An ordinary user sees what is looked for and what listens, with a hint that root would see more."""
        shutil.copy(USHERCTL, WORK / "usherctl")
        user = AS_NOBODY
        done = run(WORK / "usherctl", "--json", "discover", "--dry-run", check=False, **user)
        rows = json.loads(done.stdout)["sockets"]
        assert done.returncode == 1 and len(rows) == 4
        assert {row["result"] for row in rows} == {"refused"} and all(row["cookie"] for row in rows)
        assert all(row["uid"] == 0 and "run as root" in row["reason"] for row in rows if row["name"] != "web")
        # the workers, which run as nobody
        assert [row["owner"] for row in rows if row["name"] == "web"] == ["nginx"]
        assert "root may get other results" in done.stderr
        done = run(WORK / "usherctl", "discover", check=False, **user)
        assert done.returncode == 77 and "--dry-run" in done.stderr and done.stdout == ""

    def test_nothing_to_discover(self, rules):
        rules(web="Stream=80")
        assert ctl("discover", "--dry-run").stdout.endswith("accepted: 0, refused: 0, missing: 0\n")
        assert discover("--dry-run") == []

    @pytest.mark.parametrize("name, words", [("web", "no section [Discover]"), ("shop", "no rule of that name")])
    def test_unknown(self, rules, name, words):
        rules(web="Stream=80")
        done = ctl("discover", "--dry-run", name, check=False)
        assert done.returncode == 1 and f"'{name}'" in done.stderr and words in done.stderr

    def test_bad_rules(self, rules):
        rules(web=rule("Stream=80", discover=["Sock=1"]))
        done = ctl("discover", "--dry-run", check=False)
        assert done.returncode == 65 and "web.rule:4: " in done.stderr

    def test_other_namespace(self, broker):
        running = broker(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080"]))
        with Netns().entered():
            done = ctl("discover", "--dry-run", check=False)
        assert done.returncode == 1 and f"nsenter --net=/proc/{running.pid}/ns/net" in done.stderr


class TestHandIn:
    def test_no_broker(self, daemons):
        done = ctl("discover", check=False)
        assert done.returncode == 3 and "usher.sock" in done.stderr and done.stdout == ""

    def test_daemons(self, daemons, broker):
        running = broker()
        assert {row[3] for row in results()} == {"handed-in"}
        assert ssh(V4, 5555, "echo", "in") == "in\n"
        assert redis_say("192.0.2.2", 6379, "PING") == redis_say("2001:db8::2", 6379, "PING") == "+PONG\r\n"
        assert get("192.0.2.3", 80).startswith("nginx ")
        rows = {(row["NAME"], row["FAMILY"]): row for row in running.sockets()}
        assert {row["VIA"] for row in rows.values()} == {"discover"}
        assert int(rows["ssh", "ipv4"]["PID"]) == daemons["ssh"].pid
        assert {row[3] for row in results()} == {"already"}
        assert "\nhanded in: 0, already: 4, refused: 0, missing: 0\n" in ctl("discover").stdout
        ctl("withdraw", "cache")
        assert "\nhanded in: {new}, already: {old}, refused: 0, missing: 0\n".format(
            new=4 - len(running.sockets()), old=len(running.sockets())) in ctl("discover").stdout
        assert len(running.sockets()) == 4

    def test_by_name(self, daemons, broker):
        """Names that are not on the command line are left alone."""
        running = broker()
        assert results("ssh", "web") == [("ssh", "tcp", "0.0.0.0:22", "handed-in"), ("web", "tcp", "127.0.0.2:8080", "handed-in")]
        assert {row["NAME"] for row in running.sockets()} == {"ssh", "web"}

    def test_some_refused(self, daemons, broker, rules):
        """A refused socket does not keep the others out."""
        rules(shop=rule("Stream=81", discover=["Socket=127.0.0.9:8081", "User=daemon"]))
        broker()
        stranger = ServiceProcess("shop", "tcp", "127.0.0.9", 8081, uid=NOBODY, gid=NOBODY)
        daemons["web"].kill()
        assert [(row[0], row[3]) for row in results(status=1)] == [
            ("cache", "handed-in"), ("cache", "handed-in"), ("shop", "refused"), ("ssh", "handed-in"), ("web", "missing")]
        assert who(V4, 81) == REFUSED
        stranger.kill()

    def test_rule_not_in_force(self, broker, rules):
        """The files say what to look for; the broker decides what may be handed in."""
        broker(other="Stream=99")
        rules(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080"]))
        service = ServiceProcess("web")
        (row,) = discover(status=1)
        assert (row["result"], row["pid"]) == ("refused", service.pid) and "usherctl reload" in row["reason"]

    def test_group(self, broker):
        """Of an SO_REUSEPORT group, it is enough to hand in some members."""
        running = broker(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080"]))
        nginx(workers=4, options="reuseport")
        rows = discover()
        assert len(rows) == 4 and {row["result"] for row in rows} == {"handed-in", "accepted"}
        assert all("SO_REUSEPORT" in row["reason"] for row in rows if row["result"] == "accepted")
        handed_in = {row["cookie"] for row in rows if row["result"] == "handed-in"}
        assert {f"sk:{row['COOKIE']}" for row in running.sockets()} == handed_in
        assert get(V4, 80).startswith("nginx ")

    def test_udp(self, broker):
        broker(cache=rule(f"Datagram={V4}:11211", discover=["Socket=127.0.0.2:11211", "User=nobody"]))
        memcached()
        assert results() == [("cache", "udp", "127.0.0.2:11211", "handed-in")]
        assert [(row["proto"], row["state"], row["via"]) for row in ctl_json("list")] == [("udp", "serving", "discover")]

    def test_check_is_content(self, daemons, broker):
        """check does not warn of sockets that were handed in."""
        broker()
        assert ctl("check").stderr == ""
        ctl("discover")
        assert ctl("check").stderr == ""
        assert len(ctl_json("list")) >= 4

    def test_cookie(self, broker):
        """The cookie is the one that ss -e and usherctl list show."""
        broker(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080"]))
        service = ServiceProcess("web", before=cookie)
        (row,) = discover("--dry-run")
        assert row["cookie"] == f"sk:{service.before_result}"


class TestFamilies:
    """A daemon that listens in both families, with a rule for one of them. A refusal of one used to affect the other."""

    @pytest.fixture
    def two(self):
        return [ServiceProcess("six", "tcp", "::1", 8080), ServiceProcess("four", "tcp", "127.0.0.2", 8080)]

    def test_named(self, two, broker):
        """Socket= names a socket that the rule cannot use: it is refused with the remedy, and the other one serves."""
        broker(web=rule(f"Stream={V4}:80", discover=["Socket=127.0.0.2:8080 [::1]:8080"]))
        rows = discover(status=1)
        assert [(row["socket"], row["result"]) for row in rows] == [("127.0.0.2:8080", "handed-in"), ("[::1]:8080", "refused")]
        assert "takes only IPv6, for which the rule 'web' has no match" in rows[1]["reason"]
        assert who(V4, 80) == "four"

    def test_any_address(self, two, broker):
        """A port alone describes the sockets that the rule can use."""
        broker(web=rule(f"Stream=[{V6}]:80", discover=["Socket=8080"]))
        assert results() == [("web", "tcp", "[::1]:8080", "handed-in")]
        assert who(V6, 80) == "six"

    def test_dual_stack(self, broker):
        """An IPv6 socket that takes IPv4 too serves an IPv4 rule."""
        broker(web=rule(f"Stream={V4}:80", access=["Bound=any"], discover=["Socket=[::]:8080"]))
        service = ServiceProcess("both", "tcp", "::", 8080, v6only=False)
        assert results() == [("web", "tcp", "[::]:8080", "handed-in")]
        assert who(V4, 80) == "both"
        service.kill()

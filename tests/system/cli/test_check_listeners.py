# SPDX-License-Identifier: BSD-3-Clause
"""usherctl check warns of existing listeners that the rules would bypass."""

import json
import re
import shutil

import pytest

from harness.broker import USHERCTL, ctl
from harness.host import AS_NOBODY, V4, V4_OTHER, V6, WORK, Netns, rule, run
from harness.legacy import nginx
from harness.process import wait_until
from harness.service import make_socket
from harness.wire import hand_in


def check(*words, **options):
    """(warnings, number of others) for valid rule files."""
    document = json.loads(ctl("--json", "check", *words, **options).stdout)
    assert document["problems"] == []
    return document["warnings"], document["warnings_left_out"]


def texts(*words, **options):
    return [row["warning"] for row in check(*words, **options)[0]]


def test_nginx_at_the_very_address(rules):
    rules(web=["Stream=192.0.2.9:443", "Stream=192.0.2.1:443"])
    server = nginx(V4, 443)
    done = ctl("check")
    assert done.stderr == (
        f"/run/usher/rules.d/web.rule:3: warning: 'web' takes tcp 192.0.2.1:443 from nginx (pid {server.pid}), which "
        "listens there; narrow the match, or have the service listen on an address within Bound= of the rule and hand that "
            "socket in\n")
    assert done.stdout == "ok: rules: 1, matches: 2, warnings: 1\n"
    (row,), left_out = check()
    del row["warning"]
    assert row.pop("socket").startswith("sk:") and left_out == 0
    assert row == {"file": "/run/usher/rules.d/web.rule", "line": 3, "name": "web", "proto": "tcp", "process": "nginx",
                   "address": "192.0.2.1:443", "pid": server.pid, "uid": 0, "unit": None}
    server.kill()
    wait_until(lambda: check() == ([], 0), what="the last of its workers is gone")


@pytest.mark.parametrize("setting, protocol, address, taken", [
    ("Stream=192.0.2.0/24:80", "tcp", V4, "192.0.2.1:80"),
    ("Stream=[2001:db8::/48]:80", "tcp", V6, "[2001:db8::1]:80"),
    ("Stream=80", "tcp", V4, "192.0.2.1:80"),
    ("Stream=*", "tcp", V6, "[2001:db8::1]:80"),
    ("Datagram=192.0.2.1:70-90", "udp", V4, "192.0.2.1:80"),
    ("Datagram=[2001:db8::1]:80", "udp", V6, "[2001:db8::1]:80"),
    # a match concerns only its own address, protocol and port
    ("Stream=192.0.2.0/24:80", "tcp", V4_OTHER, None),
    ("Stream=[2001:db8::/128]:80", "tcp", V6, None),
    ("Stream=192.0.2.1:81", "tcp", V4, None),
    ("Datagram=192.0.2.1:80", "tcp", V4, None),
    ("Stream=192.0.2.1:80", "udp", V4, None),
    # there is no lookup for multicast
    ("Datagram=80", "udp", "224.0.0.251", None),
])
def test_one_address(rules, setting, protocol, address, taken):
    rules(web=setting)
    with make_socket(protocol, address, 80):
        assert [re.search(r"takes (.*) from .* listens there;", text)[1] for text in texts()] == (
            [f"{protocol} {taken}"] if taken else [])


@pytest.mark.parametrize("setting, protocol, address, v6only, taken", [
    ("Stream=192.0.2.0/24:80", "tcp", "0.0.0.0", True, "192.0.2.0/24:80"),
    ("Stream=[2001:db8::/48]:80", "tcp", "::", True, "[2001:db8::/48]:80"),
    ("Stream=192.0.2.0/24:80", "tcp", "::", False, "192.0.2.0/24:80"),
    ("Datagram=192.0.2.1:80", "udp", "0.0.0.0", True, "192.0.2.1:80"),
    ("Datagram=192.0.2.1:80", "udp", "::", False, "192.0.2.1:80"),
    ("Stream=80", "tcp", "0.0.0.0", True, "port 80"),
    ("Stream=80", "tcp", "::", False, "port 80"),
    ("Stream=192.0.2.1:80", "tcp", "::ffff:192.0.2.1", False, "192.0.2.1:80"),
    ("Stream=[::/0]:80 192.0.2.0/24:80", "tcp", "::", False, "[::/0]:80 and more"),
    ("Stream=198.51.100.0/24:80 192.0.2.0/24:80", "tcp", "0.0.0.0", True, "192.0.2.0/24:80 and more"),
    ("Stream=192.0.2.0/24:80", "tcp", "::", True, None),
    ("Stream=[2001:db8::/48]:80", "tcp", "0.0.0.0", True, None),
    ("Stream=192.0.2.0/24:81", "tcp", "0.0.0.0", True, None),
    ("Stream=192.0.2.0/24:80", "udp", "0.0.0.0", True, None),
])
def test_any_address(rules, setting, protocol, address, v6only, taken):
    """A socket bound to any address loses the packets that the matches cover, in each family that it serves."""
    rules(web=setting)
    with make_socket(protocol, address, 80, v6only=v6only):
        where = re.escape(f"[{address}]:80" if ":" in address else f"{address}:80")
        found = [re.search(rf"takes (.*) from .* listens on {where};", text)[1] for text in texts()]
        assert found == ([f"{protocol} {taken}"] if taken else [])


def test_the_rule_that_wins(rules):
    """By precedence: one rule for a socket at one address, every rule that takes some for a socket at any address."""
    rules(wide="Stream=192.0.0.0/16:80-90", web=["Stream=192.0.2.0/24:80", "Stream=192.0.2.0/25:80-81"], far="Stream=81")
    with make_socket("tcp", V4, 80):
        (row,), _ = check()
        assert (row["name"], row["line"]) == ("web", 3)
    with make_socket("tcp", "0.0.0.0", 80):
        rows, _ = check()
        assert [(row["name"], row["line"]) for row in rows] == [("web", 2), ("wide", 2)]
        assert "192.0.2.0/24:80 and more" in rows[0]["warning"]


def test_handed_in(broker):
    """A handed-in socket is not bypassed, unless another rule takes its packets."""
    running = broker(web=rule("Stream=192.0.2.1:80", access=["Bound=any"]),
                     shop=rule("Stream=192.0.2.1:81", access=["Bound=any"]))
    with make_socket("tcp", V4, 80) as sock:
        assert len(texts()) == 1
        hand_in("shop", sock)
        assert re.search("'web' takes .* from", texts()[0])
        hand_in("web", sock)
        assert texts() == []
        running.kill()
        assert len(texts()) == 1, "it is not handed in"


def test_discovered(broker, rules, usherd):
    """A socket that [Discover] describes will be handed in. If that should have happened but has not, the warning says
    where to look."""
    found = rule("Stream=192.0.2.0/24:80", access=["Bound=any"], discover=["Socket=0.0.0.0:80"])
    rules(web=found)
    with make_socket("tcp", "0.0.0.0", 80) as sock:
        assert texts() == [], "no broker"
        (WORK / "moved").mkdir()
        usherd.run_dir.joinpath("rules.d/web.rule").rename(WORK / "moved/web.rule")
        running = broker(other="Stream=99")
        assert texts(WORK / "moved") == [], "not in force yet"
        rules(web=found)
        running.reload()
        (text,) = texts()
        assert "[Discover] describes it: see 'usherctl discover --dry-run web'" in text
        hand_in("web", sock)
        assert texts() == []


@pytest.mark.parametrize("address, v6only", [("0.0.0.0", True), ("::", True), ("::", False), (V4, True), (V6, True)])
@pytest.mark.parametrize("setting", ["Stream=80", "Stream=192.0.2.0/24:80", "Stream=[2001:db8::/48]:80"])
def test_check_agrees_with_the_scan(rules, setting, address, v6only):
    """[Discover] has only a port, and the rule may serve only one family. check does not warn of sockets that the scan
    finds. It warns of every other socket from which the rule takes packets."""
    discovered = rule(setting, access=["Bound=any"], discover=["Socket=80"])
    with make_socket("tcp", address, 80, v6only=v6only):
        rules(web=setting)
        taken = texts() != []
        rules(web=discovered)
        (row,) = json.loads(ctl("--json", "discover", "--dry-run", check=False).stdout)["sockets"]
        assert row["result"] in ("accepted", "refused", "missing")
        assert texts() == [] and (row["result"] != "missing") == taken


def test_missing_pass(rules):
    """With Missing=pass, a listener is bypassed only while a socket is handed in, and the text says so."""
    rules(web=["Stream=192.0.2.1:80", "Missing=pass"])
    with make_socket("tcp", V4, 80):
        (text,) = texts()
        assert "takes tcp 192.0.2.1:80 from " in text and ", which listens there, while a socket is handed in as 'web'; " in text


def test_broker_that_hangs(broker):
    """check does not depend on the broker's answer, and waits no longer than --timeout for it."""
    running = broker(web="Stream=192.0.2.1:80")
    with make_socket("tcp", V4, 80):
        running.pause()
        assert len(texts("--timeout", "1")) == 1
        running.resume()


def test_many(rules):
    """20 listeners are listed. The others are counted for each rule."""
    rules(web="Stream=192.0.2.0/24:1000-1999", dns="Datagram=192.0.2.0/24:*")
    sockets = [make_socket("tcp", V4, 1000 + i) for i in range(25)] + [make_socket("udp", V4, 1000 + i) for i in range(7)]
    rows, left_out = check()
    assert (len(rows), left_out) == (20, 12)
    done = ctl("check")
    *lines, dns, web = done.stderr.splitlines()
    assert len(lines) == 20 and all("web.rule:2: warning: " in line for line in lines)
    assert dns == "/run/usher/rules.d/dns.rule: warning: 'dns' takes packets from 7 more listening sockets"
    assert web == "/run/usher/rules.d/web.rule: warning: 'web' takes packets from 5 more listening sockets"
    assert done.stdout == "ok: rules: 2, matches: 2, warnings: 32\n"
    for sock in sockets:
        sock.close()


def test_as_nobody(rules):
    """check needs no privileges, but only root can see the processes of others."""
    rules(web="Stream=8080")
    shutil.copy(USHERCTL, WORK / "usherctl")
    user = AS_NOBODY
    with make_socket("tcp", V4, 8080) as sock:
        text = run(WORK / "usherctl", "check", **user).stderr
        assert "from a process of uid 0, or the kernel itself (run as root to see which), which listens there" in text
        text = run(WORK / "usherctl", "check", pass_fds=[sock.fileno()], **user).stderr
        assert re.search(r"from usherctl \(pid \d+\), which listens there", text), text


def test_left_out(rules):
    rules(web="Stream=80")
    with make_socket("tcp", V4, 80):
        done = ctl("check", "--no-listeners")
        assert (done.stdout, done.stderr) == ("ok: rules: 1, matches: 1\n", "")
        assert check("--no-listeners") == ([], 0)


def test_bad_rules_first(rules):
    """check looks at listeners only if the rules are valid."""
    rules(web=["Stream=80", "Oops=1"])
    with make_socket("tcp", V4, 80):
        done = ctl("check", check=False)
        assert done.returncode == 65 and "warning" not in done.stderr


def test_other_namespace(broker):
    """Listeners here do not matter in the namespace that the broker serves."""
    running = broker(web="Stream=80")
    with Netns().entered(), make_socket("tcp", "127.0.0.1", 80):
        done = ctl("check")
    assert re.fullmatch(r"usherctl: warning: .*the broker serves network namespace \d+, but usherctl runs in \d+ \(EXDEV\); "
                        rf"run it there: nsenter --net=/proc/{running.pid}/ns/net usherctl\n", done.stderr), done.stderr

# SPDX-License-Identifier: BSD-3-Clause
"""Broken set-ups of rules: does usherctl name the cause?

set-up                              command            cause that is named
----------------------------------  -----------------  ------------------------------------------------------------
no rule for the port                explain            no rule matches, and nobody listens there
longer prefix of another name       explain            the name that has a socket loses, and to which match
rule edited, not reloaded           explain, doctor    the file has changed, and is not in force
rule file removed, not reloaded     explain, doctor    no match in the files is for it any more
two rules conflict, reload failed   reload, explain,   both files and lines; the rules from before are in force
                                    doctor
bad line, not reloaded              explain, doctor    file, line and the word that is not understood
bad line, reload failed             explain, doctor    the same, and the rules from before are in force
rule masked                         explain, doctor    the mask, and the file below it
file of the same name overrides     explain, doctor    the file that is read, and the one that is not
file that does not end in .rule     doctor             it is not read
rule gone, its socket is not        explain, doctor    no rule leads to the socket
Missing=pass, another listener      explain            the name passes the packet on, and to whom
Missing=pass, nobody                explain            nobody listens there either
[Discover] with the wrong User=     explain, doctor    the owner is not in User=
usher-discover does not run         explain, doctor    the socket that [Discover] describes is not handed in
daemon of [Discover] is not there   explain, doctor    none was handed in, nobody listens at Socket=

Each is built for real, a client tries it, and usherctl is run as an administrator runs it. `pytest -rP` has the screens.
"""

import os
import pathlib

import pytest

from harness.broken import doctor, explain, says, serving, show
from harness.host import RULE_FOLDERS, rule, write_rule
from harness.service import Service, ServiceProcess
from harness.traffic import REFUSED

WEB = "tcp 192.0.2.1:80"
FILE = r"/run/usher/rules\.d/web\.rule"
NOBODY = 65534


def test_no_rule(broker):
    """The rule has another port."""
    broker(web="Stream=192.0.2.0/24:80")
    with serving("web"):
        explain("tcp 192.0.2.1:8080", REFUSED, r"no rule matches tcp 192\.0\.2\.1:8080, and nobody listens there",
                "start the service that should listen, or write a rule")


def test_shadowed(broker):
    broker(net="Stream=192.0.2.0/24:80", host="Stream=192.0.2.1:*")
    with serving("net"):
        explain("tcp 192.0.2.9:80", "net")
        explain(WEB, REFUSED, r"'net' has a socket for it and loses to 'host': 192\.0\.2\.1(/32)?:\* has a longer prefix",
                r"narrow or remove 192\.0\.2\.1(/32)?:\* in /run/usher/rules\.d/host\.rule:2")
        with serving("host", port=8081):
            explain(WEB, "host", "net +192.0.2.0/24:80 +shorter prefix")


# ---- files and what is in force

def test_not_reloaded(broker, rules):
    broker(web="Stream=81")
    rules(web="Stream=80")
    with serving("web"):
        explain(WEB, REFUSED, "no rule matches", rf"the rule files give it to 'web' \({FILE}:2\), which is not in force",
                "usherctl diff", "usherctl reload")
        doctor("warn", "files have changed since the last reload", "usherctl diff && usherctl reload")


def test_removed_and_not_reloaded(broker):
    broker(web="Stream=80")
    os.unlink("/run/usher/rules.d/web.rule")
    explain(WEB, REFUSED, "no match in the rule files is for it any more, which is not in force", "usherctl reload")
    doctor("warn", "files have changed since the last reload", "usherctl reload")


def test_conflict(broker, rules):
    """Nothing of the new files is applied."""
    broker(web="Stream=81")
    rules(web="Stream=192.0.2.0/24:80", shop=["", "Stream=192.0.2.0/24:80"])
    with serving("web"):
        done = show("reload")
        assert done.returncode == 65
        conflict = r"(shop\.rule:3|web\.rule:2): .*conflicts with.*(web\.rule:2|shop\.rule:3)"
        says(done, [conflict])
        explain(WEB, REFUSED, "no rule matches",
                f"the last reload failed, and the rules from before are in force: .*{conflict}",
                "repair that", "usherctl reload")
        explain("tcp 192.0.2.1:81", "web", "the last reload failed")
        doctor("fail", f"the last reload failed, older rules are in force: .*{conflict}", "usherctl reload")


@pytest.mark.parametrize("reloaded", [False, True])
def test_bad_line(broker, rules, reloaded):
    broker(web="Stream=81")
    rules(web="Straem=80")
    if reloaded:
        assert show("reload").returncode == 65
    explain(WEB, REFUSED, "no rule matches", rf"{FILE}:2: .*Straem", "usherctl reload" if reloaded else "usherctl check")
    doctor("fail", rf"{FILE}:2: .*Straem", "usherctl check")


def masked_by(target):
    pathlib.Path(RULE_FOLDERS[0]).mkdir(parents=True, exist_ok=True)
    os.symlink(target, RULE_FOLDERS[0] / "web.rule")


def test_masked(broker):
    masked_by("/dev/null")
    broker(web="Stream=80")
    explain(WEB, REFUSED, "no rule matches",
            rf"{FILE} would give it to 'web', and /etc/usher/rules\.d/web\.rule masks that file",
            r"rm /etc/usher/rules\.d/web\.rule && usherctl reload")
    assert r"/etc/usher/rules.d/web.rule masks the rule" in show("doctor").flat


def test_overridden(broker):
    """The file that was edited is not the one that is read."""
    write_rule("web", rule("Stream=81"), RULE_FOLDERS[0])
    broker(web="Stream=80")
    explain(WEB, REFUSED, "no rule matches",
            rf"{FILE} would give it to 'web', and /etc/usher/rules\.d/web\.rule is read in its place")
    assert "/etc/usher/rules.d/web.rule is read in place of /run/usher/rules.d/web.rule" in show("doctor").flat


def test_not_a_rule_file(broker):
    broker(other="Stream=81")
    pathlib.Path("/run/usher/rules.d/web.conf").write_text(rule("Stream=80"))
    explain(WEB, REFUSED, "no rule matches")
    assert "/run/usher/rules.d/web.conf is not read" in show("doctor").flat


def test_socket_without_a_rule(broker):
    """The rule went, and the service stayed."""
    running = broker(web="Stream=80", other="Stream=81")
    with serving("web"):
        os.unlink("/run/usher/rules.d/web.rule")
        running.reload()
        explain(WEB, REFUSED, "no rule matches")
        doctor("warn", "1 socket of 'web' for tcp over ipv4, and no rule leads to it", r"web\.rule and usherctl reload")


# ---- Missing=pass

def test_missing_pass(broker):
    """It looks as if the service answered; it is another one."""
    broker(web=rule("Stream=192.0.2.0/24:80", Missing="pass"))
    passes = r"'web' has no socket for tcp 192\.0\.2\.1:80 and passes it on"
    explain(WEB, REFUSED, f"{passes}, and nobody listens there", "start the service")
    with Service("wild", address="0.0.0.0", port=80):
        explain(WEB, "wild", rf"{passes}; it goes to \S+ \(pid \d+\) at 0\.0\.0\.0:80", "no socket is handed in as 'web'")


# ---- [Discover]

def test_discover_refuses(broker, discover):
    """Somebody else owns the socket than the rule says."""
    broker(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080", "User=daemon"]))
    service = ServiceProcess("web", uid=NOBODY, gid=NOBODY)
    discover.start()
    discover.wait_said("web.*User=")
    explain(WEB, REFUSED, "no socket is handed in as 'web'", r"127\.0\.0\.2:8080", rf"pid {service.pid}.*User=",
            "usherctl discover --dry-run web")
    doctor("warn", r"'web' does not get socket 127\.0\.0\.2:8080.*uid 65534 may not own .*User=",
           "usherctl discover --dry-run web")


def test_nobody_discovers(broker):
    """The daemon is there, the rule describes it, and usher-discover does not run."""
    broker(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080", "User=nobody"]))
    service = ServiceProcess("web", uid=NOBODY, gid=NOBODY)
    explain(WEB, REFUSED, "no socket is handed in as 'web'",
            rf"\(pid {service.pid}\) at 127\.0\.0\.2:8080 is what \[Discover\] describes, and nobody has handed it in",
            "usher-discover")
    doctor("warn", r"'web' should have socket 127\.0\.0\.2:8080 by its \[Discover\], and has it not",
           "systemctl enable --now usher-discover")


def test_nothing_to_discover(broker, discover):
    """Socket= is not where the daemon listens."""
    broker(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080"]))
    discover.start()
    with Service("web", port=8081):
        explain(WEB, REFUSED, "no socket is handed in as 'web'", r"nobody listens at Socket=127\.0\.0\.2:8080",
                rf"{FILE}:4|usherctl discover --dry-run web")
        doctor("warn", r"nobody listens at Socket=127\.0\.0\.2:8080, where \[Discover\] of 'web'", rf"{FILE}:4")

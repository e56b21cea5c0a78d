# SPDX-License-Identifier: BSD-3-Clause
"""Broken set-ups of rules, their files and [Discover]: explain and doctor name the cause and the remedy.

Each set-up is real, a client tries it, and the test runs usherctl as an administrator does. `pytest -rP` shows the output.
"""

import os
import pathlib
import re

import pytest

from harness import wire
from harness.broken import serving
from harness.broker import ctl
from harness.discover import Discover
from harness.host import NOBODY, ROOT, RULE_FOLDERS, rule, write_rule
from harness.service import Service, ServiceProcess
from harness.traffic import REFUSED

from says import Doctor, Explain, Fails, fail, info, setup, warn

WEB, WEB6 = "tcp 192.0.2.1:80", "tcp [2001:db8::1]:80"
FILE, ETC_FILE = "/run/usher/rules.d/web.rule", "/etc/usher/rules.d/web.rule"


@setup
def test_no_rule(broker):
    """The rule has another port."""
    broker(web="Stream=192.0.2.0/24:80")
    with serving("web"):
        yield Explain("tcp 192.0.2.1:8080", REFUSED, fail("no-listener", address="192.0.2.1:8080"), says=("no-rule", {}))
        yield Doctor()


@setup
def test_shadowed(broker):
    """The rule that wins has no socket, and the rule with a socket gets nothing."""
    broker(net="Stream=192.0.2.0/24:80", host="Stream=192.0.2.1:*", wide="Stream=192.0.2.0/24:80-81")
    with serving("net") as service:
        yield Explain("tcp 192.0.2.9:80", "net")
        yield Explain(WEB, REFUSED, fail("missing", name="host"),
                      warn("shadowed", name="net", winner="host", match="192.0.2.1/32:*", advantage="a longer prefix",
                           where="/run/usher/rules.d/host.rule:2"))
        yield Doctor(warn("missing", name="host"), warn("missing", name="wide"))
        with serving("host", port=8081):
            yield Explain(WEB, "host", shows=("rule", {"name": "net", "match": "192.0.2.0/24:80", "result": "shorter prefix"}),
                          rules=[{"name": "host", "winner": True}, {"name": "net", "result": "shorter prefix"},
                                 {"name": "wide", "result": "shorter prefix"}])
        wire.request("withdraw", NAME="net")
        wire.hand_in("wide", service)
        yield Explain("tcp 192.0.2.2:80", REFUSED, fail("missing", name="net"),
                      warn("shadowed", name="wide", winner="net", advantage="fewer ports"))


# ---- files and what is in force

@setup
def test_not_reloaded(broker, rules):
    """A file was edited, but the rules were not reloaded."""
    broker(web="Stream=81")
    rules(web="Stream=80")
    with serving("web"):
        yield Explain(WEB, REFUSED, fail("no-listener"), warn("files-changed:given", where=f"{FILE}:2"))
        yield Doctor(warn("in-force", add=1, remove=1))


@setup
def test_removed_and_not_reloaded(broker):
    """A file was removed, but the rules were not reloaded."""
    broker(web="Stream=80", other="Stream=81")
    os.unlink(FILE)
    yield Explain(WEB, REFUSED, fail("missing"), warn("files-changed:gone"))
    yield Doctor(warn("in-force", add=0, remove=1), warn("missing"), warn("missing", name="other"))


@setup
def test_changed_and_not_reloaded(broker, rules):
    """The files change the destination of some packets and not of others, while a service runs."""
    broker(web="Stream=80")
    with serving("web"):
        rules(web=["Stream=80", "Missing=pass"])
        yield Explain(WEB, "web", warn("files-changed", where=FILE, changes="+Missing=pass"), says=("changed", {}))
        rules(web="Stream=80", host="Stream=192.0.2.1:80")
        yield Explain(WEB, "web", warn("files-changed:given", name="host", where="/run/usher/rules.d/host.rule:2"))
        yield Explain("tcp 192.0.2.2:80", "web")
        yield Doctor(warn("in-force", add=1, remove=0))
        os.unlink(FILE)
        yield Explain("tcp 192.0.2.2:80", "web", warn("files-changed:gone"))
        ctl("reload")
        yield Explain("tcp 192.0.2.2:80", REFUSED, fail("no-listener"))


CONFLICT = re.compile(r".*/(shop\.rule:3|web\.rule:2): .*conflicts with.*/(web\.rule:2|shop\.rule:3).*")
BAD_KEY = re.compile(rf".*{re.escape(FILE)}:2: .*'Straem'.*")


@setup
def test_conflict(broker, rules):
    """Two rules conflict: nothing of the new files is applied. Before and after the reload, both are named."""
    broker(web="Stream=81")
    rules(web="Stream=192.0.2.0/24:80", shop=["", "Stream=192.0.2.0/24:80"])
    with serving("web"):
        yield Explain(WEB, REFUSED, fail("no-listener"), warn("files-changed:bad", problem=CONFLICT))
        yield Doctor(fail("files", problem=CONFLICT))
        yield Fails(65, "reload", "reload", values={"problem": CONFLICT})
        yield Explain(WEB, REFUSED, fail("no-listener"), warn("reload-failed", problem=CONFLICT))
        yield Explain("tcp 192.0.2.1:81", "web", warn("reload-failed"))
        yield Doctor(fail("reload", problem=CONFLICT), fail("files", problem=CONFLICT))


@setup
def test_bad_line(broker, rules):
    """An unknown word is named with file and line, before and after the reload."""
    broker(web="Stream=81")
    rules(web="Straem=80")
    with serving("web"):
        yield Explain(WEB, REFUSED, fail("no-listener"), warn("files-unknown", problem=BAD_KEY))
        yield Doctor(fail("files", problem=BAD_KEY))
        yield Fails(65, "reload", "reload", values={"problem": BAD_KEY})
        yield Explain(WEB, REFUSED, fail("no-listener"), warn("reload-failed", problem=BAD_KEY))
        yield Explain("tcp 192.0.2.1:81", "web", warn("reload-failed"))
        yield Doctor(fail("reload", problem=BAD_KEY), fail("files", problem=BAD_KEY))


@setup
def test_several_bad_files(broker, rules):
    """Every problem in the files is reported: here two conflicts."""
    broker(web="Stream=192.0.2.0/24:80")
    with serving("web"):
        rules(mail="Stream=192.0.2.0/24:80", none="Stream=81", some="Stream=81")
        yield Doctor(fail("files", problem=re.compile(r".*(web\.rule:2: .*mail\.rule:2|mail\.rule:2: .*web\.rule:2).*")),
                     fail("files", problem=re.compile(r".*(none\.rule:2: .*some\.rule:2|some\.rule:2: .*none\.rule:2).*")))


@setup
def test_unknown_user(broker):
    """A user that does not exist admits nobody: a warning, which names file and line."""
    broker(web=["Stream=192.0.2.0/24:80", "[Access]", "User=nobody-of-that-name"])
    with serving("web"):
        yield Doctor(warn("accounts", problem=re.compile(r".*web\.rule:4: .*nobody-of-that-name.*"), where=f"{FILE}:4"))


def mask():
    RULE_FOLDERS[0].mkdir(parents=True, exist_ok=True)
    os.symlink("/dev/null", ETC_FILE)


@setup
def test_masked(broker):
    """A link to /dev/null masks the file of that name. That matters to packets that the masked rule would match."""
    mask()
    broker(web="Stream=80", other="Stream=81")
    yield Explain(WEB, REFUSED, fail("no-listener"), warn("masked", where=FILE, mask=ETC_FILE), rules=[])
    yield Explain("tcp 192.0.2.1:81", REFUSED, fail("missing", name="other"))
    yield Doctor(warn("missing", name="other"), info("masked", mask=ETC_FILE))


@setup
def test_masked_and_not_reloaded(broker):
    """The mask was created after the last reload."""
    broker(web="Stream=80")
    with serving("web"):
        mask()
        yield Explain(WEB, "web", warn("files-changed:gone"))
        yield Doctor(warn("in-force", add=0, remove=1), info("masked", mask=ETC_FILE))


@setup
def test_overridden(broker):
    """The edited file is not the one that is read. That matters to packets that its rule would match."""
    write_rule("web", rule("Stream=81"), RULE_FOLDERS[0])
    broker(web="Stream=80")
    yield Explain(WEB, REFUSED, fail("no-listener"), warn("overridden", where=FILE, mask=ETC_FILE))
    yield Explain("tcp 192.0.2.1:81", REFUSED, fail("missing"))
    yield Explain("tcp 192.0.2.1:82", REFUSED, fail("no-listener"))
    yield Doctor(warn("missing"), info("masked:overridden", where=FILE, mask=ETC_FILE))


@setup
def test_not_a_rule_file(broker):
    """A file whose name does not end in .rule."""
    broker(other="Stream=81")
    pathlib.Path("/run/usher/rules.d/web.conf").write_text(rule("Stream=80"))
    yield Explain(WEB, REFUSED, fail("no-listener"))
    yield Doctor(warn("missing", name="other"), info("ignored", where="/run/usher/rules.d/web.conf"))


@setup
def test_socket_without_a_rule(broker):
    """The rule was removed, but the service still runs."""
    running = broker(web="Stream=80", other="Stream=81")
    with serving("web"):
        os.unlink(FILE)
        running.reload()
        yield Explain(WEB, REFUSED, fail("no-listener"))
        yield Doctor(warn("unrouted", what="tcp over ipv4"), warn("missing", name="other"))


# ---- Missing=pass

@setup
def test_missing_pass(broker):
    """It looks as if the service answered, but another one does."""
    broker(web=rule("Stream=192.0.2.0/24:80", Missing="pass"))
    yield Explain(WEB, REFUSED, warn("missing"), fail("no-listener:pass"), says=("passed", {}))
    with Service("wild", address="0.0.0.0", port=80):
        yield Explain(WEB, "wild", warn("missing"), says=("passed:goes", {"address": "0.0.0.0:80"}))
        yield Doctor(info("missing:pass"), warn("bypassed:pass", address="0.0.0.0:80"))


# ---- [Discover]

@setup
def test_nothing_to_discover(broker, discover):
    """Socket= is not where the daemon listens."""
    broker(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080"]))
    discover.start()
    absent = {"address": "127.0.0.2:8080", "where": f"{FILE}:4"}
    with Service("web", port=8081):
        yield Explain(WEB, REFUSED, fail("missing"), warn("discover:nobody", **absent))
        yield Explain(WEB6, REFUSED, fail("missing"), warn("discover:nobody", **absent))
        yield Doctor(warn("missing"), warn("discover:nobody", **absent))


@pytest.mark.parametrize("uid", [NOBODY, ROOT])
@setup
def test_nobody_discovers(broker, uid):
    """The daemon runs and the rule describes its socket, but usher-discover does not run."""
    Discover()
    broker(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080", "User=nobody"]))
    service = ServiceProcess("web", uid=uid, gid=uid)
    yield Explain(WEB, REFUSED, fail("missing"), warn("discover:found", address="127.0.0.2:8080", pid=service.pid))
    yield Explain(WEB, None, fail("missing"), warn("discover:unknown", address="127.0.0.2/32:8080"),
                  warn("filters-unknown"), uid=1, status=1)
    yield Doctor(warn("missing"), warn("discover:found", address="127.0.0.2:8080"))
    ctl("discover", "web")
    yield Explain(WEB, "web")
    yield Doctor()


@pytest.mark.parametrize("setting, bound, uid, cause", [
    ("User=daemon", "any", NOBODY, r"uid 65534 may not own .*; User= under \[Discover\] in .*"),
    ("Unit=other.service", "any", 0, r".*Unit= under \[Discover\].*"),
    ("Executable=/usr/sbin/nginx", "any", 0, r".*Executable= under \[Discover\].*"),
    ("User=root", "127.0.0.3", 0, ".*outside of Bound=.*"),
], ids=["user", "unit", "executable", "bound"])
@setup
def test_discover_refuses(broker, discover, setting, bound, uid, cause):
    """The socket belongs to another user than the rule says, or is bound to an address that the rule does not allow."""
    broker(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080", setting], access=[f"Bound={bound}"]))
    service = ServiceProcess("web", uid=uid, gid=uid)
    discover.start()
    discover.wait_said("web.*127.0.0.2:8080")
    cause = {"address": "127.0.0.2:8080", "cause": re.compile(rf"is open in 'python3' \(uid {uid}\): {cause}|{cause}")}
    yield Explain(WEB, REFUSED, fail("missing"), warn("discover:refused", pid=service.pid, **cause))
    yield Explain(WEB6, REFUSED, fail("missing"), warn("discover:nobody", address="127.0.0.2:8080"))
    yield Doctor(warn("missing"), warn("discover:refused", **cause))

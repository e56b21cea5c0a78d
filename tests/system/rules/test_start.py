# SPDX-License-Identifier: BSD-3-Clause
"""A start with rule files that cannot be used costs their names the hand-ins, and the other names nothing"""

import errno
import json
import os
import pathlib
import shutil

import pytest

from harness.broker import USHERCTL, ctl
from harness.host import NOBODY, RULE_FOLDERS, V4, V4_OTHER, rule, run, write_rule
from harness.process import wait_until
from harness.service import Service, ServiceProcess
from harness.traffic import REFUSED, who
from harness.wire import Refused, hand_in, request, request_as

COPIES = pathlib.Path("/run/usher/in-force")


@pytest.fixture
def web():
    with Service("web") as service:
        yield service


@pytest.fixture
def mail():
    with Service("mail", port=8081) as service:
        yield service


def bad(*arguments, **options):
    with pytest.raises(Refused) as refusal:
        request(*arguments, **options)
    assert refusal.value.number == errno.EBADMSG, refusal.value
    return refusal.value.reason


def break_as(how, name="web", folder=RULE_FOLDERS[1]):
    """Make the file of a name one that cannot be used; returns what the broker says."""
    path = folder / f"{name}.rule"
    if how == "setting":
        write_rule(name, "[Rule]\nStream=80\nStrem=81\n", folder)
        return f"{path}:3: unknown key 'Strem'"
    if how == "no-match":
        write_rule(name, "[Rule]\nMissing=pass\n", folder)
        return f"{path}: the rule matches nothing"
    path.unlink(missing_ok=True)
    if how == "directory":
        path.mkdir(parents=True)
        return f"{path}: it is not a regular file"
    if how == "fifo":
        os.mkfifo(path)
        return f"{path}: it is not a regular file"
    assert how == "dangling"
    path.symlink_to("/nowhere/at/all")
    return f"{path}: cannot open the file"


class TestFirst:
    """A boot: nothing is pinned, and nothing was in force before."""

    @pytest.mark.parametrize("how", ["setting", "no-match", "directory", "fifo", "dangling"])
    def test_others_are_served(self, usherd, rules, web, mail, how):
        rules(mail="Stream=81")
        said = break_as(how)
        usherd.start()
        hand_in("mail", mail)
        assert who(V4, 81) == "mail"
        reason = bad("hand-in", [web], NAME="web")
        assert said in reason and "usherctl reload" in reason
        assert who(V4, 80) == REFUSED
        assert said in usherd.log
        status = usherd.status()
        assert (status["RULES"], status["FAULTS"]) == ("1", "1") and said in status["FAULT"]
        assert said in ctl("status").stdout
        assert said in usherd.notify.last("STATUS")

    def test_reload_repairs(self, usherd, rules, web, mail):
        """A reload is all or nothing, as ever; one that succeeds ends the fault."""
        rules(mail="Stream=81", web="Stream=0")
        usherd.start()
        hand_in("mail", mail)
        rules(mail="Stream=82")
        with pytest.raises(Refused, match=r"web\.rule:2"):
            usherd.reload()
        assert who(V4, 81) == "mail", "the other file is not applied either"
        rules(web="Stream=80")
        usherd.reload()
        hand_in("web", web)
        assert (who(V4, 80), who(V4, 82)) == ("web", "mail")
        assert "FAULTS" not in usherd.status()

    def test_every_file_is_bad(self, usherd, rules, web):
        """A broker that always comes up: with nothing but errors it has no rules."""
        rules(web="Stream=0", mail="nonsense")
        usherd.start()
        assert (usherd.status()["RULES"], usherd.status()["FAULTS"]) == ("0", "2")
        assert "web.rule:2" in bad("hand-in", [web], NAME="web")

    def test_conflict(self, usherd, rules, web, mail):
        """Of two files in conflict neither is more right; a third one is served."""
        rules(web="Stream=80", shop="Stream=80", mail="Stream=81")
        usherd.start()
        hand_in("mail", mail)
        for name in ("web", "shop"):
            assert "conflicts with" in bad("hand-in", [web], NAME=name)
        assert (who(V4, 80), who(V4, 81)) == (REFUSED, "mail")

    def test_file_name(self, usherd, rules, mail):
        """A file whose name is no name costs nobody anything."""
        rules(mail="Stream=81")
        write_rule("a b", "[Rule]\nStream=80\n")
        usherd.start()
        hand_in("mail", mail)
        assert "'a b' cannot name a rule" in usherd.log

    def test_bad_file_hides_the_weaker_one(self, usherd, rules, web):
        """The administrator's file replaces the distribution's, also when it is bad: the weaker one is not meant."""
        write_rule("web", "[Rule]\nStream=80\n", RULE_FOLDERS[3])
        write_rule("web", "[Rule]\nStream=0\n", RULE_FOLDERS[0])
        usherd.start()
        assert f"{RULE_FOLDERS[0]}/web.rule:2" in bad("hand-in", [web], NAME="web")
        assert who(V4, 80) == REFUSED

    def test_directory_that_cannot_be_read(self, usherd, rules, web, mail):
        """It may mask or replace any file of a weaker directory, so these names take no sockets; those of stronger ones do."""
        write_rule("mail", "[Rule]\nStream=81\n", RULE_FOLDERS[0])
        RULE_FOLDERS[1].parent.mkdir(parents=True, exist_ok=True)
        RULE_FOLDERS[1].write_text("no directory")
        write_rule("web", "[Rule]\nStream=80\n", RULE_FOLDERS[3])
        usherd.start()
        hand_in("mail", mail)
        assert who(V4, 81) == "mail"
        for name in ("web", "other"):
            assert f"{RULE_FOLDERS[1]}: cannot read the directory" in bad("hand-in", [web], NAME=name)
        RULE_FOLDERS[1].unlink()
        usherd.reload()
        hand_in("web", web)

    def test_only_those_of_the_service(self, usherd, rules, web, mail):
        """usherctl hands in the sockets whose names are well, and says of the others why not."""
        rules(mail="Stream=81", web="Stream=0")
        usherd.start()

        fds = [web.fileno(), mail.fileno()]
        done = run("env", "-u", "NOTIFY_SOCKET", "bash", "-c",
                   f'exec 3<&{fds[0]} 4<&{fds[1]}; LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:mail exec "$0" hand-in',
                   USHERCTL, pass_fds=fds)
        assert "web.rule:2" in done.stderr
        assert who(V4, 81) == "mail"


class TestAgain:
    """A restart of the broker beside what an earlier one left in the kernel."""

    @pytest.mark.vm
    @pytest.mark.parametrize("how", ["setting", "no-match", "directory", "fifo", "dangling"])
    @pytest.mark.parametrize("end", ["stop", "kill"])
    def test_dispatch_goes_on(self, broker, rules, web, mail, how, end):
        """The name is dispatched by the last good rule, and takes no sockets; changes of other files are in force."""
        running = broker(web="Stream=80", mail="Stream=81")
        hand_in("web", web)
        hand_in("mail", mail)
        getattr(running, end)()
        said = break_as(how)
        rules(mail="Stream=82", shop="Stream=83")
        running.start()
        assert (who(V4, 80), who(V4, 81), who(V4, 82)) == ("web", REFUSED, "mail")
        with Service("newer", port=8082) as newer:
            assert said in bad("hand-in", [newer], NAME="web")
            hand_in("shop", newer)
        assert said in running.log
        assert request("withdraw", NAME="web")["OK"] == "1", "root can still take a socket out"

    def test_shown(self, broker, rules, web):
        """list, rules, explain and doctor say by what the name is dispatched, and what is wrong."""
        running = broker(web="Stream=192.0.2.0/24:80")
        hand_in("web", web)
        running.stop()
        rules(web="Stream=0")
        running.start()
        assert [row["FILE"] for row in running.rules("web")][0] == f"{COPIES}/web.rule"
        assert "serving" in ctl("list", "web").stdout
        assert f"{COPIES}/web.rule" in ctl("explain", "tcp", f"{V4}:80").stdout
        done = ctl("doctor", check=False)
        assert done.returncode and f"{RULE_FOLDERS[1]}/web.rule:2" in done.stdout

    def test_several_restarts(self, broker, rules, web):
        """The last good rule is not lost when the broker starts again, nor when another file changes."""
        running = broker(web="Stream=80")
        hand_in("web", web)
        rules(web="Stream=0")
        for n in range(3):
            running.restart()
            assert who(V4, 80) == "web"
            rules(**{f"other{n}": f"Stream={90 + n}"})
        rules(web="Stream=85")
        running.reload()
        assert (who(V4, 80), who(V4, 85)) == (REFUSED, "web")
        rules(web="Stream=0")
        running.restart()
        assert who(V4, 85) == "web", "it is the last one that was in force"

    def test_removed_and_masked(self, broker, rules, web, mail):
        """A file that is gone, or masked, is no bad file: its rule ends."""
        running = broker(web="Stream=80", mail="Stream=81")
        hand_in("web", web)
        hand_in("mail", mail)
        running.stop()
        (RULE_FOLDERS[1] / "web.rule").unlink()
        write_rule("mail", "", RULE_FOLDERS[0])
        rules(bad="Stream=0")
        running.start()
        assert (who(V4, 80), who(V4, 81)) == (REFUSED, REFUSED)
        assert not list(COPIES.glob("*.rule"))

    def test_conflict(self, broker, rules, web, mail):
        """A file that claims what another one has takes nothing from it: both go on as before."""
        running = broker(web="Stream=80", mail="Stream=81")
        hand_in("web", web)
        hand_in("mail", mail)
        running.stop()
        rules(mail=["Stream=81", "Stream=80"])
        running.start()
        assert (who(V4, 80), who(V4, 81)) == ("web", "mail")
        assert running.status()["FAULTS"] == "2"

    def test_conflict_with_what_was(self, broker, rules, web, mail):
        """What a bad file said last stays its name's, whoever claims it now."""
        running = broker(web="Stream=80")
        hand_in("web", web)
        running.stop()
        rules(web="Stream=0", mail="Stream=80", shop="Stream=82")
        running.start()
        with pytest.raises(Refused):
            hand_in("mail", mail)
        hand_in("shop", mail)
        assert who(V4, 82) == "mail"

    def test_directory_that_cannot_be_read(self, broker, rules, web):
        """All names go on that may have their file there."""
        running = broker(web="Stream=80")
        hand_in("web", web)
        running.stop()
        shutil.move(RULE_FOLDERS[1], "/run/aside")
        RULE_FOLDERS[1].write_text("no directory")
        running.start()
        assert who(V4, 80) == "web"
        assert "cannot read the directory" in bad("hand-in", [web], NAME="web")

    def test_access_of_the_copy_counts_for_nobody(self, broker, rules, web):
        """Who could hand in by the old rule cannot by its copy: the new file may have been meant to end just that."""
        running = broker(web=rule("Stream=80", access=["User=nobody"]))
        request_as(NOBODY, NOBODY, "hand-in", [web], NAME="web")
        running.stop()
        rules(web="Stream=0")
        running.start()
        for verb, fds in (("hand-in", [web]), ("withdraw", []), ("claim", [])):
            with pytest.raises(Refused) as refusal:
                request_as(NOBODY, NOBODY, verb, fds, NAME="web")
            assert refusal.value.number == errno.EBADMSG
        assert who(V4, 80) == "web"


class TestCopies:
    def test_what_is_kept(self, broker, rules):
        """A copy of each file in force, byte for byte, for root alone; none of a file that is not in force."""
        running = broker(web="Stream=80", mail="Stream=81")
        text = (RULE_FOLDERS[1] / "web.rule").read_text()
        assert (COPIES / "web.rule").read_text() == text
        assert COPIES.stat().st_mode & 0o777 == 0o700
        rules(web=["Stream=80", "Stream=90"], bad="Stream=0")
        with pytest.raises(Refused):
            running.reload()
        assert (COPIES / "web.rule").read_text() == text
        (RULE_FOLDERS[1] / "bad.rule").unlink()
        (RULE_FOLDERS[1] / "mail.rule").unlink()
        running.reload()
        assert (COPIES / "web.rule").read_text() == (RULE_FOLDERS[1] / "web.rule").read_text()
        assert sorted(path.name for path in COPIES.iterdir()) == ["web.rule"]

    def test_no_room(self, broker, rules, web):
        """Where no copy can be made, an old one does not stay, and the reload succeeds."""
        running = broker(web="Stream=80")
        hand_in("web", web)
        run("mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=1", "none", COPIES)
        rules(web=["Stream=80", "# more"])
        running.reload()
        wait_until(lambda: "the rules cannot be copied to /run/usher/in-force" in running.log)
        assert who(V4, 80) == "web"


def test_discovery_starts(usherd, rules, discover):
    """usher-discover starts beside a bad file as well, and finds the sockets of the other names."""
    rules(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080"]), bad="Stream=0")
    usherd.start()
    with ServiceProcess("web"):
        discover.start()
        wait_until(lambda: who(V4, 80) == "web")
    assert "bad.rule:2" in discover.log


def test_check_still_fails(rules):
    """usherd --check and usherctl check judge all files: a bad one is an error."""
    rules(web="Stream=80", bad="Stream=0")
    assert ctl("check", "--no-listeners", check=False).returncode == 65
    assert json.loads(ctl("check", "--no-listeners", "--json", check=False).stdout)["problems"]

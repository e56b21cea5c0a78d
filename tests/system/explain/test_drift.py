# SPDX-License-Identifier: BSD-3-Clause
"""Rule files that say something else than the rules in force: every answer says to which of them it belongs."""

import re

import pytest

from harness.broken import serving
from harness.broker import ctl
from harness.diagnosed import Diagnosed
from harness.explained import Explained
from harness.host import rule, write_rule
from harness.service import ServiceProcess

from says import Doctor, Explain, fail, setup, warn

WEB = "tcp 192.0.2.1:80"
FILE = "/run/usher/rules.d/web.rule"
IN_FORCE = " (by the rules in force; a reload changes that)"


@setup
def test_first_the_rules_in_force(broker, rules):
    """The first line is by the rules in force and says so; what a reload would change is stated, and comes true."""
    broker(web="Stream=192.0.2.0/24:80")
    with serving("web"):
        assert not Explained(*WEB.split()).first.endswith(IN_FORCE)
        rules(web=["Stream=192.0.2.0/24:80", "Missing=pass"], host="Stream=192.0.2.1:80")
        assert Explained(*WEB.split()).first.endswith(IN_FORCE)
        yield Explain(WEB, "web", warn("files-changed:given", name="host", where="/run/usher/rules.d/host.rule:2"))
        yield Explain("tcp 192.0.2.2:80", "web", warn("files-changed", where=FILE, changes="+Missing=pass"))
        yield Explain("tcp 192.0.2.1:81", None, fail("no-listener"), status=1)
        ctl("reload")
        yield Explain(WEB, "refused", fail("missing", name="host"), warn("shadowed", name="web"))
        yield Explain("tcp 192.0.2.2:80", "web")


@setup
def test_discover_in_force(broker, rules):
    """Socket= of the file has changed: usher-discover and the broker go by the old one until a reload."""
    broker(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080"]))
    write_rule("web", rule("", "Stream=80", discover=["Socket=127.0.0.2:8081"]))
    ServiceProcess("web", port=8081)
    changed = warn("files-changed", where=FILE,
                   changes=re.compile(r"-Socket=127\.0\.0\.2/32:8080 \+Socket=127\.0\.0\.2/32:8081"))
    absent = {"address": "127.0.0.2:8080", "where": f"{FILE}:4"}
    yield Explain(WEB, "refused", fail("missing"), warn("discover:nobody", **absent), changed)
    yield Doctor(warn("missing"), warn("discover:nobody", **absent), warn("in-force", add=1, remove=1))
    done = ctl("discover", "--dry-run", check=False)
    assert f"warning: {FILE} has changed since the last reload" in done.stderr and "127.0.0.2:8081" in done.stdout
    ctl("reload")
    yield Explain(WEB, "refused", fail("missing"), warn("discover:found", address="127.0.0.2:8081"))
    assert ctl("discover", "--dry-run").stderr == ""


@setup
def test_doctor_judges_what_is_in_force(broker, rules):
    """Neither edited nor bad files keep doctor from checking what packets meet now."""
    broker(web="Stream=192.0.2.0/24:80", dns="Datagram=192.0.2.0/24:53", far="Stream=198.18.0.0/24:99")
    with serving("web"), serving("dns", "udp", port=5353):
        found = [warn("udp-port", name="dns"), warn("missing", name="far"),
                 warn("routes", prefix="198.18.0.0/24")]
        yield Doctor(*found)
        rules(dns="Datagram=192.0.2.0/24:5353", far="Stream=192.0.2.0/24:99")
        yield Doctor(*found, warn("in-force", add=2, remove=2))
        rules(dns="Datagarm=53")
        yield Doctor(*found, fail("files", problem=re.compile(".*'Datagarm'.*")))
        assert Diagnosed().of("in-force") == [("skip", "the rule files have errors")]


@pytest.mark.parametrize("text, lines", [
    ("[Rule]\n\n# first\nStream=192.0.2.0/24:80 198.51.100.0/24:80\nDatagram=53\n\n[Access]\nUser=daemon nobody\nBound=any\n"
     "[Rule]\nMissing=pass\n[Discover]\nSocket=127.0.0.2:9 8080\nExecutable=/usr/bin/*\n", {13}),
    ("[Discover]\nSocket=8080\n[Rule]\nStream=80\nStream=81\n[Access]\nGroup=daemon\nUnit=a.service\n", {2}),
])
@setup
def test_lines_of_the_file(broker, rules, text, lines):
    """The rules in force come from the broker's list of settings, with the lines of the file."""
    broker(web=text)
    found = Explained(*WEB.split())
    line, = lines
    assert f"correct Socket= in {FILE}:{line}" in found.flat, found.text
    assert "files-changed" not in found.codes
    wrong = {check for check, _ in Diagnosed().wrong()}
    assert {"files", "in-force"}.isdisjoint(wrong) and "discover" in wrong
    yield Explain("tcp 192.0.2.1:9", None, fail("no-listener"), status=1)

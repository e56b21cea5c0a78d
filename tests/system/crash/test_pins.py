# SPDX-License-Identifier: BSD-3-Clause
"""What can be wrong with /sys/fs/bpf and with the pins there; detach; full maps."""

import json
import os
import pathlib
import re

import pytest

from harness import bpf
from harness.host import NOBODY, V4, Netns, rule, run, write_rule
from harness.isolate import MS_RDONLY, MS_REMOUNT, mount
from harness.process import libc, wait_until
from harness.service import Service
from harness.traffic import REFUSED, who
from harness.wire import Refused, hand_in

BPFFS = pathlib.Path("/sys/fs/bpf")
MAPS = ["sockets", "front", "early", "early_rules", "seats", "places", "members", "groups", "counters", "refused_device", "yielded", "events", "state"]


def fails_to_start(usherd, *words):
    """The broker ends with a status other than 0, and one line says what failed and why. Returns the log."""
    usherd.spawn()
    status = usherd.wait()
    assert status not in (0, 1) and status > 0, f"status {status}: {usherd.log}"
    for word in words:
        assert word in usherd.log, usherd.log
    return usherd.log


def test_not_mounted(usherd, rules):
    rules(web="Stream=80")
    while os.path.ismount("/sys/fs/bpf"):  # the machine's own mount may be below ours
        libc("umount2", b"/sys/fs/bpf", 2)
    fails_to_start(usherd, "/sys/fs/bpf", "mount -t bpf")


def test_read_only(usherd, rules):
    rules(web="Stream=80")
    mount("bpf", "/sys/fs/bpf", "bpf", MS_REMOUNT | MS_RDONLY)
    fails_to_start(usherd, "/sys/fs/bpf/usher", "EROFS")


def test_read_only_while_running(broker, rules):
    """A reload that cannot pin is refused, and nothing changes."""
    running = broker(web="Stream=80")
    with Service("web") as service:
        hand_in("web", service)
        mount("bpf", "/sys/fs/bpf", "bpf", MS_REMOUNT | MS_RDONLY)
        rules(web="Stream=81")
        with pytest.raises(Refused):
            running.reload()
        assert (who(V4, 80), who(V4, 81)) == ("web", REFUSED)
        assert running.rules("web")[0]["VALUE"] == "80"
        mount("bpf", "/sys/fs/bpf", "bpf", MS_REMOUNT)
        running.reload()
        assert (who(V4, 80), who(V4, 81)) == (REFUSED, "web")


def make_usable(path):
    run("rm", "-rf", path)


WRONG_FOLDER = {
    "foreign-owner": (lambda path: (path.mkdir(0o700), os.chown(path, NOBODY, NOBODY)), "EPERM"),
    "group-writable": (lambda path: (path.mkdir(), path.chmod(0o770)), "EPERM"),
    "world-writable": (lambda path: (path.mkdir(), path.chmod(0o777)), "EPERM"),
    "symlink": (lambda path: path.symlink_to("/run/test"), "usher"),
    "a-map": (lambda path: run(bpf.BPFTOOL, "map", "create", path, "type", "array", "key", 4, "value", 4, "entries", 1,
                               "name", "x"), "usher"),
}


@pytest.mark.parametrize("what", WRONG_FOLDER)
def test_wrong_folder(usherd, rules, what):
    make, word = WRONG_FOLDER[what]
    rules(web="Stream=80")
    make(usherd.pins)
    fails_to_start(usherd, "/sys/fs/bpf/usher", word)
    make_usable(usherd.pins)
    usherd.start()


@pytest.mark.parametrize("name", [*MAPS, "link"])
def test_folder_instead_of_a_pin(usherd, rules, name):
    rules(web="Stream=80")
    (usherd.pins / name).mkdir(parents=True)
    usherd.pins.chmod(0o700)
    fails_to_start(usherd, name)


@pytest.mark.parametrize("name", [name for name in MAPS if name != "state"])
def test_map_of_another_kind(broker, name):
    """A pinned map of another kind is refused, and dispatch goes on."""
    running = broker(web="Stream=80")
    with Service("web") as service:
        hand_in("web", service)
        running.kill()
        os.unlink(running.pins / name)
        run(bpf.BPFTOOL, "map", "create", running.pins / name, "type", "array", "key", 4, "value", 12, "entries", 3,
            "name", "x")
        log = fails_to_start(running, name)
        assert "detach" in log, "the remedy"
        assert who(V4, 80) == "web"


def state_of(running):
    """The bytes of the state, as bpftool prints them."""
    text = run(bpf.BPFTOOL, "-j", "map", "dump", "pinned", running.pins / "state").stdout
    return [int(byte, 16) for byte in json.loads(text)[0]["value"]]


@pytest.mark.parametrize("offset, word", [(0, "state"), (4, "schema")])
def test_other_schema(broker, offset, word):
    """Pins of an older or newer schema, or of an unknown one, are refused with a remedy, and dispatch goes on."""
    running = broker(web="Stream=80")
    with Service("web") as service:
        hand_in("web", service)
        running.kill()
        value = state_of(running)
        value[offset] ^= 0x40
        run(bpf.BPFTOOL, "map", "update", "pinned", running.pins / "state", "key", "hex", "00", "00", "00", "00",
            "value", "hex", *[f"{byte:02x}" for byte in value])
        log = fails_to_start(running, word, "detach")
        assert running.process.returncode == 78, log
        assert who(V4, 80) == "web"


def entries(running, name):
    """Key and value of the entries of a map that are not zero, as lists of bytes."""
    text = run(bpf.BPFTOOL, "-j", "map", "dump", "pinned", running.pins / name).stdout
    bytes_of = lambda words: [int(byte, 16) for byte in words]
    return [(bytes_of(entry["key"]), bytes_of(entry["value"])) for entry in json.loads(text)
            if any(bytes_of(entry["value"]))]


def write_entry(running, name, key, value):
    words = lambda numbers: [f"{number:02x}" for number in numbers]
    run(bpf.BPFTOOL, "map", "update", "pinned", running.pins / name, "key", "hex", *words(key), "value", "hex",
        *words(value))


# the map, the first byte, what is written there; whether the broker reports it
DAMAGES = {
    "order of slots that do not exist": ("seats", 0, bytes(range(0x78, 0x80)), True),
    "order that never ends": ("seats", 0, b"\x01" * 8, True),
    "seat used twice": ("seats", 8, b"\xff", True),
    "seat of no family": ("seats", 9, b"\x01", True),
    "seat of no protocol": ("seats", 10, b"\x84", True),
    "name without end": ("seats", 16, b"w" * 64, True),
    "name that is none": ("seats", 16, b"\x1b[2J", True),
    "unit without end": ("places", 56, b"u" * 128, False),
    "place of no family": ("places", 34, b"\xff", False),
    "way that is none": ("places", 35, b"\xff", False),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_damaged_pin(broker, what):
    """What is read back from pins may be anything: the broker leaves out what cannot be, reports it, and works."""
    name, at, damage, reported = DAMAGES[what]
    running = broker(web="Stream=80")
    with Service("web") as service:
        hand_in("web", service)
        running.kill()
        for key, value in entries(running, name):
            value[at:at + len(damage)] = damage
            write_entry(running, name, key, value)
        running.start()
        assert ("seats is damaged" in running.log) == reported, running.log
        running.list()
        hand_in("web", service)
        row, = running.sockets()
        assert (row["NAME"], row["STATE"]) == ("web", "serving")
        assert len(row.get("UNIT", "")) < 128
        assert who(V4, 80) == "web"
        with Service("newer", port=8081) as newer:
            hand_in("web", newer)
            assert who(V4, 80) == "newer"
        assert who(V4, 80) == "web"
        running.restart()
        assert who(V4, 80) == "web" and len(running.sockets()) == 1


@pytest.mark.parametrize("name", [*MAPS, "link", "program-1"])
@pytest.mark.parametrize("alive", [True, False])
def test_pin_deleted_by_hand(broker, name, alive):
    """The running broker continues. The next one says what was lost, and works."""
    running = broker(web="Stream=80", spare="Stream=81")
    with Service("web") as service, Service("spare", port=8081) as spare:
        hand_in("web", service)
        if not alive:
            running.kill()
        os.unlink(running.pins / name)
        if name != "link":
            assert who(V4, 80) == "web"
        if alive:
            running.reload()
            hand_in("spare", spare)
            assert (who(V4, 80), who(V4, 81)) == ("web", "spare"), "a reload repairs what it can"
            running.kill()
        running.start()
        hand_in("web", service)
        hand_in("spare", spare)
        assert (who(V4, 80), who(V4, 81)) == ("web", "spare")
        assert {row["NAME"] for row in running.sockets()} == {"web", "spare"}
        assert len(bpf.links()) == 1
        running.restart()
        assert (who(V4, 80), who(V4, 81)) == ("web", "spare")
        assert len(running.sockets()) == 2


def test_pins_of_a_version_without_early(broker):
    """Maps that an earlier version lacked are created, and nothing is lost."""
    running = broker(web="Stream=80")
    with Service("web") as service:
        hand_in("web", service)
        running.kill()
        before = bpf.pins(running.pins)
        for name in ("early", "early_rules"):
            os.unlink(running.pins / name)
        running.start()
        assert [re.sub(r"\d+$", "N", pin) for pin in bpf.pins(running.pins)] == [
            re.sub(r"\d+$", "N", pin) for pin in before]
        assert who(V4, 80) == "web" and len(running.sockets()) == 1
        assert "pins are missing" not in running.log


def test_everything_deleted_by_hand(broker):
    running = broker(web="Stream=80")
    with Service("web") as service:
        hand_in("web", service)
        make_usable(running.pins)
        assert running.running()
        running.kill()
        assert who(V4, 80) == REFUSED
        running.start()
        hand_in("web", service)
        assert who(V4, 80) == "web"


def test_detach(broker):
    """detach removes everything. Sockets stay open, and the next start begins from nothing."""
    running = broker(web="Stream=80")
    with Service("web") as service:
        hand_in("web", service)
        running.request("detach")
        assert running.wait() == 0
        assert bpf.pins() == [] and bpf.links() == []
        assert (who(V4, 80), who("127.0.0.2", 8080)) == (REFUSED, "web")
        running.start()
        assert running.sockets() == [] and running.status()["GENERATION"] == "1"


def test_stop_leaves_dispatch(broker):
    """Stopping the broker leaves dispatch in place."""
    running = broker(web="Stream=80")
    with Service("web") as service:
        hand_in("web", service)
        running.stop()
        assert who(V4, 80) == "web"


def test_other_network_namespace(broker):
    """A broker does not start if the pins serve another network namespace than its own, and says why."""
    running = broker(web="Stream=80")
    with Service("web") as service:
        hand_in("web", service)
        running.kill()
        other = Netns()
        with other.entered():
            running.spawn()
        assert running.wait() != 0
        assert "namespace" in running.log
        assert who(V4, 80) == "web"
        running.start()
        assert len(running.sockets()) == 1


def test_network_namespace_is_gone(usherd, rules):
    """Pins of a network namespace that was deleted are replaced."""
    rules(web="Stream=80")
    other = Netns()
    with other.entered():
        usherd.start()
    usherd.kill()
    os.close(other.fd)
    # its workers end after it, and until then the network namespace is there
    wait_until(lambda: not any(path.read_text() == "usherd\n" for path in pathlib.Path("/proc").glob("[0-9]*/comm")))
    usherd.start()
    with Service("web") as service:
        hand_in("web", service)
        assert who(V4, 80) == "web"


class TestFull:
    """Names beyond the number of seats are refused, and the message names the limit. Freed seats are used again."""

    def test_more_names_than_seats(self, broker):
        """4,096 seats: the reload is refused, the message names the limit, and nothing is half applied."""
        running = broker(web="Stream=80")
        with Service("web") as service:
            hand_in("web", service)
            for number in range(2100):
                write_rule(f"n{number}", rule(f"Stream={1000 + number}"))  # two seats each: IPv4 and IPv6
            before = running.status()
            with pytest.raises(Refused, match="409[56]") as refusal:
                running.reload()
            assert ".rule: " in refusal.value.reason, "where to begin"
            after = running.status()
            assert (before["GENERATION"], before["RULES"]) == (after["GENERATION"], after["RULES"])
            assert who(V4, 80) == "web" and who(V4, 1000) == REFUSED
            for number in range(1000, 2100):
                os.unlink(f"/run/usher/rules.d/n{number}.rule")
            assert running.reload()["RULES"] == "1001"
            assert who(V4, 80) == "web"

    def test_seats_are_used_again(self, broker):
        """Names come and go, and the seats of removed names become free."""
        running = broker(web="Stream=80")
        for turn in range(5):
            for number in range(1000):
                write_rule(f"n{number}", rule(f"Stream={1000 + number}")) if turn == 0 else os.rename(
                    f"/run/usher/rules.d/t{turn - 1}n{number}.rule" if turn > 1 else
                    f"/run/usher/rules.d/n{number}.rule", f"/run/usher/rules.d/t{turn}n{number}.rule")
            assert running.reload()["RULES"] == "1001"

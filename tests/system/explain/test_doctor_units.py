# SPDX-License-Identifier: BSD-3-Clause
"""usherctl doctor asks the service manager and relies on the answer. What could not be checked is never "ok".

The test plays the service manager; tests/systemd has the real one.
"""

import json
import pathlib
import re
import shutil
import socket
import time

import pytest

from harness.broker import USHERCTL
from harness.host import AS_NOBODY, WORK, run
from harness.manager import HEALTHY, PRIVATE, SERVICE, STATE, SYSTEM_BUS, Manager
from harness.process import PATIENCE

CHECKS = ["service", "service-settings", "socket-unit"]

USERS = pytest.mark.parametrize("user", ["root", "nobody"])


def doctor(user="root"):
    """{check: [(result, text), ...]} of the checks of units. There is no broker and no rule."""
    options, command = {}, USHERCTL
    if user == "nobody":
        command = shutil.copy(USHERCTL, WORK / "usherctl")
        options = AS_NOBODY
    done = run(command, "--json", "doctor", check=False, **options)
    assert done.returncode in (0, 1) and done.stderr == "", (done.returncode, done.stdout, done.stderr)
    found = {}
    for row in json.loads(done.stdout)["findings"]:
        if row["check"] in CHECKS:
            found.setdefault(row["check"], []).append((row["result"], row["text"]))
    assert list(found) == CHECKS
    return found


def skips(found, text):
    """Every check of a unit is skipped, with these words."""
    for check in CHECKS:
        (result, words), = found[check]
        assert result == "skip" and re.search(text, words), found


def changed(**properties):
    """A machine that is healthy except for these properties of the service; None removes a property."""
    service = {**SERVICE, **properties}
    return {**HEALTHY, "usherd.service": {name: value for name, value in service.items() if value}}


HEALTHY_TEXTS = {"service": [("ok", "usherd.service is active and starts at boot")],
                 "service-settings": [("ok", "usherd.service has none of the settings that are known to hinder the broker")],
                 "socket-unit": [("ok", "usherd.socket is active and starts at boot")]}


class TestReached:
    def test_root_needs_no_bus(self):
        manager = Manager()
        assert doctor() == HEALTHY_TEXTS
        assert manager.asked == ["usherd.service", "usherd.service", "usherd.socket"]
        assert manager.connections == 1

    @USERS
    def test_by_the_system_bus(self, user):
        manager = Manager(path=SYSTEM_BUS)
        assert doctor(user) == HEALTHY_TEXTS
        assert manager.connections == 1

    def test_nobody_may_not_use_the_private_socket(self):
        private, bus = Manager(), Manager(path=SYSTEM_BUS)
        assert doctor("nobody") == HEALTHY_TEXTS
        assert (private.connections, bus.connections) == (0, 1)

    def test_root_where_the_private_socket_is_dead(self):
        """The file of the private socket exists, but nothing listens on it."""
        Manager(path=SYSTEM_BUS)
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(PRIVATE))
        assert doctor() == HEALTHY_TEXTS


class TestNotReached:
    @USERS
    def test_without_systemd(self, user):
        skips(doctor(user), "^systemd does not run here$")

    def test_root_without_any_socket(self):
        pathlib.Path("/run/systemd/system").mkdir(parents=True)
        skips(doctor(), r"^systemd cannot be reached over /run/systemd/private: No such file or directory \(ENOENT\), "
                        r"nor over the system bus: No such file or directory \(ENOENT\)$")

    def test_nobody_without_a_bus(self):
        Manager()
        skips(doctor("nobody"), r"^systemd cannot be reached over the system bus: No such file or directory \(ENOENT\); run as root$")

    @pytest.mark.parametrize("path, until", [(PRIVATE, "connect"), (SYSTEM_BUS, "login")], ids=["connect", "login"])
    def test_no_answer(self, path, until):
        """doctor waits only once for a manager that hangs, however many units it asks for."""
        manager = Manager(path=path, until=until)
        start = time.monotonic()
        skips(doctor(), r"^systemd does not answer within 10 s \(ETIMEDOUT\)$")
        assert time.monotonic() - start < PATIENCE
        assert manager.connections == 1

    @USERS
    def test_hangs_up(self, user):
        Manager(path=PRIVATE if user == "root" else SYSTEM_BUS, greeting=b"")
        skips(doctor(user), r"^systemd cannot be reached over [^(]*\((ECONNRESET|EPIPE|ENOTCONN)\)[,;]")

    def test_talks_nonsense(self):
        Manager(greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9)
        skips(doctor(), r"^systemd cannot be reached over /run/systemd/private: [^(]*\(E[A-Z]+\), nor .*\(ENOENT\)$")

    def test_refuses(self):
        Manager(units={name: "no, thanks" for name in HEALTHY})
        skips(doctor(), r"^systemd does not show usherd\.(service|socket): no, thanks \(org.freedesktop.DBus.Error.AccessDenied\)$")


class TestAnswers:
    def test_no_such_unit(self):
        Manager(units={"usherd.socket": STATE})
        expected = [("info", "there is no unit usherd.service (not-found)")]
        assert doctor() == {**HEALTHY_TEXTS, "service": expected, "service-settings": expected}

    def test_state(self):
        manager = Manager()
        for properties, text in [
            ({"ActiveState": ("s", "failed")}, "usherd.service is failed"),
            ({"UnitFileState": ("s", "disabled")}, "usherd.service is not enabled: it does not start at boot"),
            ({"NeedDaemonReload": ("b", True)}, "the files of usherd.service have changed, but systemd has not read them again"),
        ]:
            manager.units = changed(**properties)
            found = doctor()
            assert found["service"][0] == ("warn", text)
            assert found["service-settings"] == HEALTHY_TEXTS["service-settings"]

    @pytest.mark.parametrize("state, result", [("static", "skip"), ("generated", "skip"), ("", "skip"), ("linked", "warn"),
                                               ("enabled-runtime", "warn"), ("enabled", "ok"), ("alias", "ok")])
    def test_starts_at_boot(self, state, result):
        """Units that others start are not said to start at boot."""
        Manager(units=changed(UnitFileState=("s", state)))
        [(found, _)] = doctor()["service"]
        assert found == result

    def test_settings_that_hinder(self):
        manager = Manager()
        for properties, result, text in [
            ({"PrivateNetwork": ("b", True)}, "fail", "PrivateNetwork=yes"),
            ({"PrivateUsers": ("b", True)}, "fail", "PrivateUsers=yes"),
            ({"PrivateBPF": ("s", "yes")}, "fail", "PrivateBPF=yes"),
            ({"PrivatePIDs": ("s", "yes")}, "warn", "PrivatePIDs=yes"),
            ({"ProtectProc": ("s", "ptraceable")}, "warn", "ProtectProc=ptraceable"),
            ({"CapabilityBoundingSet": ("t", 1 << 21)}, "fail", "leaves out CAP_NET_ADMIN,"),
            ({"CapabilityBoundingSet": ("t", 1 << 12)}, "fail", "leaves out CAP_BPF,"),
            ({"CapabilityBoundingSet": ("t", 1 << 63)}, "fail", "leaves out CAP_BPF and CAP_NET_ADMIN,"),
            ({"SystemCallFilter": ("(bas)", (True, ["read"]))}, "fail", "SystemCallFilter="),
            ({"SystemCallFilter": ("(bas)", (True, []))}, "fail", "SystemCallFilter="),
            ({"SystemCallFilter": ("(bas)", (False, ["acct", "bpf"]))}, "fail", "SystemCallFilter="),
            ({"SystemCallFilter": ("(bas)", (False, ["acct", "bpf:EPERM"]))}, "fail", "SystemCallFilter="),
            ({"SystemCallFilter": ("(bas)", (True, ["bpf:EPERM"]))}, "fail", "SystemCallFilter="),
            ({"ReadWritePaths": ("as", ["/sys/fs/bpf/ushe", "/var"])}, "fail", "ProtectSystem=strict keeps"),
            ({"ReadWritePaths": ("as", []), "ProtectKernelTunables": ("b", True)}, "fail", "ProtectKernelTunables=yes keeps"),
        ]:
            manager.units = changed(**properties)
            found = doctor()
            (row,) = found["service-settings"]
            assert row[0] == result and text in row[1], (properties, row)
            assert found["service"] == HEALTHY_TEXTS["service"]

    def test_settings_that_do_not(self):
        manager = Manager()
        for properties in [
            {"SystemCallFilter": ("(bas)", (False, []))},
            {"SystemCallFilter": ("(bas)", (False, ["reboot", "bpfx:EPERM"]))},
            {"PrivateBPF": ("s", "no"), "PrivatePIDs": ("s", "no")},
            {"ReadWritePaths": ("as", []), "ProtectSystem": ("s", "full")},
            {"ReadWritePaths": ("as", ["/a", "-+/sys/fs"])},
        ]:
            manager.units = changed(**properties)
            assert doctor() == HEALTHY_TEXTS, properties

    def test_what_is_not_shown(self):
        """A check whose property is missing in the answer, or has another type, is skipped, and not "ok"."""
        manager = Manager()
        for name, (kind, _) in SERVICE.items():
            for value in None, ("as", ["loaded"]) if kind != "as" else ("s", "yes"):
                manager.units = changed(**{name: value})
                found = doctor()
                told = [("skip", f"systemd does not show {name}= of usherd.service")]
                assert found["service"] == (told if name in STATE or name == "MainPID" else HEALTHY_TEXTS["service"])
                assert found["service-settings"] == (told if name != "MainPID" else HEALTHY_TEXTS["service-settings"])
                assert found["socket-unit"] == HEALTHY_TEXTS["socket-unit"]

    def test_no_properties_at_all(self):
        Manager(units={name: {} for name in HEALTHY})
        skips(doctor(), "^systemd does not show LoadState= of usherd.(service|socket)$")

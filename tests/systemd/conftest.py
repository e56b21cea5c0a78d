# SPDX-License-Identifier: BSD-3-Clause
"""Every test runs as process 1 of its own namespaces, as in tests/system, and boots the machines that it needs."""

import contextlib
import fcntl
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import pytest

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "system"))

from harness import isolate, process  # noqa: E402
from harness.host import ip  # noqa: E402

import machine as _machine  # noqa: E402

SECONDS = 300  # for one test, unless its mark sets another limit
BUILD = pathlib.Path(os.environ.get("USHER_BUILD", "/nonexistent")).absolute()
SOURCE = HERE.parent.parent

# Each release by its version of systemd, and its root folder; "/" is this machine's own.
RELEASES = {252: "bookworm", 257: "trixie"}


def pytest_configure(config):
    config.addinivalue_line("markers", "since(version): needs this version of systemd")
    config.addinivalue_line("markers", "seconds(n): time limit of the test")
    if os.getuid() != 0:
        pytest.exit("the tests of systemd make namespaces and load BPF programs: run them as root", 4)
    if not config.option.collectonly and not (BUILD / "src/daemon/usherd").exists():
        pytest.exit(f"no usherd in {BUILD}: set USHER_BUILD to the build directory", 4)
    if config.pluginmanager.has_plugin("xdist"):
        config.pluginmanager.register(Workers())


def _own_systemd():
    return int(subprocess.run(["systemctl", "--version"], capture_output=True, text=True).stdout.split()[1])


def _root(version):
    """The root folder with that version of systemd, or the reason why there is none."""
    if version == _own_systemd():
        return "/", None
    if version < _own_systemd():
        return None, "machine: what is built here does not run on an older release"
    done = subprocess.run([HERE / "root", RELEASES[version]], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        return None, (done.stderr.strip().splitlines() or ["?"])[-1]
    return done.stdout.strip(), None


@contextlib.contextmanager
def one_at_a_time():
    """meson keeps one log of what was installed, which uninstall reads: so only one test at a time may install."""
    with open(BUILD / "usher-test.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install(build, destination, *words):
    subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", destination, *words],
                   check=True, capture_output=True, stdin=subprocess.DEVNULL)


def _install(folder, version):
    """Install usher as a package for that version of systemd would."""
    units = folder / f"units-{version}"
    layer = folder / f"layer-{version}"
    with one_at_a_time():
        install(BUILD, layer)
    subprocess.run(["meson", "setup", units, SOURCE, "--prefix=/usr"], check=True, capture_output=True,
                   stdin=subprocess.DEVNULL, env={**os.environ, "USHER_SYSTEMD_VERSION": str(version)})
    install(units, layer, "--tags=systemd")
    old = layer / "lib"
    if old.exists():  # /lib is a link to /usr/lib, and a folder of this name would hide it
        shutil.copytree(old, layer / "usr/lib", dirs_exist_ok=True)
        shutil.rmtree(old)
    return layer


def pytest_sessionstart(session):
    if session.config.option.collectonly:
        return
    os.environ["USHER_TEST_SESSION"] = str(os.getpid())
    session.config._before = _traces()
    if hasattr(session.config, "workerinput"):
        session.config._roots = json.loads(session.config.workerinput["roots"])
        return
    session.config._folder = folder = pathlib.Path(tempfile.mkdtemp(prefix="usher-systemd."))
    session.config._roots = {}
    for version in RELEASES:
        root, reason = _root(version)
        session.config._roots[str(version)] = (reason, root, str(root and _install(folder, version)))


class Workers:
    """With pytest -n: what the session installed is the same for all of its workers."""

    @staticmethod
    def pytest_configure_node(node):
        node.workerinput["roots"] = json.dumps(node.config._roots)


def _traces():
    found = [str(path) for path in [_machine.cgroups()] if path.exists()]
    found += [path for path in ("/run/usher", "/etc/usher") if os.path.exists(path)]
    return sorted(found + [str(path) for path in pathlib.Path("/sys/fs/bpf").glob("usher*")])


def pytest_sessionfinish(session, exitstatus):
    if hasattr(session.config, "_folder"):
        shutil.rmtree(session.config._folder, ignore_errors=True)
    if hasattr(session.config, "_before") and _traces() != session.config._before:
        print(f"\nthe tests left something behind: {session.config._before} became {_traces()}")
        session.exitstatus = 1


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    limit = item.get_closest_marker("seconds")
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in isolate.run(item, limit.args[0] if limit else SECONDS):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    _remove_cgroups()
    return True


def _remove_cgroups():
    """Remove the cgroups of a test that ended before its machine. The processes ended with the namespaces."""
    for folder, _, _ in sorted(os.walk(_machine.cgroups()), reverse=True):
        os.rmdir(folder)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for each in _machine.Machine._all:
            report.sections.append((f"journal of {each.name}", each.text() if each.pid else "it does not run"))
            report.sections.append((f"console of {each.name}", each.console()))


def pytest_generate_tests(metafunc):
    if "version" in metafunc.fixturenames:
        metafunc.parametrize("version", RELEASES, ids=[f"systemd{version}" for version in RELEASES])


def pytest_collection_modifyitems(config, items):
    """Leave out tests that need a newer systemd than they would run on."""
    def too_old(item):
        marker = item.get_closest_marker("since")
        return marker and item.callspec.params["version"] < marker.args[0]

    config.hook.pytest_deselected(items=[item for item in items if too_old(item)])
    items[:] = [item for item in items if not too_old(item)]


@pytest.fixture(autouse=True)
def _namespace():
    ip("link set lo up")
    yield
    process.Child.kill_all()
    _machine.Machine.end_all()


@pytest.fixture
def boot(request, version):
    """boot(): a running machine, with usher installed and no unit of it enabled."""
    reason, base, installed = request.config._roots[str(version)]
    if reason:
        pytest.skip(reason if reason.startswith("machine:") else f"no root with systemd {version}: {reason}")

    def start(**options):
        machine = _machine.Machine(base, installed, **options)
        machine.version = version
        started.append(machine)
        return machine.start()

    started = []
    yield start
    for machine in started:
        if machine.pid is not None:
            missing_fields(machine)


def missing_fields(machine):
    """journalctl -x shows a field that a message lacks as @USHER_NAME@: none of those that this test has caused lacks one."""
    text = (SOURCE / "units/usher.catalog").read_text()
    shown = {number: set(re.findall("@(USHER_[A-Z]+)@", entry))
             for number, entry in re.findall(r"^-- ([0-9a-f]{32})\n(.*?)(?=^-- |\Z)", text, re.M | re.S)}
    for entry in machine.journal("-t", "usherd", "-t", "usher-discover", "-t", "usher-relay"):
        missing = shown.get(entry.get("MESSAGE_ID"), set()) - set(entry)
        assert not missing, f"{missing} of the catalog's entry: {entry}"


@pytest.fixture
def machine(boot):
    return boot()

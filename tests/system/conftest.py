# SPDX-License-Identifier: BSD-3-Clause
"""Every test runs as process 1 of its own namespaces (harness/isolate.py). The fixtures here are what it starts with."""

import os
import pathlib
import subprocess

import pytest

from harness import broker as _broker
from harness import host as _host
from harness import isolate, process
from harness.choice import each_choice
from harness.daemon import Daemon
from harness.discover import Discover
from harness.fuse import Stuck

SECONDS = 300  # for one test, unless its mark sets another limit


def pytest_addoption(parser):
    parser.addoption("--each-choice", action="store_true",
                     help="each value of each parameter of a test runs in one case, and not all combinations of them")


def pytest_collection_modifyitems(config, items):
    if config.option.each_choice:
        items[:], left_out = each_choice(items)
        config.hook.pytest_deselected(items=left_out)


def pytest_configure(config):
    config.addinivalue_line("markers", "vm: runs on the other kernels as well, in tests/vm")
    config.addinivalue_line("markers", "vm_long: runs there only with tests/run --long: it is long, or asks the kernel "
                                       "nothing that others do not")
    config.addinivalue_line("markers", "no_asan: runs with the sanitizers only with tests/run --long: it waits or repeats, "
                                       "and does nothing in the programs that others do not")
    config.addinivalue_line("markers", "seconds(n): time limit of the test")
    if os.getuid() != 0:
        pytest.exit("the system tests make network namespaces and load BPF programs: run them as root", 4)
    if not config.option.collectonly and not _broker.USHERD.exists():
        pytest.exit(f"no {_broker.USHERD}: set USHER_BUILD to the build directory", 4)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    limit = item.get_closest_marker("seconds")
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in isolate.run(item, (limit.args[0] if limit else SECONDS) * process.SLOW):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _pins_of_the_machine():
    folder = pathlib.Path("/sys/fs/bpf")
    return sorted(str(path) for path in folder.rglob("*")) if folder.exists() else []


def _traces():
    return [path for path in ("/run/usher", *map(str, _host.RULE_FOLDERS)) if os.path.exists(path)]


def pytest_sessionstart(session):
    session.config._before = _pins_of_the_machine(), _traces()


def pytest_sessionfinish(session, exitstatus):
    after = _pins_of_the_machine(), _traces()
    children = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())], capture_output=True, text=True)
    left = [line for line in children.stdout.splitlines() if " ps -o" not in line]
    if after != session.config._before or left:
        print(f"\nthe tests left something behind: {session.config._before} became {after}; processes {left}")
        session.exitstatus = 1


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        report.sections.append(("usher", Daemon.logs()))


@pytest.fixture(autouse=True)
def _namespace():
    """Set up addresses before the test, and end everything after it."""
    _host.set_up()
    yield
    process.Child.kill_all()
    complaints = Daemon.end_all()
    assert not complaints, complaints


@pytest.fixture
def usherd():
    """A broker that is not started yet."""
    return _broker.Usherd()


@pytest.fixture
def rules():
    """rules(web="Stream=80", ...): write rule files; a value is a setting, a list of them, or a whole file."""

    def write(**files):
        for name, text in files.items():
            if isinstance(text, str) and not text.startswith("["):
                text = [text]
            _host.write_rule(name, text if isinstance(text, str) else _host.rule(*text))

    return write


@pytest.fixture
def broker(usherd, rules):
    """broker(web="Stream=192.0.2.0/24:80"): a broker that runs with these rules."""

    def start(**files):
        rules(**files)
        return usherd.start()

    return start


@pytest.fixture
def discover():
    """An usher-discover that is not started yet."""
    return Discover()


@pytest.fixture
def both(broker, discover):
    """both(web=rule(...)): start a broker and an usher-discover with these rules; returns the broker."""

    def start(**files):
        running = broker(**files)
        discover.start()
        return running

    return start


@pytest.fixture
def stuck():
    """A file that makes wait who reads or closes it."""
    if not os.path.exists("/dev/fuse"):
        pytest.skip("machine: there is no /dev/fuse")
    os.mkdir("/run/test/mnt")
    running = Stuck("/run/test/mnt")
    yield running
    running.release()  # or no process that has the file open could end


@pytest.fixture
def client():
    """A machine with its own address, at the other end of a cable."""
    return _host.connect_client()

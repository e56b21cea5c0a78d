# SPDX-License-Identifier: BSD-3-Clause
"""Rules and units of the tests, written as an administrator writes them"""

import pathlib

from harness.process import wait_until

ANSWER = pathlib.Path(__file__).with_name("answer")


def unit(machine, name, *lines):
    """Write a unit, or a drop-in if the name has a slash. systemd does not know it before daemon-reload."""
    machine.write(f"/etc/systemd/system/{name}", "\n".join(lines) + "\n")


def rule(machine, name, *lines):
    machine.write(f"/etc/usher/rules.d/{name}.rule", "\n".join(["[Rule]", *lines]) + "\n")


def service(machine, name, *listen, socket=(), run=(), start="/usr/local/bin/answer {name}", limit=0):
    """Write NAME.socket on private addresses, and NAME.service for it."""
    machine.write("/usr/local/bin/answer", ANSWER.read_text(), 0o755)
    unit(machine, f"{name}.socket", "[Socket]", *[f"ListenStream={address}" for address in listen],
         f"FileDescriptorName={name}", *socket, "[Install]", "WantedBy=sockets.target")
    unit(machine, f"{name}.service", "[Unit]", f"StartLimitIntervalSec={limit}", "[Service]", f"ExecStart={start.format(name=name)}", *run)


def sockets(machine, *words):
    """The sockets in `usherctl list`, as a list of lists of words."""
    lines = [line.split() for line in machine.run("usherctl", "--no-legend", "list", *words).stdout.splitlines()]
    return [line for line in lines if line[3] in ("serving", "standby")]


def enable(machine, *names):
    """Enable and start units, and wait until the jobs that they cause are done."""
    machine.systemctl("daemon-reload")
    machine.systemctl("enable", "--now", *names)
    settle(machine)


def settle(machine):
    """Wait until systemd has no jobs left, so hand-ins are done."""
    wait_until(lambda: not machine.systemctl("list-units", "--no-legend", "--state=activating,deactivating,reloading",
                                             "usher*").stdout.strip(), what="the units of usher are settled")
    wait_until(lambda: not machine.systemctl("list-jobs", "--no-legend").stdout.strip(), what="no jobs")

# SPDX-License-Identifier: BSD-3-Clause
"""The recipes of docs/systemd.md: each section is followed literally, on a fresh machine with the broker running."""

import os
import re
import shutil
import subprocess

import pytest

from conftest import BUILD, SOURCE
from harness.process import PATIENCE, wait_until
from units import settle

TEXT = (SOURCE / "docs/systemd.md").read_text()
# a file to write (path, text), or a console block
PART = re.compile(r"^(?:`([^`\s]+)`:\n\n```\w+\n(.*?)^```$|```console\n(.*?)^```$)", re.M | re.S)
SECTIONS = {title: body for title, body in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S)
            if "```console" in body}


def recipes():
    for title in SECTIONS:
        newer = re.search(r"systemd (\d+) or newer", title)
        yield pytest.param(title, id=title.replace(" ", "-"), marks=[pytest.mark.since(int(newer[1]))] if newer else [])


def commands(console):
    """[(where, command, the lines it shows)]"""
    found = []
    for line in console.splitlines():
        prompt = re.match(r"(server#|client\$) (.*)", line)
        if prompt:
            found.append((prompt[1], prompt[2], []))
        else:
            found[-1][2].append(line)
    return found


def is_like(shown, output):
    """Whether the output is the one in the document. "..." matches any text, and blanks match any number of blanks."""
    pattern = r"\s+".join(r".*".join(map(re.escape, word.split("..."))) for word in "\n".join(shown).split())
    return re.fullmatch(pattern.replace(r"\s+.*", r"\s*.*").replace(r".*\s+", r".*\s*"), output.strip(), re.S)


def put(machine, path, text):
    """Write a file. C is compiled here, for the machine, against the files installed there."""
    machine.write(path if path.startswith("/") else f"/root/usher/{path}", text,
                  0o755 if text.startswith("#!") else 0o644)
    if path.endswith(".c"):
        name = path.removesuffix(".c")
        line = re.search(rf"`(cc [^`]*-o\s+{name}\s[^`]*)`", TEXT)[1].split()
        subprocess.run(line, cwd=machine.root / "root/usher", check=True,
                       env={**os.environ, "CPATH": str(SOURCE / "src/lib"), "LIBRARY_PATH": str(BUILD / "src/lib")})
        shutil.copy(machine.root / "root/usher" / name, machine.root / "usr/local/bin" / name)


def do(machine, where, command):
    if where == "server#":
        done = machine.run("sh", "-c", f"cd /root/usher && {{ {command}; }} 2>&1", check=False)
    else:
        done = subprocess.run(["sh", "-c", f"{{ {command}; }} 2>&1"], capture_output=True, text=True, timeout=PATIENCE,
                              stdin=subprocess.DEVNULL)
    return done.stdout


def follow(machine, title):
    """Do what a section says, and compare what it shows. Return: the last command that was answered by a service."""
    machine.run("ssh-keygen", "-A")
    shutil.copytree(SOURCE / "examples", machine.root / "root/usher/examples")
    machine.systemctl("enable", "--now", "usherd")
    settle(machine)
    parts, answered = PART.findall(SECTIONS[title]), None
    for path, text, _ in parts:
        if path:
            put(machine, path, text)
    machine.systemctl("daemon-reload")
    for *_, console in parts:
        for where, command, shown in commands(console):
            output = do(machine, where, command)
            assert is_like(shown, output), f"{where} {command}\nshows\n{output}\ninstead of\n" + "\n".join(shown)
            if is_question(where, command) and not shown[0].startswith("curl: "):
                answered = where, command, shown
    settle(machine)
    return answered


def is_question(where, command):
    """Whether a service answers the command: those of clients, and a client that the server runs."""
    return where == "client$" or "urlopen" in command or "socket.AF_UNIX" in command


@pytest.mark.parametrize("title", recipes())
def test_recipe(machine, title):
    follow(machine, title)
    assert machine.systemctl("list-units", "--failed", "--no-legend").stdout == ""


# The services and socket units of each recipe, and what happens to clients while they are stopped: "activated": a client starts
# the service, "refused": none is answered, and none is left waiting.
LIFE = {
    "A socket unit": (["web.service"], "activated"),
    "A socket unit, with systemd 256 or newer": (["web.service"], "activated"),
    "nginx": (["nginx.service"], "waits"),
    "haproxy": (["haproxy.service"], "waits"),
    "gunicorn": (["gunicorn.service"], "activated"),
    "supervisord": (["supervisor.service"], "refused"),
    "sshd": (["ssh.service"], "activated"),
    "sshd on a second port": (["ssh.service"], "refused"),
    "A daemon that starts on demand": (["nginx.service"], "activated"),
    "A daemon that opens its own sockets": (["hello.service", "held.service"], "refused"),
    "A static daemon": (["static.service"], "refused"),
    "Sockets of the broker itself": (["web.service"], "waits"),
    "Restarting a socket unit": (["web.service", "web.socket"], "activated"),
    "Another network namespace": (["web.service"], "activated"),
    "Metrics": (["usher-metrics.socket"], "refused"),
}


def recipes_with_life():
    return [recipe for recipe in recipes() if recipe.values[0] != "The broker"]


def test_every_recipe_lives():
    assert {recipe.values[0] for recipe in recipes_with_life()} == set(LIFE)


# Prints the flags of each listening TCP socket that a process of the service has open.
FLAGS = """
import glob, os, re, sys
listening = {line.split()[9] for path in ("tcp", "tcp6") for line in open(f"/proc/net/{path}").readlines()[1:]
             if line.split()[3] == "0A"}
for pid in open(f"/sys/fs/cgroup/system.slice/{sys.argv[1]}/cgroup.procs").read().split():
    for path in glob.glob(f"/proc/{pid}/fd/*"):
        link = re.fullmatch(r"socket:\\[(\\d+)\\]", os.readlink(path))
        if link and link[1] in listening:
            print(int(re.search(r"flags:\\s*(\\d+)", open(path.replace("/fd/", "/fdinfo/")).read())[1], 8))
"""


@pytest.mark.seconds(600)
@pytest.mark.parametrize("title", recipes_with_life())
def test_life_of_a_recipe(machine, title):
    """What a recipe makes goes on after restart, reload, stop and start, a kill of service and broker, and a reboot."""
    services, stopped = LIFE[title]
    where, command, shown = follow(machine, title)
    # of recipes with two services, the last command asks the second one only
    asked = {service: (where, command, shown) for service in services}
    if title == "A daemon that opens its own sockets":
        asked["hello.service"] = ("client$", "curl -s telnet://192.0.2.1:2000 < /dev/null", ["hello"])

    def answers(service, at):
        wait_until(lambda: is_like(asked[service][2], do(machine, *asked[service][:2])), f"an answer after {at} of {service}")

    def control(*words):
        machine.systemctl("reset-failed")  # the limit of starts: nobody does all this in ten seconds
        machine.systemctl(*words)

    def blocks():
        """Whether a process of the service can hang in accept(2) on a socket that systemd passed to it"""
        found = {int(line) for line in machine.run("python3", "-c", FLAGS, services[0]).stdout.split()}
        assert found
        return any(not flags & os.O_NONBLOCK for flags in found)

    for service in services:
        restarts = "no" if service.endswith(".socket") else machine.show(service, "Restart")
        for at in range(2):
            control("restart", service)
            assert machine.state(service).startswith("active/"), "no start fails because an address is in use"
            answers(service, f"restart {at}")
        if machine.show(service, "CanReload") == "yes":
            control("reload", service)
            answers(service, "reload")
        if not service.endswith(".socket"):
            before = machine.show(service, "MainPID")
            control("kill", "--signal=KILL", service)
            wait_until(lambda: machine.show(service, "MainPID") != before, "the process has gone")
            waits = machine.show(service, "RestartUSec") == "50s"  # of Debian's supervisord
            if (restarts == "no" or waits) and stopped != "activated":
                control("start", service)
            answers(service, "kill")
        control("stop", service)
        if stopped == "activated" and not service.endswith(".socket"):
            answers(service, "stop")
        elif stopped == "refused":
            wait_until(lambda: not is_like(asked[service][2], do(machine, *asked[service][:2])), "nobody answers")
            assert machine.run("usherctl", "held", service.split(".")[0], check=False).returncode == 1, "no client is left in a backlog"
        control("start", service)
        answers(service, "start")
    before_broker = blocks() if title in ("nginx", "haproxy", "gunicorn") else None
    broker = "usherd@blue.service" if title == "Another network namespace" else "usherd.service"
    for how in (["restart"], ["kill", "--signal=KILL"], ["reload"]):
        before = machine.show(broker, "MainPID")
        control(*how, broker)
        answers(services[-1], f"{how[0]} of the broker")
        wait_until(lambda: machine.state(broker) == "active/running"
                   and (how == ["reload"] or machine.show(broker, "MainPID") != before), "the broker is back")
    settle(machine)
    if before_broker is not None:
        assert not before_broker and not blocks(), "the hand-in leaves the socket as the daemon has made it"
    if title == "A static daemon":
        control("stop", "static.service")  # the other way of the two is the one that can be enabled
        control("enable", "--now", "static.socket", "usher@static")
    machine.reboot()
    for service in services:
        answers(service, "reboot")
    settle(machine)
    assert machine.systemctl("list-units", "--failed", "--no-legend").stdout == ""


def test_every_part_is_run():
    """No recipe in the document is left out."""
    fences = re.findall(r"^```(\w+)$", TEXT, re.M)
    assert len(fences) == sum(len(PART.findall(body)) for body in SECTIONS.values())

# SPDX-License-Identifier: BSD-3-Clause
"""The recipes of the documents: each section is followed literally, on a fresh machine with the broker running."""

import os
import re
import shutil
import socket
import subprocess
import threading

import pytest

from conftest import BUILD, SOURCE
from harness.process import PATIENCE, wait_until
from units import settle

TEXT = "".join((SOURCE / "docs" / name).read_text() for name in ("systemd.md", "recipes.md"))
# a file to write (path, text), or a console block
PART = re.compile(r"^(?:`([^`\s]+)`:\n\n```\w+\n(.*?)^```$|```console\n(.*?)^```$)", re.M | re.S)
SECTIONS = {title: body for title, body in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S)
            if "```console" in body}
# "`web.rule` and `web.socket` are those of [A recipe](#a-recipe)"
BORROWED = re.compile(r"((?:`[^`\s]+`(?:,\s|\sand\s)?)+)\s(?:is\sthat|are\sthose)\sof\s\[([^\]]+)\]\(#")


# The recipes that need what Debian 12 does not have
NEWER = {"A socket unit, with systemd 256 or newer", "A container, with quadlet", "Two containers on one port, with quadlet"}


def recipes():
    for title in SECTIONS:
        yield pytest.param(title, id=title.replace(" ", "-"), marks=[pytest.mark.since(257)] if title in NEWER else [])


def commands(console):
    """[(where, command, the lines it shows)]"""
    found = []
    for line in console.splitlines():
        prompt = re.match(r"(server#|client\$|web\$) (.*)", line)
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
    elif where == "web$":
        done = machine.run(*AS_WEB, "sh", "-c", f"cd && {{ {command}; }} 2>&1", check=False)
    else:
        done = subprocess.run(["sh", "-c", f"{{ {command}; }} 2>&1"], capture_output=True, text=True, timeout=PATIENCE,
                              stdin=subprocess.DEVNULL)
    return done.stdout


# The user `web`, as if logged in
UID = 1007
AS_WEB = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--init-groups", "env", "HOME=/home/web", "USER=web",
          f"XDG_RUNTIME_DIR=/run/user/{UID}", f"DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/{UID}/bus"]

# The servers behind the gateway of the transparent proxy: another network, in which the machine is no host
SERVERS = """
[Unit]
Before=network.target
[Service]
ExecStartPre=ip route delete local 198.51.100.0/24 dev lo
ExecStartPre=-ip netns add servers
ExecStartPre=ip link add servers0 type veth peer name eth0 netns servers
ExecStartPre=ip address add 198.51.100.254/24 dev servers0
ExecStartPre=ip link set servers0 up
ExecStartPre=ip -n servers address add 198.51.100.1/24 dev eth0
ExecStartPre=ip -n servers link set eth0 up
ExecStartPre=ip -n servers route add default via 198.51.100.254
ExecStart=ip netns exec servers examples/with-socket web 0.0.0.0:80 -- examples/hello.py 'server of the network'
WorkingDirectory=/root/usher
[Install]
WantedBy=multi-user.target
"""


def files(title):
    """[(path, text)] of a section, with those that it has in common with others"""
    found = []
    for names, other in BORROWED.findall(SECTIONS[title]):
        found += [(path, text) for path, text in files(other) if f"`{os.path.basename(path)}`" in names]
    return found + [(path, text) for path, text, _ in PART.findall(SECTIONS[title]) if path]


def prepare(machine, title):
    """What a recipe takes for granted"""
    machine.run("ssh-keygen", "-A")
    shutil.copytree(SOURCE / "examples", machine.root / "root/usher/examples")
    machine.systemctl("enable", "--now", "usherd")
    if "web$" in SECTIONS[title]:
        for unit in ("systemd-logind.service", "systemd-user-sessions.service"):
            machine.systemctl("unmask", unit)
        machine.run("useradd", "-m", "-u", UID, "-s", "/bin/sh", "web")
        machine.systemctl("daemon-reload")
        machine.systemctl("start", "dbus.service", "systemd-logind.service")
        machine.systemctl("start", f"user@{UID}.service")  # as if by logging in
    if title == "A transparent proxy":
        machine.write("/etc/systemd/system/servers.service", SERVERS)
        machine.systemctl("daemon-reload")
        machine.systemctl("enable", "--now", "servers.service")
    settle(machine)


def follow(machine, title, step=lambda where, command, output: None):
    """Do what a section says, and compare what it shows. Return: the last command that was answered by a service."""
    prepare(machine, title)
    answered = None
    for path, text in files(title):
        put(machine, path, text)
    if "web$" in SECTIONS[title]:
        machine.run("chown", "-R", "web:", "/home/web")
    machine.systemctl("daemon-reload")
    for *_, console in PART.findall(SECTIONS[title]):
        for where, command, shown in commands(console):
            output = do(machine, where, command)
            assert is_like(shown, output), f"{where} {command}\nshows\n{output}\ninstead of\n" + "\n".join(shown)
            step(where, command, output)
            if is_question(where, command) and not shown[0].startswith("curl: "):
                answered = where, command, shown
    settle(machine)
    return answered


def is_question(where, command):
    """Whether a service answers the command: those of clients, and a client that the server runs."""
    return where == "client$" or "urlopen" in command or "socket.AF_UNIX" in command


def no_unit_has_failed(machine):
    return machine.systemctl("list-units", "--failed", "--no-legend").stdout == ""


def test_the_broker(machine):
    """The one section that has no service; test_life_of_a_recipe follows the others."""
    follow(machine, "The broker")
    assert no_unit_has_failed(machine)


# The table of what clients see: {recipe: {unit: {column: word}}}
WORDS = {"start": {"on demand", "at boot"}, "restart": {"wait", "refused"}, "reload": {"wait", "refused", "-"},
         "kill": {"wait", "refused", "-"}, "stop": {"wait", "refused", "starts again"}, "reboot": {"on demand", "at boot"}}
LIFE = {}
TABLE = re.search(r"^## What clients see\n(.*?)^## ", TEXT, re.M | re.S)[1]
for line in re.findall(r"^\| ([^|]+ \| `[^`|]+` \|.*) \|$", TABLE, re.M):
    title, unit, *cells = line.split(" | ")
    LIFE.setdefault(title, {})[unit.strip("`")] = dict(zip(WORDS, cells, strict=True))


def recipes_with_life():
    return [recipe for recipe in recipes() if recipe.values[0] not in ("The broker", "Local addresses")]


def test_every_recipe_lives():
    assert {recipe.values[0] for recipe in recipes_with_life()} == set(LIFE)
    for units in LIFE.values():
        for row in units.values():
            assert all(word in WORDS[column] for column, word in row.items()) and row["start"] == row["reboot"]


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
    services = LIFE[title]
    where, command, shown = follow(machine, title)
    assert no_unit_has_failed(machine)
    # of recipes with two services, the last command asks the second one only
    asked = {service: (where, command, shown) for service in services}
    if title == "A daemon that opens its own sockets":
        asked["hello.service"] = ("client$", "curl -s telnet://192.0.2.1:2000 < /dev/null", ["hello"])
    manager = (*AS_WEB, "systemctl", "--user") if "web$" in SECTIONS[title] else ("systemctl",)

    def show(service, key):
        return machine.run(*manager, "show", "--value", "--property", key, service).stdout.strip()

    def is_answered(service):
        return is_like(asked[service][2], do(machine, *asked[service][:2]))

    def answers(service, at, how="refused"):
        """The service answers: with `how` "wait" the very next client, otherwise a later one."""
        if how == "wait":
            assert is_answered(service), f"no answer after {at} of {service}"
        else:
            wait_until(lambda: is_answered(service), f"an answer after {at} of {service}")

    def control(*words, by=manager):
        machine.run(*by, "reset-failed")  # the limit of starts: nobody does all this in ten seconds
        machine.run(*by, *words)

    def blocks():
        """Whether a process of the service can hang in accept(2) on a socket that systemd passed to it"""
        found = {int(line) for line in machine.run("python3", "-c", FLAGS, list(services)[0]).stdout.split()}
        assert found
        return any(not flags & os.O_NONBLOCK for flags in found)

    for service, row in services.items():
        for at in range(2):
            control("restart", service)
            assert show(service, "ActiveState") == "active", "no start fails because an address is in use"
            answers(service, f"restart {at}", row["restart"])
        assert show(service, "CanReload") == ("no" if row["reload"] == "-" else "yes")
        if row["reload"] != "-":
            control("reload", service)
            answers(service, "reload", row["reload"])
        if row["kill"] != "-":
            restarts, before = show(service, "Restart"), show(service, "MainPID")
            control("kill", "--signal=KILL", service)
            wait_until(lambda: show(service, "MainPID") != before, "the process has gone")
            waits = show(service, "RestartUSec") == "50s"  # of Debian's supervisord
            if (restarts == "no" or waits) and row["stop"] != "starts again":
                control("start", service)
            answers(service, "kill", row["kill"])
        control("stop", service)
        if row["stop"] == "starts again":
            answers(service, "stop", "wait")
        elif row["stop"] == "refused":
            wait_until(lambda: not is_answered(service), "nobody answers")
            name = {"s6": "hello"}.get(title, service.split(".")[0])
            assert machine.run("usherctl", "held", name, check=False).returncode == 1, "no client is left in a backlog"
        control("start", service)
        answers(service, "start")
    before_broker = blocks() if title in ("nginx", "haproxy", "gunicorn") else None
    broker = "usherd@blue.service" if title == "Another network namespace" else "usherd.service"
    for how in (["restart"], ["kill", "--signal=KILL"], ["reload"]):
        before = machine.show(broker, "MainPID")
        control(*how, broker, by=("systemctl",))
        answers(list(services)[-1], f"{how[0]} of the broker")
        wait_until(lambda: machine.state(broker) == "active/running"
                   and (how == ["reload"] or machine.show(broker, "MainPID") != before), "the broker is back")
    settle(machine)
    if before_broker is not None:
        assert not before_broker and not blocks(), "the hand-in leaves the socket as the daemon has made it"
    if title == "A static daemon":
        control("stop", "static.service")  # the other way of the two is the one that can be enabled
        control("enable", "--now", "static.socket", "usher@static")
    machine.reboot()
    for service, row in services.items():
        if row["reboot"] == "on demand" and manager == ("systemctl",):
            assert show(service, "ActiveState") == "inactive"
        answers(service, "reboot")
        if row["reboot"] == "at boot":
            assert machine.systemctl("is-enabled", service).stdout.strip() in ("enabled", "alias")
    settle(machine)
    assert no_unit_has_failed(machine)


@pytest.mark.parametrize("title", [recipe for recipe in recipes() if recipe.values[0].startswith("Two containers")])
def test_update_refuses_no_client(machine, title):
    """Clients connect all the time while one container takes over from the other; each is answered by one of them."""
    answers, over = [], threading.Event()

    def ask():
        while not over.is_set():
            try:
                with socket.create_connection(("192.0.2.1", 80), PATIENCE) as connection:
                    answers.append(connection.makefile().readline() or "closed without an answer")
            except OSError as error:
                answers.append(str(error))

    clients = [threading.Thread(target=ask) for _ in range(4)]

    def step(where, *_):
        if where == "client$" and not clients[0].ident:
            for client in clients:
                client.start()

    try:
        follow(machine, title, step)
        after = len(answers)
        wait_until(lambda: len(answers) > after + 100, "answers after the update")
    finally:
        over.set()
        for client in clients:
            client.join()
    wrong = [answer for answer in answers if not re.fullmatch(r"version [12]: your address is 203\.0\.113\.2\n", answer)]
    assert not wrong and {answer.split(":")[0] for answer in answers} == {"version 1", "version 2"}
    assert {answer.split(":")[0] for answer in answers[-100:]} == {"version 2"}


def test_every_part_is_run():
    """No recipe in the document is left out."""
    fences = re.findall(r"^```(\w+)$", TEXT, re.M)
    assert len(fences) == sum(len(PART.findall(body)) for body in SECTIONS.values())

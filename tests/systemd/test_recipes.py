# SPDX-License-Identifier: BSD-3-Clause
"""The recipes of docs/systemd.md: each section is followed literally, on a fresh machine with the broker running."""

import os
import re
import shutil
import subprocess

import pytest

from conftest import BUILD, SOURCE
from harness.process import PATIENCE
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


@pytest.mark.parametrize("title", recipes())
def test_recipe(machine, title):
    machine.run("ssh-keygen", "-A")
    shutil.copytree(SOURCE / "examples", machine.root / "root/usher/examples")
    machine.systemctl("enable", "--now", "usherd")
    settle(machine)
    parts = PART.findall(SECTIONS[title])
    for path, text, _ in parts:
        if path:
            put(machine, path, text)
    machine.systemctl("daemon-reload")
    for *_, console in parts:
        for where, command, shown in commands(console):
            output = do(machine, where, command)
            assert is_like(shown, output), f"{where} {command}\nshows\n{output}\ninstead of\n" + "\n".join(shown)
    settle(machine)
    assert machine.systemctl("list-units", "--failed", "--no-legend").stdout == ""


def test_every_part_is_run():
    """No recipe in the document is left out."""
    fences = re.findall(r"^```(\w+)$", TEXT, re.M)
    assert len(fences) == sum(len(PART.findall(body)) for body in SECTIONS.values())

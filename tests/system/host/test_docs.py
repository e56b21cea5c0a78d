# SPDX-License-Identifier: BSD-3-Clause
"""Do what README.md and docs/ show: the tour, the demo, the rule files, the links."""

import os
import pathlib
import re
import shutil
import subprocess
import textwrap

import pytest

from harness import isolate
from harness.broker import USHERCTL
from harness.daemon import BUILD, SOURCE
from harness.host import NOBODY, WORK, run
from harness.process import PATIENCE, wait_until

pytestmark = pytest.mark.no_asan

DEMO = SOURCE / "examples/demo"


def blocks(path, *languages):
    """[(language, text)] of the fenced blocks of a document."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", path.read_text(), re.M | re.S)
    return [(language, text) for language, text in found if language in languages]


def words(line):
    """The words of a line of output, without numbers that differ from run to run; addresses and ports stay."""

    def constant(word):
        if re.search(r"\d+(\.\d+){3}", word):
            return re.sub(r":\d{5}$", ":N", word)  # a port that the kernel chose
        return re.sub(r"sk:[0-9a-f]+|\d+", "N", word)

    return [constant(word) for word in line.split()]


def is_like(shown, found):
    """Whether a line of output is the one in the document. "..." at its end matches anything."""
    return shown[:-1] == found[: len(shown) - 1] if shown[-1:] == ["..."] else shown == found


def run_tour(steps):
    """Paste blocks into a scratch shell, one after the other; returns the output of each."""
    script = "".join(f"echo '=== {number}'\n{text}" for number, text in enumerate(steps))
    done = subprocess.run([SOURCE / "examples/scratch", "bash"], input=script, cwd=SOURCE, text=True, timeout=2 * PATIENCE,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    parts = re.split(r"^=== \d+\n", done.stdout, flags=re.M)[1:]
    assert len(parts) == len(steps), done.stdout
    return parts


def test_tour_shows_what_the_readme_shows():
    shown = blocks(SOURCE / "README.md", "sh", "text")
    start = shown.index(("sh", "sudo examples/scratch\n")) + 1  # the steps before, packages and build, have been done
    steps, expected = [], []
    for language, text in shown[start:]:
        if language == "sh":
            steps.append(text.replace("$PWD/build/", f"{BUILD}/"))
            expected.append([])
        else:
            expected[-1] += text.splitlines()
    assert len(steps) > 10
    for step, output, lines in zip(steps, run_tour(steps), expected):
        there = [words(line) for line in output.splitlines()]
        for line in lines:
            assert any(is_like(words(line), found) for found in there), f"after\n{step}\nthere is no line like\n{line}\nin\n{output}"


def test_readme_and_demo_install_the_same_packages():
    text = blocks(SOURCE / "README.md", "sh")[0][1].replace("\\\n", " ")
    readme = set(re.search(r"--no-install-recommends (.*)", text)[1].split())
    arrays = re.findall(r"^(?:build|run)_packages=\((.*?)\)", DEMO.read_text(), re.M | re.S)
    demo = set(" ".join(arrays).split())
    assert len(arrays) == 2 and readme <= demo
    assert demo - readme == {"mount", "nginx", "redis-server", "redis-tools"}
    assert set(re.search(r"^\[build\]\n(.*?)\n\n", (SOURCE / "tests/packages").read_text(), re.M | re.S)[1].split()) == \
        readme - {"iproute2", "curl"} | {"libcmocka-dev", "?libclang-rt-dev"}


def test_demo():
    done = run(DEMO, check=False, timeout=2 * PATIENCE, env={**os.environ, "USHER_BUILD": str(BUILD), "NO_COLOR": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    for line in (
        r"nginx: 203\.0\.113\.7 asked for 192\.0\.2\.1",
        r"nginx: 2001:db8:f::7 asked for \[2001:db8:1::80\]",
        r"blog: 203\.0\.113\.7 asked for 198\.51\.100\.9 port 80",
        r"a newer web: 203\.0\.113\.7 asked for .*",
        r"5000 connections, 5000 answered, .*",
        r"Done in \d+ s\. .*",
    ):
        assert re.search(rf"^ *{line}$", done.stdout, re.M), f"no line '{line}' in\n{done.stdout}"


def test_demo_leaves_nothing_when_it_is_killed():
    demo = subprocess.Popen([DEMO], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env={**os.environ, "USHER_BUILD": str(BUILD)})
    for line in demo.stdout:
        if "nginx: 203.0.113.7" in line:
            break
    demo.terminate()
    demo.stdout.read()  # it ends when the last process that could write to it has ended
    assert demo.wait(PATIENCE) == 143


# In place of meson and ninja: they "build" by a link to the build that is tested, and fail if two do so in one folder.
MESON = "#!/bin/sh\n[ \"$4\" = -Dtests=false ] || exit 1\nmkdir -p \"$2\" && touch \"$2/build.ninja\"\n"
NINJA = f"""#!/bin/sh
mkdir "$2/busy" || exit 1
echo "[1/2] one"
until [ -e /mnt/go ]; do sleep 0.05; done
ln -sfn {BUILD}/src "$2/src"
echo "[2/2] two"
rmdir "$2/busy"
"""


@pytest.fixture
def checkout():
    """Starts the demo of a checkout of its own, without a build."""
    isolate.mount("tmpfs", "/mnt", "tmpfs")  # the demo has a /run of its own
    folder, programs = pathlib.Path("/mnt/checkout"), pathlib.Path("/mnt/programs")
    shutil.copytree(SOURCE / "examples", folder / "examples")
    programs.mkdir()
    for name, text in ("meson", MESON), ("ninja", NINJA):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "USHER_BUILD"}
    environment |= {"PATH": f"{programs}:{os.environ['PATH']}", "TMPDIR": "/mnt", "NO_COLOR": "1"}

    def start():
        return subprocess.Popen([folder / "examples/demo"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                env=environment)

    start.folder = folder
    return start


def test_two_demos_at_once(checkout):
    """The second waits for the build of the first, and both show all; they say what remains, and how to remove it."""
    one = checkout()
    wait_until(lambda: (checkout.folder / "build-demo/busy").exists(), "the first one builds")
    two = checkout()
    first = next(line for line in two.stdout if "packages" not in line)
    assert first == f"Waiting for another demo that builds into {checkout.folder}/build-demo\n"
    pathlib.Path("/mnt/go").touch()
    for demo in one, two:
        text = demo.communicate(timeout=2 * PATIENCE)[0]
        assert demo.returncode == 0 and "5000 connections, 5000 answered" in text, text
        assert f"To remove what it has built: rm -r {checkout.folder}/build-demo\n" in text
        assert "build: 100 %" in text


def test_demo_in_a_checkout_that_is_read_only(checkout):
    """It builds in a temporary folder, and removes it."""
    isolate.mount(str(checkout.folder), str(checkout.folder), None, isolate.MS_BIND)
    isolate.mount(None, str(checkout.folder), None, isolate.MS_BIND | isolate.MS_REMOUNT | isolate.MS_RDONLY)
    pathlib.Path("/mnt/go").touch()
    text = checkout().communicate(timeout=2 * PATIENCE)[0]
    assert "Building into /mnt/usher-demo." in text and "5000 connections, 5000 answered" in text, text
    assert not list(pathlib.Path("/mnt").glob("usher-demo.*")) and "To remove what it has built" not in text


def test_demo_says_what_it_needs():
    done = run("setpriv", f"--reuid={NOBODY}", "--clear-groups", DEMO, check=False)
    assert (done.returncode, done.stdout) == (77, "") and "sudo examples/demo" in done.stderr
    done = run(DEMO, "--nonsense", check=False)
    assert done.returncode == 2 and "'--nonsense'" in done.stderr
    assert "sudo examples/demo" in run(DEMO, "--help").stdout


@pytest.mark.parametrize("path", sorted(SOURCE.glob("examples/*.rule")), ids=lambda path: path.name)
def test_example_rules(path):
    run(USHERCTL, "check", path)


def rules_of(path):
    """The rule files that a document shows, indented or fenced."""
    text = path.read_text()
    found = [text for _, text in blocks(path, "ini")]
    found += [textwrap.dedent(block) for block in re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", text, re.M)]
    return [block for block in found if re.search(r"^\[Rule\]", block, re.M)]


@pytest.mark.parametrize("path", sorted(SOURCE.glob("docs/*.md")), ids=lambda path: path.name)
def test_rules_of_the_documents(path):
    for text in rules_of(path):
        example = WORK / "example.rule"
        example.write_text(text)
        run(USHERCTL, "check", example)


@pytest.mark.parametrize("path", [SOURCE / "README.md", *sorted(SOURCE.glob("docs/*.md"))], ids=lambda path: path.name)
def test_links(path):
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text())
    missing = [target for target in targets if not (path.parent / target).exists()]
    assert not missing

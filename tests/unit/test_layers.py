#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The layers of the source: what may include, link, call and print what, and how long a file may be.

usage: test_layers.py SOURCE-FOLDER LIBUSHER PROGRAM... ARCHIVE...

ARCHIVE are the static libraries of the layers that need neither libbpf nor libsystemd. Output is TAP.
"""

import os
import pathlib
import re
import subprocess
import sys

from tap import run_checks

root = pathlib.Path(sys.argv[1])
libusher, *programs_and_archives = sys.argv[2:]
archives = [path for path in programs_and_archives if path.endswith(".a")]
programs = [path for path in programs_and_archives if path not in archives]

WARN_LINES, MAX_LINES = 400, 600
TEXTS = ("", ".c", ".h", ".py", ".md", ".scd", ".sh", ".in", ".rule", ".build", ".socket", ".catalog", ".ini")

# Layers that may never be reached, not even through others, whatever the table in docs/architecture.md allows.
NEVER = [
    ("rule", "image bpf"),
    ("image", "libbpf wire access"),
    ("pins", "bpf libbpf libsystemd wire"),
    ("scan", "bpf libbpf hooks discover datapath"),
    ("ctl", "discover hooks datapath broker daemon intake libbpf"),
    ("broker", "daemon"),
    ("generator", "image access lib wire libbpf libsystemd ctl"),
    ("discover", "datapath broker daemon"),
    ("hooks", "datapath broker daemon"),
    ("relay", "wire lib access bpf libbpf broker daemon"),
    ("lib", "rule access scan observe libsystemd libbpf"),
    ("ctl/out", "ctl/explain ctl/doctor ctl/check ctl"),
    ("ctl/view", "ctl/explain ctl/doctor ctl/check ctl"),
    ("ctl/host", "ctl/explain ctl/doctor ctl/check ctl"),
    ("ctl/filter", "ctl/explain ctl/doctor ctl/check ctl"),
    ("ctl/explain", "ctl/doctor ctl/check ctl"),
    ("ctl/doctor", "ctl/explain ctl"),
]
PROGRAMS = [root / "src" / folder for folder in ("daemon", "discover", "relay", "generator")]
PURE = {"util", "wire", "rule", "image", "account", "access", "pins"}
LIBRARIES = {"bpf": "libbpf", "systemd": "libsystemd", "libmnl": "libmnl", "libsmartcols": "libsmartcols"}

# The only file that may call a function
ONE_CALLER = {
    r"recvm?msg": ("src/lib/udp.c", "src/relay/datagram.c", "src/wire/packet.c"),  # in a program of others, of UDP sockets, which bring no descriptor
    r"bpf_link_update|bpf_link__update_\w+": "src/datapath/link.c",
    r"\w*pidfd_getfd": "src/scan/fetch.c",
    r"get(?:pw|gr)\w+": "src/account/account.c",
    r"sd_journal_\w+": "src/observe/observe.c",
    r"sd_bus_(?:start|open\w*|call\w*)": "src/ctl/host/manager.c",
}

PRINTERS = (
    "printf fprintf vprintf vfprintf dprintf vdprintf puts fputs putchar putc fputc perror psignal fwrite write writev "
    "syslog vsyslog warn warnx vwarn vwarnx err errx verr verrx error error_at_line").split()
PRINTING_OBJECTS = {"stdout", "stderr"}


def tokens_removed(text, strings):
    """C without comments, and without the contents of strings if `strings` is true."""
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''

    def replace(match):
        token = match[0]
        if token[0] == "/":
            return "\n" * token.count("\n") or " "
        return token[0] * 2 if strings else token

    return re.sub(pattern, replace, text, flags=re.DOTALL)


def sources(*folders, suffixes=(".c", ".h")):
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in suffixes and path.is_file():
                yield path


def name(path):
    return path.relative_to(root).as_posix()


def code(path):
    return tokens_removed(path.read_text(), strings=True)


def calls(path, function):
    return re.findall(rf"(?<![\w.>])(?:{function})(?=\s*\()", code(path))


def nm(*arguments):
    environment = {**os.environ, "LC_ALL": "C"}
    out = subprocess.run(["nm", *arguments], check=True, capture_output=True, text=True, env=environment).stdout
    return [line.split()[-1].partition("@")[0] for line in out.splitlines() if line.strip() and not line.endswith(":")]


def layer_table():
    """{folder: what its files may include}, from the table in docs/architecture.md."""
    text = (root / "docs/architecture.md").read_text()
    rows = re.search(r"^\| folder \| noun \| may include \|\n\|[ -|]+\n((?:\|.*\n)+)", text, re.M)[1]
    cells = [[cell.strip() for cell in row.split("|")] for row in rows.splitlines()]
    return {row[1].strip("`"): set(filter(None, row[3].split(", "))) for row in cells}


MAY_INCLUDE = layer_table()


def layer_of(path):
    """The folder of a file, below src; `bpf` for what the programs share with user space."""
    return path.relative_to(root / "src").parent.as_posix() if path.is_relative_to(root / "src") else "bpf"


def every_folder_is_known():
    found = {layer_of(path) for path in sources("src")}
    return [f"src/{folder} is missing in the table of docs/architecture.md" for folder in sorted(found - set(MAY_INCLUDE))] + [
        f"src/{folder} is in the table of docs/architecture.md only" for folder in sorted(set(MAY_INCLUDE) - found)]


def includes_follow_the_layers():
    bad = []
    for path in sources("src"):
        layer = layer_of(path)
        allowed = MAY_INCLUDE.get(layer, set())
        for header in re.findall(r'^\s*#\s*include\s+"([^"]+)"', tokens_removed(path.read_text(), strings=False), re.M):
            target = pathlib.Path(os.path.normpath(path.parent / header))
            if not target.exists():
                if not header.endswith(".skel.h"):  # made by bpftool
                    bad.append(f'{name(path)} includes "{header}", which is not in the tree')
                continue
            below = layer_of(target)
            single = f"{below}/{target.name}"
            if below != layer and not {below, single} & allowed:
                bad.append(f'{name(path)} includes "{header}": {layer} may not know {below}')
        for header in re.findall(r"^\s*#\s*include\s+<([^>]+)>", path.read_text(), re.M):
            library = LIBRARIES.get(header.partition("/")[0])
            if library and library not in allowed:
                bad.append(f"{name(path)} includes <{header}>")
    return bad


def reachable(layer):
    """The layers that a layer can reach through others. A single header of a folder does not count as the folder."""
    seen, todo = set(), [layer]
    while todo:
        for below in MAY_INCLUDE.get(todo.pop(), set()) - seen:
            seen.add(below)
            todo.append(below)
    return seen


def no_layer_is_below_itself():
    """The table has no cycle; a cycle would allow anything."""
    return sorted(f"{layer} is part of a cycle" for layer in MAY_INCLUDE if layer in reachable(layer))


def what_must_never_be():
    return [f"{layer} reaches {below}" for layer, words in NEVER for below in words.split() if below in reachable(layer)]


def broker_knows_no_door():
    """Of intake, the broker uses nothing of the doors and their sessions: they call the broker."""
    allowed = {"src/intake/owner.h"}
    return [f'{name(path)} includes "{header}"' for path in sources("src/broker")
            for header in re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(), re.M)
            if "/intake/" in header and os.path.normpath(f"src/broker/{header}") not in allowed
            or "/wire/" in header]


def pure_layers_link_nothing():
    bad = []
    if {pathlib.Path(archive).name for archive in archives} != {f"lib{layer}.a" for layer in PURE}:
        bad.append(f"the archives are {archives}, which are not those of {sorted(PURE)}")
    for archive in archives:
        symbols = nm("-u", archive)
        if not symbols:
            bad.append(f"{archive}: nm shows nothing that it needs")
        for symbol in symbols:
            if re.match(r"(lib)?bpf_|bpf|btf_|ring_buffer__|perf_buffer__|sd_", symbol):
                bad.append(f"{pathlib.Path(archive).name} needs {symbol}")
    return bad


def one_file_calls_each():
    bad = []
    for function, allowed in ONE_CALLER.items():
        found = [name(path) for path in sources("src", suffixes=(".c",)) if re.search(rf"\b(?:{function})\b", code(path))]
        if found != ([allowed] if isinstance(allowed, str) else list(allowed)):
            bad.append(f"{function} is in {found or 'no file'}, and should be in {allowed or 'none'}")
    return bad


def each_map_has_one_writer():
    """The registry's maps are written where its seats and places are, sockets by workers; others in one file each."""
    writers = {"registry->maps[REGISTRY_EARLY": "datapath/registry_early.c",
               "registry->maps[REGISTRY_STATE": "datapath/registry.c", "registry->maps[REGISTRY_COUNTERS": "datapath/registry.c",
               "registry->maps[REGISTRY_REFUSED_DEVICE": "datapath/registry.c",
               "registry->maps[REGISTRY_GROUPS": "datapath/registry_groups.c",
               "registry->maps[REGISTRY_MEMBERS": "datapath/registry_groups.c",
               "registry->maps[REGISTRY_": "datapath/registry_places.c", "program->maps": "datapath/program.c", "worker.maps[WORK_MAP_": "worker/worker.c",
               "loaded->maps": "hooks/iterator.c", "question->answers": "datapath/question.c",
               "maps[OBSTACLE_ORDER]": "datapath/obstacles.c"}
    bad, sockets = [], 0
    for path in sources("src"):
        for call in re.findall(r"\bbpf_map_(?:_)?update_\w+\s*\(([^;]*);", code(path)):
            writer = next((file for map, file in writers.items() if map in call), None)
            sockets += "WORK_MAP_SOCKETS" in call
            if not writer or path != root / "src" / writer:
                bad.append(f"{name(path)} writes to {call.partition(',')[0]}")
    if sockets != 1:
        bad.append(f"the SOCKHASH is written in {sockets} places, and not in 1")
    return bad


def library_prints_nothing():
    needed = set(nm("-D", "--undefined-only", libusher))
    fortified = {f"__{printer}_chk" for printer in PRINTERS}
    bad = needed & ({*PRINTERS, *PRINTING_OBJECTS, "exit", "_exit", "abort", "__assert_fail", "signal", "sigaction", "fork"} | fortified)
    bad |= {"nothing at all, so this test is blind"} if "sendmsg" not in needed else set()
    return [f"libusher.so needs {symbol}" for symbol in sorted(bad)]


def nothing_starts_threads():
    """Each process is one thread, so no lock is needed and none can be forgotten. What else a thread comes from is SIGEV_THREAD."""
    bad = [f"{name(path)} starts a thread" for path in sources("src", suffixes=(".c", ".h"))
           if re.search(r"\b(pthread_create|thrd_create|SIGEV_THREAD|getaddrinfo_a)\b", code(path))]
    if len(programs) != 4:
        bad.append(f"the programs are {programs}, and not the four of usher")
    for program in [libusher, *programs]:
        needed = set(nm("-D", "--undefined-only", program))
        if not needed & {"sendmsg", "send"}:
            bad.append(f"{program}: nm does not show what it needs, so this test is blind")
        bad += [f"{program} needs {symbol}" for symbol in sorted(needed & {"pthread_create", "thrd_create", "getaddrinfo_a"})]
    return bad


def only_the_mains_print():
    bad = []
    for path in sources("src"):
        folder = path.relative_to(root / "src").parts[0]
        if folder in ("ctl", "observe") or path.parent in PROGRAMS and path.name == "main.c":
            continue
        for function in calls(path, "|".join(PRINTERS)):
            bad.append(f"{name(path)} calls {function}()")
        if re.search(r"\b(stderr|stdout|STDERR_FILENO|STDOUT_FILENO)\b", code(path)):
            bad.append(f"{name(path)} names stdout or stderr")
    return bad


def files_are_short():
    bad = []
    for path in sources("src", "bpf", "tests", "examples", suffixes=(".c", ".h", ".py")):
        n = path.read_text().count("\n")
        if n > WARN_LINES and "tests" not in path.parts:
            print(f"# warning: {name(path)} has {n} lines; more than {WARN_LINES} ask for a split")
        if n >= MAX_LINES:
            bad.append(f"{name(path)} has {n} lines; fewer than {MAX_LINES} are allowed")
    return bad


def files_have_a_licence():
    bad = []
    for path in sources("src", "bpf", "tests", "examples", suffixes=(".c", ".h", ".def", ".py", ".sh", ".bash", ".zsh", ".fish", ".sym")):
        lines = path.read_text().splitlines()[:2]
        first = lines[1:] if lines and lines[0].startswith(("#!", "#compdef")) else lines[:1]
        if not first or "SPDX-License-Identifier: BSD-3-Clause" not in first[0]:
            bad.append(f"{name(path)} does not start with its licence")
    return bad


def documents_name_files_that_exist():
    """Each `folder/file.c` in the documents exists, below src or below the root."""
    bad = []
    for path in sorted((root / "docs").glob("*.md")) + [root / "README.md"]:
        for file in re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.(?:[ch]|py|build|def|dict|scd))`", path.read_text()):
            if not any((root / folder / file).exists() for folder in ("src", ".", "tests")):
                bad.append(f"{name(path)} names {file}, which is not in the tree")
    return bad


def shared_header_is_shared():
    header = root / "bpf/usher-bpf.h"
    text = tokens_removed(header.read_text(), strings=False)
    bad = []
    for side in "bpf/dispatch.bpf.c", "src/datapath/registry.h", "src/image/image.h":
        if not re.search(r'#include "(\.\./\.\./bpf/)?usher-bpf\.h"', (root / side).read_text()):
            bad.append(f"{side} does not include usher-bpf.h")
    for struct in re.findall(r"^struct (\w+) \{", text, re.M):
        if f"_Static_assert(sizeof(struct {struct}) ==" not in text:
            bad.append(f"nothing asserts the size of struct {struct}")
        for path in sources("src", "bpf"):
            if path != header and re.search(rf"^struct {struct} \{{", path.read_text(), re.M):
                bad.append(f"{name(path)} has a struct {struct} of its own")
    return bad


def no_loose_ends():
    """There are no placeholders, and no goto backwards."""
    bad = []
    for path in sources("src", "bpf", suffixes=(".c", ".h")):
        text = path.read_text()
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text):
            bad.append(f"{name(path)} has a note to its author")
        for label in re.findall(r"\bgoto\s+(\w+)\s*;", code(path)):
            if code(path).index(f"goto {label}") > code(path).index(f"{label}:"):
                bad.append(f"{name(path)} goes back to {label}")
    return bad


def messages_are_whole():
    """A message is one literal, so that grep finds it. A literal that ends its line of output may be continued."""
    bad = []
    for path in sources("src", suffixes=(".c", ".h")):
        text = tokens_removed(path.read_text(), strings=False)
        for match in re.finditer(r'"(?:\\.|[^"\\\n])*"(?=\s*\n\s*")', text):
            if not match[0].endswith('\\n"'):
                bad.append(f"{name(path)} cuts {match[0]}")
    return bad


# Numbered points and the like of documents that are not in this repository.
OUTSIDE = re.compile(r"\b(?:[Pp]art|[Ii]ssue|[Ff]acts?|[Ss]cenario|[Dd]efect|[Pp]oint)s?(?:, part)?:? \d|\bIssue: "
                     r"|\b\d\.\d,? (?:Test[A-Z]|[a-z]+_[a-z])|\.\./shared")


def no_outside_references():
    """A promise is in the sentence itself, or in a document of this repository."""
    bad = []
    for path in [root / "README.md", *sources("src", "bpf", "tests", "docs", "examples", "units", suffixes=TEXTS)]:
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if match := OUTSIDE.search(line):
                bad.append(f"{name(path)}:{number} refers to '{match[0]}', which is not in this repository")
    return bad


CHECKS = [
    every_folder_is_known,
    includes_follow_the_layers,
    no_layer_is_below_itself,
    what_must_never_be,
    broker_knows_no_door,
    pure_layers_link_nothing,
    one_file_calls_each,
    each_map_has_one_writer,
    library_prints_nothing,
    nothing_starts_threads,
    only_the_mains_print,
    files_are_short,
    files_have_a_licence,
    documents_name_files_that_exist,
    shared_header_is_shared,
    no_loose_ends,
    messages_are_whole,
    no_outside_references,
]

run_checks(CHECKS)

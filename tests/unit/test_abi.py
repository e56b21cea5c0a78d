#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The binary interface of the library is the one that abi/libusher.abi keeps. Prints TAP.

usage: test_abi.py LIBRARY HEADER SYMBOL-FILE COMPILER...
       test_abi.py --renew LIBRARY HEADER    write abi/libusher.abi anew; docs/developing.md says when
"""

import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

from tap import Skip, run_tests, test

dump = pathlib.Path(__file__).parent / "abi/libusher.abi"
# Nothing in the dump depends on where it was made, or with which compiler. Its types are those of the public header.
WITHOUT_PLACES = ["--no-show-locs", "--no-comp-dir-path", "--no-corpus-path", "--no-elf-needed", "--drop-private-types", "--drop-undefined-syms"]
CHANGED, INCOMPATIBLE = 4, 8  # bits of the status of abidiff, abidiff(1)


def renew(library, header):
    subprocess.run(["abidw", *WITHOUT_PLACES, "--headers-dir", header.parent, "--out-file", dump, library.resolve()], check=True)


if sys.argv[1] == "--renew":
    renew(*map(pathlib.Path, sys.argv[2:]))
    sys.exit()

library, header, symbol_file = map(pathlib.Path, sys.argv[1:4])
compiler = sys.argv[4:]


def compare(other):
    """The status of abidiff, and its text, for the kept dump and a library."""
    if platform.machine() != "x86_64":
        raise Skip(f"machine: the dump is of x86_64, and this is {platform.machine()}")
    if not shutil.which("abidiff"):
        raise Skip("machine: there is no abidiff (Debian: abigail-tools)")
    result = subprocess.run(["abidiff", "--headers-dir2", header.parent, dump, other.resolve()], capture_output=True, text=True)
    assert result.returncode & ~(CHANGED | INCOMPATIBLE) == 0, f"abidiff cannot compare: {result.stderr}{result.stdout}"
    return result.returncode, result.stdout


def build_like(folder, change):
    """A library with the functions of the header, after change(text of the header); they do nothing."""
    text = change(re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.DOTALL))
    symbols = re.sub(r"^\tusher_\w+;\n", lambda line: line[0] if f"{line[0].strip(chr(9) + chr(10) + ';')}(" in text else "",
                     symbol_file.read_text(), flags=re.M)
    added = set(re.findall(r"\b(usher_\w+)\(", text)) - set(re.findall(r"\b(usher_\w+);", symbols))
    symbols = symbols.replace("global:\n", "global:\n" + "".join(f"\t{name};\n" for name in sorted(added)), 1)
    (folder / "usher.h").write_text(text)
    (folder / "symbols").write_text(symbols)
    bodies = re.sub(r"^((?:int|ssize_t|const char \*)\s*usher_\w+\([^;]*\));", r"\1\n{\n\treturn 0;\n}", text, flags=re.M)
    (folder / "like.c").write_text(bodies)
    subprocess.run([*compiler, "-g", "-w", "-shared", "-fPIC", "-Wl,-soname,libusher.so.0", f"-Wl,--version-script={folder}/symbols",
                    "-o", folder / "libusher.so.0", folder / "like.c"], check=True, capture_output=True, text=True)
    return folder / "libusher.so.0"


def compare_like(change):
    with tempfile.TemporaryDirectory() as folder:
        return compare(build_like(pathlib.Path(folder), change))


@test
def library_is_compatible_with_the_dump():
    status, text = compare(library)
    assert not status & INCOMPATIBLE, f"programs linked with libusher would break:\n{text}"
    assert not status, f"the interface has grown; renew the dump (docs/developing.md, \"The interface of the library\"):\n{text}"


@test
def dump_depends_on_the_header_only():
    assert compare_like(lambda text: text) == (0, ""), compare_like(lambda text: text)


@test
def function_that_is_gone_is_found():
    status, text = compare_like(lambda text: re.sub(r"int usher_withdraw\([^;]*;", "", text))
    assert status & INCOMPATIBLE and "usher_withdraw" in text, (status, text)


@test
def parameter_of_another_type_is_found():
    status, text = compare_like(lambda text: text.replace("int timeout_ms", "long timeout_ms"))
    assert status & CHANGED and "timeout_ms" in text or "parameter 5" in text, (status, text)


@test
def parameter_more_is_found():
    status, text = compare_like(lambda text: text.replace("int timeout_ms)", "int timeout_ms, int more)"))
    assert status & CHANGED, (status, text)


@test
def function_more_is_found():
    """As long as a function is not in the dump, nobody would notice that it goes."""
    status, text = compare_like(lambda text: text.replace("const char *usher_reason", "int usher_new(int);\nconst char *usher_reason"))
    assert status == CHANGED and "usher_new" in text, (status, text)


run_tests()

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the library is made of compiles for 32 bits without warnings, and passes its unit tests there. Prints TAP.

usage: test_lib32.py SOURCE-FOLDER

lib32/cmocka.h has what these tests use of cmocka, so that no package of another architecture is needed.
"""

import concurrent.futures
import functools
import os
import pathlib
import subprocess
import sys
import tempfile

from tap import Skip, run_tests, test

root = pathlib.Path(sys.argv[1])
here = root / "tests/unit"
# -Wno-sign-conversion and the like are what the other builds do without as well
OPTIONS = ["-m32", "-std=gnu17", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", '-DUSHER_VERSION="0"', "-O2", "-g", "-Wall", "-Wextra",
           "-Wshadow", "-Wconversion", "-Wno-sign-conversion", "-Wundef", "-Wno-missing-field-initializers", "-Werror"]
# fake_broker.c and the tests themselves are compiled for what they find, and not for their style
TEST_OPTIONS = [*OPTIONS, "-Wno-conversion", f"-I{here / 'lib32'}", f"-I{root / 'src'}", f"-I{here}"]
TESTS = ("address", "array", "client", "lib", "udp", "message", "names", "notify", "packet", "prefix", "text", "words")

folder = tempfile.TemporaryDirectory()
objects = []


def gcc(*arguments):
    return subprocess.run(["gcc", *arguments], capture_output=True, text=True)


@functools.cache
def need_gcc():
    source = pathlib.Path(folder.name) / "try.c"
    source.write_text("#include <stdio.h>\nint main(void)\n{\n\treturn puts(\"\") < 0;\n}\n")
    if gcc("-m32", source, "-o", source.with_suffix("")).returncode or subprocess.run([source.with_suffix("")], capture_output=True).returncode:
        raise Skip("machine: gcc -m32 makes no program that runs here (Debian: gcc-multilib, on amd64)")


def compile_file(source, options):
    target = pathlib.Path(folder.name) / f"{source.parent.name}-{source.stem}.o"
    return target, gcc(*options, "-c", source, "-o", target).stderr


def compile_files(sources, options):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda source: compile_file(source, options), sources))
    errors = "".join(stderr for _, stderr in results)
    assert not errors, errors
    return [target for target, _ in results]


@test
def library_compiles_without_warnings():
    need_gcc()
    objects.extend(compile_files([path for layer in ("util", "wire", "lib") for path in sorted((root / "src" / layer).glob("*.c"))],
                                 OPTIONS))


def run_unit_test(name):
    need_gcc()
    assert objects, "the library did not compile"
    extra = [here / "fake_broker.c"] if name == "lib" else []
    program = pathlib.Path(folder.name) / f"test_{name}"
    linked = gcc("-m32", "-pthread", "-o", program,
                 *compile_files([here / f"test_{name}.c", *extra], TEST_OPTIONS), *objects)
    assert linked.returncode == 0, linked.stderr
    ran = subprocess.run([program], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, f"status {ran.returncode}: {ran.stdout[-2000:]}{ran.stderr[-2000:]}"
    assert "ok 1 " in ran.stdout, ran.stdout


def make_test(name):
    def function():
        run_unit_test(name)
    function.__name__ = f"test_{name}"
    return function


for word in TESTS:
    test(make_test(word))
run_tests()

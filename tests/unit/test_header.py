#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""usher.h compiles in C99, C11, C17 and C++ with gcc and clang, and programs in C and C++ can use the library. Prints TAP.

usage: test_header.py LIBRARY HEADER
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from tap import Skip, run_tests, test

library, header = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
STRICT = ["-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wsign-conversion", "-Wcast-qual", "-Wundef", "-Werror"]
C, CXX = ["-std=c99", "-std=c11", "-std=c17"], ["-std=c++11", "-std=c++17", "-std=c++20"]

# Every function and constant, as a program uses them. It runs without a broker.
PROGRAM = """
#include <string.h>
#include <usher.h>
#include <usher.h>

#define CONSTANTS (USHER_STRICT == 1U && USHER_HOLD == 2U && USHER_TIMEOUT_DEFAULT_MS == 5000)

int main(void)
{
	int fds[1] = {0};
	char data[1] = "";
	struct usher_udp_path path;

	if (!CONSTANTS || usher_reason()[0])
		return 1;
	if (usher_hand_in("web", fds, 1, 0, 0) || usher_hold("web", fds, 1, 0, USHER_TIMEOUT_DEFAULT_MS))
		return 2;
	if (usher_withdraw("web", fds, 1, 0, 0) || usher_withdraw("web", NULL, 0, 0, 0) || usher_claim("web", fds, 1, 0, 0))
		return 3;
	if (usher_udp_prepare(-1) >= 0 || usher_udp_receive(-1, data, sizeof(data), 0, &path) >= 0)
		return 5;
	memset(&path, 0, sizeof(path));
	if (usher_udp_send(-1, data, 1, 0, &path) >= 0 || usher_udp_flow(&path, 0) >= 0 || path.original.ss_family != AF_UNSPEC)
		return 6;
	return usher_hand_in("web", fds, 1, USHER_STRICT | USHER_HOLD, 0) < 0 && usher_reason()[0] ? 0 : 4;
}
"""


def compile_and_run(compiler, suffix, standards):
    if not shutil.which(compiler):
        raise Skip(f"machine: there is no {compiler}")
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / f"program{suffix}"
        source.write_text(PROGRAM)
        (source.parent / "libusher.so").symlink_to(library)
        (source.parent / "libusher.so.0").symlink_to(library)
        environment = {**os.environ, "USHER_SOCKET": f"{folder}/usher.sock", "LD_LIBRARY_PATH": folder}
        for standard in standards:
            built = subprocess.run([compiler, standard, *STRICT, f"-I{header.parent}", source, f"-L{folder}", "-lusher",
                                    "-o", source.with_suffix("")], capture_output=True, text=True)
            assert built.returncode == 0, f"{compiler} {standard}: {built.stderr}"
            ran = subprocess.run([source.with_suffix("")], env=environment)
            assert ran.returncode == 0, f"{compiler} {standard}: the program ended with status {ran.returncode}"


@test
def header_in_c_with_gcc():
    compile_and_run("gcc", ".c", C)


@test
def header_in_c_with_clang():
    compile_and_run("clang", ".c", C)


@test
def header_in_cxx_with_gcc():
    compile_and_run("g++", ".cc", CXX)


@test
def header_in_cxx_with_clang():
    compile_and_run("clang++", ".cc", CXX)


run_tests()

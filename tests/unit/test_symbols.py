#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The library as others see it: it exports and needs nothing else, and dlopen() works.

usage: test_symbols.py LIBRARY SYMBOL-FILE HEADER
"""

import ctypes
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import unittest

library, symbol_file, header = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])


def run(*command):
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


class SymbolsTest(unittest.TestCase):
    def test_exports_are_those_of_the_symbol_file_and_of_the_header(self):
        exported = {}
        for line in run("nm", "-D", "--defined-only", library).splitlines():
            _, kind, name = line.split()
            if kind != "A":  # the names of the versions themselves
                name, _, version = name.partition("@@")
                exported[name] = (kind, version)
        listed = {}
        for version, names in re.findall(r"([\w.]+) \{\s*global:([^:]*?)(?:local:\s*\*;\s*)?\}", symbol_file.read_text()):
            for name in re.findall(r"\w+", names):
                listed[name] = ("T", version)
        self.assertEqual(exported, listed)
        code = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.DOTALL)
        self.assertEqual(set(exported), set(re.findall(r"\b(usher_\w+)\(", code)))
        self.assertIn("local:\n\t*;", symbol_file.read_text())

    def test_needs_libc_only(self):
        dynamic = run("readelf", "-dW", library)
        self.assertEqual(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic), ["libc.so.6"])
        self.assertEqual(re.findall(r"\(SONAME\).*\[(.*)\]", dynamic), ["libusher.so.0"])
        self.assertNotIn("TEXTREL", dynamic)

    def test_dlopen_and_threads(self):
        """The reasons are in static TLS, of which dlopen() has little left."""
        with tempfile.TemporaryDirectory() as directory:
            os.environ["USHER_SOCKET"] = f"{directory}/usher.sock"
            usher = ctypes.CDLL(str(library))
            usher.usher_reason.restype = ctypes.c_char_p
            socket = (ctypes.c_int * 1)(0)
            wrong = []

            def call(function, *rest):
                if usher.usher_reason() != b"" or getattr(usher, function)(b"web", *rest, 0, 0) != 0:
                    wrong.append(function)
                if os.environ["USHER_SOCKET"].encode() not in usher.usher_reason():
                    wrong.append(usher.usher_reason())

            for function in "usher_hand_in", "usher_withdraw", "usher_hold", "usher_claim":
                thread = threading.Thread(target=call, args=(function, socket, ctypes.c_size_t(1)))
                thread.start()
                thread.join()
            self.assertEqual(wrong, [])
            self.assertEqual(usher.usher_hand_in(b"web", socket, ctypes.c_size_t(1), 1, 0), -2)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

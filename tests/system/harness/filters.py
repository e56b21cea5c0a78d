# SPDX-License-Identifier: BSD-3-Clause
"""Packet filters of the host of a test: nft(8) and iptables(8) of Debian"""

import shutil

import pytest

from .host import run


def need(program):
    """Skip the test if the program, or what it needs of the kernel, is missing."""
    if not shutil.which(program):
        pytest.skip(f"machine: no {program}")


def nft(rules):
    """Load rules, as `nft -f` does."""
    need("nft")
    done = run("nft", "-f", "-", input=rules, check=False)
    if done.returncode and "Operation not supported" in done.stderr:
        pytest.skip(f"machine: this kernel lacks something of nf_tables: {done.stderr}")
    assert not done.returncode, done.stderr


def iptables(*lines, program="iptables"):
    """Commands of iptables-nft, or of another iptables."""
    need(program)
    for line in lines:
        done = run(program, *line.split(), check=False)
        if done.returncode and ("Table does not exist" in done.stderr or "not supported" in done.stderr):
            pytest.skip(f"machine: this kernel lacks something of {program}: {done.stderr}")
        assert not done.returncode, f"{program} {line}: {done.stderr}"

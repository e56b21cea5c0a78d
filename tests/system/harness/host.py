# SPDX-License-Identifier: BSD-3-Clause
"""The host of a test: addresses, commands, and a client machine at the other end of a cable"""

import contextlib
import os
import pathlib
import socket
import subprocess
import threading

from . import process
from .isolate import CLONE_NEWNET

# Documentation addresses (RFC 5737, RFC 3849), all local to the host, as anycast prefixes would be.
LOCAL = ["192.0.2.0/24", "198.51.100.0/24", "2001:db8::/48", "2001:db8:1::/48", "fd00:1::/64"]
# A service can bind to any of the IPv4 addresses, but only to IPv6 addresses that an interface has.
BINDABLE = ["2001:db8::1", "2001:db8::2", "2001:db8:1::1", "fd00:1::1", "fd00:1::2", "fd00:1::3"]
V4, V4_OTHER, V6, V6_OTHER = "192.0.2.1", "198.51.100.1", "2001:db8::1", "2001:db8:1::1"
HOST_V4, CLIENT_V4 = "203.0.113.1", "203.0.113.2"
HOST_V6, CLIENT_V6 = "2001:db8:ffff::1", "2001:db8:ffff::2"

ROOT, DAEMON, NOBODY = 0, 1, 65534  # uid and gid, in every Debian
AS_NOBODY = {"user": NOBODY, "group": NOBODY, "extra_groups": []}  # of a command

WORK = pathlib.Path("/run/test")
RULE_FOLDERS = [pathlib.Path(p) / "usher/rules.d" for p in ("/etc", "/run", "/usr/local/lib", "/usr/lib")]


def ip(*lines):
    """Run commands of ip(8); raises an exception if one fails."""
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True, capture_output=True)


def run(*command, check=True, **options):
    """Run a command to its end, with its output as text. Its standard input is empty unless the caller gives one."""
    options.setdefault("timeout", process.PATIENCE)
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done


class Netns:
    """A network namespace of the test. `with` enters it, in the calling thread only."""

    def __init__(self):
        def make():
            process.libc("unshare", CLONE_NEWNET)
            self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            ip("link set lo up")

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()

    @contextlib.contextmanager
    def entered(self):
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            process.libc("setns", self.fd, CLONE_NEWNET)
            yield
        finally:
            process.libc("setns", home, CLONE_NEWNET)
            os.close(home)


def set_up():
    """Set up loopback and the local prefixes, and remove limits that would make counts depend on time."""
    ip("link set lo up", *[f"route add local {prefix} dev lo" for prefix in LOCAL],
       *[f"addr add {address}/128 dev lo nodad" for address in BINDABLE])
    for name, value in {"ipv4/icmp_ratelimit": 0, "ipv4/icmp_msgs_per_sec": 100000, "ipv6/icmp/ratelimit": 0,
                        "ipv4/ip_local_port_range": "20000 65000", "core/somaxconn": 4096}.items():
        with contextlib.suppress(OSError):  # not every kernel has every one in each namespace
            pathlib.Path("/proc/sys/net", name).write_text(str(value))


def connect_client():
    """Connect a second machine with its own address by a cable; returns its namespace."""
    client = Netns()
    ip("link add usher0 type veth peer name client0",
       f"link set client0 netns /proc/self/fd/{client.fd}".replace("self", str(os.getpid())),
       "link set usher0 up", f"addr add {HOST_V4}/24 dev usher0", f"addr add {HOST_V6}/64 dev usher0 nodad")
    with client.entered():
        ip("link set client0 up", f"addr add {CLIENT_V4}/24 dev client0", f"addr add {CLIENT_V6}/64 dev client0 nodad",
           f"route add default via {HOST_V4}", f"route add default via {HOST_V6}")
    return client


def write_rule(name, text, folder=RULE_FOLDERS[1]):
    """Put a rule file NAME.rule in place as editors do: write another file, then rename it."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{name}.new"
    beside.write_text(text if isinstance(text, str) else "\n".join(text) + "\n")
    beside.rename(folder / f"{name}.rule")
    return folder / f"{name}.rule"


def rule(*settings, access=None, discover=None, **keys):
    """The text of a rule: rule("Stream=80", Missing="pass", access=["User=nobody"], discover=["Socket=22"])."""
    lines = ["[Rule]", *settings, *[f"{key}={value}" for key, value in keys.items()]]
    if access is not None:
        lines += ["[Access]", *access]
    if discover is not None:
        lines += ["[Discover]", *discover]
    return "\n".join(lines) + "\n"


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET

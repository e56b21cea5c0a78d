# SPDX-License-Identifier: BSD-3-Clause
"""What is different about a socket in a map of sockets, for its owner, on each kernel. The table of docs/sockets.md is made
of this: `python3 tests/system/handin/differences.py` prints it.

A pattern is one of fnmatch. `what` are the observations of harness/observed.py and harness/scenes.py.
"""

import fnmatch
import re
from dataclasses import dataclass

KERNELS = ("6.1", "6.12", "6.18")
HEADER = ["| socket | call | before the hand-in | after it | Linux |", "| --- | --- | --- | --- | --- |"]
KINDS = {"udp": "UDP", "listener": "TCP listener", "accepted": "accepted connection"}


@dataclass(frozen=True)
class Difference:
    kind: str
    what: str
    before: str
    after: tuple
    kernels: tuple
    words: tuple  # the three middle columns of the table

    def fits(self, what, before, after):
        return (fnmatch.fnmatchcase(what, self.what) and fnmatch.fnmatchcase(before, self.before) and
                any(fnmatch.fnmatchcase(after, pattern) for pattern in self.after))


NOTHING = ("0", "0 name:0*", "1 length:0 flags:0", "1 length:0 flags:40000000")

DIFFERENCES = [
    Difference("udp", "ioctl FIONREAD; a datagram waits", "0 5", ("0 0",), ("6.12", "6.18"),
               ("`ioctl(FIONREAD)`, which is also `SIOCINQ`, while a datagram waits", "its size", "0")),
    Difference("udp", "recv* of 0 bytes, *; nothing waits", "EAGAIN*", NOTHING, KERNELS,
               ("receive with 0 bytes of room, nothing waits", "waits, as long as `SO_RCVTIMEO`; `EAGAIN` with `MSG_DONTWAIT`",
                "0, at once")),
    Difference("udp", "recv* of 0 bytes, *; a* datagram waits", "*", NOTHING, KERNELS,
               ("receive with 0 bytes of room, a datagram waits, also with `MSG_PEEK`",
                "sender, control messages, `MSG_TRUNC`; the size if that was asked for", "0 and nothing else")),
    Difference("udp", "recv* of 0 bytes, *; a* datagram waits, what is left", "", ("0", "5"), KERNELS,
               ("the same without `MSG_PEEK`", "removes the datagram", "leaves it")),
    Difference("udp", "into a REUSEPORT_SOCKARRAY of the owner", "0", ("EBUSY",), KERNELS,
               ("put into a `BPF_MAP_TYPE_REUSEPORT_SOCKARRAY`", "possible", "`EBUSY`")),
    Difference("listener", "re* of 0 bytes, *", "ENOTCONN", NOTHING, KERNELS,
               ("receive with 0 bytes of room", "`ENOTCONN`", "0, at once")),
    Difference("listener", "re* of * bytes*", "ENOTCONN", ("EAGAIN", "EAGAIN waited"), KERNELS,
               ("receive or read with more room", "`ENOTCONN`",
                "waits, as long as `SO_RCVTIMEO`; `EAGAIN` with `MSG_DONTWAIT`")),
    Difference("listener", "setsockopt IPV6_ADDRFORM", "ENOTCONN", ("EBUSY",), KERNELS,
               ("`setsockopt(IPV6_ADDRFORM)`", "`ENOTCONN`", "`EBUSY`")),
    Difference("listener", "into a REUSEPORT_SOCKARRAY of the owner", "0", ("EBUSY",), KERNELS,
               ("put into a `BPF_MAP_TYPE_REUSEPORT_SOCKARRAY`", "possible", "`EBUSY`")),
]


def judge(kind, kernel, before, after):
    """(observations that no row explains, rows of which there is no example, or of which there is one on a kernel that the
    row does not name)."""
    found = [(what, before[what], after[what]) for what in before if before[what] != after[what]]
    own = [row for row in DIFFERENCES if row.kind == kind]
    unknown = [one for one in found if not any(row.fits(*one) and kernel in row.kernels for row in own)]
    absent = [row for row in own if kernel in row.kernels and fnmatch.filter(before, row.what) and
              not any(row.fits(*one) for one in found)]
    return unknown, absent


def kernel_of(release):
    """The row's name of a kernel, or None if its differences were never looked at."""
    name = re.match(r"\d+\.\d+", release)[0]
    return name if name in KERNELS else None


def table():
    return HEADER + [f"| {KINDS[row.kind]} | {' | '.join(row.words)} | {'all' if row.kernels == KERNELS else ', '.join(row.kernels)} |"
                     for row in DIFFERENCES]


if __name__ == "__main__":
    print("\n".join(table()))

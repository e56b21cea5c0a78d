# SPDX-License-Identifier: BSD-3-Clause
"""usher-discover does not take a socket that the broker holds for one of its owner's: a duplicate anywhere keeps a socket
listening, and root has this one open."""

from harness import wire
from harness.host import rule
from harness.service import ServiceProcess


def test_held_socket(broker, discover):
    """Held for a process that has ended, a socket stays that process's in the list."""
    usherd = broker(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080"]))
    service = ServiceProcess("web", before=lambda sock: dict(wire.request("hold", [sock], NAME="web")))
    assert service.before_result["ADDED"] == "1"
    service.kill()
    discover.start()
    discover.wait_said("open only in the broker")
    (row,) = usherd.sockets("web")
    assert row["VIA"] == "client" and int(row["PID"]) == service.pid

# SPDX-License-Identifier: BSD-3-Clause
"""usher-discover does not take the broker for the owner of a socket that the broker holds. The duplicate keeps the socket
listening, and the process that has it open is root's."""

from harness import wire
from harness.host import rule
from harness.service import ServiceProcess


def test_held_socket(broker, discover):
    """The list still shows the process for which the socket is held, after that process has ended."""
    usherd = broker(web=rule("Stream=80", discover=["Socket=127.0.0.2:8080"]))
    service = ServiceProcess("web", before=lambda sock: dict(wire.request("hold", [sock], NAME="web")))
    assert service.before_result["ADDED"] == "1"
    service.kill()
    discover.start()
    discover.wait_said("open only in the broker")
    (row,) = usherd.sockets("web")
    assert row["VIA"] == "client" and int(row["PID"]) == service.pid

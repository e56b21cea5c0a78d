# SPDX-License-Identifier: BSD-3-Clause
"""usher-discover and the broker with a hostile neighbour: an ordinary user with a shell."""


import pytest

from harness import wire
from harness.host import NOBODY
from harness.process import Child, wait_until
from harness.service import ServiceProcess, make_socket
from harness.traffic import REFUSED, who


RULE = """[Rule]
Stream=80
Datagram=80
[Discover]
Socket=127.0.0.2:8080
"""


def listen_without_end(tell, protocol):
    tell("begins")
    while True:
        make_socket(protocol, "127.0.0.3", 8080, backlog=1).close()


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_flood_of_listeners(broker, discover, protocol):
    """Strangers that listen and close in a loop do not keep a daemon from being found."""
    running = broker(web=RULE)
    discover.start()
    strangers = [Child(listen_without_end, protocol, uid=NOBODY, gid=NOBODY) for _ in range(3)]
    for stranger in strangers:
        assert stranger.hear() == "begins"
    for i in range(5):
        daemon = ServiceProcess("web")
        wait_until(lambda: running.sockets("web"), f"listener {i} is handed in")
        daemon.kill()
        wait_until(lambda: not running.sockets("web"))


def test_what_others_ask_and_miss(broker, discover):
    """Refusals of strangers' requests, and packets without a socket, do not wake usher-discover."""
    running = broker(web=RULE)
    discover.start()
    discover.settle()
    before = discover.switches()

    def ask(tell):
        for _ in range(1000):
            with pytest.raises(wire.Refused):
                wire.request("withdraw", NAME="nothing")

    Child(ask, uid=NOBODY, gid=NOBODY).result()
    assert who("192.0.2.1", 80) == REFUSED
    wait_until(lambda: "a connection from" in running.log)
    assert discover.switches() == before
    daemon = ServiceProcess("web")
    wait_until(lambda: running.sockets("web"))
    daemon.kill()

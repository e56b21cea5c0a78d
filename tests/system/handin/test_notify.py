# SPDX-License-Identifier: BSD-3-Clause
"""The notify door, the service manager's store, and sockets that the service manager passes"""

import os
import select
import socket
import time

import pytest

from harness.host import NOBODY, V4, rule
from harness.notify import barrier, notify
from harness.process import PATIENCE, Child, in_child, wait_until
from harness.service import Service, make_socket
from harness.traffic import REFUSED, who
from harness.wire import Refused, cookie, hand_in, request


def rows(running, name="web"):
    return [row for row in running.sockets() if row["NAME"] == name]


class TestStore:
    def test_hands_in_and_holds(self, broker):
        running = broker(web="Stream=80")
        with Service("web") as service:
            notify("FDSTORE=1\nFDNAME=web\n", service)
            assert barrier()
            row, = rows(running)
            assert (row["VIA"], row["HELD"], row["STATE"]) == ("notify", "yes", "serving")
            assert who(V4, 80) == "web"
        assert rows(running), "it outlives its process's copy"
        claimed = request("claim", NAME="web")
        assert len(claimed.fds) == 1

    def test_removal_takes_all_of_the_name(self, broker):
        running = broker(web="Stream=80", other="Stream=81")
        with Service("one", port=8001) as one, Service("two", port=8002) as two, Service("other", port=8003) as other:
            notify("FDSTORE=1\nFDNAME=web\n", one, two)
            notify("FDSTORE=1\nFDNAME=other\n", other)
            notify("FDSTOREREMOVE=1\nFDSTORE=1\nFDNAME=web\n", one)
            assert barrier()
            assert not rows(running) and rows(running, "other")
            assert (who(V4, 80), who(V4, 81)) == (REFUSED, "other")

    def test_barrier_comes_after_a_thousand_stores(self, broker):
        running = broker(web="Stream=80")
        with Service("web") as service:
            for _ in range(1000):
                notify("FDSTORE=1\nFDNAME=web\n", service)
            assert barrier()
            assert len(rows(running)) == 1 and running.status()["HELD"] == "1"

    @pytest.mark.parametrize("text", ["BARRIER=1\nREADY=1", "FDSTORE=1\nBARRIER=1\nFDNAME=web"])
    def test_barrier_with_company_has_no_effect(self, broker, text):
        running = broker(web="Stream=80")
        with Service("web") as service:
            notify(text, service)
            assert barrier() and not rows(running)
        wait_until(lambda: "BARRIER=1 came with other assignments" in running.log)

    @pytest.mark.parametrize("poll", [True, False])
    def test_poll(self, broker, poll):
        """A held listener that is shut down is dropped, unless FDPOLL=0."""
        running = broker(web="Stream=80")
        listener = make_socket("tcp", "127.0.0.2", 8080)
        notify(f"FDSTORE=1\nFDNAME=web\n{'' if poll else 'FDPOLL=0'}", listener)
        assert barrier() and len(rows(running)) == 1
        listener.shutdown(socket.SHUT_RDWR)
        if poll:
            wait_until(lambda: not rows(running) and running.status()["HELD"] == "0")
            assert "was shut down" in running.log
        else:
            assert barrier() and len(rows(running)) == 1
            listener.listen()
            with Service("again", sock=listener):
                assert who(V4, 80) == "again"

    @pytest.mark.parametrize("way", ["removed", "withdrawn"])
    def test_poll_ends_with_the_store(self, broker, way):
        """What its owner does with a socket after it has left the store is nothing to the broker."""
        running = broker(web="Stream=80")
        pid = running.pid
        for port in range(8001, 8009):
            listener = make_socket("tcp", "127.0.0.2", port)
            notify("FDSTORE=1\nFDNAME=web\n", listener)
            assert barrier() and len(rows(running)) == 1
            if way == "removed":
                notify("FDSTOREREMOVE=1\nFDNAME=web\n")
                assert barrier()
            else:
                request("withdraw", [listener], NAME="web")
            assert not rows(running)
            listener.shutdown(socket.SHUT_RDWR)
            assert running.status()["HELD"] == "0"
        assert running.running() and running.pid == pid


class TestRefused:
    """Nothing changes, and the broker logs the refusal and continues."""

    @pytest.mark.parametrize("text, reason", [
        ("FDSTORE=1", "there is no rule 'stored'"),
        ("FDSTORE=1\nFDNAME=a:b", "there is no rule 'stored'"),
        ("FDSTORE=1\nFDNAME=nobody", "there is no rule 'nobody'"),
        ("FDSTORE=1\nFDNAME=", "'' is not a name"),
        ("FDSTOREREMOVE=1", "FDSTOREREMOVE=1 came without a valid FDNAME="),
        ("FDSTOREREMOVE=1\nFDNAME=web", "nothing is handed in as 'web'"),
        (b"FDSTORE=1\nFDNAME=web\0\nX=1", "NUL byte inside"),
        (b"X" * 5000, "5000 bytes of text"),
    ])
    def test_datagrams(self, broker, text, reason):
        running = broker(web="Stream=80")
        before = len(running.fds())
        with Service("web") as service:
            notify(text, service)
            assert barrier()
            assert reason in running.log and not rows(running)
        wait_until(lambda: len(running.fds()) <= before, what="nothing is kept")

    def test_wrong_descriptors(self, broker):
        running = broker(web="Stream=80")
        read, write = os.pipe()
        notify("FDSTORE=1\nFDNAME=web\n", read, write)
        os.close(write)
        assert select.select([read], [], [], PATIENCE)[0], "the broker closes what it does not take"
        assert barrier() and "not a socket (ENOTSOCK)" in running.log

    def test_nothing_to_do(self, broker):
        """Datagrams for a service manager are ignored, and their descriptors are closed."""
        running = broker(web="Stream=80")
        before = running.log
        with Service("web") as service:
            notify("READY=1\nSTATUS=fine\nX_FDSTORE=1", service)
            notify("", service)
            assert barrier() and not rows(running)
        assert running.log == before

    def test_another_user(self, broker, rules):
        running = broker(web=rule("Stream=80", access=[]), mine=rule("Stream=81", access=["User=nobody"]))
        sender = make_socket("tcp", "127.0.0.2", 8080), make_socket("tcp", "127.0.0.2", 8081)
        in_child(lambda: notify("FDSTORE=1\nFDNAME=web\n", sender[0]), keep=[sender[0].fileno()], uid=NOBODY, gid=NOBODY)
        in_child(lambda: notify("FDSTORE=1\nFDNAME=mine\n", sender[1]), keep=[sender[1].fileno()], uid=NOBODY, gid=NOBODY)
        assert barrier() and not rows(running)
        row, = rows(running, "mine")
        assert row["UID"] == str(NOBODY)
        assert "only root may use the name 'web', not uid 65534 (EACCES)" in running.log

    def test_flood(self, broker):
        """An endless sender does not keep others from their turn, and the log stays short."""
        running = broker(web="Stream=80")

        def flood(tell):
            tell("started")
            end = time.monotonic() + 2
            while time.monotonic() < end:
                notify("FDSTORE=1\nFDNAME=nobody")
        child = Child(flood, uid=NOBODY, gid=NOBODY)
        child.hear()
        slowest = 0
        while not select.select([child._pipe], [], [], 0)[0]:
            before = time.monotonic()
            request("status")
            slowest = max(slowest, time.monotonic() - before)
        child.result()
        print(f"slowest status {slowest * 1000:.1f} ms")
        assert running.log.count("refused 'FDSTORE=1'") <= 20


class TestServiceManager:
    """What the broker sends to the service manager, and takes from it"""

    def test_held_sockets_go_into_its_store(self, usherd, rules):
        rules(web="Stream=80")
        usherd.start(env={"FDSTORE": "1"})
        one, two = make_socket("tcp", "127.0.0.2", 8001), make_socket("tcp", "127.0.0.2", 8002)
        request("hold", [one], NAME="web")
        name = f"held/web/{cookie(one)}"
        wait_until(lambda: any(f"FDNAME={name}" in text and "FDSTORE=1" in text and "FDPOLL=0" in text
                               for text in usherd.notify.messages()))
        with pytest.raises(Refused, match=r"socket \d+ cannot be held: the service manager keeps at most 1 sockets") as refusal:
            request("hold", [two], NAME="web")
        assert refusal.value.number == 28 and len(rows(usherd)) == 1
        hand_in("web", two)
        request("withdraw", [one], NAME="web")
        wait_until(lambda: any(f"FDNAME={name}" in text and "FDSTOREREMOVE=1" in text
                               for text in usherd.notify.messages()))
        request("hold", [two], NAME="web")

    def start_with(self, usherd, sockets, **env):
        """Start it as the service manager does: with {name: socket} from descriptor 3 on."""
        moves = "".join(f"exec {3 + i}<&{100 + i} {100 + i}<&-; " for i in range(len(sockets)))
        keep = []
        for i, item in enumerate(sockets):
            os.dup2(item[1].fileno(), 100 + i)
            keep.append(100 + i)
        usherd.start(prefix=["bash", "-c", moves + 'LISTEN_PID=$$ exec "$@"', "bash"], pass_fds=keep,
                     env={"LISTEN_FDS": str(len(sockets)), "LISTEN_FDNAMES": ":".join(name for name, _ in sockets), **env})
        for number in keep:
            os.close(number)

    def test_passed_sockets_are_handed_in(self, usherd, rules):
        rules(web="Stream=80", dns="Datagram=53")
        with Service("web") as web, Service("dns", "udp", port=53) as dns, Service("lost", port=8009) as lost:
            self.start_with(usherd, [("web", web), ("dns", dns), ("lost", lost)])
            assert (who(V4, 80), who(V4, 53, "udp")) == ("web", "dns")
            assert [row["VIA"] for row in rows(usherd)] == ["systemd"]
            assert "passed as 'lost' is not handed in: there is no rule 'lost'" in usherd.log
        assert who(V4, 80) == REFUSED, "the broker keeps no copy"

    def test_held_sockets_come_back(self, usherd, rules):
        rules(web="Stream=80")
        usherd.start(env={"FDSTORE": "10"})
        with Service("web") as web:
            request("hold", [web], NAME="web")
            before = rows(usherd)
            usherd.kill()
            self.start_with(usherd, [(f"held/web/{cookie(web.socket)}", web)], FDSTORE="10")
            after = rows(usherd)
            assert after == before and after[0]["HELD"] == "yes"
        assert "a held socket is back" in usherd.log
        assert len(request("claim", NAME="web").fds) == 1, "its process has no copy left, but the broker has"

    def test_held_sockets_serve_again_after_detach(self, usherd, rules):
        """The pins are gone, but not the store."""
        rules(web="Stream=80")
        with Service("web") as web:
            self.start_with(usherd, [(f"held/web/{cookie(web.socket)}", web)], FDSTORE="10")
            assert who(V4, 80) == "web" and usherd.status()["HELD"] == "1"

    def test_stored_under_another_cookie(self, usherd, rules):
        rules(web="Stream=80")
        with Service("web") as web:
            self.start_with(usherd, [("held/web/fffffff", web)], FDSTORE="10")
            assert usherd.status()["HELD"] == "0" and who(V4, 80) == REFUSED

    def test_doors_are_taken(self, usherd, rules):
        """Clients that came before the broker wait in the backlog. The files of the sockets stay when the broker ends."""
        rules(web="Stream=80")
        os.makedirs("/run/usher", exist_ok=True)
        door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)  # PassCredentials=yes of usherd.socket
        door.bind("/run/usher/usher.sock")
        door.listen()
        datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        datagrams.bind("/run/usher/notify")
        with Service("web") as service, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as early:
            early.connect("/run/usher/usher.sock")
            socket.send_fds(early, [b"REQUEST=hand-in\nNAME=web\n"], [service.fileno()])
            self.start_with(usherd, [("usher", door), ("usher", datagrams)])
            assert early.recv(4096).startswith(b"OK=1")
            assert who(V4, 80) == "web"
            notify("FDSTORE=1\nFDNAME=web", service)
            assert barrier() and rows(usherd)[0]["HELD"] == "yes"
            usherd.stop()
            assert os.path.exists("/run/usher/usher.sock") and os.path.exists("/run/usher/notify")

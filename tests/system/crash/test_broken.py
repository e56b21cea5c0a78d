# SPDX-License-Identifier: BSD-3-Clause
"""Something around the broker is broken: pins, folders, limits, processes that have ended.

Nothing is half applied, and the broker's message names the object and the remedy.
"""

import os
import pathlib
import signal
import socket

import pytest

from harness import wire
from harness.host import V4, run
from harness.process import Child, wait_until
from harness.service import Service, make_socket
from harness.traffic import who
from harness.wire import Connection, Refused, hand_in

PINS = pathlib.Path("/sys/fs/bpf/usher")


def test_no_rules_in_force_without_a_door(usherd, rules):
    """A broker that cannot listen must not leave a data plane that refuses everything that the rules match."""
    rules(web="Stream=80")
    os.makedirs("/run/usher/usher.sock")
    usherd.spawn()
    assert usherd.wait() == 71 and "/run/usher/usher.sock (EISDIR)" in usherd.log
    assert not (PINS / "link").exists() and not list(PINS.glob("program-*"))


def test_held_is_true_after_a_crash(broker):
    """The duplicates end with the broker, so the listing must no longer show the sockets as held."""
    running = broker(web="Stream=80")
    with Service("web") as service:
        wire.request("hold", [service], NAME="web")
        assert (running.sockets()[0]["HELD"], running.status()["HELD"]) == ("yes", "1")
        running.kill()
        running.start()
        assert (running.sockets()[0]["HELD"], running.status()["HELD"]) == ("no", "0")
        assert who(V4, 80) == "web"


def test_pins_removed_by_hand(broker):
    """A reload that cannot pin says where, and what to do. The rules in force stay."""
    running = broker(web="Stream=80")
    with Service("web") as service:
        hand_in("web", service)
        for pin in PINS.iterdir():
            pin.unlink()
        PINS.rmdir()
        with pytest.raises(Refused, match="/sys/fs/bpf/usher .*start usherd again") as refusal:
            running.reload()
        assert refusal.value.number == 2 and who(V4, 80) == "web"


@pytest.mark.parametrize("kernel", ["new", "without SCM_PIDFD"])
def test_hold_of_a_process_that_is_gone(usherd, rules, kernel):
    """The process ended before the broker watched it. A newer socket must still replace the one that was held for it."""
    rules(web="Stream=80")
    prefix = ["strace", "-D", "-o", "/dev/null", "-e", "trace=setsockopt",
              "-e", "inject=setsockopt:error=ENOPROTOOPT:when=2"]  # SO_PASSPIDFD, as before Linux 6.5
    usherd.start(prefix=[] if kernel == "new" else prefix)
    os.kill(usherd.pid, signal.SIGSTOP)
    wait_until(lambda: pathlib.Path(f"/proc/{usherd.pid}/stat").read_text().split()[2] in "tT")

    def hold(tell):
        with Connection() as connection, make_socket("tcp", "127.0.0.2", 8001) as listener:
            connection.send(b"REQUEST=hold\nNAME=web\n", [listener.fileno()])

    Child(hold).result()
    usherd.resume()
    wait_until(lambda: usherd.status()["HELD"] == "1")
    with Service("new", port=8002) as service:
        hand_in("web", service)
        assert usherd.status()["HELD"] == "0" and len(usherd.sockets()) == 1


def test_list_while_seats_change_hands(broker, rules):
    """A slow reader of the listing does not see seats of another name in place of those that were freed."""
    names = {f"n{i:03}": f"Stream={1000 + i}" for i in range(300)}
    running = broker(**names, zz="Stream=80")
    with Connection() as connection:
        connection.send(b"REQUEST=list\n")
        assert connection.receive()[0]["NAME"] == "n000"  # and hundreds more than fit into the socket
        os.unlink("/run/usher/rules.d/zz.rule")
        running.reload()
        rules(aaa="Stream=80")
        running.reload()
        rest = [row["NAME"] for row in connection.reply().rows]
        assert rest == sorted(rest) and "aaa" not in rest


def test_detach_is_all_or_nothing(broker):
    """Somebody made a folder among the pins: detach is refused, and everything stays in place."""
    running = broker(web="Stream=80")
    (PINS / "zz").mkdir()
    with Service("web") as service:
        hand_in("web", service)
        with pytest.raises(Refused, match="EISDIR"):
            running.request("detach")
        running.kill()
        assert who(V4, 80) == "web"
        running.start()
        assert running.sockets()[0]["COOKIE"] == wire.cookie(service.socket)


def test_front_is_only_a_shortcut(broker):
    """Without the pin of `front` nothing is lost."""
    running = broker(web="Stream=80")
    with Service("web") as service:
        hand_in("web", service)
        running.kill()
        (PINS / "front").unlink()
        running.start()
        assert len(running.sockets()) == 1 and who(V4, 80) == "web"


def test_read_only_bpffs(broker):
    running = broker(web="Stream=80")
    running.stop()
    run("mount", "-o", "remount,ro", "/sys/fs/bpf")
    running.spawn()
    assert running.wait() == 77
    assert "/sys/fs/bpf/usher is read-only (EROFS)" in running.log and "ReadWritePaths=/sys/fs/bpf" in running.log


@pytest.mark.parametrize("limit", [8, 20, 32, 36, 63])
def test_too_few_descriptors(broker, limit):
    """A limit that is too low is called that, whatever fails of it first; what was dispatched still is."""
    running = broker(web="Stream=80")
    with Service("web") as service:
        hand_in("web", service)
        running.kill()
        running.spawn(nofile=limit)
        assert running.wait() == 71
        assert f"usherd may have {limit} files open, and needs 64 (EMFILE)" in running.log
        assert "LimitNOFILE=" in running.log and who(V4, 80) == "web"


def test_no_descriptor_left_for_a_reload(broker):
    """A reload for which there are not enough descriptors is not reported as a kernel that is too old."""
    running = broker(web="Stream=80")
    open_now = len(os.listdir(f"/proc/{running.pid}/fd"))
    for count, limit in enumerate(range(open_now, open_now + 24), 1):
        run("prlimit", f"--pid={running.pid}", f"--nofile={limit}:")
        running.process.send_signal(signal.SIGHUP)
        wait_until(lambda: running.log.count("reload failed, ") + running.log.count("the rules are reloaded") == count)
    assert "EMFILE" in running.log and "6.1" not in running.log


@pytest.mark.parametrize("error", ["EMFILE", "ENOMEM"])
def test_short_of_everything(usherd, rules, error):
    """When descriptors or memory run out, the error says so, and does not blame the version of the kernel."""
    rules(web="Stream=80")
    usherd.spawn(prefix=["strace", "-o", "/dev/null", "-e", "trace=bpf", "-e", f"inject=bpf:error={error}:when=10+"])
    assert usherd.wait() == 71
    assert error in usherd.log and "6.1" not in usherd.log


def test_socket_of_another_broker(broker):
    """A broker that ends does not remove a socket that it has not made."""
    running = broker(web="Stream=80")
    os.unlink("/run/usher/usher.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
        other.bind("/run/usher/usher.sock")
        running.stop()
        assert os.path.exists("/run/usher/usher.sock")


def test_no_seat_for_two_rule_sets(broker, rules):
    """At the moment of the switch, both rule sets need their seats. The refusal says so, and nothing changes."""
    old = {f"a{i}": f"Stream={1000 + i}" for i in range(1200)}
    running = broker(**old)
    for name in old:
        os.unlink(f"/run/usher/rules.d/{name}.rule")
    rules(**{f"b{i}": f"Stream={1000 + i}" for i in range(1200)})
    with pytest.raises(Refused, match="rules in force, by the new rules.*two reloads") as refusal:
        running.reload()
    assert refusal.value.number == 28
    assert {row["NAME"] for row in running.list()} == set(old)

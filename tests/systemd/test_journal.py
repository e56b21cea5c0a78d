# SPDX-License-Identifier: BSD-3-Clause
"""What the administrator reads: the journal of the broker, that of a service, and the explanations of journalctl -x"""

import re

from harness.process import wait_until
from harness.traffic import REFUSED, Load, who

from conftest import SOURCE
from units import enable, rule, service, sockets, unit

PUBLIC = "192.0.2.1"


def kinds():
    """{name: MESSAGE_ID} of the messages of the broker."""
    text = (SOURCE / "src/observe/observe.c").read_text()
    return dict(re.findall(r'\[OBSERVE_(\w+)\] = \{"[a-z-]+", "([0-9a-f]{32})"', text))


def entries(machine, kind, *words):
    return machine.journal(f"MESSAGE_ID={kinds()[kind]}", *words)


def web(machine):
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    service(machine, "web", "127.0.0.2:8080")
    enable(machine, "usherd.service", "web.socket", "usher@web.service")


def test_catalog(machine):
    """Each kind of message has an entry, with the fields that its messages have."""
    machine.run("journalctl", "--update-catalog")
    for kind, number in kinds().items():
        text = machine.run("journalctl", "--dump-catalog", number).stdout
        assert "Subject: " in text and "Defined-By: usher" in text, kind
        assert len(text.splitlines()) > 5, kind


def test_explanation(machine):
    """journalctl -x explains a message, with the names filled in."""
    machine.run("journalctl", "--update-catalog")
    web(machine)
    machine.run("journalctl", "--sync")
    text = machine.run("journalctl", "-x", "--no-pager", "-t", "usherd").stdout
    assert re.search(r"Subject: Socket [0-9a-f]+ is handed in as web\n", text), text
    assert "@USHER" not in text


def test_fields(machine):
    web(machine)
    entry, = entries(machine, "HANDED_IN")
    assert (entry["USHER_NAME"], entry["USHER_RULE"]) == ("web", "/etc/usher/rules.d/web.rule")
    assert (entry["USHER_PROTOCOL"], entry["USHER_ADDRESS"], entry["USHER_PORT"]) == ("tcp", "127.0.0.2", "8080")
    assert f"sk:{entry['USHER_COOKIE']}" == sockets(machine)[0][4]
    assert entry["OBJECT_SYSTEMD_UNIT"] == "usher@web.service"
    assert (entry["_UID"], entry["SYSLOG_IDENTIFIER"], entry["PRIORITY"]) == ("0", "usherd", "6")


def test_unit_of_the_service(machine):
    """journalctl -u SERVICE shows the messages of usher about a service that hands in itself, even about its end."""
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    machine.write("/usr/local/bin/listen", """#!/usr/bin/python3
import os, socket
sock = socket.create_server(("127.0.0.2", 8080))
os.set_inheritable(sock.fileno(), True)
os.execlp("usherctl", "usherctl", "hand-in", "web", "--fd", str(sock.fileno()), "--", "sleep", "infinity")
""", 0o755)
    unit(machine, "web.service", "[Service]", "ExecStart=/usr/local/bin/listen")
    enable(machine, "usherd.service")
    machine.systemctl("start", "web.service")
    wait_until(lambda: any("is handed in" in text for text in machine.messages("-u", "web.service", "-t", "usherd")))
    machine.systemctl("stop", "web.service")
    wait_until(lambda: entries(machine, "GONE"))
    entry, = entries(machine, "GONE")
    assert (entry["USHER_NAME"], entry["PRIORITY"]) == ("web", "5")
    assert any("has closed" in text for text in machine.messages("-u", "web.service", "-t", "usherd"))


def test_udp_socket(machine):
    """The first UDP socket is noted once, with what this kernel does. The unit permits the broker no socket to try it with."""
    machine.run("journalctl", "--update-catalog")
    rule(machine, "dns", "Datagram=192.0.2.0/24:53")
    machine.write("/usr/local/bin/serve", """#!/usr/bin/python3
import array, fcntl, os, socket, subprocess, termios
own, client = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
own.bind(("127.0.0.2", 53))
os.set_inheritable(own.fileno(), True)
subprocess.run(["usherctl", "hand-in", "dns", "--fd", str(own.fileno())], pass_fds=[own.fileno()], check=True)
client.sendto(b"hello", ("127.0.0.2", 53))
own.recv(1, socket.MSG_PEEK)
size = array.array("i", [0])
fcntl.ioctl(own, termios.FIONREAD, size)
print(f"FIONREAD says {size[0]}", flush=True)
os.execlp("sleep", "sleep", "infinity")
""", 0o755)
    unit(machine, "dns.service", "[Service]", "ExecStart=/usr/local/bin/serve")
    enable(machine, "usherd.service")
    for _ in range(2):
        machine.systemctl("restart", "dns.service")
        wait_until(lambda: any("FIONREAD says" in text for text in machine.messages("-u", "dns.service")))
    wait_until(lambda: len(entries(machine, "HANDED_IN")) == 2)
    entry, = entries(machine, "ALTERED")
    hides = "FIONREAD says 0" in machine.messages("-u", "dns.service")
    assert ("FIONREAD of its own" in entry["MESSAGE"]) == hides, entry["MESSAGE"]
    assert ("FIONREAD is as before" in entry["MESSAGE"]) == (not hides), entry["MESSAGE"]
    assert "a receive of 0 bytes" in entry["MESSAGE"] and entry["USHER_NAME"] == "dns"
    assert "stand-in" in machine.run("journalctl", "--dump-catalog", kinds()["ALTERED"]).stdout


def test_missing_socket(machine):
    """Packets without a socket are logged with the cause. However many there are, there are only a few messages."""
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    enable(machine, "usherd.service")
    assert who(PUBLIC, 80) == REFUSED
    wait_until(lambda: entries(machine, "MISSING"))
    entry = entries(machine, "MISSING")[0]
    assert (entry["USHER_NAME"], entry["USHER_PROTOCOL"]) == ("web", "tcp")
    assert entry["USHER_RULE"] == "/etc/usher/rules.d/web.rule"
    assert entry["PRIORITY"] == "4" and entry["USHER_REASON"]
    assert f"from {entry['USHER_CLIENT']} to" in entry["MESSAGE"]
    load = Load((PUBLIC, 80), rate=2000)
    wait_until(lambda: len(entries(machine, "MISSING")) >= 3)
    load.finish()
    assert load.sent > 200 and len(entries(machine, "MISSING")) <= 25


def test_refusal(machine):
    """A refused client is logged with the reason that the client got."""
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    service(machine, "web", "127.0.0.2:8080")
    unit(machine, "usher@web.service.d/user.conf", "[Service]", "User=www-data")
    enable(machine, "usherd.service", "web.socket")
    assert machine.systemctl("start", "usher@web.service", check=False).returncode != 0
    entry, = entries(machine, "REFUSED")
    assert (entry["USHER_NAME"], entry["USHER_UID"], entry["ERRNO"]) == ("web", "33", "13")
    told = [text for text in machine.messages("-t", "usherctl") if "cannot hand in" in text][-1]
    assert entry["USHER_REASON"] in told
    assert machine.messages("-u", "usher@web.service", "-t", "usherd"), "the client's unit shows it"


def test_reload(machine):
    web(machine)
    rule(machine, "mail", "Stream=192.0.2.1/24:25")
    assert machine.systemctl("reload", "usherd", check=False).returncode != 0
    assert any("mail.rule:2: " in entry["MESSAGE"] and entry["PRIORITY"] == "3"
               for entry in entries(machine, "RELOAD_FAILED"))
    machine.run("rm", "/etc/usher/rules.d/mail.rule")
    machine.systemctl("reload", "usherd")
    assert len(entries(machine, "RELOADED")) == 1
    assert len(entries(machine, "SWITCHED")) == 2


def test_silence(machine):
    """A healthy system logs nothing while it works."""
    web(machine)
    assert who(PUBLIC, 80) == "web"
    before = machine.messages("-t", "usherd")
    load = Load((PUBLIC, 80), rate=2000)
    for _ in range(5):
        machine.run("usherctl", "status")
        sockets(machine)
        machine.systemctl("restart", "web.service")
    load.finish()
    assert machine.messages("-t", "usherd") == before

# SPDX-License-Identifier: BSD-3-Clause
"""`ExecStart=usherctl hand-in -- COMMAND` in real units: the service starts and restarts, whatever else systemd passes to it."""

import pytest
from harness.process import wait_until
from harness.traffic import REFUSED, who

from units import enable, rule, settle, sockets, unit

PUBLIC = "192.0.2.1"

# Answers on each socket with the name that systemd gave it; stores a descriptor of its own once; says what it was passed.
SERVER = """\
#!/usr/bin/python3
import array, os, selectors, socket, sys
names = os.environ["LISTEN_FDNAMES"].split(":")
assert int(os.environ["LISTEN_FDS"]) == len(names) and int(os.environ["LISTEN_PID"]) == os.getpid()
print("passed", *names, flush=True)
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.connect(os.environ["NOTIFY_SOCKET"])
if len(sys.argv) > 1 and sys.argv[1] not in names:
    own = {"memory": lambda: os.memfd_create("state"), "listener": lambda: socket.create_server(("127.0.0.8", 0)).detach(),
           "a b": lambda: os.pipe()[0]}[sys.argv[1]]()
    socket.send_fds(manager, [b"FDSTORE=1\\nFDPOLL=0\\nFDNAME=" + sys.argv[1].encode()], [own])
selector = selectors.DefaultSelector()
for number, name in enumerate(names, 3):
    try:
        sock = socket.socket(fileno=number)
    except OSError:
        continue
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ, name)
manager.send(b"READY=1")
while True:
    for key, _ in selector.select():
        connection, _ = key.fileobj.accept()
        connection.sendall(f"{key.data} 0.0.0.0 0 0.0.0.0 0\\n".encode())
        connection.close()
"""


def daemon(machine, start, *lines, listen):
    """daemon.service, and a socket unit for each name, with the lines of it."""
    machine.write("/usr/local/bin/server", SERVER, 0o755)
    for name, words in listen.items():
        unit(machine, f"{name}.socket", "[Unit]", "StartLimitIntervalSec=0", "[Socket]", *words, "Service=daemon.service")
    unit(machine, "daemon.service", "[Unit]", "Wants=usherd.socket", "After=usherd.socket", "StartLimitIntervalSec=0", "[Service]",
         "Type=notify", "NotifyAccess=all", f"Sockets={' '.join(f'{name}.socket' for name in listen)}", f"ExecStart={start}", *lines)
    enable(machine, "usherd.service")
    machine.systemctl("reload", "usherd.service")
    machine.systemctl("start", *[f"{name}.socket" for name in listen])
    return machine


def left(machine):
    """What the last start of the daemon left, from its journal."""
    return [text for text in machine.messages("-b", "-t", "usherctl") if "left to the service" in text]


STARTS = ["start", "restart", "restart", "kill"]


def start(machine, how):
    """Start or restart the daemon, and wait until it serves."""
    if how == "kill":
        before = machine.show("daemon.service", "MainPID")
        machine.systemctl("kill", "--signal=KILL", "daemon.service")
        wait_until(lambda: machine.show("daemon.service", "MainPID") not in (before, "0")
                   and machine.state("daemon.service") == "active/running", "the daemon is back")
    else:
        machine.systemctl(how, "daemon.service")
    assert machine.state("daemon.service") == "active/running"


def test_unix_socket_beside_a_port(machine):
    """One socket unit with a port, a public port and a Unix socket, which all have one name."""
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    daemon(machine, "usherctl hand-in -- /usr/local/bin/server", "Restart=always", "RestartSec=0",
           listen={"web": ["ListenStream=/run/web.sock", "ListenStream=127.0.0.2:8080", "ListenStream=192.0.2.9:8081",
                           "FileDescriptorName=web"]})
    for how in STARTS:
        start(machine, how)
        assert who(PUBLIC, 80) == "web" and who("192.0.2.9", 8081) == "web"
        assert [line[:2] for line in sockets(machine)] == [["web", "tcp"]]
    assert any("a Unix socket" in text for text in left(machine))
    assert any("192.0.2.9:8081, outside of Bound=" in text for text in left(machine))


def test_usher_unit_with_a_unix_socket(machine):
    """The same with usher@: it does not fail, and its journal names what it left."""
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    daemon(machine, "/usr/local/bin/server",
           listen={"web": ["ListenStream=/run/web.sock", "ListenStream=127.0.0.2:8080", "FileDescriptorName=web"]})
    machine.systemctl("start", "usher@web.service")
    assert machine.show("usher@web.service", "Result") == "success"
    assert who(PUBLIC, 80) == "web"
    assert any("a Unix socket" in text for text in machine.messages("-u", "usher@web.service"))


def test_three_socket_units_of_which_one_has_no_rule(machine):
    rule(machine, "http", "Stream=192.0.2.0/24:80")
    rule(machine, "https", "Stream=192.0.2.0/24:443")
    daemon(machine, "usherctl hand-in -- /usr/local/bin/server", "Restart=always", "RestartSec=0",
           listen={name: [f"ListenStream=127.0.0.2:{port}", f"FileDescriptorName={name}"]
                   for name, port in (("http", 8080), ("https", 8443), ("admin", 9000))})
    for how in STARTS:
        start(machine, how)
        assert (who(PUBLIC, 80), who(PUBLIC, 443), who(PUBLIC, 9000)) == ("http", "https", REFUSED)
        with machine.entered():
            assert who("127.0.0.2", 9000) == "admin"
    assert any("there is no rule 'admin'" in text for text in left(machine))
    assert not any("refused" in text for text in machine.messages("-u", "usherd.service") if text)


@pytest.mark.parametrize("stored", ["memory", "listener", "a b"])
@pytest.mark.parametrize("words", ["hand-in", "hand-in web=web"])
def test_descriptor_store(machine, stored, words):
    """What the service stores comes back at each restart, also when it is a listener, and is its own."""
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    daemon(machine, f"usherctl {words} -- /usr/local/bin/server '{stored}'", "FileDescriptorStoreMax=4", "Restart=always",
           "RestartSec=0", listen={"web": ["ListenStream=127.0.0.2:8080", "FileDescriptorName=web"]})
    for number, how in enumerate(STARTS):
        start(machine, how)
        assert who(PUBLIC, 80) == "web"
        passed = [text for text in machine.messages("-b", "-u", "daemon.service") if text.startswith("passed")][-1]
        assert passed.endswith(stored) == (number > 0), passed
        assert machine.show("daemon.service", "NFileDescriptorStore") == "1"
        assert len(sockets(machine)) == 1


def test_three_socket_units_and_one_name(machine):
    """The manager's order is not defined: a NAME alone is refused at each start, and a choice by name is always right."""
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    units = {name: [f"ListenStream=127.0.0.2:{port}", f"FileDescriptorName={name}"]
             for name, port in (("http", 8080), ("https", 8443), ("admin", 9000))}
    daemon(machine, "usherctl hand-in web -- /usr/local/bin/server", listen=units)
    for _ in range(6):
        assert machine.systemctl("start", "daemon.service", check=False).returncode != 0
        assert who(PUBLIC, 80) == REFUSED and sockets(machine) == []
    assert any("choose with web=FDNAME" in text for text in machine.messages("-u", "daemon.service"))
    machine.sh("sed -i 's/hand-in web/hand-in web=http/' /etc/systemd/system/daemon.service")
    machine.systemctl("daemon-reload")
    for _ in range(6):
        machine.systemctl("stop", "daemon.service")
        machine.systemctl("restart", "admin.socket", "https.socket", "http.socket")
        start(machine, "start")
        assert who(PUBLIC, 80) == "http"
        assert [line[0] for line in sockets(machine)] == ["web"]


def test_choice_of_two(machine):
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    rule(machine, "tls", "Stream=192.0.2.0/24:443")
    daemon(machine, "usherctl hand-in web=http tls=https -- /usr/local/bin/server",
           listen={name: [f"ListenStream=127.0.0.2:{port}", f"FileDescriptorName={name}"]
                   for name, port in (("http", 8080), ("https", 8443), ("admin", 9000))})
    for how in "start", "restart":
        start(machine, how)
        assert (who(PUBLIC, 80), who(PUBLIC, 443)) == ("http", "https")


def test_strict(machine):
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    daemon(machine, "usherctl hand-in --strict -- /usr/local/bin/server",
           listen={"web": ["ListenStream=/run/web.sock", "ListenStream=127.0.0.2:8080", "FileDescriptorName=web"]})
    assert machine.systemctl("start", "daemon.service", check=False).returncode != 0
    assert sockets(machine) == []


def test_socket_unit_without_a_name(machine):
    """A missing FileDescriptorName= is named as such, with a remedy that works."""
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    daemon(machine, "/usr/local/bin/server", listen={"web": ["ListenStream=127.0.0.2:8080"]})
    assert machine.systemctl("start", "usher@web.service", check=False).returncode != 0
    assert any("set FileDescriptorName=web in web.socket and restart it" in text for text in machine.messages("-u", "usher@web.service"))
    machine.sh("echo FileDescriptorName=web >> /etc/systemd/system/web.socket")
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", "web.socket")
    machine.systemctl("start", "usher@web.service")
    settle(machine)
    assert who(PUBLIC, 80) == "web"

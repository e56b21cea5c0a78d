# SPDX-License-Identifier: BSD-3-Clause
"""Services of a user's own service manager: UserUnit= and usher@.service, with a real systemd --user"""

import pytest
from harness.process import wait_until
from harness.traffic import REFUSED, who

from units import ANSWER, enable, rule

UID, OTHER = 4711, 4712
PUBLIC = "192.0.2.1"


class User:
    """A user with a service manager. There is no logind and no PAM on the machine, so their part is played by hand."""

    def __init__(self, machine, uid):
        self.machine, self.uid, self.home = machine, uid, f"/home/u{uid}"
        machine.sh(f"echo u{uid}:x:{uid}:{uid}::{self.home}:/bin/sh >> /etc/passwd")
        machine.sh(f"mkdir -p {self.home}/.config/systemd/user /run/user/{uid} && "
                   f"chown -R {uid}:{uid} {self.home} /run/user/{uid}")
        machine.write(f"/etc/systemd/system/user@{uid}.service.d/by-hand.conf", "\n".join([
            "[Unit]", "Requires=", "[Service]", "PAMName=", f"Environment=XDG_RUNTIME_DIR=/run/user/{uid}", ""]))
        machine.write(f"/etc/systemd/system/user-runtime-dir@{uid}.service.d/by-hand.conf",
                      "[Unit]\nAfter=\n[Service]\nExecStart=\nExecStart=true\nExecStop=\n")
        machine.systemctl("daemon-reload")
        machine.systemctl("start", f"user@{uid}.service")

    def run(self, *words, check=True):
        return self.machine.run("setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups", "env",
                                f"XDG_RUNTIME_DIR=/run/user/{self.uid}", f"HOME={self.home}", *words, check=check)

    def systemctl(self, *words, **options):
        return self.run("systemctl", "--user", *words, **options)

    def unit(self, name, *lines):
        self.machine.write(f"{self.home}/.config/systemd/user/{name}", "\n".join(lines) + "\n")

    def service(self, name, address, start="/usr/local/bin/answer {name}"):
        self.unit(f"{name}.socket", "[Socket]", f"ListenStream={address}", "FileDescriptorName=web", "[Install]",
                  "WantedBy=sockets.target")
        self.unit(f"{name}.service", "[Service]", f"ExecStart={start.format(name=name)}")
        self.systemctl("daemon-reload")


@pytest.fixture
def user(machine):
    machine.write("/usr/local/bin/answer", ANSWER.read_text(), 0o755)
    enable(machine, "usherd.service")
    return User(machine, UID)


def reload(machine, *access):
    rule(machine, "web", "Stream=192.0.2.0/24:80", "[Access]", *access)
    machine.systemctl("reload", "usherd")


def test_socket_unit(machine, user):
    """usher@ of the user's manager hands a socket unit in; the service starts on demand."""
    reload(machine, f"User=u{UID}", "UserUnit=usher@web.service")
    user.service("web", "127.0.0.2:8080")
    user.systemctl("enable", "--now", "web.socket", "usher@web.service")
    assert user.systemctl("is-active", "web.service", check=False).stdout.strip() == "inactive"
    assert who(PUBLIC, 80) == "web"
    assert user.systemctl("is-active", "web.service").stdout.strip() == "active"
    # a restart of the manager brings everything back
    machine.systemctl("restart", f"user@{UID}.service")
    wait_until(lambda: who(PUBLIC, 80) == "web")


def test_service_of_its_own(machine, user):
    """A service that hands its sockets in is admitted by its own name; restarted, it serves again."""
    reload(machine, f"User=u{UID}", "UserUnit=web.service")
    user.service("web", "127.0.0.2:8080", "/usr/bin/usherctl hand-in -- /usr/local/bin/answer {name}")
    user.systemctl("start", "web.socket", "web.service")
    wait_until(lambda: who(PUBLIC, 80) == "web")
    user.systemctl("restart", "web.service")
    wait_until(lambda: who(PUBLIC, 80) == "web")


@pytest.mark.parametrize("access", [["UserUnit=web.service"], [f"User=u{UID}", "UserUnit=w*b.service"]])
def test_others_are_refused(machine, user, access):
    """Neither another unit of the user, nor a unit of that name of another user, nor one of the system."""
    if len(access) == 1:  # any user can have a unit of that name, so this is no rule
        rule(machine, "web", "Stream=192.0.2.0/24:80", "[Access]", *access)
        done = machine.systemctl("reload", "usherd", check=False)
        assert done.returncode != 0
        assert [text for text in machine.messages("-u", "usherd.service") if "UserUnit=web.service needs users" in text]
        return
    reload(machine, *access)
    start = "/usr/bin/usherctl hand-in -- /usr/local/bin/answer {name}"
    user.service("mail", "127.0.0.2:8080", start)
    assert user.systemctl("start", "mail.socket").returncode == 0
    user.systemctl("start", "mail.service")
    wait_until(lambda: [text for text in machine.messages("-u", "usherd.service")
                        if f"unit 'mail.service' of the service manager of uid {UID} may not have the name 'web'" in text])
    other = User(machine, OTHER)
    other.service("web", "127.0.0.3:8080", start)
    other.systemctl("start", "web.socket", "web.service")
    wait_until(lambda: [text for text in machine.messages("-u", "usherd.service") if f"uid {OTHER} may not use" in text])
    assert who(PUBLIC, 80) == REFUSED
    machine.write("/etc/systemd/system/web.service", "\n".join([
        "[Service]", f"User=u{UID}", "Sockets=web.socket", f"ExecStart={start.format(name='web')}", ""]))
    machine.write("/etc/systemd/system/web.socket", "[Socket]\nListenStream=127.0.0.4:8080\nFileDescriptorName=web\n")
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "web.socket", "web.service")
    wait_until(lambda: [text for text in machine.messages("-u", "usherd.service") if "unit '(none)' of the service manager" in text])
    assert who(PUBLIC, 80) == REFUSED


def test_discovery(machine, user):
    """usher-discover finds the daemon of a user's unit, and no other one of that user."""
    machine.write("/usr/local/bin/listen", "\n".join([
        "#!/usr/bin/python3", "import socket, sys",
        "server = socket.create_server((sys.argv[2], 8080))",
        "while True:", "    connection, peer = server.accept()",
        "    connection.sendall(' '.join(map(str, [sys.argv[1], *peer, *connection.getsockname()])).encode() + b'\\n')",
        "    connection.close()", ""]), 0o755)
    rule(machine, "web", "Stream=192.0.2.0/24:80", "[Discover]", "Socket=8080", f"User=u{UID}", "UserUnit=web.service")
    machine.systemctl("reload", "usherd")
    for name, address in (("mail", "127.0.0.2"), ("web", "127.0.0.3")):
        user.unit(f"{name}.service", "[Service]", f"ExecStart=/usr/local/bin/listen {name} {address}")
    user.systemctl("daemon-reload")
    machine.systemctl("start", "usher-discover.service")
    user.systemctl("start", "mail.service", "web.service")
    wait_until(lambda: who(PUBLIC, 80) == "web")
    assert len(machine.run("usherctl", "--no-legend", "list", "web").stdout.splitlines()) == 1

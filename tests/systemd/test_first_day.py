# SPDX-License-Identifier: BSD-3-Clause
"""The first day on a host, and the last: docs/install.md and the quick starts of README.md, as they are written."""

import pathlib
import re
import subprocess

import pytest

from conftest import SOURCE
from harness.host import CLIENT_V4, CLIENT_V6, HOST_V4, HOST_V6
from harness.process import wait_until
from harness.traffic import REFUSED, who
from test_recipes import PART, commands, is_like
from units import enable, rule, service, settle

INSTALL = (SOURCE / "docs/install.md").read_text()
README = (SOURCE / "README.md").read_text()
PUBLIC = "192.0.2.1"


def section(text, title, level=2):
    return re.search(rf"^{'#' * level} {re.escape(title)}\n(.*?)(?=^#{{1,{level}}} |\Z)", text, re.M | re.S)[1]


def uninstall(machine):
    """What `ninja uninstall` does: the programs, units and files of usher go, and what others wrote stays."""
    files = [path for path in pathlib.Path(machine.installed).rglob("*") if path.is_file() or path.is_symlink()]
    machine.run("rm", *["/" / path.relative_to(machine.installed) for path in files])


def follow(machine, title):
    """Run the lines of a section, and compare what they show with what the page shows, if it does."""
    for *_, console in PART.findall(section(INSTALL, title)):
        for _, command, shown in commands(console):
            if command == "ninja -C build uninstall":
                uninstall(machine)
                continue
            done = machine.run("sh", "-c", f"{{ {command}; }} 2>&1", check=False)
            assert done.returncode == 0 and (not shown or is_like(shown, done.stdout)), f"{command}\nshows\n{done.stdout}"


def pins(machine):
    return machine.run("ls", "/sys/fs/bpf").stdout.split()


@pytest.fixture
def web(machine):
    """A service behind usher, with a socket that the broker holds besides"""
    follow(machine, "Enable")
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    rule(machine, "held", "Stream=192.0.2.0/24:81")
    machine.run("usherctl", "reload")
    service(machine, "web", "127.0.0.2:8080")
    enable(machine, "web.socket", "usher@web")
    machine.sh("python3 - <<'END'\nimport os, socket\nsock = socket.create_server(('127.0.0.3', 8081))\n"
               "os.set_inheritable(sock.fileno(), True)\n"
               "os.execlp('usherctl', 'usherctl', 'hand-in', '--hold', 'held', '--fd', str(sock.fileno()))\nEND")
    assert who(PUBLIC, 80) == "web"
    return machine


def listens(machine, address):
    return address in machine.run("ss", "-Hltn").stdout


def test_upgrade(web):
    follow(web, "Upgrade")
    assert who(PUBLIC, 80) == "web" and listens(web, "127.0.0.3:8081")


def test_remove(web):
    """Nothing of usher remains: no dispatch, no pin, no process, no held socket, no unit, no file."""
    web.systemctl("enable", "--now", "usher-discover")
    listed = web.sh("ls /etc/systemd/*/*.wants/usher*").stdout
    assert re.search("/usherd.service$", listed, re.M) and re.search("/usher@web.service$", listed, re.M)
    web.systemctl("disable", "usher@web")
    follow(web, "Remove")
    assert who(PUBLIC, 80) == REFUSED and "usher" not in pins(web)
    assert not listens(web, "127.0.0.3:8081"), "systemd keeps no socket of the broker"
    assert not re.search("usher", web.run("ps", "-eo", "args").stdout)
    assert not [path for folder in ("etc", "usr/bin", "usr/sbin", "usr/lib/systemd", "usr/share/man") for path in (web.root / folder).rglob("usher*")]
    assert not web.systemctl("list-unit-files", "--no-legend", "usher*", check=False).stdout
    web.reboot()
    assert who(PUBLIC, 80) == REFUSED


def test_usherctl_has_gone_first(web):
    """What was forgotten goes on, as the page says, and can be ended without usherctl."""
    uninstall(web)
    assert who(PUBLIC, 80) == "web"
    web.systemctl("daemon-reload")
    assert who(PUBLIC, 80) == "web"
    follow(web, "When usherctl has gone first")
    wait_until(lambda: who(PUBLIC, 80) == REFUSED, "nothing is dispatched")
    assert "usher" not in pins(web) and not re.search("usherd", web.run("ps", "-eo", "args").stdout)


def test_after_install(machine):
    """The linker finds libusher, and journalctl the catalog."""
    machine.run("sh", "-s", input=(SOURCE / "units/after-install").read_text())
    assert machine.run("python3", "-c", "import ctypes; ctypes.CDLL('libusher.so.0').usher_reason").returncode == 0
    assert "usher" in machine.run("journalctl", "--list-catalog").stdout


# ---- the quick starts of README.md, on the host's own address

def quick_start(machine, title):
    """Paste the block of a quick start, after the installation."""
    machine.systemctl("enable", "--now", "usherd")
    settle(machine)
    block, = re.findall(r"^```sh\n(.*?)^```$", section(README, title, 3), re.M | re.S)
    assert len(block.splitlines()) <= 10
    machine.sh(block)


def serves(machine, name, number=1):
    wait_until(lambda: machine.run("usherctl", "list", name).stdout.count(" serving ") == number, f"{name} serves")


def curl(*words):
    return subprocess.run(["curl", "-sk", "--max-time", "20", *words], capture_output=True, text=True).stdout


def test_nginx_as_an_unprivileged_user(machine):
    """Debian's nginx and site, with TLS: no process of it is root's, and it serves ports 80 and 443 of the host's address."""
    machine.sh("mkdir -p /var/log/nginx /var/lib/nginx /var/www/html /etc/nginx/sites-enabled && echo hello > /var/www/html/index.html"
               " && touch /var/log/nginx/access.log /var/log/nginx/error.log")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-keyout", "/run/test/key.pem",
                    "-out", "/run/test/cert.pem"], check=True, capture_output=True)
    machine.write("/etc/nginx/cert.pem", pathlib.Path("/run/test/cert.pem").read_text())
    machine.write("/etc/nginx/key.pem", pathlib.Path("/run/test/key.pem").read_text())
    machine.write("/etc/nginx/sites-available/default",
                  "server {\n\tlisten 80 default_server;\n\tlisten [::]:80 default_server;\n\tlisten 443 ssl default_server;\n"
                  "\tlisten [::]:443 ssl default_server;\n\tssl_certificate cert.pem;\n\tssl_certificate_key key.pem;\n"
                  "\troot /var/www/html;\n\tadd_header Seen $remote_addr always;\n}\n")
    machine.sh("ln -sf ../sites-available/default /etc/nginx/sites-enabled/default")
    quick_start(machine, "nginx as an unprivileged user, on ports 80 and 443")
    for _ in range(2):
        for name in "http", "https":
            serves(machine, name, 2)
        users = machine.run("ps", "-C", "nginx", "-o", "user=").stdout.split()
        assert len(users) > 1 and set(users) == {"www-data"}
        for url in f"http://{HOST_V4}/", f"https://{HOST_V4}/", f"http://[{HOST_V6}]/", f"https://[{HOST_V6}]/":
            answer = curl("-i", url)
            assert "hello" in answer and f"Seen: {CLIENT_V6 if '[' in url else CLIENT_V4}" in answer, answer
        machine.systemctl("restart", "nginx")
        machine.systemctl("reload", "nginx")
        wait_until(lambda: "hello" in curl(f"https://{HOST_V4}/"), "nginx serves after a restart")
        machine.reboot()


def test_two_services_on_one_port(machine):
    """nginx keeps port 80 of every address but one."""
    second = re.search(r"second=(\S+)", README)[1]
    address = ["ip", "address", "add", f"{second}/24", "dev", "eth0"]
    machine.run(*address)
    machine.sh("mkdir -p /var/log/nginx /var/lib/nginx /etc/nginx/sites-enabled; rm -f /etc/nginx/sites-enabled/*")
    machine.write("/etc/nginx/conf.d/test.conf", "server { listen 80; return 200 'I am nginx'; }\n")
    machine.systemctl("restart", "nginx")
    quick_start(machine, "Two services on one port, by address")
    serves(machine, "app")
    assert curl(f"http://{HOST_V4}/") == "I am nginx" and "Directory listing" in curl(f"http://{second}/")
    machine.systemctl("enable", "nginx")
    machine.reboot()
    machine.run(*address)
    serves(machine, "app")
    assert curl(f"http://{HOST_V4}/") == "I am nginx" and "Directory listing" in curl(f"http://{second}/")


def test_sshd_on_a_second_port(machine):
    machine.run("ssh-keygen", "-A")
    machine.systemctl("enable", "--now", "ssh")
    quick_start(machine, "sshd on a second port")
    for _ in range(2):
        serves(machine, "ssh-too", 2)
        for port in "22", "2222":
            assert "ssh-ed25519" in subprocess.run(["ssh-keyscan", "-p", port, "-t", "ed25519", HOST_V4], capture_output=True,
                                                   text=True).stdout
        machine.reboot()


def test_every_quick_start_is_tried():
    assert re.findall(r"^### (.*)", section(README, "Three quick starts"), re.M) == [
        "nginx as an unprivileged user, on ports 80 and 443", "Two services on one port, by address", "sshd on a second port"]


# ---- the ways of docs/systemd.md to keep a local route

# no prefix of the harness, which makes its own local at each boot
KEPT = "100.64.7.0/24"


def kept(machine):
    return machine.run("ip", "route", "get", "100.64.7.7", check=False).stdout.startswith("local ")


def put(machine, path):
    text = dict((path, text) for path, text, _ in PART.findall(section((SOURCE / "docs/systemd.md").read_text(), "Local addresses")))
    machine.write(path, text[path].replace("192.0.2.0/24", KEPT))


def test_route_of_a_unit(machine):
    put(machine, "/etc/systemd/system/local-routes.service")
    machine.systemctl("daemon-reload")
    machine.systemctl("enable", "--now", "local-routes")
    assert kept(machine)
    machine.reboot()
    assert kept(machine)
    machine.systemctl("stop", "local-routes")
    assert not kept(machine)


def test_route_of_networkd(machine):
    """Beside the routes and addresses of lo, which stay."""
    put(machine, "/etc/systemd/network/10-local-routes.network")
    before = machine.run("ip", "address", "show", "dev", "lo").stdout
    machine.run("rm", "/etc/systemd/system/systemd-networkd.service")
    machine.run("mount", "-o", "remount,bind,ro", "/sys")  # then networkd waits for no udev, which a machine here lacks
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "systemd-networkd")
    wait_until(lambda: kept(machine), "networkd has made the route")
    assert machine.run("ip", "address", "show", "dev", "lo").stdout == before


def test_route_of_ifupdown(machine):
    if machine.run("test", "-x", "/usr/sbin/ifup", check=False).returncode:
        pytest.skip("machine: ifupdown is not installed")
    put(machine, "/etc/network/interfaces.d/local-routes")
    machine.write("/etc/network/interfaces", "source /etc/network/interfaces.d/*\n")
    machine.sh("mkdir -p /run/network && ifup -a")
    assert kept(machine)

# SPDX-License-Identifier: BSD-3-Clause
"""Unmodified daemons of Debian, which know nothing of usher, on private addresses; and how to talk to them"""

import os
import pathlib
import pwd
import signal
import socket
import struct
import subprocess
import urllib.request

from .host import WORK, family_of, run
from .process import ATTEMPT, PATIENCE, PR_SET_PDEATHSIG, libc, wait_until


def spell(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class Legacy:
    """A daemon and its workers, in a session of their own. It can be restarted."""

    def __init__(self, *command, says):
        """`says` is called until it returns something true: the daemon then serves at its own address."""
        self.command, self.says = [str(word) for word in command], says
        self.log = WORK / f"{pathlib.Path(self.command[0]).name}.log"
        self.start()

    @property
    def pid(self):
        return self.process.pid

    def start(self, wait=True):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=lambda: libc("prctl", PR_SET_PDEATHSIG, signal.SIGKILL))
        if wait:
            try:
                wait_until(self.says, f"{self.command[0]} serves")
            except AssertionError as error:
                raise AssertionError(f"{error}\n{self.log.read_text()}") from None
        return self

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)

    def kill(self):
        """SIGKILL to all of its processes; only the first one is waited for."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def restart(self, wait=True):
        self.stop()
        self.start(wait)


# sshd

SSHD = """
ListenAddress {address}
Port {port}
HostKey {work}/host_key
AuthorizedKeysFile {work}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
"""


def ssh_banner(address, port):
    with socket.create_connection((address, port), PATIENCE) as connection:
        return connection.recv(4) == b"SSH-"


def sshd(address="0.0.0.0", port=22):
    os.makedirs("/run/sshd", 0o755, exist_ok=True)
    for key in ("host_key", "user_key"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", WORK / key)
    config = WORK / "sshd_config"
    config.write_text(SSHD.format(address=address, port=port, work=WORK))
    near = "127.0.0.1" if address == "0.0.0.0" else address
    return Legacy("/usr/sbin/sshd", "-D", "-e", "-f", config, says=lambda: ssh_banner(near, port))


def ssh(address, port, *command):
    """Log in with the key and run a command; returns its output."""
    return run("ssh", "-F", "none", "-i", WORK / "user_key", "-p", port, "-o", "BatchMode=yes", "-o",
               "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
               f"{pwd.getpwuid(0).pw_name}@{address}", *command).stdout


# redis

def redis_say(address, port, *words):
    with socket.create_connection((address, port), 10) as connection:
        connection.sendall(f"*{len(words)}\r\n".encode() + b"".join(
            f"${len(word)}\r\n{word}\r\n".encode() for word in words))
        return connection.recv(4096).decode()


def redis(*addresses, port=6379):
    return Legacy("redis-server", "--bind", *addresses, "--port", port, "--save", "", "--dir", WORK,
                  "--daemonize", "no", "--protected-mode", "no",
                  says=lambda: all(redis_say(address, port, "PING") == "+PONG\r\n" for address in addresses))


# nginx

NGINX = """
daemon off; worker_processes {workers}; pid {work}/nginx.pid; error_log stderr;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {work}/a; proxy_temp_path {work}/b; fastcgi_temp_path {work}/c; uwsgi_temp_path {work}/d;
    scgi_temp_path {work}/e;
    server {{
        listen {address} {options};
        location / {{ return 200 "nginx $pid $remote_addr $server_addr\\n"; }}
    }}
}}
"""


def get(address, port, path="/"):
    with urllib.request.urlopen(f"http://{spell(address, port)}{path}", timeout=PATIENCE) as answer:
        return answer.read().decode()


def nginx(address="127.0.0.2", port=8080, workers=2, options=""):
    config = WORK / "nginx.conf"
    config.write_text(NGINX.format(work=WORK, workers=workers, address=spell(address, port), options=options))
    return Legacy("nginx", "-c", config, "-p", WORK, "-e", "stderr", says=lambda: get(address, port))


# memcached

class Memcached:
    """A client over TCP or UDP. UDP packets have a header of request, sequence, total and reserved."""

    def __init__(self, address, port, protocol):
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        self._socket = socket.socket(family_of(address), kind)
        self._socket.settimeout(PATIENCE if protocol == "tcp" else ATTEMPT)
        self._udp, self._address = protocol == "udp", (address, port)
        if not self._udp:
            self._socket.connect(self._address)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self._socket.close()

    def say(self, text):
        if self._udp:
            self._socket.sendto(struct.pack(">4H", 7, 0, 1, 0) + text.encode(), self._address)
            return self._socket.recvfrom(65536)[0][8:].decode()
        self._socket.sendall(text.encode())
        return self._socket.recv(65536).decode()

    def set(self, key, value):
        return self.say(f"set {key} 0 0 {len(value)}\r\n{value}\r\n") == "STORED\r\n"

    def get(self, key):
        lines = self.say(f"get {key}\r\n").split("\r\n")
        return lines[1] if len(lines) > 2 else None


def memcached(address="127.0.0.2", port=11211, user="nobody"):
    def serves():
        with Memcached(address, port, "tcp") as tcp, Memcached(address, port, "udp") as udp:
            return tcp.say("version\r\n") and udp.say("version\r\n")

    return Legacy("memcached", "-u", user, "-l", address, "-p", port, "-U", port, "-t", 2, says=serves)


# unbound

UNBOUND = """
server:
    interface: {address}
    port: {port}
    num-threads: {threads}
    access-control: 0.0.0.0/0 allow
    access-control: ::/0 allow
    directory: "{work}"
    chroot: ""
    pidfile: "{work}/unbound.pid"
    use-syslog: no
    logfile: ""
    do-daemonize: no
    interface-automatic: {automatic}
    module-config: "iterator"
    local-zone: "example." static
    local-data: "usher.example. 60 IN A 192.0.2.77"
remote-control:
    control-enable: no
"""


def resolve(address, port, name="usher.example", protocol="udp"):
    """Ask that server for the IPv4 address of a name; returns the address, and the source of the answer."""
    question = struct.pack(">6H", 0x1234, 0x0100, 1, 0, 0, 0) + b"".join(
        bytes([len(label)]) + label.encode() for label in name.split(".")) + struct.pack(">BHH", 0, 1, 1)
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family_of(address), kind) as sock:
        sock.settimeout(PATIENCE if protocol == "tcp" else ATTEMPT)
        if protocol == "tcp":
            sock.connect((address, port))
            sock.sendall(struct.pack(">H", len(question)) + question)
            answer, source = sock.recv(65536)[2:], (address, port)
        else:
            sock.sendto(question, (address, port))
            answer, source = sock.recvfrom(65536)
    assert answer[:2] == question[:2] and struct.unpack(">H", answer[6:8])[0] == 1, answer
    return socket.inet_ntoa(answer[-4:]), source[0]


def unbound(address="0.0.0.0", port=53, threads=1, before=()):
    config = WORK / "unbound.conf"
    config.write_text(UNBOUND.format(address=address, port=port, threads=threads, work=WORK,
                                     automatic="yes" if address == "0.0.0.0" else "no"))
    near = "127.0.0.1" if address == "0.0.0.0" else address
    return Legacy(*before, "unbound", "-d", "-c", config, says=lambda: resolve(near, port, protocol="tcp"))

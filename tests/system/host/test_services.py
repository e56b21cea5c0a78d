# SPDX-License-Identifier: BSD-3-Clause
"""Daemons of Debian behind usher, changed only in their listen address: nginx, redis and a Python server, TCP over IPv4 and
IPv6, and a UDP echo service.

nginx takes inherited sockets from $NGINX, and the test passes them to Python. redis takes none, so its listener is copied
from the running process with pidfd_getfd(2).
"""

import ctypes
import os
import pathlib
import socket
import subprocess

import pytest

from harness.broker import USHERCTL, ctl
from harness.host import CLIENT_V4, CLIENT_V6, HOST_V4, HOST_V6, WORK, run
from harness.legacy import get, redis_say, spell
from harness.process import PATIENCE, libc, wait_until
from harness.service import Service, make_socket
from harness.traffic import REFUSED, who

PRIVATE = ["127.0.0.2", "fd00:1::2"]
PUBLIC = ["192.0.2.1", "2001:db8::1"]
SYS_PIDFD_GETFD = 438


def start(*command, **options):
    log = open(WORK / f"{pathlib.Path(str(command[0])).name}.log", "w")
    return subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)


def end(process):
    process.terminate()
    process.wait(PATIENCE)


NGINX = """
daemon off; worker_processes 1; pid {work}/nginx.pid; error_log stderr;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {work}/a; proxy_temp_path {work}/b; fastcgi_temp_path {work}/c; uwsgi_temp_path {work}/d;
    scgi_temp_path {work}/e;
    server {{
        listen 127.0.0.2:8080; listen [fd00:1::2]:8080;
        location / {{ return 200 "nginx $remote_addr $server_addr $server_port\\n"; }}
    }}
}}
"""


@pytest.mark.parametrize("way", ["usherctl-hand-in", "adopted"])
def test_nginx(broker, client, way):
    """usherctl hands the sockets in and executes nginx, which inherits them; or they are copied from a running nginx."""
    running = broker(web="Stream=80")
    (WORK / "nginx.conf").write_text(NGINX.format(work=WORK))
    command = ["nginx", "-c", WORK / "nginx.conf", "-p", WORK, "-e", "stderr"]
    if way == "usherctl-hand-in":
        sockets = [make_socket("tcp", address, 8080) for address in PRIVATE]
        fds = [sock.fileno() for sock in sockets]
        front = [USHERCTL, "hand-in", "web", *[word for fd in fds for word in ("--fd", fd)], "--"]
        nginx = start(*front, *command, pass_fds=fds, env={**os.environ, "NGINX": "".join(f"{fd};" for fd in fds)})
        for sock in sockets:
            sock.close()
    else:
        nginx = start(*command)
        for address in PRIVATE:
            wait_until(lambda: get(address, 8080))
            adopt("web", nginx.pid, (address, 8080))
    for address in PUBLIC:
        text = wait_until(lambda: get(address, 80))
        assert text.split()[:2] == ["nginx", address]
    with client.entered():
        assert get(HOST_V4, 80).split()[1] == CLIENT_V4, "nginx sees the client"
        assert get(HOST_V6, 80).split()[1] == CLIENT_V6
    assert sorted((row["FAMILY"], row["STATE"]) for row in running.sockets()) == [
        ("ipv4", "serving"), ("ipv6", "serving")]
    end(nginx)
    assert who(PUBLIC[0], 80) == who(PUBLIC[1], 80) == REFUSED


def adopt(name, pid, address):
    """Copy the listener of a running process with pidfd_getfd(2), as root, and hand it in."""
    pidfd = os.pidfd_open(pid)
    for entry in os.listdir(f"/proc/{pid}/fd"):
        if not os.readlink(f"/proc/{pid}/fd/{entry}").startswith("socket:"):
            continue
        sock = socket.socket(fileno=libc("syscall", SYS_PIDFD_GETFD, pidfd, ctypes.c_int(int(entry)), 0))
        with sock:
            if sock.family in (socket.AF_INET, socket.AF_INET6) and sock.getsockname()[:2] == address and \
                    sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                ctl("hand-in", name, "--fd", sock.fileno(), pass_fds=[sock.fileno()])
                os.close(pidfd)
                return
    raise AssertionError(f"process {pid} does not listen on {address}")


def test_redis(broker):
    broker(cache="Stream=192.0.2.0/24:6379 [2001:db8::/48]:6379")
    redis = start("redis-server", "--bind", "127.0.0.2", "fd00:1::2", "--port", 6379, "--save", "", "--dir", WORK,
                  "--daemonize", "no", "--protected-mode", "no")
    for address in PRIVATE:
        wait_until(lambda: redis_say(address, 6379, "PING") == "+PONG\r\n")
        adopt("cache", redis.pid, (address, 6379))
    assert redis_say(PUBLIC[0], 6379, "SET", "name", "usher") == "+OK\r\n"
    assert redis_say(PUBLIC[1], 6379, "GET", "name") == "$5\r\nusher\r\n"
    assert f"addr={PUBLIC[0]}" in redis_say(PUBLIC[0], 6379, "CLIENT", "INFO"), "redis sees the client's address"
    assert f"laddr={PUBLIC[0]}:6379" in redis_say(PUBLIC[0], 6379, "CLIENT", "INFO")
    end(redis)
    assert who(PUBLIC[0], 6379) == REFUSED


SERVER = """
import http.server, os, socket, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"python {self.client_address[0]} {self.connection.getsockname()[0]}\\n".encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *unused): pass
server = http.server.ThreadingHTTPServer(("", 0), Handler, bind_and_activate=False)
server.socket = socket.socket(fileno=3)
assert os.environ["LISTEN_FDS"] == "1" and int(os.environ["LISTEN_PID"]) == os.getpid()
server.serve_forever()
"""

# as a service manager does for a socket unit: descriptor 3, and variables for the process that becomes the service
STARTER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


@pytest.mark.parametrize("private, public", list(zip(PRIVATE, PUBLIC)))
def test_python_behind_listen_fds(broker, private, public):
    """`usherctl hand-in -- COMMAND` in a unit with a socket: the name comes from LISTEN_FDNAMES."""
    running = broker(api="Stream=443")
    sock = make_socket("tcp", private, 8443)
    server = start("/usr/bin/python3", "-c", STARTER, sock.fileno(), "api", USHERCTL, "hand-in", "--",
                   "/usr/bin/python3", "-c", SERVER, pass_fds=[sock.fileno()])
    sock.close()
    assert wait_until(lambda: get(public, 443)) == f"python {public} {public}\n"
    row, = running.sockets()
    assert (row["NAME"], row["VIA"], row["PID"]) == ("api", "usherctl", str(server.pid))
    end(server)
    assert who(public, 443) == REFUSED


def test_claim_and_exec(broker):
    """`usherctl claim web -- COMMAND` passes LISTEN_FDS with names, after the previous process has ended."""
    running = broker(api="Stream=443", other="Stream=444")
    for name, port in (("api", 8443), ("other", 8444)):
        sock = make_socket("tcp", "127.0.0.2", port)
        ctl("hand-in", name, "--hold", "--fd", sock.fileno(), pass_fds=[sock.fileno()])
        sock.close()
    names = run(USHERCTL, "claim", "api", "other", "--", "sh", "-c", "echo $LISTEN_FDS $LISTEN_FDNAMES $LISTEN_PID $$")
    count, listed, pid, own = names.stdout.split()
    assert (count, listed) == ("2", "api:other") and pid == own
    server = start(USHERCTL, "claim", "api", "--", "/usr/bin/python3", "-c", SERVER)
    assert wait_until(lambda: get(PUBLIC[0], 443)).startswith("python")
    assert len(running.sockets()) == 2
    end(server)


@pytest.mark.parametrize("private, public", list(zip(PRIVATE, PUBLIC)))
def test_udp_echo_on_the_port_of_the_rule(broker, private, public):
    """A service that knows nothing of usher or of packet information answers from its own address, and an unconnected client
    gets the answer. test_handin.py has a service that asks for the destination."""
    broker(echo=f"Datagram={spell(public, 7)}")
    with Service("echo", "udp", private, 7) as service, socket.socket(service.socket.family, socket.SOCK_DGRAM) as client:
        ctl("hand-in", "echo", "--fd", service.fileno(), pass_fds=[service.fileno()])
        client.settimeout(PATIENCE)
        client.connect((public, 7))
        client.send(b"hello")
        assert client.recv(200).endswith(b"\nhello")

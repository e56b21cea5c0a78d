# SPDX-License-Identifier: BSD-3-Clause
"""Who the client is: PROXY headers that usher-relay sends and reads, HAProxy and nginx on both sides, and Transparent="""

import contextlib
import errno
import os
import socket
import struct
import subprocess

import pytest

from harness.host import CLIENT_V4, CLIENT_V6, HOST_V4, HOST_V6, WORK, Netns, ip, write_rule
from harness.process import PATIENCE, PR_SET_PDEATHSIG, libc, wait_until
from harness.relay import RESET, Backend, Relay, read_all, relay_rule

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V2_CLIENT = SIGNATURE + b"\x21\x11\0\x0c" + bytes([198, 51, 100, 9, 192, 0, 2, 1]) + struct.pack("!HH", 40000, 80)
V1_CLIENT = b"PROXY TCP4 198.51.100.9 192.0.2.1 40000 80\r\n"


def ask(relay, netns=None, address=HOST_V4, header=b""):
    """A client that sends a header and a question, and ends; returns what the backend got, and the client's port"""
    with Backend(serve=read_all) as backend:
        with netns.entered() if netns else relay.connect() as client:
            if netns:
                client = socket.create_connection((address, 7001), timeout=PATIENCE)
            client.sendall(header + b"question")
            port = client.getsockname()[1]
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b""
            client.close()
        return backend.result(), port


@pytest.mark.parametrize("address, family, sender", [(HOST_V4, socket.AF_INET, CLIENT_V4), (HOST_V6, socket.AF_INET6, CLIENT_V6)],
                         ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("listen", ["::", "own"])
def test_send(client, address, family, sender, listen):
    """Both versions, both families; IPv4 in a socket for both families is IPv4."""
    relay = Relay("Connect=127.0.0.1:7002", "SendProxy=v1", address=address if listen == "own" else listen).start()
    data, port = ask(relay, client, address)
    word = b"TCP4" if family == socket.AF_INET else b"TCP6"
    assert data == b"PROXY %s %s %s %d 7001\r\nquestion" % (word, sender.encode(), address.encode(), port)
    relay.write("Connect=127.0.0.1:7002", "SendProxy=v2")
    relay.reload()
    data, port = ask(relay, client, address)
    addresses = socket.inet_pton(family, sender) + socket.inet_pton(family, address) + struct.pack("!HH", port, 7001)
    assert data == (SIGNATURE + b"\x21" + (b"\x11" if family == socket.AF_INET else b"\x21") +
                    struct.pack("!H", len(addresses)) + addresses + b"question")


@pytest.mark.parametrize("header", [V1_CLIENT, V2_CLIENT, V2_CLIENT[:14] + b"\0\x20" + V2_CLIENT[16:] + b"\x04\0\x11" + b"x" * 17],
                         ids=["v1", "v2", "v2-with-more"])
@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_accept(header, pieces):
    """The header of a proxy that is trusted is passed on as the client's address, however it arrives."""
    relay = Relay("Connect=127.0.0.1:7002", "SendProxy=v1", "AcceptProxy=127.0.0.0/8").start()
    with Backend(serve=read_all) as backend, relay.connect() as client:
        data = header + b"question"
        size = -(-len(data) // pieces)
        for i in range(0, len(data), size):
            client.sendall(data[i:i + size])
        client.shutdown(socket.SHUT_WR)
        assert backend.result() == V1_CLIENT + b"question"


def test_header_without_addresses():
    """A proxy that speaks for itself: the addresses are those of the connection."""
    relay = Relay("Connect=127.0.0.1:7002", "SendProxy=v1", "AcceptProxy=127.0.0.1").start()
    for header in SIGNATURE + b"\x20\0\0\0", b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN 1 2 3 4\r\n":
        data, port = ask(relay, header=header)
        assert data == b"PROXY TCP4 127.0.0.1 127.0.0.1 %d 7001\r\nquestion" % port


@pytest.mark.parametrize("header", [
    b"GET / HTTP/1.1\r\n", b"PROXY TCP4 198.51.100.9 192.0.2.1 40000\r\n", b"PROXY TCP4 198.51.100.9 192.0.2.1 40000 80 1\r\n",
    b"PROXY TCP4 a b 1 2\r\n", b"PROXY TCP4 ::1 ::1 1 2\r\n", b"PROXY TCP4 198.51.100.9 192.0.2.1 65536 80\r\n", b"PROXY\r\n",
    b"PROXY TCP4 198.51.100.9 192.0.2.1 40000 80\n", b"PROXY " + b"x" * 200, SIGNATURE + b"\x31\x11\0\x0c" + bytes(12),
    SIGNATURE + b"\x21\x11\0\x04" + bytes(4), SIGNATURE + b"\x21\x11\xff\xff" + bytes(5000), b"PROXY TCP4 198"])
def test_bad_header(header):
    """A peer that must send a header and does not, or breaks off, is reset; the backend hears nothing of it."""
    relay = Relay("Connect=127.0.0.1:7002", "AcceptProxy=127.0.0.1").start()
    with Backend(serve=read_all) as backend:
        with relay.connect() as client:
            try:
                client.sendall(header)
                client.shutdown(socket.SHUT_WR)
                assert read_all(client) == (b"", RESET)
            except OSError as error:  # the reset was faster
                assert error.errno in (errno.ENOTCONN, errno.EPIPE, errno.ECONNRESET)
        ask_again = relay.connect()
        ask_again.sendall(V1_CLIENT + b"question")
        ask_again.close()
        assert backend.result() == b"question", "the first that it hears of"


def test_header_that_does_not_come():
    """A peer that sends nothing, or byte after byte, has ConnectTimeout= for its header."""
    relay = Relay("Connect=127.0.0.1:7002", "AcceptProxy=127.0.0.1", "ConnectTimeout=300ms").start()
    with Backend(), relay.connect() as client:
        client.settimeout(0.05)

        def is_reset():
            try:
                client.send(b"P"[:1] if not sent else b"R"[:0])
                sent.append(1)
                return not client.recv(1)
            except TimeoutError:
                return False
            except ConnectionResetError:
                return True

        sent = []
        wait_until(is_reset)


def test_stranger_cannot_claim(client):
    """A peer that AcceptProxy= does not list sends its header to the backend, as data."""
    relay = Relay("Connect=127.0.0.1:7002", "SendProxy=v1", "AcceptProxy=198.51.100.0/24 ::1", address=HOST_V4).start()
    data, port = ask(relay, client, header=V1_CLIENT)
    assert data == b"PROXY TCP4 %s %s %d 7001\r\n" % (CLIENT_V4.encode(), HOST_V4.encode(), port) + V1_CLIENT + b"question"


# ---- with programs of Debian


@pytest.fixture
def spawned():
    """spawned(COMMAND...): a program that ends with the test"""
    def spawn(*command):
        if not any(os.access(os.path.join(folder, command[0]), os.X_OK) for folder in ("/usr/sbin", "/usr/bin")):
            pytest.skip(f"machine: it has no {command[0]}")
        subprocess.Popen(command, preexec_fn=lambda: libc("prctl", PR_SET_PDEATHSIG, 9))

    return spawn


HAPROXY = """
global
    maxconn 100
    nbthread 1
defaults
    timeout connect 60s
    timeout client 60s
    timeout server 60s
frontend f
    mode http
    bind 127.0.0.1:7002 accept-proxy
    http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst] %[dst_port]"
listen front
    mode tcp
    bind 127.0.0.1:7003
    server relay 127.0.0.1:7001 send-proxy{version}
"""

NGINX = """
daemon off; master_process off; pid {work}/nginx.pid; error_log {work}/nginx.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi; scgi_temp_path {work}/scgi;
    server {{
        listen 127.0.0.1:7002 proxy_protocol;
        return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port";
    }}
}}
"""


def fetch(address):
    """The body of http://ADDRESS/, and the port that asked"""
    with socket.create_connection(address, timeout=PATIENCE) as client:
        client.sendall(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
        answer = read_all(client)
        assert isinstance(answer, bytes), answer
        return answer.rpartition(b"\r\n\r\n")[2].decode().strip(), client.getsockname()[1]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_haproxy(spawned, version):
    """HAProxy reads the header that the relay sends, and the relay reads the one that HAProxy sends."""
    config = WORK / "haproxy.cfg"
    config.write_text(HAPROXY.replace("{version}", "-v2" if version == "v2" else ""))
    spawned("haproxy", "-db", "-q", "-f", str(config))
    relay = Relay("Connect=127.0.0.1:7002", f"SendProxy={version}").start()

    def answers():
        text, port = fetch(relay.address)
        return text == f"127.0.0.1 {port} 127.0.0.1 7001"

    wait_until(answers)
    relay.write("Connect=127.0.0.1:7002", f"SendProxy={version}", "AcceptProxy=127.0.0.1")
    relay.reload()
    text, port = fetch(("127.0.0.1", 7003))
    assert text == f"127.0.0.1 {port} 127.0.0.1 7003"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_nginx(spawned, version):
    config = WORK / "nginx.conf"
    config.write_text(NGINX.format(work=WORK))
    spawned("nginx", "-c", str(config), "-e", str(WORK / "nginx.log"))
    relay = Relay("Connect=127.0.0.1:7002", f"SendProxy={version}").start()

    def answers():
        text, port = fetch(relay.address)
        return text == f"127.0.0.1 {port} 127.0.0.1 7001"

    wait_until(answers)


# ---- Transparent=


@pytest.mark.vm
def test_transparent(client):
    """The backend sees the client's address and port. The relay needs CAP_NET_RAW for that, and nothing else."""
    blue = Netns()
    with blue.entered():
        # replies of the backend to anybody come back to this namespace
        ip("rule add from 127.0.0.9 lookup 100", "route add local default dev lo table 100")
        backend = Backend(("127.0.0.9", 80), lambda connection: connection.sendall(repr(connection.getpeername()).encode()))
    relay = Relay(address=HOST_V4)
    write_rule("web", relay_rule("Connect=127.0.0.9:80", "Transparent=yes"))
    with blue.entered():
        relay.start(prefix=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all,+net_raw",
                            "--ambient-caps=-all,+net_raw", "--bounding-set=-all,+net_raw"])
    with client.entered():
        with socket.create_connection((HOST_V4, 7001), timeout=PATIENCE) as sock:
            assert read_all(sock).decode() == repr((CLIENT_V4, sock.getsockname()[1]))
    backend.close()


def test_transparent_without_the_capability():
    relay = Relay("Connect=127.0.0.1:7002", "Transparent=yes").start(
        prefix=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"])
    with contextlib.suppress(ConnectionResetError), relay.connect() as client:
        assert read_all(client) == (b"", RESET)
    assert "Operation not permitted (EPERM); see Transparent= in usher.rules(5)" in relay.log

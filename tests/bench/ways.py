# SPDX-License-Identifier: BSD-3-Clause
"""The ways by which a public address and port reach one service, for peers.py to compare

Each way is a server and a client: network namespaces at the two ends of a cable, with the same addresses everywhere. The
server runs the service, always the same program tests/bench/backend.c. Only the addresses of its sockets differ, and what
leads to them.
"""

import collections
import json
import os
import pathlib
import shutil
import socket
import subprocess

from harness import bpf, wire
from harness.broker import Usherd
from harness.daemon import BUILD
from harness.host import WORK, Netns, ip, rule, run, write_rule
from harness.process import ATTEMPT, wait_until
from harness.service import make_socket

PUBLIC, CLIENT, PORT = "192.0.2.1", "192.0.2.2", 80
LOOPBACK = "127.0.0.2"  # the address of the service if packets from outside need not reach it
PRIVATE = "10.0.0.1"    # its address if they must
SOURCES, FIRST_SOURCE, N_SOURCES = "198.18.0.0/15", "198.18.0.1", 131070  # for benchmarks (RFC 2544)
PROTOCOLS = ("tcp", "udp")
MODULES = pathlib.Path("/usr/lib/nginx/modules")
PROXYD = pathlib.Path("/lib/systemd/systemd-socket-proxyd")

PACKAGES = ["nftables", "systemd", "haproxy", "nginx"]

# what the service saw of a request
Answer = collections.namedtuple("Answer", "peer peer_port local local_port")


class Missing(Exception):
    """This machine cannot have that way; the text says why."""


def need(program, package):
    """The path of a program; raises Missing."""
    found = shutil.which(program)
    if not found:
        raise Missing(f"machine: {package} is not installed")
    return found


def version(package):
    """(package, its version or None)"""
    done = run("dpkg-query", "-W", "-f", "${Version}", package, check=False)
    return package, done.stdout.strip() or None


class Way:
    """One way; the constructor sets it up."""

    name = None
    protocols = PROTOCOLS
    bound = LOOPBACK  # address of the service's sockets
    seen = PUBLIC     # which address the service sees as its own
    keeps = True      # whether it sees the address of the client
    counts = None     # what count() counts: "packets" or "flows"
    notes = {}        # {table: note about this way}

    def __init__(self):
        self.check_machine()
        self.processes = []
        self.server, self.client = Netns(), Netns()
        self._connect()
        with self.server.entered():
            self.sockets = {protocol: make_socket(protocol, self.bound, PORT, backlog=4096) for protocol in PROTOCOLS}
            for sock in self.sockets.values():
                sock.setblocking(False)
            self.set_up()
            numbers = [sock.fileno() for sock in self.sockets.values()]
            self.spawn(BUILD / "tests/bench/backend", *numbers, pass_fds=numbers)
        for protocol in self.protocols:
            wait_until(lambda: self.is_right(protocol), f"{self.name}: {protocol} is answered")

    def check_machine(self):
        """Raises Missing."""

    def set_up(self):
        """Set up what leads to the sockets; called in the server's namespace."""

    def count(self, protocol):
        """How many packets or flows went this way, as counted by what forwards them."""

    def _connect(self):
        with self.server.entered():
            ip("link add public0 type veth peer name client0",
               f"link set client0 netns /proc/{os.getpid()}/fd/{self.client.fd}", "link set public0 up",
               f"addr add {PUBLIC}/24 dev public0", f"route add {SOURCES} via {CLIENT}",
               f"addr add {PRIVATE}/32 dev lo")
        with self.client.entered():
            ip("link set client0 up", f"addr add {CLIENT}/24 dev client0", f"route add local {SOURCES} dev lo")

    def spawn(self, *words, **options):
        """Start a process on the server."""
        with open(WORK / f"{self.name.replace(' ', '-')}.log", "a") as log:
            self.processes.append(subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=log,
                                                   stderr=log, **options))

    def write(self, name, text):
        """Write a configuration file; returns its path."""
        path = WORK / name
        path.write_text(text)
        return path

    def ask(self, protocol):
        """What the service sees of the client"""
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        with self.client.entered():
            sock = socket.socket(socket.AF_INET, kind)
        with sock:
            sock.settimeout(ATTEMPT)
            sock.connect((PUBLIC, PORT))
            sock.send(b"w")
            peer, peer_port, local, local_port = sock.recv(100).decode().split()
        return Answer(peer, int(peer_port), local, int(local_port))

    def is_right(self, protocol):
        """Whether requests reach the service in this way. Otherwise False, or an AssertionError that says what is wrong."""
        for process in self.processes:
            assert process.poll() is None, f"{self.name}: {process.args[0]} ended with {process.returncode}"
        answer = self.ask(protocol)
        assert (answer.local, answer.local_port) == (self.seen, PORT), f"{self.name}: {answer}"
        assert (answer.peer == CLIENT) == self.keeps, f"{self.name}: {answer}"
        return True

    def log(self):
        path = WORK / f"{self.name.replace(' ', '-')}.log"
        return path.read_text() if path.exists() else ""


class Direct(Way):
    """The service itself listens at the public address."""

    name = "direct"
    bound = PUBLIC

    def is_right(self, protocol):
        with self.server.entered():
            assert not bpf.links(), "a program is attached"
        return super().is_right(protocol)


class Empty(Way):
    """The same, with an sk_lookup program that does nothing."""

    name = "empty program"
    bound = PUBLIC

    def set_up(self):
        run(BUILD / "tests/system/programs/attach", BUILD / "tests/bench/empty.bpf.o", "empty", "/sys/fs/bpf/empty")

    def is_right(self, protocol):
        with self.server.entered():
            assert len(bpf.links()) == 1, "no program is attached"
        return super().is_right(protocol)


class Least(Way):
    """The least that dispatches: a program that looks at the port and chooses the socket in a SOCKMAP. What this
    costs more than the empty program is a cost of the kernel for every user of sk_lookup: each recvmsg(2) on a UDP socket
    in such a map goes through udp_bpf_recvmsg(), which takes 80 to 100 ns on Linux 6.18 with retpolines."""

    name = "least dispatcher"
    protocols = ("udp",)
    notes = {"udp": "the least dispatcher selects its one socket for the port, without rules or counters"}

    def set_up(self):
        number = self.sockets["udp"].fileno()
        run(BUILD / "tests/system/programs/attach", BUILD / "tests/system/programs/foreign.bpf.o", "redirect", "/sys/fs/bpf/least",
            number, pass_fds=[number])


class Usher(Way):
    """The service is bound to a private address and has handed its sockets in."""

    name = "usher"
    counts = "packets"

    def set_up(self):
        write_rule("web", rule(f"Stream={PUBLIC}:{PORT}", f"Datagram={PUBLIC}:{PORT}"))
        self.broker = Usherd().start()
        wire.hand_in("web", *self.sockets.values())

    def count(self, protocol):
        return self.broker.counters("web", protocol)["LOOKUPS"]


class Nftables(Way):
    """The kernel's packet filter, with the rules that an administrator would write."""

    ruleset = None

    def check_machine(self):
        need("nft", "nftables")

    def load(self, ruleset):
        done = run("nft", "-f", "-", input=ruleset, check=False)
        if "Could not process rule" in done.stderr:  # nft understood it, but the kernel did not
            raise Missing(f"machine: nft: {' '.join(done.stderr.split())}")
        assert done.returncode == 0, done.stderr

    def count(self, protocol):
        with self.server.entered():
            found = json.loads(run("nft", "-j", "list", "counters").stdout)["nftables"]
        counters = {entry["counter"]["name"]: entry["counter"]["packets"] for entry in found if "counter" in entry}
        return counters[f"new_{protocol}"]


class Dnat(Nftables):
    """NAT to a private address. One in 127.0.0.0/8 would need route_localnet, which opens all listeners there to
    the network."""

    name = "nftables DNAT"
    bound = seen = PRIVATE
    counts = "flows"
    notes = {"tcp": f"with nftables DNAT the service is at {PRIVATE}: one of 127.0.0.0/8 would need route_localnet"}

    def set_up(self):
        self.load(f"""
            table ip public {{
                counter new_tcp {{ }}
                counter new_udp {{ }}
                chain prerouting {{
                    type nat hook prerouting priority dstnat; policy accept;
                    ip daddr {PUBLIC} tcp dport {PORT} counter name new_tcp dnat to {PRIVATE}:{PORT}
                    ip daddr {PUBLIC} udp dport {PORT} counter name new_udp dnat to {PRIVATE}:{PORT}
                }}
            }}
            """)


class Tproxy(Nftables):
    """Set up as in Documentation/networking/tproxy.rst of the kernel; the service's sockets are transparent."""

    name = "nftables TPROXY"
    counts = "packets"
    notes = {"tcp": "with nftables TPROXY the service's sockets are IP_TRANSPARENT, which requires CAP_NET_RAW"}

    def set_up(self):
        for sock in self.sockets.values():
            sock.setsockopt(socket.SOL_IP, socket.IP_TRANSPARENT, 1)
        to = f"tproxy to {LOOPBACK}:{PORT} meta mark set 1 accept"
        self.load(f"""
            table ip public {{
                counter new_tcp {{ }}
                counter new_udp {{ }}
                chain prerouting {{
                    type filter hook prerouting priority mangle; policy accept;
                    meta l4proto tcp socket transparent 1 meta mark set 1 accept
                    ip daddr {PUBLIC} tcp dport {PORT} counter name new_tcp {to}
                    ip daddr {PUBLIC} udp dport {PORT} counter name new_udp {to}
                }}
            }}
            """)
        ip("rule add fwmark 1 lookup 100", "route add local default dev lo table 100")


class Proxy(Way):
    """A process that listens at the public address and connects to the private one. No other process on this server knows
    both, so every request to the service came through it."""

    seen = LOOPBACK
    keeps = False


class SocketProxyd(Proxy):
    """The one of systemd, which starts at its first connection."""

    name = "systemd-socket-proxyd"
    protocols = ("tcp",)
    notes = {"udp": "systemd-socket-proxyd does not support UDP"}

    def check_machine(self):
        need("systemd-socket-activate", "systemd")
        if not PROXYD.exists():
            raise Missing("machine: systemd is not installed")

    def set_up(self):
        self.spawn("systemd-socket-activate", f"--listen={PUBLIC}:{PORT}", PROXYD, "--connections-max=4096",
                   f"{LOOPBACK}:{PORT}")


class Haproxy(Proxy):
    """In mode tcp; Debian's version does not forward UDP."""

    name = "HAProxy"
    protocols = ("tcp",)
    notes = {"udp": "Debian's HAProxy does not support UDP"}

    def check_machine(self):
        need("haproxy", "haproxy")

    def set_up(self):
        self.spawn("haproxy", "-db", "-f", self.write("haproxy.cfg", f"""
global
    maxconn 4096
    nbthread 1
defaults
    mode tcp
    timeout connect 5s
    timeout client 1m
    timeout server 1m
listen web
    bind {PUBLIC}:{PORT}
    server web {LOOPBACK}:{PORT}
"""))


class Nginx(Proxy):
    """With stream. One answer to a datagram ends a session, as for DNS; otherwise sessions would live for minutes."""

    name = "nginx stream"
    notes = {"udp": "an nginx session ends with its answer (proxy_responses 1)"}

    def check_machine(self):
        need("nginx", "nginx")
        if not (MODULES / "ngx_stream_module.so").exists():
            raise Missing("machine: libnginx-mod-stream is not installed")

    def set_up(self):
        self.spawn("nginx", "-e", "stderr", "-c", self.write("nginx.conf", f"""
load_module {MODULES}/ngx_stream_module.so;
daemon off;
user root;
pid {WORK}/nginx.pid;
error_log stderr;
worker_processes 1;
events {{
    worker_connections 4096;
}}
stream {{
    server {{
        listen {PUBLIC}:{PORT};
        proxy_pass {LOOPBACK}:{PORT};
    }}
    server {{
        listen {PUBLIC}:{PORT} udp;
        proxy_pass {LOOPBACK}:{PORT};
        proxy_responses 1;
    }}
}}
"""))


WAYS = [Direct, Empty, Least, Usher, Dnat, Tproxy, SocketProxyd, Haproxy, Nginx]

# SPDX-License-Identifier: BSD-3-Clause
"""usherctl list --graph: what leads where, as a tree for people and as DOT for graphviz."""

import json
import os
import pty
import socket
import threading

import pytest

from harness.broker import USHERCTL, ctl, fails
from harness.host import RULE_FOLDERS, rule, run
from harness.process import Child
from harness.service import make_socket
from harness.wire import cookie, hand_in

UTF8 = {**os.environ, "LC_ALL": "C.UTF-8"}
FOLDER = RULE_FOLDERS[1]


def tree(*words, **options):
    return ctl("list", "--graph", *words, env=UTF8, **options).stdout


def read_dot(text):
    """Have graphviz read DOT; returns (attributes of nodes by id, edges as (from, to, label))."""
    graph = json.loads(run("dot", "-Tdot_json", input=text).stdout)
    assert graph["directed"] and graph["strict"]
    ids = {node["_gvid"]: node["name"] for node in graph.get("objects", [])}
    return ({node["name"]: node for node in graph.get("objects", [])},
            {(ids[edge["tail"]], ids[edge["head"]], edge.get("label", "")) for edge in graph.get("edges", [])})


def dot(*words):
    return read_dot(ctl("list", "--graph=dot", *words).stdout)


def on_terminal(*words, **environment):
    """The output of the command on a terminal."""
    master, slave = pty.openpty()
    run_words = [USHERCTL, *words]
    pid = os.posix_spawn(run_words[0], [str(word) for word in run_words], {**UTF8, "TERM": "xterm", **environment},
                         file_actions=[(os.POSIX_SPAWN_DUP2, slave, 1)])
    os.close(slave)
    text = b""
    try:
        while chunk := os.read(master, 65536):
            text += chunk
    except OSError:  # the other end is closed
        pass
    os.close(master)
    assert os.waitpid(pid, 0)[1] == 0
    return text.decode().replace("\r\n", "\n")


@pytest.fixture
def world(broker):
    """A name with two sockets, one without, one whose socket is held for a dead process, and one whose rule is gone."""
    running = broker(web=["Stream=192.0.2.0/24:80", "Stream=[2001:db8::/48]:80"], empty="Datagram=192.0.2.0/24:53",
                     held="Stream=192.0.2.0/24:81", gone="Stream=192.0.2.0/24:82")
    sockets = {name: make_socket("tcp", "127.0.0.2", port) for name, port in {"old": 8001, "new": 8002, "gone": 8004}.items()}
    hand_in("web", sockets["old"])
    hand_in("web", sockets["new"])
    hand_in("gone", sockets["gone"])

    def hold():
        with make_socket("tcp", "127.0.0.2", 8003) as sock:
            running.request("hold", [sock], NAME="held")
            return cookie(sock)

    child = Child(lambda tell: tell(hold()))
    sockets["held"], sockets["child"] = child.hear(), child.pid
    child.result()
    (FOLDER / "gone.rule").unlink()
    running.reload()
    yield sockets
    for name in "old", "new", "gone":
        sockets[name].close()


class TestTree:
    def test_tree(self, world):
        me = os.getpid()
        new, old, gone = (f"sk:{cookie(world[name])}" for name in ("new", "old", "gone"))
        text = tree()
        assert text == f"""{FOLDER}/empty.rule
├─Datagram=192.0.2.0/24:53
└─empty
  └─udp ipv4
    └─missing
no rule
└─gone
  └─tcp ipv4
    └─unrouted 127.0.0.2:8004 {gone}
      └─pid {me}
{FOLDER}/held.rule
├─Stream=192.0.2.0/24:81
└─held
  └─tcp ipv4
    └─serving 127.0.0.2:8003 sk:{world["held"]}
      ├─pid {world["child"]}
      └─held by usherd
{FOLDER}/web.rule
├─Stream=192.0.2.0/24:80
├─Stream=[2001:db8::/48]:80
└─web
  ├─tcp ipv4
  │ ├─serving 127.0.0.2:8002 {new}
  │ │ └─pid {me}
  │ └─standby 127.0.0.2:8001 {old}
  │   └─pid {me}
  └─tcp ipv6
    └─missing
"""

    def test_ascii(self, world):
        """ASCII is used if the locale lacks line characters."""
        text = ctl("list", "--graph=tree", "web", env={**os.environ, "LC_ALL": "C"}).stdout
        assert text.isascii()
        assert text == tree("web").replace("├─", "|-").replace("└─", "`-").replace("│ ", "| ")

    def test_terminal(self, world):
        """Colours appear on a terminal that supports them, unless the user disables them. Nothing is cut."""
        coloured = on_terminal("list", "--graph")
        assert "\033[32mserving\033[m" in coloured and "\033[31mmissing\033[m" in coloured
        assert "\033[31munrouted\033[m" in coloured and "\033" not in coloured.replace("\033[32m", "").replace(
            "\033[31m", "").replace("\033[m", "")
        plain = tree()
        assert on_terminal("list", "--graph", NO_COLOR="1") == on_terminal("list", "--graph", TERM="dumb") == plain
        assert "\033" not in plain

    def test_names(self, world):
        """Each name appears once, in alphabetical order, whatever the order of the arguments."""
        assert tree("web", "empty", "web") == tree("empty") + tree("web")
        fails(1, "list", "--graph", "none", match="'none'")

    def test_matches_are_bounded(self, broker):
        broker(many=[f"Stream=192.0.2.0/24:{port}" for port in range(1000, 1100)])
        lines = tree().splitlines()
        assert lines[1:17] == [f"├─Stream=192.0.2.0/24:{port}" for port in range(1000, 1016)]
        assert lines[17:19] == ["├─and 84 more matches", "└─many"] and len(lines) == 21
        nodes, _ = dot()
        assert nodes[f"file:{FOLDER}/many.rule"]["label"].endswith("and 84 more matches\\l")

    def test_nothing(self, broker):
        broker()
        assert tree() == "" and dot() == ({}, set())


class TestDot:
    def test_dot(self, world):
        nodes, edges = dot()
        me = f"process:{os.getpid()}/"
        assert set(nodes) == {
            *[f"file:{FOLDER}/{name}.rule" for name in ("empty", "held", "web")],
            *[f"name:{name}" for name in ("empty", "gone", "held", "web")],
            "seat:empty/udp/ipv4", "seat:gone/tcp/ipv4", "seat:held/tcp/ipv4", "seat:web/tcp/ipv4", "seat:web/tcp/ipv6",
            *[f"socket:{cookie(world[name])}" for name in ("old", "new", "gone")], f"socket:{world['held']}",
            me, f"process:{world['child']}/"}
        new, old = (f"socket:{cookie(world[name])}" for name in ("new", "old"))
        assert {edge for edge in edges if "web" in edge[0] or edge[0] in (new, old)} == {
            (f"file:{FOLDER}/web.rule", "name:web", ""), ("name:web", "seat:web/tcp/ipv4", ""),
            ("name:web", "seat:web/tcp/ipv6", ""), ("seat:web/tcp/ipv4", new, "1 serving"),
            ("seat:web/tcp/ipv4", old, "2 standby"), (new, me, ""), (old, me, "")}
        assert nodes["seat:web/tcp/ipv6"]["style"] == "dashed" and nodes["seat:web/tcp/ipv6"]["label"] == "tcp ipv6\\nmissing"
        assert nodes[f"file:{FOLDER}/web.rule"]["label"] == (
            f"{FOLDER}/web.rule\\lStream=192.0.2.0/24:80\\lStream=[2001:db8::/48]:80\\l")
        assert nodes["name:gone"]["label"] == "gone\\nno rule"
        assert "held by usherd" in nodes[f"socket:{world['held']}"]["label"]

    def test_socket_of_several_seats(self, broker):
        """A socket in several seats is one node, to which each of its seats leads."""
        broker(web=rule("Stream=80", access=["Bound=any"]), other=rule("Stream=81", access=["Bound=any"]))
        with make_socket("tcp", "::", 8080, v6only=False) as sock:
            hand_in("web", sock)
            hand_in("other", sock)
            nodes, edges = dot()
            node = f"socket:{cookie(sock)}"
        assert [name for name in nodes if name.startswith("socket:")] == [node]
        assert {edge[0] for edge in edges if edge[1] == node} == {
            f"seat:{name}/tcp/{family}" for name in ("web", "other") for family in ("ipv4", "ipv6")}
        assert len([edge for edge in edges if edge[0] == node]) == 1

    def test_picture(self, world):
        """graphviz draws it, with every label."""
        svg = run("dot", "-Tsvg", input=ctl("list", "--graph=dot").stdout).stdout
        assert all(f">{word}</text>" in svg for word in ("web", "1 serving", "2 standby", "missing", "127.0.0.2:8002"))

    def test_hostile_words(self):
        """A hostile unit name cannot break DOT: quotes and backslashes are escaped."""
        unit = 'a"b\\x2d\\n"]; evil [label="x\\'
        rows = [["ROW=1\nNAME=web\nPROTOCOL=tcp\nFAMILY=ipv4\nSTATE=serving\nPLACE=1\nCOOKIE=1f\nPID=7\n"
                 f"ADDRESS=127.0.0.2:80\nUNIT={unit}\nHELD=no\n", "OK=1\n"],
                ["ROW=1\nNAME=web\nSECTION=Rule\nKEY=Stream\nVALUE=80\nFILE=/etc/a\"\\b.rule\nLINE=2\nPROTOCOL=tcp\n"
                 "PREFIX=*\nPORTS=80\n", "OK=1\n"]]
        path = "/run/fake.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(path)
            listener.listen()

            def answer():
                for answers in rows:
                    connection, _ = listener.accept()
                    connection.recv(4096)
                    for row in answers:
                        connection.send(row.encode())
                    connection.close()

            thread = threading.Thread(target=answer)
            thread.start()
            text = ctl("--socket", path, "list", "--graph=dot").stdout
            thread.join()
        nodes, edges = read_dot(text)
        assert len(nodes) == 5 and len(edges) == 4, (nodes, edges)
        svg = run("dot", "-Tsvg", input=text).stdout.replace("&quot;", '"').replace("&#45;", "-").replace("&gt;", ">")
        assert unit in svg and '/etc/a"\\b.rule' in svg


def test_usage(broker):
    broker(web="Stream=80")
    fails(2, "list", "--graph=png", match="'tree' or 'dot'")
    fails(2, "list", "--graph", "--json", match="--json")
    fails(2, "rules", "--graph", match="'rules' does not accept it")


def test_no_broker():
    assert fails(3, "list", "--graph")

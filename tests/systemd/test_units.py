# SPDX-License-Identifier: BSD-3-Clause
"""usherd.service and usherd.socket: what they promise, and that the broker works with the hardening."""

import os
import signal
import subprocess

import pytest
from harness.process import wait_until
from harness.traffic import REFUSED, who

from units import ANSWER, enable, rule, service, settle, sockets, unit

UNITS = ["usherd.service", "usherd.socket", "usherd@x.service", "usherd@x.socket", "usher@x.service",
         "usher-again@x.service", "usher-sockets.service", "usher-sockets@x.service", "usher-discover.service",
         "usher-relay@x.service", "usher-metrics.socket", "usher-metrics@x.service"]


def test_verify(machine):
    """systemd-analyze finds nothing wrong."""
    unit(machine, "x.socket", "[Socket]", "ListenStream=127.0.0.2:8080", "Service=dbus.service")
    # only a release with man(1) can check Documentation=; test_install checks it in any
    done = machine.run("systemd-analyze", "verify", "--man=no", "--recursive-errors=yes", *UNITS)
    assert done.stdout + done.stderr == ""


# The highest exposure that systemd-analyze may report, in tenths
EXPOSURE = {"usherd.service": 17, "usherd@x.service": 17, "usher-discover.service": 22, "usher@x.service": 9,
            "usher-again@x.service": 9, "usher-sockets.service": 9, "usher-sockets@x.service": 9,
            "usher-relay@x.service": 11, "usher-metrics@x.service": 5}


@pytest.mark.parametrize("name", [name for name in UNITS if name.endswith(".service")])
def test_security(machine, name):
    done = machine.run("systemd-analyze", "security", "--no-pager", f"--threshold={EXPOSURE[name]}", name, check=False)
    assert done.returncode == 0, done.stdout


def test_enable(machine):
    """An enabled broker starts at boot, and has only the privileges that it needs."""
    rule(machine, "web", "Stream=192.0.2.0/24:80", "Stream=[2001:db8:1::/48]:80")
    enable(machine, "usherd.service")
    assert machine.show("usherd.service", "StatusText") == "Generation 1 in force, rules: 1, matches: 2"
    pid = machine.show("usherd.service", "MainPID")
    found = {}
    for path in machine.root.glob("proc/[0-9]*/status"):
        fields = dict(line.split(":\t", 1) for line in path.read_text().splitlines())
        if pid in (fields["Pid"], fields["PPid"]) and fields["Name"] != "usherd-nursery":
            found[fields["Name"]] = fields
    assert set(found) == {"usherd", "usherd-loader"}
    two = 1 << 39 | 1 << 12  # CAP_BPF, CAP_NET_ADMIN
    for name, wanted in ("usherd", 0), ("usherd-loader", two):
        assert (int(found[name]["CapPrm"], 16), int(found[name]["CapBnd"], 16)) == (wanted, two), name
        assert found[name]["Seccomp"] == "2" and found[name]["NoNewPrivs"] == "1"
    machine.reboot()
    assert machine.state("usherd.service") == "active/running"
    assert "matches: 2" in machine.show("usherd.service", "StatusText")


def test_first_client_starts_the_broker(machine):
    enable(machine, "usherd.socket")
    assert machine.state("usherd.service") == "inactive/dead"
    machine.run("usherctl", "status")
    assert machine.state("usherd.service") == "active/running"
    for path in ("usher.sock", "notify"):
        assert (machine.root / "run/usher" / path).stat().st_mode & 0o777 == 0o666


def test_reload(machine):
    """Reload waits for the outcome. With bad rules, it fails, says where the errors are, and changes nothing."""
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    enable(machine, "usherd.service")
    rule(machine, "mail", "Stream=192.0.2.0/24:25")
    machine.systemctl("reload", "usherd")
    assert machine.show("usherd.service", "StatusText") == "Generation 2 in force, rules: 2, matches: 2"
    rule(machine, "mail", "Stream=192.0.2.1/24:25")
    assert machine.systemctl("reload", "usherd", check=False).returncode != 0
    assert machine.show("usherd.service", "StatusText").startswith("Reload failed: /etc/usher/rules.d/mail.rule:2: ")
    assert machine.state("usherd.service") == "active/running"
    assert any("mail.rule:2: " in text for text in machine.messages("-u", "usherd.service"))
    assert len(machine.run("usherctl", "--no-legend", "rules").stdout.splitlines()) == 2
    rule(machine, "mail", "Stream=192.0.2.1/32:25")
    machine.systemctl("reload", "usherd")
    assert machine.show("usherd.service", "StatusText") == "Generation 3 in force, rules: 2, matches: 2"


def test_hang_up(machine):
    """SIGHUP reloads too."""
    enable(machine, "usherd.service")
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    machine.systemctl("kill", "--signal=HUP", "--kill-whom=main", "usherd")
    wait_until(lambda: "rules: 1" in machine.show("usherd.service", "StatusText"))


@pytest.mark.since(253)
def test_notify_reload(machine):
    """Since systemd 253, Type=notify-reload reloads with a signal, and the broker reports its state."""
    unit(machine, "usherd.service.d/reload.conf", "[Service]", "Type=notify-reload", "ExecReload=")
    enable(machine, "usherd.service")
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    machine.systemctl("reload", "usherd")
    assert machine.show("usherd.service", "StatusText") == "Generation 2 in force, rules: 1, matches: 1"
    rule(machine, "web", "Stream=192.0.2.1/24:80")
    machine.systemctl("reload", "usherd")
    assert machine.show("usherd.service", "StatusText").startswith("Reload failed: /etc/usher/rules.d/web.rule:2: ")
    assert machine.state("usherd.service") == "active/running"


def test_bad_rules_at_the_start(machine):
    """A restart of the broker succeeds; the bad file costs the other names nothing, and its own name no connection."""
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    service(machine, "web", "127.0.0.2:8080")
    service(machine, "mail", "127.0.0.3:8080")
    rule(machine, "mail", "Stream=192.0.2.0/24:25")
    enable(machine, "usherd.service", "web.socket", "usher@web.service", "mail.socket", "usher@mail.service")
    assert (who("192.0.2.1", 80), who("192.0.2.1", 25)) == ("web", "mail")
    rule(machine, "mail", "nonsense=1")
    rule(machine, "shop", "Stream=192.0.2.0/24:81")
    machine.systemctl("restart", "usherd")
    settle(machine)
    assert machine.state("usherd.service") == "active/running"
    assert "mail.rule:2: " in machine.show("usherd.service", "StatusText")
    assert (who("192.0.2.1", 80), who("192.0.2.1", 25)) == ("web", "mail")
    assert [text for text in machine.messages("-u", "usherd.service") if "/mail.rule:2: " in text]
    # only what is refused fails: the unit that hands the sockets of that name in again
    assert machine.systemctl("restart", "usher@web.service").returncode == 0
    done = machine.systemctl("restart", "usher@mail.service", check=False)
    assert done.returncode and [text for text in machine.messages("-u", "usher@mail.service") if "mail.rule:2: " in text]
    assert machine.systemctl("reload", "usherd", check=False).returncode, "a reload is all or nothing"
    rule(machine, "mail", "Stream=192.0.2.0/24:26")
    machine.systemctl("reload", "usherd")
    machine.systemctl("restart", "usher@mail.service")
    assert (who("192.0.2.1", 25), who("192.0.2.1", 26), who("192.0.2.1", 80)) == (REFUSED, "mail", "web")
    assert machine.show("usherd.service", "StatusText").startswith("Generation ")


@pytest.mark.parametrize("how", ["broken", "unreadable"])
def test_bad_rules_at_boot(machine, how):
    """The machine boots, and everything is served but the name of the bad file, which nobody has served since the boot."""
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    rule(machine, "mail", "Stream=192.0.2.0/24:25")
    service(machine, "web", "127.0.0.2:8080")
    service(machine, "mail", "127.0.0.3:8080")
    enable(machine, "usherd.service", "web.socket", "usher@web.service", "mail.socket", "usher@mail.service")
    if how == "broken":
        rule(machine, "mail", "Stream=192.0.2.1/24:25")
    else:
        machine.sh("chown daemon /etc/usher/rules.d/mail.rule && chmod 600 /etc/usher/rules.d/mail.rule")
    machine.reboot(failing=True)
    settle(machine)
    assert machine.state("usherd.service") == "active/running"
    assert who("192.0.2.1", 80) == "web"
    assert who("192.0.2.1", 25) == REFUSED
    assert machine.state("usher@mail.service") == "failed/failed"
    assert [text for text in machine.messages("-b", "-u", "usher@mail.service") if "/mail.rule" in text]
    machine.run("rm", "/etc/usher/rules.d/mail.rule")
    rule(machine, "mail", "Stream=192.0.2.0/24:25")
    machine.systemctl("reload", "usherd")
    machine.systemctl("start", "usher@mail.service")
    assert who("192.0.2.1", 25) == "mail"


def test_user_that_appears(machine):
    """A rule for a user that does not exist at boot keeps nothing down. A dynamic user is found when its service hands in."""
    machine.write("/etc/nsswitch.conf", "passwd: files systemd\ngroup: files systemd\n")
    rule(machine, "web", "Stream=192.0.2.0/24:80", "[Access]", "User=hello-dynamic")
    rule(machine, "shop", "Stream=192.0.2.0/24:81", "[Access]", "User=later")
    machine.write("/usr/local/bin/answer", ANSWER.read_text(), 0o755)
    for name, user, port in (("web", "hello-dynamic", 8080), ("shop", "later", 8081)):
        dynamic = ["DynamicUser=yes"] if name == "web" else []
        unit(machine, f"{name}.socket", "[Socket]", f"ListenStream=127.0.0.2:{port}", f"FileDescriptorName={name}",
             "[Install]", "WantedBy=sockets.target")
        unit(machine, f"{name}.service", "[Service]", f"User={user}", *dynamic,
             f"ExecStart=/usr/bin/usherctl hand-in -- /usr/local/bin/answer {name}")
    enable(machine, "usherd.service", "web.socket", "shop.socket")
    machine.reboot()
    settle(machine)
    assert machine.state("usherd.service") == "active/running"
    wait_until(lambda: [text for text in machine.messages("-b", "-u", "usherd.service") if "no user 'later'" in text])
    machine.systemctl("start", "web.service")
    wait_until(lambda: who("192.0.2.1", 80) == "web")
    machine.sh("echo later:x:4711:4711::/:/bin/false >> /etc/passwd")
    machine.systemctl("start", "shop.service")
    wait_until(lambda: who("192.0.2.1", 81) == "shop")


def test_another_broker(machine):
    """For a temporary reason, the service is restarted until it can run."""
    machine.run("systemd-run", "--quiet", "--collect", "--unit=other", "--service-type=notify", "usherd")
    machine.systemctl("start", "--no-block", "usherd.service")
    wait_until(lambda: int(machine.show("usherd.service", "NRestarts")) >= 2)
    assert any("status=75" in text for text in machine.messages("-u", "usherd.service"))
    machine.systemctl("stop", "other.service")
    wait_until(lambda: machine.state("usherd.service") == "active/running")


def test_watchdog(machine):
    """A broker that hangs is killed and restarted, and nothing is lost."""
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    service(machine, "web", "127.0.0.2:8080")
    unit(machine, "usherd.service.d/watchdog.conf", "[Service]", "WatchdogSec=1s")
    enable(machine, "usherd.service", "web.socket", "usher@web.service")
    before, pid = sockets(machine), machine.main_pid("usherd.service")
    os.kill(pid, signal.SIGSTOP)
    assert who("192.0.2.1", 80) == "web"
    after = sockets(machine)  # it queues at usherd.socket until the next broker answers
    assert machine.main_pid("usherd.service") != pid
    assert [line[:4] for line in after] == [line[:4] for line in before]
    assert machine.show("usherd.service", "NRestarts") == "1"
    assert any("Watchdog timeout" in text for text in machine.messages("-u", "usherd.service"))


def test_every_daemon_has_a_watchdog(machine):
    """Units that keep running, and so can hang without an end, have WatchdogSec=."""
    folder = next(iter(machine.root.glob("usr/lib/systemd/system/usherd.service"))).parent
    daemons = [path for path in folder.glob("usher*.service") if "Type=notify" in path.read_text()]
    assert {path.name for path in daemons} >= {"usherd.service", "usherd@.service", "usher-discover.service"}
    for path in folder.glob("usher*.service"):
        text = path.read_text()
        assert any(f"\n{key}" in text for key in ("WatchdogSec=", "TimeoutStartSec=5s", "TimeoutStartSec=30s", "RuntimeMaxSec=")), path
        assert path not in daemons or "\nWatchdogSec=" in text, path


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_crash(machine, number):
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    service(machine, "web", "127.0.0.2:8080")
    enable(machine, "usherd.service", "web.socket", "usher@web.service")
    before = sockets(machine)
    for _ in range(7):  # more often than the usual start limit
        os.kill(machine.main_pid("usherd.service"), number)
        assert who("192.0.2.1", 80) == "web"
        assert [line[:4] for line in sockets(machine)] == [line[:4] for line in before]
    assert machine.show("usherd.service", "NRestarts") == "7"


def test_stop_and_detach(machine):
    """A stopped broker leaves dispatch in place. After detach nothing is left, and the unit can start again."""
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    service(machine, "web", "127.0.0.2:8080")
    enable(machine, "usherd.service", "web.socket", "usher@web.service")
    machine.systemctl("stop", "usherd.service", "usherd.socket")
    assert who("192.0.2.1", 80) == "web"
    assert (machine.root / "run/usher/rules.d").parent.is_dir()
    machine.systemctl("start", "usherd.service")
    settle(machine)
    assert [line[0] for line in sockets(machine)] == ["web"]
    machine.run("usherctl", "detach")
    wait_until(lambda: machine.state("usherd.service") == "inactive/dead")
    assert os.listdir(machine.root / "sys/fs/bpf/usher") == []
    assert who("192.0.2.1", 80) == REFUSED
    machine.systemctl("start", "usherd.service")
    wait_until(lambda: [line[0] for line in sockets(machine)] == ["web"], what="usher-again@web has handed in")
    assert who("192.0.2.1", 80) == "web"
    assert machine.show("usherd.service", "NRestarts") == "0"


def test_start_right_after_detach(machine):
    """The broker has ended when detach returns, and what closes the sockets then does not cancel a start that root asks for."""
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    service(machine, "web", "127.0.0.2:8080")
    enable(machine, "usherd.service", "web.socket", "usher@web.service")
    for _ in range(10):
        before = machine.show("usherd.service", "MainPID")
        machine.sh("usherctl detach; systemctl start usherd.service")
        assert machine.show("usherd.service", "MainPID") not in (before, "0")
        assert machine.state("usherd.service") == "active/running"
        assert machine.state("usherd.socket").startswith("active/")
        wait_until(lambda: [line[0] for line in sockets(machine)] == ["web"])
        assert who("192.0.2.1", 80) == "web"


def test_detached_stays_detached(machine):
    """Clients do not start a broker that root has detached, however many of them ask; root does."""
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    service(machine, "web", "127.0.0.2:8080")
    enable(machine, "usherd.service", "web.socket", "usher@web.service")
    ask = "usherctl --timeout=5 status; usherctl --timeout=5 list web"
    asking = [machine.popen("setpriv", "--reuid=65534", "--clear-groups", "sh", "-c", f"while :; do {ask}; done",
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(3)]
    for again in range(3):
        before = machine.main_pid("usherd.service")
        machine.run("usherctl", "detach")
        wait_until(lambda: machine.state("usherd.socket") == "inactive/dead")
        wait_until(lambda: machine.state("usherd.service") == "inactive/dead")
        done = machine.run("setpriv", "--reuid=65534", "--clear-groups", "usherctl", "status", check=False)
        assert done.returncode == 3, done.stdout + done.stderr
        assert machine.state("usherd.service") == "inactive/dead"
        assert os.listdir(machine.root / "sys/fs/bpf/usher") == [] and who("192.0.2.1", 80) == REFUSED
        assert (machine.root / "run/usher/detached").exists()
        machine.systemctl("start", "usherd.service")
        assert machine.main_pid("usherd.service") != before
        assert machine.state("usherd.socket").startswith("active/")
        assert not (machine.root / "run/usher/detached").exists()
        wait_until(lambda: [line[0] for line in sockets(machine)] == ["web"])
        assert who("192.0.2.1", 80) == "web"
    machine.run("pkill", "-TERM", "-x", "sh")
    for loop in asking:
        loop.wait()
    machine.systemctl("stop", "usherd.service")
    assert machine.state("usherd.socket") == "active/listening", "a broker that is only stopped is started by a client"


def test_runtime_rules_survive_a_stop(machine):
    machine.systemctl("start", "usherd.service")
    machine.write("/run/usher/rules.d/web.rule", "[Rule]\nStream=192.0.2.0/24:80\n")
    machine.systemctl("stop", "usherd.service", "usherd.socket")
    machine.systemctl("start", "usherd.service")
    assert "rules: 1" in machine.show("usherd.service", "StatusText")


def test_instance(machine):
    """usherd@NAME serves the network namespace of that name, next to the broker of the host."""
    machine.sh("""
        ip netns add blue
        ip -n blue link set lo up
        ip -n blue route add local 198.51.100.0/24 dev lo
        mkdir -p /etc/usher-blue/rules.d
        printf '[Rule]\\nStream=198.51.100.0/24:80\\n' > /etc/usher-blue/rules.d/web.rule
    """)
    service(machine, "web", "127.0.0.2:8080")
    unit(machine, "web.socket.d/blue.conf", "[Socket]", "NetworkNamespacePath=/run/netns/blue")
    unit(machine, "usher@web.service.d/blue.conf", "[Unit]", "Wants=usherd@blue.socket", "After=usherd@blue.socket",
         "[Service]", "ExecStart=", "ExecStart=usherctl --timeout=4 --instance=blue hand-in")
    enable(machine, "usherd@blue.service", "usherd.service", "web.socket", "usher@web.service")
    assert machine.show("usherd@blue.service", "StatusText") == "Generation 1 in force, rules: 1, matches: 1"
    assert (machine.root / "sys/fs/bpf/usher-blue/link").exists() and (machine.root / "sys/fs/bpf/usher/link").exists()
    ask = """import socket
sock = socket.create_connection(("198.51.100.7", 80))
print(sock.recv(100).decode().split()[0])"""
    assert machine.run("ip", "netns", "exec", "blue", "python3", "-c", ask).stdout == "web\n"
    machine.systemctl("restart", "usherd@blue.service")
    listed = machine.run("usherctl", "--instance=blue", "--no-legend", "list").stdout
    assert listed.split()[0] == "web" and sockets(machine) == []


def test_later_order(machine):
    """The hardening lets the broker count sockets of others, and ask the kernel for those that were there before."""
    counted = lambda: [line for line in machine.run("usherctl", "metrics").stdout.splitlines()
                       if line.startswith("usher_map_entries") and 'map="obstacles"' in line]
    for name, port in ("older", 80), ("newer", 81):
        unit(machine, f"{name}.socket", "[Socket]", f"ListenStream=127.0.0.2:{port}", "Accept=yes")
        unit(machine, f"{name}@.service", "[Service]", "ExecStart=/bin/true")
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "older.socket")
    rule(machine, "web", "Stream=80-81", "Order=last")
    enable(machine, "usherd.service")
    assert "cannot count" not in machine.text()
    assert (machine.root / "sys/fs/bpf/usher/hook_sockops").exists()
    assert counted()[0].endswith(" 1")
    machine.systemctl("start", "newer.socket")
    assert counted()[0].endswith(" 2")
    machine.systemctl("stop", "older.socket", "newer.socket")
    wait_until(lambda: counted()[0].endswith(" 0"))

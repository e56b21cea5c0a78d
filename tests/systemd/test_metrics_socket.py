# SPDX-License-Identifier: BSD-3-Clause
"""usher-metrics.socket serves the output of `usherctl metrics`; and the example for node_exporter."""

import pathlib
import socket

import pytest
from conftest import SOURCE
from harness.process import PATIENCE, in_child, wait_until
from prometheus_client.openmetrics import parser

from units import enable, rule, service, unit

PATH = "run/usher/metrics"


def scrape(machine):
    """Everything that the socket sends, up to the end."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(machine.root / PATH))
        text = b"".join(iter(lambda: client.recv(65536), b"")).decode()
    return {sample.name: sample for family in parser.text_string_to_metric_families(text) for sample in family.samples}


def test_scrape(machine):
    """The output is that of usherctl. It costs the broker only the request, and adds nothing to the journal."""
    rule(machine, "web", "Stream=192.0.2.0/24:80")
    service(machine, "web", "127.0.0.2:8080")
    enable(machine, "usherd.service", "web.socket", "usher@web.service", "usher-metrics.socket")
    samples = scrape(machine)
    assert samples["usher_up"].value == 1 and samples["usher_sockets"].value == 1
    assert set(samples) == {sample.name for family in parser.text_string_to_metric_families(
        machine.run("usherctl", "metrics").stdout) for sample in family.samples}
    for _ in range(20):
        assert scrape(machine)["usher_up"].value == 1
    assert machine.state("usher-metrics.socket") == "active/listening"
    assert machine.show("usher-metrics.socket", "NAccepted") == "21"
    wait_until(lambda: not machine.systemctl("list-units", "--all", "--no-legend", "usher-metrics@*").stdout,
               what="nothing is left of them")
    said = [entry for entry in machine.journal("-b") if "usher-metrics@" in entry.get("UNIT", entry.get("_SYSTEMD_UNIT", ""))]
    assert said == []


def test_starts_the_broker(machine):
    """A client of the socket starts the broker, as any client does. If there is no broker, the metrics say so."""
    enable(machine, "usherd.socket", "usher-metrics.socket")
    assert machine.state("usherd.service") == "inactive/dead"
    assert scrape(machine)["usher_up"].value == 1
    assert machine.state("usherd.service") == "active/running"
    machine.systemctl("stop", "usherd.service", "usherd.socket")
    assert [*scrape(machine)] == ["usher_up"] and scrape(machine)["usher_up"].value == 0
    assert not machine.systemctl("--failed", "--no-legend").stdout


def test_who_may(machine):
    """Root may connect, and the group of a drop-in. An unprivileged user of its own serves them."""
    machine.sh("groupadd --system --gid 990 scraper")
    unit(machine, "usher-metrics.socket.d/group.conf", "[Socket]", "SocketGroup=scraper")
    unit(machine, "usher-metrics@.service.d/stay.conf", "[Service]", "ExecStart=", "ExecStart=sleep 60")
    enable(machine, "usher-metrics.socket")
    with pytest.raises(PermissionError):
        in_child(lambda: scrape(machine), uid=65534, gid=65534)
    path = str(machine.root / PATH)
    assert machine.run("stat", "-c", "%a %G", "/run/usher/metrics").stdout == "660 scraper\n"

    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        served = wait_until(lambda: machine.systemctl("list-units", "--no-legend", "usher-metrics@*").stdout.split())
        status = pathlib.Path(f"/proc/{machine.main_pid(served[0])}/status")
        wait_until(lambda: "Name:\tsleep\n" in status.read_text())
        fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines())
    assert 61184 <= int(fields["Uid"].split()[0]) <= 65519, "of the dynamic users"
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["Seccomp"] == "2" and fields["NoNewPrivs"] == "1"


def test_clients_that_leave(machine):
    """A client that does not wait, or does not read, affects others only briefly."""
    unit(machine, "usher-metrics@.service.d/short.conf", "[Service]", "RuntimeMaxSec=2s")
    for number in range(300):
        rule(machine, f"name{number}", f"Stream=192.0.2.0/24:{2000 + number}")
    enable(machine, "usherd.service", "usher-metrics.socket")
    path = str(machine.root / PATH)
    for _ in range(5):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
    with socket.socket(socket.AF_UNIX) as idle:
        idle.connect(path)  # more comes than a socket's buffer holds, and nobody reads it
        assert scrape(machine)["usher_rules"].value == 300
        wait_until(lambda: machine.show("usher-metrics.socket", "NConnections") == "0")
    assert scrape(machine)["usher_up"].value == 1


def test_textfile(machine):
    """examples/textfile, installed as it says, writes the file at once, and again later."""
    folder = SOURCE / "examples/textfile"
    machine.write("/usr/local/bin/usher-textfile", (folder / "usher-textfile").read_text(), 0o755)
    for name in "usher-textfile.service", "usher-textfile.timer":
        machine.write(f"/etc/systemd/system/{name}", (folder / name).read_text())
    # seldom enough for the default limit of five starts in ten seconds
    unit(machine, "usher-textfile.timer.d/often.conf", "[Timer]", "OnUnitActiveSec=3s")
    machine.sh("mkdir -p /var/lib/prometheus/node-exporter; chown nobody /var/lib/prometheus/node-exporter")
    done = machine.run("systemd-analyze", "verify", "--man=no", "usher-textfile.service", "usher-textfile.timer")
    assert done.stdout + done.stderr == ""
    machine.run("systemd-analyze", "security", "--no-pager", "--threshold=20", "usher-textfile.service")
    enable(machine, "usherd.service", "usher-textfile.timer")
    path = machine.root / "var/lib/prometheus/node-exporter/usher.prom"
    wait_until(path.exists, what="the file is written")
    first = path.stat()
    assert "usher_up 1\n" in path.read_text() and first.st_mode & 0o777 == 0o644
    wait_until(lambda: path.stat().st_ino != first.st_ino or path.stat().st_mtime > first.st_mtime, what="it is written again")
    assert not machine.systemctl("--failed", "--no-legend").stdout

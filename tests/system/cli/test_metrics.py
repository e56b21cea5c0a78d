# SPDX-License-Identifier: BSD-3-Clause
"""What a monitoring system gets: `usherctl metrics`, and the keys of `status` on which it is based."""

import json
import os
import pathlib
import re
import resource
import socket
import threading

import pytest
from prometheus_client import parser as older
from prometheus_client.openmetrics import parser

from harness.broker import USHERCTL, Usherd, ctl
from harness.daemon import SOURCE, Daemon
from harness.host import AS_NOBODY, V4, WORK, rule, run
from harness.notify import barrier, notify
from harness.process import wait_until
from harness.service import Service, make_socket
from harness.traffic import REFUSED, who
from harness.wire import Connection, Refused, hand_in

EXAMPLES = SOURCE / "examples"


def parse(text):
    """{family: {labels of a sample, as (name of the sample, {(label, value), ...}): value}}, read by a strict parser."""
    found = {}
    for family in parser.text_string_to_metric_families(text):
        assert family.name not in found and family.documentation
        samples = found.setdefault(family.name, {})
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in samples, f"{key} appears twice"
            samples[key] = sample.value
    return found


class Metrics:
    """The output of usherctl metrics at one moment."""

    def __init__(self, *words, **options):
        self.text = ctl(*words, "metrics", **options).stdout
        self.families = parse(self.text)

    def __call__(self, sample, **labels):
        for samples in self.families.values():
            if (sample, frozenset(labels.items())) in samples:
                return samples[sample, frozenset(labels.items())]
        raise AssertionError(f"no {sample}{labels} in\n{self.text}")

    def all(self, sample):
        return [value for samples in self.families.values() for (name, _), value in samples.items() if name == sample]


def pairs(text):
    """{name: number, or a list of numbers} from the list in a value."""
    split = [word.split(":") for word in text.split()]
    return {name: int(numbers[0]) if len(numbers) == 1 else [int(number) for number in numbers]
            for name, *numbers in split}


class TestStatus:
    def test_hand_ins(self, broker):
        """Each request counts once, as done or as refused for a reason. Its time is in the histogram once it is answered."""
        running = broker(web="Stream=192.0.2.0/24:80")
        before = running.status()
        assert before["HAND_INS"] == "0" and set(pairs(before["HAND_INS_REFUSED"]).values()) == {0}
        assert set(pairs(before["HAND_IN_TIMES"]).values()) == {0} and before["HAND_IN_NSEC"] == "0"
        with make_socket("tcp", "127.0.0.2", 8080) as sock, make_socket("udp", "127.0.0.2", 8080) as other:
            hand_in("web", sock)
            hand_in("web", sock)  # kept
            running.request("hold", [sock], NAME="web")
            for name, fd in ("none", sock), ("web", other), ("web", os.open("/dev/null", os.O_RDONLY)):
                with pytest.raises(Refused):
                    hand_in(name, fd)
            running.request("withdraw", NAME="web")
        status = running.status()
        assert status["HAND_INS"] == "3"
        refused = pairs(status["HAND_INS_REFUSED"])
        assert {key: n for key, n in refused.items() if n} == {"ENOENT": 1, "EPROTONOSUPPORT": 1, "ENOTSOCK": 1}
        assert list(refused)[-1] == "other"
        times = pairs(status["HAND_IN_TIMES"])
        assert list(times) == [*"50 100 250 500 1000 2500 5000 10000 25000 50000 100000 250000 500000 1000000".split(),
                               "inf"]
        assert list(times.values()) == sorted(times.values()) and times["inf"] == 6
        assert 6 * 1000 < int(status["HAND_IN_NSEC"]) < 10e9

    def test_fdstore(self, broker):
        """The notify door: a datagram with FDSTORE=1 counts as a hand-in, and others do not."""
        running = broker(web="Stream=192.0.2.0/24:80")
        with make_socket("tcp", "127.0.0.2", 8080) as sock:
            notify("FDSTORE=1\nFDNAME=web\n", sock)
            notify("FDSTORE=1\nFDNAME=none\n", sock)
            notify("FDSTOREREMOVE=1\nFDNAME=web\n")
            assert barrier()
        status = running.status()
        assert status["HAND_INS"] == "1" and pairs(status["HAND_INS_REFUSED"])["ENOENT"] == 1
        assert pairs(status["HAND_IN_TIMES"])["inf"] == 2

    def test_reloads(self, broker, rules, usherd):
        running = broker(web="Stream=192.0.2.0/24:80")
        running.reload()
        rules(bad="Stream=nonsense")
        for _ in range(2):
            with pytest.raises(Refused):
                running.reload()
        running.hang_up()
        status = running.status()
        assert (status["RELOADS"], status["RELOADS_FAILED"]) == ("1", "3")
        rules(bad="Stream=81")
        running.restart()
        status = running.status()
        assert (status["RELOADS"], status["RELOADS_FAILED"]) == ("0", "0"), "they begin with the broker"

    def test_maps(self, broker):
        """A dual-stack socket has two places. The prefixes are those in the program's tables."""
        running = broker(web=rule("Stream=80", "Stream=192.0.2.0/24:81", "Stream=[2001:db8::/48]:81",
                                  "Stream=[2001:db8:1::/48]:81", access=["Bound=any"]),
                         other="Stream=192.0.2.0/24:25")
        assert pairs(running.status()["MAPS"])["places"] == [0, 32768]
        with make_socket("tcp", "::", 8080, v6only=False) as sock:
            hand_in("web", sock)
            maps = pairs(running.status()["MAPS"])
        assert maps["seats"] == [3, 4095] and maps["places"] == [2, 32768]
        assert maps["prefixes4"][0] >= 1 and maps["prefixes6"][0] >= 2 and maps["prefixes4"][1] == 2000000

    def test_process(self, broker):
        running = broker(web="Stream=192.0.2.0/24:80")
        with Connection() as one, Connection():
            wait_until(lambda: one.request("status")["SESSIONS"] == "2", what="connections before these are gone")
            status = one.request("status")
            # since Linux 6.5, each packet brings a pidfd of its sender, which is closed with it
            assert int(status["FDS"]) - len(Daemon.fds(running)) in (0, 1)
        assert int(status["FDS_MAX"]) == resource.prlimit(running.pid, resource.RLIMIT_NOFILE)[0]
        assert 1 << 20 < int(status["RESIDENT"]) < 1 << 30
        before = int(status["CPU"])
        assert before > 0 and int(running.status()["CPU"]) >= before


SEAT = {"name": "web", "protocol": "tcp", "family": "ipv4"}


class TestMetrics:
    def test_seats(self, broker):
        """The kernel's counters for each seat, the sockets of each seat, and the seats by state."""
        broker(web="Stream=192.0.2.0/24:80", empty="Stream=192.0.2.0/24:81", held="Datagram=[2001:db8::/48]:53")
        with Service("old", port=8001) as old, Service("new", port=8002) as new, \
                make_socket("udp", "::1", 8080) as udp:
            hand_in("web", old)
            hand_in("web", new)
            ctl("hand-in", "held", "--hold", "--fd", udp.fileno(), pass_fds=[udp.fileno()])
            before = Metrics()
            assert [who(V4, 80), who(V4, 80), who(V4, 81)] == ["new", "new", REFUSED]
            after = Metrics()
        assert after("usher_lookups_total", **SEAT) - before("usher_lookups_total", **SEAT) >= 2
        empty = {**SEAT, "name": "empty"}
        assert before("usher_missing_total", **empty) == 0
        assert after("usher_missing_total", **empty) == after("usher_lookups_total", **empty) > 0
        assert {state: after("usher_places", state=state, **SEAT) for state in ("serving", "standby", "early")} == {
            "serving": 1, "standby": 1, "early": 0}
        assert {state: after("usher_seats", state=state) for state in ("served", "held", "empty", "unrouted")} == {
            "served": 1, "held": 1, "empty": 1, "unrouted": 0}
        assert len(after.all("usher_refused_total")) == 3 * 6 and not any(after.all("usher_refused_total"))
        assert after("usher_events_lost_total", **SEAT) == 0
        assert (after("usher_sockets"), after("usher_names"), after("usher_held_sockets")) == (3, 2, 1)

    def test_refused(self, broker):
        """A socket no longer listens but is not closed: the kernel refuses it, and says why."""
        broker(web="Stream=192.0.2.0/24:80")
        with Service("web") as service:
            hand_in("web", service)
            service.stop()
            service.socket.shutdown(socket.SHUT_RDWR)
            assert who(V4, 80) == REFUSED
            metrics = Metrics()
        assert metrics("usher_refused_total", reason="state", **SEAT) == sum(metrics.all("usher_refused_total")) > 0

    def test_unrouted(self, broker):
        running = broker(web="Stream=192.0.2.0/24:80")
        with make_socket("tcp", "127.0.0.2", 8080) as sock:
            hand_in("web", sock)
            next(pathlib.Path("/run/usher/rules.d").glob("web.rule")).unlink()
            running.reload()
            metrics = Metrics()
        assert metrics("usher_seats", state="unrouted") == 1 and metrics("usher_rules") == 0
        assert metrics("usher_places", state="serving", **SEAT) == 0 and metrics("usher_sockets") == 1

    def test_broker(self, broker, rules):
        running = broker(web=["Stream=192.0.2.0/24:80", "Stream=[2001:db8::/48]:80"])
        running.reload()
        rules(bad="nonsense")
        with pytest.raises(Refused):
            running.reload()
        with make_socket("tcp", "127.0.0.2", 8080) as sock:
            hand_in("web", sock)
            with pytest.raises(Refused):
                hand_in("none", sock)
            metrics, status = Metrics(), running.status()
        assert metrics("usher_up") == 1 and metrics("usher_attached") == 1 and metrics("usher_programs") == 1
        assert metrics("usher_info", version=status["VERSION"], protocol="1", schema=status["SCHEMA"], instance="") == 1
        assert metrics("usher_reloads_total", result="ok") == metrics("usher_reloads_total", result="failed") == 1
        assert metrics("usher_generation") == 2 and metrics("usher_rules") == 1 and metrics("usher_matches") == 2
        assert metrics("usher_generation_applied_timestamp_seconds") == pytest.approx(int(status["APPLIED"]) / 1e6)
        assert metrics("usher_hand_ins_total") == 1 and metrics("usher_hand_ins_refused_total", reason="ENOENT") == 1
        assert sum(metrics.all("usher_hand_ins_refused_total")) == 1
        assert metrics("usher_map_entries", map="seats") == 2 and metrics("usher_map_max_entries", map="seats") == 4095
        assert metrics("usher_map_entries", map="places") == 1
        assert metrics("process_start_time_seconds") == pytest.approx(int(status["STARTED"]) / 1e6)
        assert metrics("process_max_fds") == int(status["FDS_MAX"]) > metrics("process_open_fds") > 10
        assert metrics("process_resident_memory_bytes") > 1 << 20 and metrics("process_cpu_seconds_total") > 0
        assert metrics("usher_sessions") >= 1

    def test_histogram(self, broker):
        """The parser has checked that the buckets grow and that the last one is the count."""
        broker(web="Stream=192.0.2.0/24:80")
        with make_socket("tcp", "127.0.0.2", 8080) as sock:
            for _ in range(20):
                hand_in("web", sock)
            metrics = Metrics()
        name = "usher_hand_in_duration_seconds"
        bounds = [dict(labels)["le"] for key, labels in metrics.families[name] if key == f"{name}_bucket"]
        assert bounds == ["0.00005", "0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05",
                          "0.1", "0.25", "0.5", "1.0", "+Inf"]
        assert metrics(f"{name}_count") == metrics(f"{name}_bucket", le="+Inf") == 20
        assert 20e-6 < metrics(f"{name}_sum") < 20

    def test_what_outlives_the_broker(self, broker):
        """Counters of the kernel and the generation continue. The help of the others says that they start again."""
        running = broker(web="Stream=192.0.2.0/24:80")
        with Service("web") as service:
            hand_in("web", service)
            assert who(V4, 80) == "web"
            before = Metrics()
            running.kill()
            assert who(V4, 80) == "web"
            running.start()
            after = Metrics()
        assert after("usher_lookups_total", **SEAT) > before("usher_lookups_total", **SEAT) > 0
        assert after("usher_generation") == 2
        assert (before("usher_hand_ins_total"), after("usher_hand_ins_total")) == (1, 0)
        help_of = dict(re.findall(r"^# HELP (\S+) (.*)$", after.text, re.M))
        lasting = {name for name, text in help_of.items() if "since the broker started" not in text}
        counters = set(re.findall(r"^# TYPE (\S+) (?:counter|histogram)$", after.text, re.M))
        assert counters & lasting == {"usher_lookups", "usher_missing", "usher_refused", "usher_yielded", "usher_events_lost"}

    def test_text(self, broker):
        """The text has types, units and an end. The older parser understands it too, and nothing depends on the locale."""
        broker(web="Stream=192.0.2.0/24:80")
        text = Metrics().text
        assert text.endswith("\n# EOF\n") and text.count("# EOF") == 1
        for name in re.findall(r"^# TYPE (\S+) ", text, re.M):
            assert name.startswith(("usher_", "process_"))
        for name, unit in re.findall(r"^# UNIT (\S+) (\S+)$", text, re.M):
            assert name.endswith(f"_{unit}")
        assert {family.name for family in older.text_string_to_metric_families(text)} >= {"usher_seats", "usher_up"}
        locales = [name for name in run("locale", "-a").stdout.split() if name not in ("C", "POSIX")]
        names = [[line.split(" ")[0] for line in ctl("metrics", env={**os.environ, "LC_ALL": name}).stdout.splitlines()]
                 for name in ("C", *locales[:3])]
        assert all(each == names[0] for each in names)

    def test_instances(self, usherd, broker):
        """One monitoring system can store the metrics of two brokers of a machine: a label distinguishes them."""
        broker(web="Stream=192.0.2.0/24:80")
        run("mkdir", "-p", "/etc/usher-blue/rules.d")
        blue = Usherd("blue")
        blue.start()
        metrics = Metrics("--instance", "blue")
        assert metrics("usher_up", broker="blue") == 1 and metrics("usher_seats", broker="blue", state="empty") == 0
        with pytest.raises(AssertionError):
            metrics("usher_up")
        assert not set(re.findall(r"^\w.*? ", metrics.text, re.M)) & set(re.findall(r"^\w.*? ", Metrics().text, re.M))

    def test_everybody_may(self, broker):
        broker(web="Stream=192.0.2.0/24:80")
        assert Metrics(**AS_NOBODY)("usher_up") == 1

    def test_no_broker(self):
        """The output says that the broker is down, and the exit code is that of every verb."""
        done = ctl("metrics", check=False)
        assert done.returncode == 3 and "no broker" in done.stderr
        assert parse(done.stdout) == {"usher_up": {("usher_up", frozenset()): 0}}

    def test_hostile_broker(self):
        """Whatever answers on the socket, the text stays well-formed: labels are escaped, and values that are not numbers
        are left out."""
        path = "/run/fake.sock"
        rows = ['ROW=1\nNAME=a"b\\c\nPROTOCOL=tcp\nFAMILY=ipv4\nSTATE=missing\nLOOKUPS=7\nMISSING=NaN\n',
                "ROW=1\nNAME=a\nPROTOCOL=tcp\nFAMILY=ipv4\nSTATE=missing\n",
                "ROW=1\nNAME=b\nPROTOCOL=udp\nFAMILY=ipv6\nSTATE=early\nCOOKIE=1f\nLOOKUPS=1\n", "OK=1\n",
                'OK=1\nVERSION=1"} 1 {\nGENERATION=-1\nRULES=3e3\nHAND_INS_REFUSED=x:1:2 :  y z:q\nHAND_IN_NSEC=1\n'
                "HAND_IN_TIMES=50:0 inf:1\nMAPS=seats\nRELOADS=\n"]
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(path)
            listener.listen()

            def answer():
                connection, _ = listener.accept()
                connection.recv(4096)
                for row in rows[:-1]:
                    connection.send(row.encode())
                connection.recv(4096)
                connection.send(rows[-1].encode())
                connection.close()

            thread = threading.Thread(target=answer)
            thread.start()
            metrics = Metrics("--socket", path)
            thread.join()
        assert metrics("usher_lookups_total", name='a"b\\c', protocol="tcp", family="ipv4") == 7
        assert len(metrics.all("usher_lookups_total")) == 2, "rows out of order are not seats"
        assert metrics("usher_places", name="b", protocol="udp", family="ipv6", state="early") == 1
        assert (metrics("usher_seats", state="served"), metrics("usher_seats", state="empty")) == (1, 1)
        assert metrics("usher_info", version='1"} 1 {', protocol="", schema="", instance="") == 1
        assert "usher_generation" not in metrics.families and "usher_rules" not in metrics.families

class TestExamples:
    def test_dashboard(self, broker):
        """Every metric and label that the dashboard queries exists, and no panel covers another."""
        broker(web="Stream=192.0.2.0/24:80")
        metrics = Metrics()
        labels = {}
        for samples in metrics.families.values():
            for name, pairs_of_labels in samples:
                labels.setdefault(name, set()).update(label for label, _ in pairs_of_labels)
        dashboard = json.loads((EXAMPLES / "grafana-usher.json").read_text())
        assert dashboard["uid"] == "usher" and dashboard["schemaVersion"] > 30
        queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
        queries += [each["expr"] for each in dashboard["annotations"]["list"]]
        queries += [each["definition"] for each in dashboard["templating"]["list"] if each["type"] == "query"]
        asked = set()
        for query in queries:
            names = re.findall(r"\b(?:usher|process)_\w+", query)
            asked.update(names)
            assert names and set(names) <= set(labels), query
            wanted = set(re.findall(r'[{,](\w+)=~?"', query)) | {
                label for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(", ")}
            wanted |= set(re.findall(r"label_values\(.*, (\w+)\)", query))
            assert wanted <= {"job", "instance"}.union(*(labels[name] for name in names)) | {"le"}, query
        used = {re.sub("_(bucket|sum|count)$", "", name) for name in asked}
        there = {re.sub("_(bucket|sum|count)$", "", name) for name in labels}
        assert there - used == {"usher_info", "process_max_fds", "process_start_time_seconds"}
        panels = dashboard["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        cells = [(panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y) for panel in panels
                 for x in range(panel["gridPos"]["w"]) for y in range(panel["gridPos"]["h"])]
        assert len(set(cells)) == len(cells) and max(x for x, _ in cells) < 24

    def test_textfile(self, broker):
        """The file for node_exporter is in the older format, with declared counters, without metrics that node_exporter has
    itself, and always complete."""
        running = broker(web="Stream=192.0.2.0/24:80")
        folder = WORK / "textfiles"
        folder.mkdir()
        environment = {**os.environ, "PATH": f"{USHERCTL.parent}:{os.environ['PATH']}"}
        script = EXAMPLES / "textfile/usher-textfile"
        run(script, folder, env=environment)
        text = (folder / "usher.prom").read_text()
        families = {family.name: family for family in older.text_string_to_metric_families(text)}
        assert families["usher_lookups"].type == "counter" and families["usher_lookups"].documentation
        assert families["usher_hand_in_duration_seconds"].type == "histogram"
        declared = set(re.findall(r"^# TYPE (\S+)", text, re.M))
        samples = set(re.findall(r"^([a-z_]+)", text, re.M))
        assert {re.sub("_(bucket|sum|count)$", "", name) for name in samples} == declared
        assert not any(name.startswith("process_") for name in declared)
        assert set(re.findall(r"^# TYPE \S+ (\S+)", text, re.M)) == {"counter", "gauge", "histogram"}
        before = (folder / "usher.prom").stat()
        assert before.st_mode & 0o777 == 0o644
        running.stop()
        run(script, folder, env=environment)
        assert "usher_up 0\n" in (folder / "usher.prom").read_text()
        assert (folder / "usher.prom").stat().st_ino != before.st_ino, "another file takes the place of the old one"
        # a file that cannot be written completely does not appear, and leaves nothing behind
        full = "ulimit -f 0; trap '' XFSZ; exec \"$0\" \"$@\""
        assert run("sh", "-c", full, script, folder, env=environment, check=False).returncode != 0
        assert "usher_up 0\n" in (folder / "usher.prom").read_text()
        run(script, folder, "--instance=blue", env=environment)
        assert {path.name for path in folder.iterdir()} == {"usher.prom", "usher-blue.prom"}
        assert 'usher_up{broker="blue"} 0\n' in (folder / "usher-blue.prom").read_text()

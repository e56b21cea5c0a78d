#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The renderer of the benchmarks. docs/performance.md has the figures of docs/performance.jsonl.

usage: test_report.py SOURCE-FOLDER
"""

import contextlib
import io
import json
import pathlib
import runpy
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

root = pathlib.Path(sys.argv[1]).resolve()
sys.path.insert(0, str(root / "tests/bench"))
sys.dont_write_bytecode = True

from report import document, plots, results, tables, targets  # noqa: E402

RUN = {"date": "2026-11-21", "kernel": "6.18", "processor": "Engine", "cores": 2, "machine": "", "usher": "1", "quick": False}


def made(*lines):
    found = results.Results(dict(RUN))
    for line in lines:
        results.add(found, line)
    results.check_baselines(found)
    return found


def samples(table, row, column, *values, unit="ns", **more):
    return {"table": table, "row": row, "column": column, "unit": unit, "values": list(values), **more}


def lookup(row, empty, usher):
    return [samples("lookup", row, "empty", *empty), samples("lookup", row, "usher", *usher, baseline="empty")]


class ResultsTest(unittest.TestCase):
    def test_median_and_percentiles(self):
        self.assertEqual(results.Samples([3, 1, 2], "ns").median, 2)
        self.assertEqual(results.Samples([1, 2, 3, 4], "ns").median, 2.5)
        self.assertEqual(results.Samples(list(range(11)), "ns").spread, (1, 9))
        self.assertEqual(results.Samples([5, 6], "ns").spread, (5.1, 5.9))
        self.assertEqual(results.Samples([7], "ns").spread, (7, 7))

    def test_rounds_are_compared_pair_by_pair(self):
        """A machine that gets slower during the run changes both figures, but not their difference."""
        base, other = results.Samples([10, 10, 30], "ns"), results.Samples([12, 12, 32], "ns")
        self.assertEqual(results.differences(other, base).values, [2, 2, 2])
        self.assertEqual(results.ratios(other, base).values, [1.2, 1.2, 32 / 30])

    def test_another_number_of_rounds_is_compared_by_medians(self):
        base, other = results.Samples([10, 20, 30], "ns"), results.Samples([25], "ns")
        self.assertEqual(results.differences(other, base).values, [5])
        self.assertEqual(results.ratios(other, results.Samples([0, 0], "ns")).values, [float("inf")])

    def test_order_is_that_of_the_lines(self):
        table = made(samples("t", "b", "y", 1), samples("t", "b", "x", 1), samples("t", "a", "x", 1)).tables["t"]
        self.assertEqual((table.rows, table.columns), (["b", "a"], ["y", "x"]))

    def test_bad_lines(self):
        good = samples("t", "r", "c", 1)
        for bad, words in [
            ([], "not an object"),
            ({**good, "color": "red"}, "unknown: color"),
            ({**good, "table": ""}, "table is missing"),
            ({**good, "row": 1}, "not a text"),
            ({**good, "values": []}, "no values"),
            ({**good, "values": ["1"]}, "not a number"),
            ({**good, "values": [True]}, "not a number"),
            ({**good, "values": [float("nan")]}, "not a number"),
            ({**good, "baseline": "b", "baseline_row": "r"}, "two things"),
            ({"table": "t", "row": "r", "values": [1]}, "without row, column or unit"),
            ({"table": "t", "row": "r"}, "neither values nor a note"),
        ]:
            with self.subTest(words), self.assertRaisesRegex(results.Bad, words):
                results.add(results.Results(dict(RUN)), bad)
        with self.assertRaisesRegex(results.Bad, "two sets of values"):
            made(good, good)
        with self.assertRaisesRegex(results.Bad, "no column 'b' to compare with"):
            made({**good, "baseline": "b"})

    def test_files(self):
        good = [{"run": RUN}, samples("t", "r", "c", 1.5)]
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "results.jsonl"
            for lines, words in [
                (good, None),
                ([], "empty"),
                (good[1:], ":1: does not say which run"),
                ([{"run": {}}], ":1: does not say which run"),
                ([good[0], {"table": "t"}], ":2: neither"),
                ([good[0], "garbage"], ":2: not an object"),
            ]:
                path.write_text("".join(json.dumps(line) + "\n" for line in lines))
                with self.subTest(words):
                    if words:
                        self.assertRaisesRegex(results.Bad, words, results.load, path)
                    else:
                        self.assertEqual(results.load(path).tables["t"].cells["r", "c"].values, [1.5])
            path.write_text(json.dumps(good[0]) + "\n{\n")
            self.assertRaisesRegex(results.Bad, ":2: not JSON", results.load, path)


class TablesTest(unittest.TestCase):
    def test_numbers(self):
        self.assertEqual([tables.number(value) for value in (0, 0.0312, 0.123, 1.26, 46.28, 230.7, 14802.3)],
                         ["0", "0.031", "0.12", "1.3", "46.3", "231", "14,802"])
        self.assertEqual([tables.number(value, True) for value in (2.04, -26.2)], ["+2.0", "-26.2"])

    def test_differences(self):
        table = made(*lookup("IPv4, x", [30, 30, 50], [32, 31, 54])).tables["lookup"]
        self.assertEqual(tables.lines(table), [["packet, ns", "empty", "usher", "difference"],
                                               ["IPv4, x", "30.0", "32.0", "+2.0 (+1.2 to +3.6)"]])

    def test_ratios_to_a_row(self):
        table = made(samples("tcp", "direct", "connections/s", 1000, 1100, unit="1/s", baseline_row="direct"),
                     samples("tcp", "proxy", "connections/s", 500, 550, unit="1/s", baseline_row="direct"),
                     samples("tcp", "direct", "p50", 10, unit="µs"),
                     samples("tcp", "direct", "failed", 0, unit=""),
                     {"table": "tcp", "row": "other", "note": "not installed"},
                     {"table": "tcp", "row": "another", "note": "not installed"},
                     {"table": "tcp", "note": "on two processors"}).tables["tcp"]
        self.assertEqual(tables.lines(table), [["way", "connections/s", "p50, µs"],
                                               ["direct", "1,050 (1,010 to 1,090)", "10.0"],
                                               ["proxy", "525 ×0.50 (505 to 545)", ""],
                                               ["other", "", ""],
                                               ["another", "", ""]])
        self.assertEqual(tables.notes(table), ["Medians, ratio (×) to 'direct', 10th to 90th percentile.",
                                               "Zero in every row: 'failed'.", "other; another: not installed.",
                                               "on two processors."])

    def test_failures_are_shown(self):
        """All failures are shown: a median hides what happened once."""
        table = made(samples("tcp", "a", "failed", 0, 0, 0, unit=""),
                     samples("tcp", "b", "failed", 300, 0, 0, unit="", baseline_row="a")).tables["tcp"]
        self.assertEqual(tables.lines(table), [["way", "failed, total"], ["a", "0"], ["b", "300"]])

    def test_markdown(self):
        self.assertEqual(tables.markdown([["a", "b"], ["1|2", ""]]), "| a | b |\n| --- | --- |\n| 1\\|2 |  |")

    def test_columns(self):
        self.assertEqual(tables.plain([["a", "b"], ["long", "1"]]), "a     b\nlong  1")


class TargetsTest(unittest.TestCase):
    def judge(self, text, *lines):
        target = next(target for target in targets.TARGETS if target.text.startswith(text))
        return targets.judge(target, made(*lines))

    def test_most(self):
        fine = lookup("IPv4, unrelated port", [30], [31])
        self.assertEqual(self.judge("unrelated port", *fine, *lookup("IPv6, unrelated port", [30], [32])),
                         ("at most 2 ns", "IPv4: 1.0 ns; IPv6: 2.0 ns", "met"))
        self.assertEqual(self.judge("unrelated port", *fine, *lookup("IPv6, unrelated port", [30], [35])),
                         ("at most 2 ns", "IPv4: 1.0 ns; IPv6: 5.0 ns", "**missed by 3.0 ns**"))
        self.assertEqual(self.judge("unrelated port", *fine), ("at most 2 ns", "", "not measured"))

    def test_least(self):
        def rates(usher):
            return [samples("tcp", row, "connections/s", rate, unit="1/s")
                    for row, rate in {"direct": 1000, "usher": usher, **dict.fromkeys(targets.PROXIES, 400)}.items()]

        self.assertEqual(self.judge("TCP connections/s, relative to the direct", *rates(990))[1:], ("×0.99", "met"))
        self.assertEqual(self.judge("TCP connections/s, relative to the direct", *rates(900))[1:],
                         ("×0.9", "**missed by ×0.08**"))
        self.assertEqual(self.judge("TCP connections/s, relative to every", *rates(900))[2], "met")
        self.assertEqual(self.judge("TCP connections/s, relative to every", *rates(700))[2], "**missed by ×0.25**")


class DocumentTest(unittest.TestCase):
    TEXT = "# Title\n\n<!-- begin a -->\nold\n<!-- end a -->\n\nby hand\n\n<!-- begin b -->\n<!-- end b -->\n"

    def test_replace(self):
        text = document.replace(self.TEXT, {"a": "new", "b": "more"})
        self.assertEqual(text, "# Title\n\n<!-- begin a -->\n\nnew\n\n<!-- end a -->\n\nby hand\n\n"
                               "<!-- begin b -->\n\nmore\n\n<!-- end b -->\n")
        self.assertEqual(document.replace(text, {"a": "new", "b": "more"}), text)

    def test_refusals(self):
        for text, blocks, words in [
            (self.TEXT, {"a": ""}, "nothing was measured for b"),
            (self.TEXT, {"a": "", "b": "", "c": ""}, "no place for c"),
            (self.TEXT.replace("end b", "end c"), {}, "'end c' without its beginning"),
            (self.TEXT.replace("<!-- end b -->", ""), {}, "'begin b' without its end"),
            (self.TEXT.replace("<!-- end a -->", ""), {}, "'begin b' before the end of 'a'"),
            (self.TEXT + self.TEXT, {}, "'begin a' appears twice"),
        ]:
            with self.subTest(words), self.assertRaisesRegex(document.Disagreement, words):
                document.replace(text, blocks)


class PlotsTest(unittest.TestCase):
    def test_text(self):
        self.assertEqual(plots.text_bars([("a", 10, "10", ""), ("long", 5, "5", "")]),
                         f"a     10  {'#' * 40}\nlong   5  {'#' * 20}")
        self.assertEqual(plots.text_bars([("a", 10, "10", ""), ("b", 5, "5", "×0.50")]),
                         f"a  10         {'#' * 40}\nb   5  ×0.50  {'#' * 20}")

    def test_pictures_are_well_formed(self):
        found = made(*lookup("IPv4, prefix", [30], [50]), *lookup("IPv4, prefix among 1M", [30], [90]),
                     *lookup("IPv6, prefix", [30], [50]), *lookup("IPv6, prefix among 1M", [30], [90]),
                     samples("tcp", "direct <&>", "connections/s", 1000, 1100, unit="1/s"),
                     samples("tcp", "usher", "connections/s", 990, unit="1/s", baseline_row="direct <&>"))
        drawn = plots.draw(found)
        self.assertEqual(list(drawn), ["lookup", "tcp"])
        for _, picture, text in drawn.values():
            ElementTree.fromstring(picture)
            self.assertTrue(text)
        self.assertIn("direct &lt;&amp;&gt;", drawn["tcp"][1])
        self.assertIn("×0.94", drawn["tcp"][2])


class RepositoryTest(unittest.TestCase):
    """The document and the results change together: tests/bench/run --from docs/performance.jsonl --write"""

    @classmethod
    def setUpClass(cls):
        cls.found = results.load(root / "docs/performance.jsonl")

    def test_document_has_the_figures_of_the_data(self):
        text = (root / "docs/performance.md").read_text()
        self.assertEqual(document.replace(text, document.blocks(self.found)), text)

    def test_plots_have_the_figures_of_the_data(self):
        drawn = {f"performance-{name}.svg": picture for name, (_, picture, _) in plots.draw(self.found).items()}
        kept = {path.name: path.read_text() for path in (root / "docs").glob("performance-*.svg")}
        self.assertEqual(kept, drawn)

    def test_figures_are_of_a_full_run(self):
        self.assertFalse(self.found.run["quick"])

    def test_targets_are_measured(self):
        """The targets use the names of the benchmarks."""
        unknown = [target.text for target in targets.TARGETS if targets.judge(target, self.found)[2] == "not measured"]
        self.assertEqual(unknown, [])


class CommandTest(unittest.TestCase):
    def run_it(self, *words):
        script, arguments, output = str(root / "tests/bench/run"), sys.argv, io.StringIO()
        sys.argv = [script, *map(str, words)]
        try:
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                runpy.run_path(script, run_name="__main__")
        except SystemExit as end:
            return end.code, output.getvalue()
        finally:
            sys.argv = arguments
        raise AssertionError("no status")

    def test_results_of_before(self):
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            for line in [{"run": RUN}, *lookup("IPv4, prefix", [30], [50])]:
                file.write(json.dumps(line) + "\n")
            file.flush()
            status, text = self.run_it("--from", file.name)
        self.assertEqual(status, 0)
        self.assertIn("== targets", text)

    def test_what_makes_no_sense(self):
        for words in (["--write", "--quick"], ["--write", "--only", "lookup"], ["--only", "nothing"],
                      ["--from", "x", "--results", "y"]):
            self.assertEqual(self.run_it(*words)[0], 2, words)

    def test_quick_figures_stay_out_of_the_document(self):
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            file.write(json.dumps({"run": {**RUN, "quick": True}}) + "\n")
            file.flush()
            self.assertRegex(str(self.run_it("--from", file.name, "--write")[0]), "--quick mean nothing")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

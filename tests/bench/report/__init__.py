# SPDX-License-Identifier: BSD-3-Clause
"""From the samples of benchmarks to tables, plots and the document: the parts of tests/bench/run."""

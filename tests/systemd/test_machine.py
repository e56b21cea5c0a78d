# SPDX-License-Identifier: BSD-3-Clause
"""The harness itself: what the other tests rely on"""


def test_boot(boot, version):
    machine = boot()
    assert machine.run("systemctl", "--version").stdout.split()[1] == str(version)
    assert machine.run("cat", "/proc/1/comm").stdout == "systemd\n"
    assert machine.run("findmnt", "-no", "FSTYPE", "/sys/fs/bpf").stdout == "bpf\n"
    machine.run("systemd-run", "--wait", "--quiet", "true")
    machine.run("logger", "-t", "test", "hello")
    assert machine.messages("-t", "test") == ["hello"]

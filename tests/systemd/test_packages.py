# SPDX-License-Identifier: BSD-3-Clause
"""What examples/get-packages leaves on a host: packages, none of whose services starts, and a way to remove them.

apt-get and dpkg-query are scripts here, which install the package `new` as Debian does; systemd is the real one."""

import pytest

from conftest import SOURCE

DPKG_QUERY = """#!/bin/sh
case $1 in
-L) echo "/usr/lib/systemd/system/$2.service"; echo "/usr/lib/systemd/system/$2.socket" ;;
*)
	if [ -n "$4" ]; then [ -e "/root/installed/$4" ] && printf installed && exit 0; exit 1; fi
	for package in /root/installed/*; do echo "installed ${package##*/}"; done ;;
esac
"""
APT_GET = """#!/bin/sh -e
case "$*" in
*-s\\ install*)
	echo 'Inst new (1.0-1 Debian:12/stable [amd64])'
	echo 'Inst with-new [0.9] (1.0-1 Debian:12/stable [amd64])'
	exit 0 ;;
*"Status-Fd=9"*)
	echo 'pmstatus:new:50.0:Unpacking' >&9
	touch /root/installed/new /root/installed/with-new
	for name in new with-new; do
		printf '[Service]\\nExecStart=sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\nAlias=%s-alias.service\\n' $name \\
			> /usr/lib/systemd/system/$name.service
		printf '[Socket]\\nListenStream=/run/%s\\n[Install]\\nWantedBy=sockets.target\\n' $name > /usr/lib/systemd/system/$name.socket
		systemctl enable $name.service $name.socket
		! /usr/sbin/policy-rc.d $name.service start || { systemctl start $name.socket && systemctl start $name.service; }
	done ;;
esac
"""
APT_CACHE = """#!/bin/sh
case "$*" in
"show new=1.0-1 with-new=1.0-1") printf 'Size: 6000000\\nInstalled-Size: 20000\\nSize: 6300000\\nInstalled-Size: 24531\\n' ;;
*) exit 1 ;;
esac
"""


@pytest.fixture
def host(machine):
    machine.write("/usr/local/bin/dpkg-query", DPKG_QUERY, 0o755)
    machine.write("/usr/local/bin/apt-get", APT_GET, 0o755)
    machine.write("/usr/local/bin/apt-cache", APT_CACHE, 0o755)
    for name in "get-packages", "progress.sh":
        machine.write(f"/root/{name}", (SOURCE / "examples" / name).read_text(), 0o755)
    machine.write("/root/installed/old", "")
    machine.write("/etc/systemd/system/old.service", "[Service]\nExecStart=sleep infinity\n[Install]\nWantedBy=multi-user.target\n")
    machine.systemctl("enable", "--now", "old.service")
    machine.sh("rm -f /usr/sbin/policy-rc.d /var/log/usher-packages")
    return machine


def enabled(host, unit):
    return host.systemctl("is-enabled", unit, check=False).stdout.strip()


def test_no_service_of_a_new_package_starts(host):
    """What is new is disabled, now and at boot; what was there before stays as it was. The names of new packages are kept."""
    text = host.run("/root/get-packages", "old", "new", "?nowhere").stdout
    assert text.startswith("Installing new (12.3 MB to download, 45.5 MB on disk)\n") and "packages: 100 %" in text
    for name in "new", "with-new":
        for kind in "service", "socket":
            assert enabled(host, f"{name}.{kind}") == "disabled"
            assert host.state(f"{name}.{kind}") == "inactive/dead"
    assert enabled(host, "old.service") == "enabled" and host.state("old.service") == "active/running"
    assert host.read("/var/log/usher-packages") == "new\nwith-new\n"
    assert host.run("test", "-e", "/usr/sbin/policy-rc.d", check=False).returncode == 1
    assert host.run("/root/get-packages", "old", "new").stdout == ""
    host.reboot()
    assert host.state("new.service") == "inactive/dead" and host.state("old.service") == "active/running"


def test_a_policy_of_the_host_stays(host):
    """Where the administrator's policy lets services start, those of new packages are stopped."""
    host.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 0\n", 0o755)
    host.run("/root/get-packages", "new")
    assert host.state("new.service") == "inactive/dead" and enabled(host, "new.socket") == "disabled"
    assert host.read("/usr/sbin/policy-rc.d") == "#!/bin/sh\nexit 0\n"


def test_of_two_at_once_one_waits(host):
    held = host.popen("flock", "/run/usher-packages.lock", "sh", "-c", "echo; read line", stdin=-1, stdout=-1)
    held.stdout.readline()
    waiting = host.popen("/root/get-packages", "new", stdout=-1)
    assert waiting.stdout.readline() == "Waiting for another installation of packages\n"
    held.communicate("\n")
    assert "Installing new" in waiting.communicate()[0] and waiting.returncode == 0

# SPDX-License-Identifier: BSD-3-Clause
"""meson install puts every file where Debian has files of its kind, and uninstall removes all of them."""

import json
import os
import pathlib
import re
import subprocess

import pytest
from conftest import BUILD, SOURCE, install, one_at_a_time

EXPECTED = """
    etc/usher/rules.d/web.rule.example
    usr/bin/usherctl
    usr/include/usher.h
    usr/lib/systemd/catalog/usher.catalog
    usr/lib/systemd/system/usher-again@.service
    usr/lib/systemd/system/usher-discover.service
    usr/lib/systemd/system/usher-metrics.socket
    usr/lib/systemd/system/usher-metrics@.service
    usr/lib/systemd/system/usher-relay@.service
    usr/lib/systemd/system-generators/usher-generator
    usr/lib/systemd/system/usher-sockets.service
    usr/lib/systemd/system/usher-sockets@.service
    usr/lib/systemd/system/usher@.service
    usr/lib/systemd/system/usherd.service
    usr/lib/systemd/system/usherd.socket
    usr/lib/systemd/system/usherd@.service
    usr/lib/systemd/system/usherd@.socket
    usr/lib/systemd/user/usher@.service
    usr/lib/TRIPLET/libusher.so
    usr/lib/TRIPLET/libusher.so.0
    usr/lib/TRIPLET/libusher.so.0.1.0
    usr/lib/TRIPLET/pkgconfig/libusher.pc
    usr/sbin/usher-discover
    usr/sbin/usher-relay
    usr/sbin/usherd
    usr/share/bash-completion/completions/usherctl
    usr/share/fish/vendor_completions.d/usherctl.fish
    usr/share/man/man1/usherctl.1
    usr/share/man/man3/libusher.3
    usr/share/man/man3/usher_claim.3
    usr/share/man/man3/usher_hand_in.3
    usr/share/man/man3/usher_hold.3
    usr/share/man/man3/usher_reason.3
    usr/share/man/man3/usher_udp_flow.3
    usr/share/man/man3/usher_udp_prepare.3
    usr/share/man/man3/usher_udp_receive.3
    usr/share/man/man3/usher_udp_send.3
    usr/share/man/man3/usher_withdraw.3
    usr/share/man/man5/usher.rules.5
    usr/share/man/man7/usher-protocol.7
    usr/share/man/man8/usher-discover.8
    usr/share/man/man8/usher-relay.8
    usr/share/man/man8/usher-generator.8
    usr/share/man/man8/usherd.8
    usr/share/zsh/vendor-completions/_usherctl
""".split()


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


@pytest.fixture
def scratch():
    return pathlib.Path("/run/test")  # for this test only, and removed with it


@pytest.fixture
def installed(scratch):
    """A folder into which usher is installed. At the end usher is uninstalled, and nothing is left."""
    folder = scratch / "root"
    with one_at_a_time():
        install(BUILD, folder)
        yield folder
        subprocess.run(["ninja", "-C", BUILD, "uninstall"], check=True, capture_output=True)
    assert not folder.exists(), f"uninstall left {files(folder)}"


def test_files(installed):
    triplet = f"{os.uname().machine}-linux-gnu"
    # Debian 12 has its units in /lib, which is a link to /usr/lib
    found = sorted(re.sub("^lib/", "usr/lib/", path) for path in files(installed))
    assert found == sorted(path.replace("TRIPLET", triplet) for path in EXPECTED)


def test_modes(installed):
    """Files are readable by everybody, programs are executable, and only root can write."""
    for path in files(installed):
        path = installed / path
        mode = path.stat().st_mode & 0o7777
        assert mode == (0o755 if path.parent.name in ("bin", "sbin", "system-generators") or ".so." in path.name or path.name.endswith(".so")
                        else 0o644), f"{path} {mode:o}"


def test_units_name_what_is_installed(installed):
    """The programs and manual pages that the units refer to exist."""
    for path in [installed / path for path in files(installed) if "/systemd/" in path and "generators" not in path]:
        text = path.read_text()
        for program in re.findall(r"^Exec\w+=[+-]*(/usr/\S+)", text, re.M):
            assert (installed / program[1:]).exists(), f"{path}: {program}"
        for page, section in re.findall(r"man:([\w.-]+)\((\d)\)", text):
            assert (installed / f"usr/share/man/man{section}/{page}.{section}").exists(), f"{path}: {page}({section})"


def test_library_is_found(installed, scratch):
    """pkg-config leads a compiler to it."""
    (scratch / "use.c").write_text("#include <usher.h>\n"
                                   'int main(void)\n{\n\treturn usher_withdraw("web", 0, 0, 0, 0) > 1;\n}\n')
    pkgconfig = next(installed.rglob("libusher.pc")).parent
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libusher"], capture_output=True,
                           text=True, check=True, env={**os.environ, "PKG_CONFIG_PATH": str(pkgconfig),
                                                       "PKG_CONFIG_SYSROOT_DIR": str(installed),
                                                       "PKG_CONFIG_ALLOW_SYSTEM_CFLAGS": "1",
                                                       "PKG_CONFIG_ALLOW_SYSTEM_LIBS": "1"}).stdout.split()
    subprocess.run(["gcc", scratch / "use.c", "-o", scratch / "use", *flags], check=True)


def test_example_of_a_rule(installed, scratch):
    """It is not in force, and with or without its comments it is a good rule."""
    text = (installed / "etc/usher/rules.d/web.rule.example").read_text()
    usherctl = [BUILD / "src/ctl/usherctl", "check", "--no-listeners"]
    assert subprocess.run([*usherctl, installed / "etc/usher/rules.d"], capture_output=True).returncode == 1
    for number, rule in enumerate((text, re.sub(r"^#(?=[\[A-Z])", "", text, flags=re.M))):
        (scratch / "web.rule").write_text(rule)
        done = subprocess.run([*usherctl, scratch / "web.rule"], capture_output=True, text=True)
        assert done.stdout.startswith(f"ok: rules: 1, matches: {[1, 3][number]}"), done.stderr


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_the_linker_looks_where_the_library_is(scratch, compiler):
    """Without dpkg-dev, meson takes lib64, where Debian's linker does not look."""
    build = scratch / f"build-{compiler}"
    subprocess.run(["meson", "setup", build, SOURCE, "--prefix=/usr/local", "--libdir=lib64", "-Dtests=false"], check=True,
                   capture_output=True, env={**os.environ, "CC": compiler})
    found = subprocess.run(["meson", "introspect", "--targets", build], capture_output=True, text=True, check=True).stdout
    library, = [target for target in json.loads(found) if target["name"] == "usher" and "shared" in target["type"]]
    folders = [line for path in pathlib.Path("/etc/ld.so.conf.d").glob("*.conf") for line in path.read_text().splitlines()]
    assert os.path.dirname(library["install_filename"][0]) in folders, library["install_filename"]


def test_another_prefix(scratch):
    """With the prefix /usr/local, units are where systemd looks for them, and start the programs installed there."""
    build, folder = scratch / "build", scratch / "root"
    subprocess.run(["meson", "setup", build, SOURCE, "--prefix=/usr/local"], check=True, capture_output=True)
    install(build, folder, "--tags=systemd")
    assert {path.split("/systemd/")[0] for path in files(folder)} == {"usr/local/lib"}
    text = (folder / "usr/local/lib/systemd/system/usherd.service").read_text()
    assert "\nExecStart=/usr/local/sbin/usherd\n" in text and "\nExecReload=/usr/local/bin/usherctl reload\n" in text

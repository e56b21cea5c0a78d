# SPDX-License-Identifier: BSD-3-Clause
"""A machine with real systemd as process 1, in namespaces of its own on the running kernel.

Its / is an overlay: a read-only root below, and what is installed and written above, which reboots keep. The machine has
its own processes, network, cgroups (v2, whatever the host has), bpffs and journal. The test is outside, at the other end
of a cable.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import traceback

from harness import isolate, process
from harness.host import CLIENT_V4, CLIENT_V6, HOST_V4, HOST_V6, ip
from harness.process import wait_until

CLONE_NEWCGROUP = 0x02000000
MNT_DETACH = 2
SYS_PIVOT_ROOT = 155 if os.uname().machine == "x86_64" else 41
SIGRTMIN_HALT = signal.SIGRTMIN + 4  # after "systemctl poweroff", process 1 of a container exits

# Documentation addresses, all local to the machine. The test reaches them by the cable.
PUBLIC = ["192.0.2.0/24", "198.51.100.0/24", "2001:db8:1::/48"]
PRIVATE = ["fd00:1::1", "fd00:1::2"]

# Units that have nothing to do, or cannot work, on a machine without hardware
MASKED = """
    systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udevd-varlink.socket
    systemd-udev-trigger.service systemd-udev-load-credentials.service systemd-modules-load.service
    systemd-sysctl.service systemd-timesyncd.service systemd-resolved.service systemd-networkd.service
    systemd-logind.service systemd-binfmt.service systemd-hwdb-update.service systemd-update-utmp.service
    systemd-update-utmp-runlevel.service systemd-random-seed.service systemd-firstboot.service
    systemd-journald-audit.socket systemd-user-sessions.service systemd-tpm2-setup.service
    systemd-tpm2-setup-early.service keyboard-setup.service console-setup.service getty.target modprobe@.service
    tmp.mount dev-hugepages.mount dev-mqueue.mount sys-fs-fuse-connections.mount sys-kernel-config.mount
    sys-kernel-debug.mount sys-kernel-tracing.mount proc-sys-fs-binfmt_misc.automount
    systemd-ask-password-console.path systemd-ask-password-wall.path e2scrub_reap.service
""".split()


def cgroup_root():
    """Where cgroup v2 is mounted: a machine may have it next to v1."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[fields.index("-") + 1] == "cgroup2":
            return pathlib.Path(fields[4])
    raise AssertionError("no cgroup2 file system is mounted")


def cgroups():
    """The cgroup of the test session, which contains those of its machines."""
    return cgroup_root() / f"usher-test-{os.environ['USHER_TEST_SESSION']}"


class Machine:
    """A machine: `start()` boots it, `stop()` ends it, and the next start finds what it wrote to its disk."""

    _all = []

    def __init__(self, base, installed, work="/run/test", name="machine"):
        self.base, self.installed, self.name = base, installed, name
        self.work = pathlib.Path(work, name)
        self.log_path = self.work / "console.log"
        self.pid = None
        for folder in ("upper", "overlay", "root"):
            (self.work / folder).mkdir(parents=True)
        self.cgroup = cgroups() / f"machine{len(Machine._all)}"
        Machine._all.append(self)
        self._prepare()

    # ---- disk

    def _prepare(self):
        """Write what the machine's disk needs and its layers lack, and hide what belongs to the host below."""
        with self._mounted() as root:
            for path in [*root.glob("etc/usher*"), *root.glob("usr/lib/usher*"), *root.glob("usr/local/lib/usher*")]:
                shutil.rmtree(path)  # rules of the host below
            shutil.copytree(self.installed, root, symlinks=True, dirs_exist_ok=True)
            etc = root / "etc"
            for path in [etc / "systemd/system", etc / "rc.local", *etc.glob("rc?.d"), etc / "init.d",
                         root / ".dockerenv"]:  # this would make systemd believe that it is in another container
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.exists():
                    path.unlink()
            units = etc / "systemd/system"
            units.mkdir(parents=True)
            for unit in MASKED:
                (units / unit).symlink_to("/dev/null")
            (units / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
            (etc / "fstab").write_text("")
            (etc / "hostname").write_text("machine\n")
            (etc / "machine-id").write_text("0123456789abcdef0123456789abcdef\n")
            journald = etc / "systemd/journald.conf.d"
            journald.mkdir(parents=True, exist_ok=True)
            (journald / "test.conf").write_text("[Journal]\nStorage=volatile\nRateLimitBurst=0\nForwardToWall=no\n")

            # / is an overlay, on which Podman's own cannot lie, and the kernel's controllers may belong to the cgroups v1 of
            # the host. crun of Debian 12 needs CAP_SYS_RESOURCE.
            containers = etc / "containers"
            containers.mkdir(exist_ok=True)
            (containers / "storage.conf").write_text("[storage]\ndriver = \"vfs\"\nrunroot = \"/run/containers/storage\"\ngraphroot = \"/var/lib/containers/storage\"\n")
            runtime = "runc" if (root / "usr/sbin/runc").exists() else "crun"
            (containers / "containers.conf").write_text(
                f"[containers]\npids_limit = 0\n[engine]\nruntime = \"{runtime}\"\n")

    def _mount_root(self):
        isolate.mount("overlay", str(self.work / "root"), "overlay", 0,
                      f"lowerdir={self.base},upperdir={self.work}/upper,workdir={self.work}/overlay")

    @contextlib.contextmanager
    def _mounted(self):
        self._mount_root()
        try:
            yield self.work / "root"
        finally:
            process.libc("umount2", str(self.work / "root").encode(), 0)

    @property
    def root(self):
        """The machine's / as the test sees it, while the machine runs."""
        return pathlib.Path(f"/proc/{self.pid}/root")

    def write(self, path, text, mode=0o644):
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def read(self, path):
        return (self.root / path.lstrip("/")).read_text()

    # ---- life

    def start(self, failing=False):
        """Boot, and wait until every enabled unit has started. Raises AssertionError if one failed, or with `failing` if
        none did."""
        assert self.pid is None, "the machine runs already"
        self.cgroup.mkdir(exist_ok=True, parents=True)
        self.pid = self._spawn()
        state = wait_until(self._booted, "the machine has booted")
        if state != ("degraded" if failing else "running"):
            raise AssertionError(f"the machine is {state}: {self.run('systemctl', '--failed', check=False).stdout}"
                                 f"{self.text()}")
        return self

    def _booted(self):
        assert self.pid is not None and os.path.exists(f"/proc/{self.pid}/root/run/systemd/private"), self.console()
        done = self.run("systemctl", "is-system-running", "--wait", check=False)
        return done.stdout.strip() if done.stdout.strip() in ("running", "degraded") else None

    def stop(self):
        """Power off properly."""
        os.kill(self.pid, SIGRTMIN_HALT)
        self._reap()

    def kill(self):
        """Pull the plug."""
        os.kill(self.pid, signal.SIGKILL)
        self._reap()

    def reboot(self, failing=False):
        self.stop()
        return self.start(failing)

    def _reap(self):
        def ended():
            found, _ = os.waitpid(self.pid, os.WNOHANG)
            return found

        wait_until(ended, f"process 1 of {self.name} has ended")
        self.pid = None
        for folder, _, _ in sorted(os.walk(self.cgroup), reverse=True):
            wait_until(lambda path=folder: not os.path.exists(path) or os.rmdir(path) is None, f"no {folder}")
        # the kernel removes a namespace, and with it the cable, some time after the last process in it has ended
        wait_until(lambda: "machine0" not in [name for _, name in socket.if_nameindex()], "no cable to the machine")

    @classmethod
    def end_all(cls):
        for machine in cls._all:
            if machine.pid is not None:
                machine.kill()

    def _spawn(self):
        """Fork twice, so that the machine's process 1 is a child of the test's own process 1, and wait for its exec."""
        tell_read, tell_write = os.pipe2(os.O_CLOEXEC)
        go_read, go_write = os.pipe2(os.O_CLOEXEC)
        outer = os.fork()
        if outer == 0:
            try:
                (self.cgroup / "cgroup.procs").write_text("0")
                process.libc("unshare", isolate.CLONE_NEWNS | isolate.CLONE_NEWPID | isolate.CLONE_NEWNET
                             | isolate.CLONE_NEWUTS | isolate.CLONE_NEWIPC | CLONE_NEWCGROUP)
                inner = os.fork()
                if inner == 0:
                    os.close(go_write)
                    os.read(go_read, 1)
                    self._become_init()
                os.write(tell_write, f"{inner}\n".encode())
                os._exit(0)
            except BaseException:
                os.write(tell_write, traceback.format_exc().encode())
            finally:
                os._exit(1)
        os.close(tell_write)
        os.close(go_read)
        os.waitpid(outer, 0)
        told = os.read(tell_read, 65536).decode()
        os.close(tell_read)
        if not told.strip().isdigit():
            raise AssertionError(f"cannot make namespaces: {told}")
        pid = int(told)
        ip(f"link add machine0 type veth peer name eth0 netns {pid}", "link set machine0 up",
           f"addr add {CLIENT_V4}/24 dev machine0", f"addr add {CLIENT_V6}/64 dev machine0 nodad",
           *[f"route add {prefix} via {HOST_V6 if ':' in prefix else HOST_V4}" for prefix in PUBLIC])
        os.close(go_write)
        return pid

    def _become_init(self):
        """In the new namespaces: set up network, / and the kernel's file systems, and become process 1. Never returns."""
        log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null = os.open("/dev/null", os.O_RDONLY)
        for target, source in enumerate((null, log, log)):
            os.dup2(source, target)
        try:
            process.libc("sethostname", b"machine", 7)
            ip("link set lo up", "link set eth0 up", f"addr add {HOST_V4}/24 dev eth0",
               f"addr add {HOST_V6}/64 dev eth0 nodad",
               *[f"addr add {address}/128 dev lo nodad" for address in PRIVATE],
               *[f"route add local {prefix} dev lo" for prefix in PUBLIC])
            isolate.mount("none", "/", None, isolate.MS_REC | isolate.MS_PRIVATE)
            self._mount_root()
            self._mount_api(self.work / "root")
            os.chdir(self.work / "root")
            process.libc("syscall", SYS_PIVOT_ROOT, b".", b".")
            process.libc("umount2", b".", MNT_DETACH)
            os.chdir("/")
            process.close_all_except(())
            os.execve("/lib/systemd/systemd", ["systemd", "--system"],
                      {"container": "usher-test", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"})
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(99)

    @staticmethod
    def _mount_api(root):
        mount = isolate.mount
        mount("proc", f"{root}/proc", "proc")
        mount("sysfs", f"{root}/sys", "sysfs")
        mount("cgroup2", f"{root}/sys/fs/cgroup", "cgroup2")
        mount("bpf", f"{root}/sys/fs/bpf", "bpf", 0, "mode=700")
        for folder, options in (("run", "mode=755"), ("tmp", "mode=1777"), ("dev", "mode=755")):
            mount("tmpfs", f"{root}/{folder}", "tmpfs", 0, options)
        for device in ("null", "zero", "full", "random", "urandom", "tty"):
            (root / "dev" / device).touch()
            mount(f"/dev/{device}", f"{root}/dev/{device}", None, 4096)  # MS_BIND
        for folder in ("pts", "shm"):
            (root / "dev" / folder).mkdir()
        mount("devpts", f"{root}/dev/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=620,gid=5")
        mount("tmpfs", f"{root}/dev/shm", "tmpfs", 0, "mode=1777")
        for name, target in (("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"),
                             ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2")):
            (root / "dev" / name).symlink_to(target)

    # ---- commands

    def popen(self, *command, **options):
        """Start a command in the machine, in a cgroup next to those of its units."""
        scope = self.cgroup / "test.scope"
        scope.mkdir(exist_ok=True)
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--root",
                 "--wd", "env", "-i", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8",
                 "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0"]
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen([*enter, *map(str, command)], text=True,
                                preexec_fn=lambda: (scope / "cgroup.procs").write_text("0"), **options)

    def run(self, *command, check=True, input=None):
        """Run a command in the machine to its end."""
        with self.popen(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                        stdin=subprocess.DEVNULL if input is None else subprocess.PIPE) as child:
            try:
                out, err = child.communicate(input, timeout=process.PATIENCE)
            except subprocess.TimeoutExpired:
                child.kill()
                raise
        done = subprocess.CompletedProcess(command, child.returncode, out, err)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(map(str, command))}: status {done.returncode}\n{out}{err}")
        return done

    def sh(self, script, **options):
        return self.run("sh", "-euc", script, **options)

    def systemctl(self, *words, **options):
        return self.run("systemctl", *words, **options)

    def show(self, unit, key):
        """A property of a unit."""
        return self.systemctl("show", "--value", "--property", key, unit).stdout.strip()

    def state(self, unit):
        return self.show(unit, "ActiveState") + "/" + self.show(unit, "SubState")

    def main_pid(self, unit):
        """The unit's main process, as the test sees it."""
        inside = int(self.show(unit, "MainPID"))
        assert inside, f"{unit} has no process"
        for path in self.cgroup.rglob("cgroup.procs"):
            for pid in path.read_text().split():
                status = pathlib.Path(f"/proc/{pid}/status").read_text() if pid != "0" else ""
                if any(line.split()[0] == "NSpid:" and line.split()[-1] == str(inside) for line in status.splitlines()):
                    return int(pid)
        raise AssertionError(f"process {inside} of {unit} is in no cgroup of {self.name}")

    def journal(self, *arguments):
        """The entries that journalctl finds, as dictionaries"""
        self.run("journalctl", "--sync")
        lines = self.run("journalctl", "-o", "json", "--all", "--no-pager", "-q", *arguments).stdout.splitlines()
        return [json.loads(line) for line in lines]

    def messages(self, *arguments):
        return [entry.get("MESSAGE") for entry in self.journal(*arguments)]

    def text(self):
        """The journal of this boot, as journalctl shows it."""
        return self.run("journalctl", "-b", "-o", "short-precise", "--no-pager", "-q", "-n", "120", check=False).stdout

    def console(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    @contextlib.contextmanager
    def entered(self):
        """Enter the network of the machine, in the calling thread only: Load and ask() take this as `netns`."""
        there = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            process.libc("setns", there, isolate.CLONE_NEWNET)
            yield
        finally:
            process.libc("setns", home, isolate.CLONE_NEWNET)
            os.close(there)
            os.close(home)

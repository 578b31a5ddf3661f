"""A Debian with a real systemd in a container: booted, entered, rebooted, and taken away without a trace."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

SUITE = "bookworm"
PYTHON = "3.11"
PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-venv"
"""The oldest Debian with that Python."""

CACHE = Path(os.environ.get("INSPECTOR_TEST_CACHE", "~/.cache/strip-inspector")).expanduser()
"""Where the Debian base and the wheels are kept from one run to the next."""

REPOSITORY = Path(__file__).parents[2]

BOOT_S = 60
STOP_S = 30

ASKED_FOR_REBOOT = 133
"""systemd-nspawn's exit code (systemd.exec(5))."""

HARDENED = " ".join(f"-p {each}=yes" for each in ("PrivateUsers", "PrivateNetwork", "DynamicUser", "ProtectHome"))
"""What the units ask of the kernel that a container may not have."""

TAKEN_CAPABILITIES = "-sys_time,-sys_module,-sys_rawio,-syslog"
"""A command that enters from outside would keep these, and with them the clock of the machine it comes from."""

Completed = subprocess.CompletedProcess[str]


def debian() -> Path:
    """The base system's folder, created once; skips if it cannot be created."""
    if os.geteuid() != 0:
        pytest.skip("system: needs root")
    for program, package in (("systemd-nspawn", "systemd-container"), ("debootstrap", "debootstrap")):
        if shutil.which(program) is None:
            pytest.skip(f"system: needs {program}: apt install {package}")
    base = CACHE / f"debian-{SUITE}"
    if not (base / ".whole").exists():
        shutil.rmtree(base, ignore_errors=True)
        base.parent.mkdir(parents=True, exist_ok=True)
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(base)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"system: no Debian to be had: {done.stdout.strip().splitlines()[-1:]}")
        (base / ".whole").touch()
    return base


def release(folder: Path) -> tuple[Path, Path]:
    """What a user downloads: the wheel and its libraries as wheels; skips if they are unavailable."""
    source = folder / "source"
    for name in ("inspector", "trainer", "deploy", "configs"):
        ignore = shutil.ignore_patterns("__pycache__", "engine")
        shutil.copytree(REPOSITORY / name, source / name, ignore=ignore if name == "configs" else None)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source / name)
    wheels = CACHE / f"wheels-{PYTHON}"
    wheels.mkdir(parents=True, exist_ok=True)
    _pip("wheel", wheels, "--no-deps", "--wheel-dir", source, source)
    only = ("--only-binary", ":all:", "--python-version", PYTHON)
    lock = source / "deploy/requirements.lock"
    _pip("download", wheels, *only, "--dest", wheels, "--require-hashes", "-r", lock)
    return source, wheels


def _pip(command: str, wheels: Path, *arguments: object) -> None:
    """Run pip offline first, then with its index for missing packages; skips if neither has them."""
    pip = [sys.executable, "-m", "pip", command, "--quiet", "--disable-pip-version-check", "--find-links", wheels]
    for index in (["--no-index"], []):
        done = subprocess.run([*map(str, [*pip, *index, *arguments])], capture_output=True, text=True)
        if done.returncode == 0:
            return
    pytest.skip(f"system: pip {command}: {done.stderr.strip().splitlines()[-1:]}")


@dataclass(frozen=True, slots=True)
class Inside:
    """A process of the container."""

    pid: int
    outside: int
    """Its id on the machine that runs the tests."""
    command: str


class Container:
    """One booted system on a throw-away layer over the base."""

    def __init__(self, base: Path, folder: Path, read_only: dict[Path, str], writable: dict[Path, str]) -> None:
        self._folder = folder
        self.root = folder / "root"
        self._binds = [f"--bind-ro={path}:{inside}" for path, inside in read_only.items()]
        self._binds += [f"--bind={path}:{inside}" for path, inside in writable.items()]
        self._popen: subprocess.Popen[bytes] | None = None
        self._has_booted = False
        for name in ("root", "upper", "work"):
            (folder / name).mkdir(parents=True)
        layers = f"lowerdir={base},upperdir={folder / 'upper'},workdir={folder / 'work'}"
        mount("overlay", layers, self.root)

    def boot(self) -> None:
        """Start it and wait until all units are up; skips where this machine cannot do it at all."""
        log = (self._folder / "console.log").open("wb")
        command = [
            "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--private-network",
            f"--machine=inspector-{os.getpid()}", f"--directory={self.root}",
            *self._binds,
        ]  # fmt: skip
        self._popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        try:
            until(self._is_up_or_gone, BOOT_S, "the container is not up")
            why = self.run(f"systemd-run --quiet --wait {HARDENED} /bin/true 2>&1").stdout
        except AssertionError as error:
            why = str(error)
        if why or self._popen.poll() is not None:
            words = (self._folder / "console.log").read_text(errors="replace").strip().splitlines()[-1:]
            self.remove()
            give_up = pytest.fail if self._has_booted else pytest.skip
            give_up(f"system: no service can be booted and hardened here: {words} {why}")
        self._has_booted = True

    def _is_up_or_gone(self) -> bool:
        state = self.run("systemctl is-system-running", check=False).stdout.strip()
        return state in {"running", "degraded"} or (self._popen is not None and self._popen.poll() is not None)

    @property
    def leader(self) -> int:
        """Return the process id of its init, seen from outside; raises LookupError before it exists."""
        own = Path("/proc/self/ns/pid").readlink()
        assert self._popen is not None
        for child in psutil.Process(self._popen.pid).children():
            # Entering a process that has no namespace yet would be running commands on this machine.
            if Path(f"/proc/{child.pid}/ns/pid").readlink() != own and child.name() == "systemd":
                return child.pid
        raise LookupError("the container has no init")

    def run(self, command: str, *, check: bool = True, timeout: float = 240) -> Completed:
        """A shell command in there, as root."""
        try:
            enter = ["nsenter", "--target", str(self.leader), "--all"]
        except (LookupError, psutil.Error, OSError):
            return subprocess.CompletedProcess(command, 255, "", "no container")
        limit = ["setpriv", f"--bounding-set={TAKEN_CAPABILITIES}", "--", "/bin/sh", "-c", command]
        done = subprocess.run(
            [*enter, *limit], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_PAGER": "cat"},
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def processes(self, user: str) -> list["Inside"]:
        """All processes that a user has in there."""
        uid = self.run(f"id -u {user}").stdout.strip()
        namespace = Path(f"/proc/{self.leader}/ns/pid").readlink()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (process / "ns/pid").readlink() != namespace:
                    continue
                status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
                if status["Uid"].split()[0] == uid:
                    command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found.append(Inside(int(status["NSpid"].split()[-1]), int(process.name), command))
        return found

    def path(self, inside: str) -> Path:
        """A file of its disk, seen from outside. /run and /tmp are not on it."""
        return self.root / inside.lstrip("/")

    def reboot(self) -> None:
        """Reboot it in order."""
        assert self._popen is not None
        self.run("systemctl reboot", check=False)
        assert self._popen.wait(BOOT_S) == ASKED_FOR_REBOOT
        self.boot()

    def cut_power(self) -> None:
        """Kill everything in it, then boot it again."""
        assert self._popen is not None
        os.kill(self.leader, signal.SIGKILL)
        self._popen.wait(STOP_S)
        self.boot()

    def remove(self) -> None:
        """Power it off and take its disk away."""
        if self._popen is not None and self._popen.poll() is None:
            with contextlib.suppress(LookupError, psutil.Error, OSError):
                os.kill(self.leader, signal.SIGRTMIN + 4)  # systemd's "power off"
            try:
                self._popen.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._popen.terminate()
                self._popen.wait()
        subprocess.run(["umount", "--lazy", str(self.root)], check=False)
        shutil.rmtree(self._folder, ignore_errors=True)


def mount(kind: str, options: str, place: Path) -> None:
    """Mount a separate file system; skips if this machine cannot."""
    done = subprocess.run(
        ["mount", "-t", kind, kind, "-o", options, str(place)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"system: no {kind} can be mounted here: {done.stderr.strip()}")


def until(condition: Callable[[], bool], timeout_s: float, otherwise: str) -> float:
    """Wait for a condition; returns how long it took.

    The bound is that of a PC with nothing else to do; on a machine with more to run than it has cores, everything
    takes longer in proportion.
    """
    started = time.monotonic()
    while not condition():
        bound_s = timeout_s * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        assert time.monotonic() - started < bound_s, f"{otherwise} within {bound_s:.0f} s"
        time.sleep(0.05)
    return time.monotonic() - started

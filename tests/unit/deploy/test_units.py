"""The units as systemd reads them; it need not be running. Installed and booted they are in tests/system."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from inspector.wire.links import LINKS

DEPLOY = Path(__file__).parents[3] / "deploy"
UNITS = "usr/local/lib/systemd/system"

STAGES = ("inspector-decide", "inspector-worker@demo", "inspector-ingest@top", "inspector-strip")
BESIDE = ("inspector-serve", "inspector-mqtt", "inspector-opcua", "inspector-archive")
REPORT = "inspector-report"
EXAMPLES = {"inspector-worker@demo": "worker-gpu.conf", "inspector-ingest@top": "ingest-realtime.conf"}

MOST_EXPOSED = 2.5
"""On the scale of `systemd-analyze security`, 0 (best) to 10."""

BACKOFF_SINCE = 254
"""The systemd that knows RestartSteps=; install.sh leaves the drop-in out before."""

GPU_UNIT = "strip-inspector-gpu.service"
GPU_PROGRAMS = ("usr/bin/nvidia-modprobe", "usr/bin/nvidia-smi")
"""Of NVIDIA's driver."""

FOUND_ELSEWHERE = ("sysinit", "basic", "shutdown", "multi-user")
"""Targets that every PC has."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root folder that contains only the units and the programs that they start."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("units: needs systemd-analyze: apt install systemd")
    units = tmp_path / UNITS
    shutil.copytree(DEPLOY / "systemd", units, ignore=shutil.ignore_patterns("examples"))
    version = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.split()[1]) < BACKOFF_SINCE:
        (units / "inspector-.service.d/20-backoff.conf").unlink()
    for name in FOUND_ELSEWHERE:
        (units / f"{name}.target").write_text("[Unit]\nDescription=of every PC\n")
    programs = ("opt/inspector/current/bin/inspector", "bin/sh", "bin/sleep", "usr/bin/echo", *GPU_PROGRAMS)
    for program in programs:
        (tmp_path / program).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
    return tmp_path


def analyze(command: str, root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["systemd-analyze", command, f"--root={root}", *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def give_gpu(root: Path) -> None:
    drop_in = root / UNITS / "inspector-worker@.service.d/worker-gpu.conf"
    drop_in.parent.mkdir()
    shutil.copy(DEPLOY / "systemd/examples/worker-gpu.conf", drop_in)


@pytest.mark.parametrize("gpu", [False, True])
def test_systemd_finds_nothing_wrong_with_the_units(root: Path, gpu: bool) -> None:
    """`systemd-analyze verify` says nothing at all, also on a PC with a GPU."""
    if gpu:
        give_gpu(root)
    units = [f"{stage}.service" for stage in (*STAGES, *BESIDE, REPORT, "inspector-alarm@x")] + [GPU_UNIT] * gpu
    units.append(f"{REPORT}.path")
    assert analyze("verify", root, "--man=no", "inspector.target", *units) == ""


def test_the_worker_on_a_gpu_wants_the_unit_that_makes_its_devices(root: Path) -> None:
    """systemd reads that unit when it verifies the worker, so its faults are found."""
    give_gpu(root)
    worker = "inspector-worker@demo.service"
    assert analyze("verify", root, "--man=no", worker) == ""
    (root / UNITS / GPU_UNIT).write_text("[Service]\nType=oneshot\nExecStrat=/usr/bin/nvidia-smi\n")
    done = subprocess.run(
        ["systemd-analyze", "verify", f"--root={root}", "--man=no", worker], capture_output=True, text=True
    )
    assert GPU_UNIT in done.stderr


def test_no_restriction_of_the_stages_is_laid_over_the_unit_that_makes_devices(root: Path) -> None:
    """It must run as root; `inspector-.service.d` would make it the service's user."""
    said = analyze("security", root, "--offline=true", "--no-pager", "--threshold=100", GPU_UNIT)
    assert re.search(r"✗ NoNewPrivileges=", said), said
    assert re.search(r"✗ User=/DynamicUser=\s+Service runs as root user", said), said


def test_devices_are_given_by_driver() -> None:
    """A path that does not exist when a worker starts stays denied, and after a cold boot none exists."""
    lines = (DEPLOY / "systemd/examples/worker-gpu.conf").read_text().splitlines()
    allowed = [line.partition("=")[2] for line in lines if line.startswith("DeviceAllow=")]
    assert allowed == ["char-nvidia* rw"]


@pytest.mark.parametrize(
    ("extras", "installed"),
    [
        ("service", False),
        ("service,postgres", False),
        ("service,tensorrt", True),
        ("service,torch,postgres", True),
        ("service,gpu", True),
        ("service,torchx", False),
    ],
)
def test_the_installer_gives_workers_the_gpu_where_an_extra_needs_one(
    tmp_path: Path, extras: str, installed: bool
) -> None:
    """Unit and drop-in are installed together, and removed together by a release without that extra."""
    units = tmp_path / "units"
    gpu = {units / GPU_UNIT, units / "inspector-worker@.service.d/worker-gpu.conf"}
    functions = (DEPLOY / "install.sh").read_text().partition("\ncase ${1:-} in")[0]
    program = (
        f"{functions}\nhere={DEPLOY}; units={units}; systemctl() {{ echo 'systemd 252 (252)'; }}; "
        f"tmpfiles={tmp_path}/tmpfiles.conf; systemd-tmpfiles() {{ :; }}\n"
        'for extras in "$@"; do install_units "$extras" >/dev/null; done'
    )
    for run, expected in (((extras,), installed), (("service,tensorrt", extras), installed)):
        subprocess.run(["bash", "-c", program, "install.sh", *run], check=True)
        assert (units / "inspector-decide.service").is_file()
        assert {path.is_file() for path in gpu} == {expected}


@pytest.mark.parametrize(
    ("stage", "example"),
    [*((stage, None) for stage in (*STAGES, *BESIDE, "inspector-alarm@x")), *EXAMPLES.items()],
)
def test_little_is_exposed(root: Path, stage: str, example: str | None) -> None:
    """`systemd-analyze security` at most 2.5, also with what an example gives to a stage."""
    if example is not None:
        drop_in = root / UNITS / f"{stage}.service.d" / example
        drop_in.parent.mkdir()
        shutil.copy(DEPLOY / "systemd/examples" / example, drop_in)
    said = analyze("security", root, "--offline=true", "--no-pager", f"{stage}.service")
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert found, said
    assert float(found[1]) <= MOST_EXPOSED, said
    # "deny list" where the first filter that systemd reads is one of what may not be called.
    assert "System call allow list defined" in said
    assert "System call deny list defined" not in said


def test_files_that_the_example_config_names_are_installed() -> None:
    """Every file that a comment names is installed."""
    installer = (DEPLOY / "install.sh").read_text()
    named = re.findall(r"/etc/inspector/(\S+/)\S+?\.toml", (DEPLOY / "etc/line.toml").read_text())
    assert named
    for folder in named:
        assert f'"$etc/{folder}$file"' in installer
    for name in ("line.toml", "recipe.toml"):
        assert (DEPLOY.parent / "configs/plant" / name).exists()


def test_the_lock_names_every_library_of_the_service_with_hashes_and_no_place_of_this_pc() -> None:
    """The lock has one version per library, and no path or address."""
    lock = (DEPLOY / "requirements.lock").read_text()
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["service"]]
    names = {re.split(r"[<>=~\[; ]", each, maxsplit=1)[0].lower() for each in wanted}
    locked = dict(re.findall(r"^([a-z0-9._-]+)==(\S+) \\\n(?= +--hash=sha256:[0-9a-f]{64})", lock, re.MULTILINE))
    assert names <= locked.keys()
    assert len(locked) == len(re.findall(r"^[^# \n]", lock, re.MULTILINE)), "a line that is no locked library"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_never_given_up_and_its_end_is_alarmed(stage: str) -> None:
    """Restarts have no limit, also after exit code 0; each unrequested end starts the alarm."""
    name = f"{stage.partition('@')[0]}@.service" if "@" in stage else f"{stage}.service"
    unit = (DEPLOY / "systemd" / name).read_text()
    common = (DEPLOY / "systemd/inspector-.service.d/10-common.conf").read_text()
    assert "\nRestart=always\n" in unit
    assert "\nStartLimitIntervalSec=0\n" in common
    assert "StartLimit" not in unit
    assert "systemctl start --no-block inspector-alarm@%N.service" in unit
    assert "\nUser=%p\n" in common


def test_a_group_for_each_link_and_a_user_for_each_stage() -> None:
    """Users, groups and folders follow the table of links."""
    installer = (DEPLOY / "install.sh").read_text()
    folders = (DEPLOY / "systemd/inspector.tmpfiles.conf").read_text()
    groups = dict(re.findall(r"make_user inspector-(\w+) (inspector-\S+)", installer))
    for link in LINKS:
        if link.receiver == "viewers":
            continue
        members = {stage for stage, of in groups.items() if f"inspector-{link.name}" in of.split(",")}
        assert members == {link.sender, link.receiver}
        assert re.search(
            rf"^d /run/inspector/{link.name} +3770 root +inspector-{link.name} ", folders, re.MULTILINE
        )


def test_what_a_genicam_camera_needs_exposes_little(root: Path) -> None:
    """Its drop-in opens ingest to netlink and to the camera's address, and is read without a complaint."""
    test_little_is_exposed(root, "inspector-ingest@top", "ingest-genicam.conf")

"""deploy/wheelhouse.sh with pip itself, on small wheels of the same names: what it fills is enough, or it says."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "wheelhouse.sh"

EXTRAS = {"service": "records-library", "tensorrt": "gpu-library"}


def write_wheel(folder: Path, name: str, extras: dict[str, str] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    module = name.replace("-", "_")
    about = [f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0"]
    for extra, needs in (extras or {}).items():
        about.append(f'Provides-Extra: {extra}\nRequires-Dist: {needs}; extra == "{extra}"')
    path = folder / f"{module}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{module}.py", "")
        wheel.writestr(f"{module}-1.0.dist-info/METADATA", "\n".join(about) + "\n")
        wheel.writestr(
            f"{module}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{module}-1.0.dist-info/RECORD", "")
    return path


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return write_wheel(tmp_path, "strip-inspector", EXTRAS)


def fill(wheel: Path, shop: Path, *extras: str, digest: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the script where `shop` is all pip can reach, with a lock of what the service needs."""
    deploy = wheel.parent / "deploy"
    deploy.mkdir()
    shutil.copy(SCRIPT, deploy)
    locked = shop / "records_library-1.0-py3-none-any.whl"
    if digest is None and locked.exists():
        digest = hashlib.sha256(locked.read_bytes()).hexdigest()
    (deploy / "requirements.lock").write_text(f"records-library==1.0 \\\n    --hash=sha256:{digest}\n")
    options = [each for extra in extras for each in ("--extra", extra)]
    environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(shop), "PIP_CONFIG_FILE": os.devnull}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    command = [str(deploy / SCRIPT.name), *options, str(wheel), str(wheel.parent / "wheelhouse")]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


def test_the_folder_is_enough_to_install_from(wheel: Path, tmp_path: Path) -> None:
    """Everything of the extras asked for, and nothing of others; the last line is the command for the PC."""
    shop = tmp_path / "shop"
    for name in EXTRAS.values():
        write_wheel(shop, name)
    done = fill(wheel, shop, "tensorrt")
    assert done.returncode == 0, done.stderr
    found = {path.name.partition("-")[0] for path in (tmp_path / "wheelhouse").iterdir()}
    assert found >= {"records_library", "gpu_library"}
    command = f"deploy/install.sh --wheelhouse wheelhouse --extra tensorrt {wheel.name}"
    assert done.stdout.splitlines()[-1] == f"wheelhouse.sh: {command}"
    target = tmp_path / "pc"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--target", str(target)]
    subprocess.run(
        [*install, "--find-links", str(tmp_path / "wheelhouse"), f"{wheel}[service,tensorrt]"], check=True
    )
    assert (target / "gpu_library.py").is_file()


def test_what_cannot_be_had_is_said_at_once(wheel: Path, tmp_path: Path) -> None:
    """A missing library gives exit 1, pip's output and one line at download time."""
    shop = tmp_path / "shop"
    write_wheel(shop, EXTRAS["service"])
    done = fill(wheel, shop, "tensorrt")
    assert done.returncode == 1
    assert "gpu-library" in done.stderr
    assert done.stderr.splitlines()[-1] == (
        "wheelhouse.sh: not all packages could be downloaded: see pip's output above"
    )


def test_a_library_that_is_not_the_locked_one_is_refused(wheel: Path, tmp_path: Path) -> None:
    """A library with the right name and version but other content is refused by its hash."""
    shop = tmp_path / "shop"
    write_wheel(shop, EXTRAS["service"])
    done = fill(wheel, shop, digest="0" * 64)
    assert done.returncode == 1
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.stderr
    assert "the locked versions could not be downloaded" in done.stderr.splitlines()[-1]


def test_without_a_wheel_it_shows_how_it_is_used(tmp_path: Path) -> None:
    """Exit 2 and a usage line."""
    done = fill(tmp_path / "none.whl", tmp_path)
    assert done.returncode == 2
    assert "usage: wheelhouse.sh" in done.stderr

"""Names that are not UTF-8 are one line, wherever they come from."""

import os
from pathlib import Path

import pytest

from inspector import cli
from inspector.backends.instant import write_engine
from inspector.config.line import load_config
from inspector.errors import ConfigError
from inspector.supervisor.table import PROCESSES
from trainer import cli as trainer_cli

BAD = os.fsdecode(b"st\xe4hl")
COMMANDS = (
    ("run", "--out"),
    ("replay",),
    ("replay", "--resume"),
    ("replay", "frames", "--golden"),
    ("record", "--camera"),
    ("calibrate",),
    ("check",),
    ("status", "--config"),
    ("swap",),
    ("bench", "--config"),
    ("report",),
    ("export", "--coil"),
    ("records", "import"),
    ("mark",),
    ("unmark",),
    ("keys", "line", "--out"),
    ("recipe",),
    ("sign",),
    *((process.name, "--config") for process in PROCESSES),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_argument_of_any_command(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """A path, a coil, a camera: JSON, TOML and the database could not hold it."""
    assert cli.main([*command, BAD]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"inspector {command[0]}: error: st?hl: is not UTF-8")


@pytest.mark.parametrize("command", trainer_cli.COMMANDS)
def test_an_argument_of_any_trainer_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The trainer writes cards and split files, which are JSON, too."""
    assert trainer_cli.main([command, BAD]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"trainer {command}: error: st?hl: is not UTF-8")


def config_in(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    write_engine(folder / "engine", height=64, width=64)
    (folder / "line.toml").write_text(
        'name = "n"\nengine = "engine"\nrecipe = "recipe.toml"\n[cameras.top]\ntype = "simulator"\n'
    )
    return folder / "line.toml"


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as refused:
        load_config(path)
    text = str(refused.value)
    assert "\n" not in text
    text.encode()
    return text


def test_the_folder_of_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user works in such a folder and writes a plain name: its absolute path is not plain."""
    path = config_in(tmp_path / BAD)
    monkeypatch.chdir(path.parent)
    assert "engine: " in refusal(Path("line.toml"))
    assert "st?hl/engine is not UTF-8" in refusal(Path("line.toml"))


@pytest.mark.parametrize(
    ("variable", "key"),
    [
        ("INSPECTOR_COIL", "coil"),
        ("INSPECTOR_LINKS", "links"),
        ("INSPECTOR_SINKS__OUT", "sinks.out"),
        ("XDG_RUNTIME_DIR", "links"),
        ("XDG_CACHE_HOME", "backend.cache"),
        ("HOME", "backend.cache"),
        ("TMPDIR", "links"),
    ],
)
def test_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, key: str) -> None:
    """The line names the key that would take another value."""
    path = config_in(tmp_path / "line")
    (tmp_path / BAD).mkdir()
    for other in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv(variable, str(tmp_path / BAD))
    assert f"{path}: {key}: " in refusal(path)


def test_a_byte_order_mark_is_no_part_of_a_config(tmp_path: Path) -> None:
    """Windows editors write one; UTF-16, which they also write, is refused in one line."""
    path = config_in(tmp_path / "line")
    text = path.read_text()
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert load_config(path).line.name == "n"
    path.write_bytes(text.encode("utf-16"))
    assert "not valid TOML" in refusal(path)
    path.write_bytes(text.replace('"n"', '"stähl"').encode("latin-1"))
    assert "not valid TOML" in refusal(path)


def test_a_user_without_a_home_has_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither HOME nor an entry among the users: the engine is compiled at each start."""
    path = config_in(tmp_path / "line")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("os.getuid", lambda: 54_321)
    assert load_config(path).line.backend.cache is None

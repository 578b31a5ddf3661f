"""Wrong usage is one line: what is wrong, what was meant, where it is explained."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from inspector import cli
from inspector.commands import options
from trainer import cli as trainer_cli


def said(main: Callable[[list[str]], int], arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The only line on stderr; exit code 2, nothing on stdout."""
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = int(stop.code or 0)
    printed = capsys.readouterr()
    assert (code, printed.out) == (2, "")
    (line,) = printed.err.splitlines()
    return line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--confg", "x"], "inspector run: error: no option --confg: did you mean --config?"),
        (["run", "--confg=x"], "no option --confg: did you mean --config?"),
        (["replay", "--ot", "x", "--confi", "y"], "no option --ot: did you mean --out?"),
        (["replay", "frames", "--golen", "x"], "no option --golen: did you mean --golden?"),
        (["check", "-c", "x"], "no option -c"),
        (["rpelay"], "inspector: error: no command rpelay: did you mean replay?"),
        (["xyzzy"], "inspector: error: no command xyzzy (`inspector --help` shows how)"),
        ([], "inspector: error: no command given: give one of run, replay, check, "),
        (
            ["--config", "x", "run"],
            "no option --config before a command: options follow the command, as in: inspector",
        ),
        (["--versoin"], "no option --versoin before a command: did you mean --version?"),
        (["help"], "inspector: error: no command help: did you mean --help?"),
        (
            ["replay", "frames"],
            "inspector replay: error: give SOURCE and --out DIR, or --resume DIR to continue a replay",
        ),
        (["replay", "frames", "--out"], "inspector replay: error: --out needs a value"),
        (["status", "more"], "inspector status: error: unexpected more"),
        (["export", "--rows", "defcts", "--out", "x"], "--rows: no choice defcts: did you mean defects?"),
        (["keys", "lin", "--out", "x"], "no kind lin: did you mean line?"),
        (["records", "imprt"], "inspector records: error: no action imprt: did you mean import?"),
        (["bench", "--config", "x", "--seconds", "-1"], "argument --seconds: must be over 0"),
        (["run"], "inspector run: error: which line? give --config FILE, or set INSPECTOR_CONFIG"),
    ],
)
def test_inspector(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The misspelt option comes before the one that is missing for it."""
    monkeypatch.delenv("INSPECTOR_CONFIG", raising=False)
    assert words in said(cli.main, arguments, capsys)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--dta", "x"], "trainer train: error: no option --dta: did you mean --data?"),
        (["trian"], "trainer: error: no command trian: did you mean train?"),
        (["export"], "(`trainer export --help` shows how)"),
    ],
)
def test_trainer(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same of the trainer's commands."""
    assert words in said(trainer_cli.main, arguments, capsys)


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_of_every_command_shows_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The top-level help lists every command."""
    assert cli.main([command, "--help"]) == 0
    assert f"inspector {command} " in capsys.readouterr().out.split("example: ")[1]
    assert cli.main(["--help"]) == 0
    assert f"\n  {command} " in capsys.readouterr().out


def test_ctrl_c_ends_a_command_with_130(tmp_path: Path) -> None:
    """One line, no traceback."""
    config = tmp_path / "line.toml"
    config.write_text(
        'name = "t"\nengine = "e"\nrecipe = "r"\n[cameras.top]\ntype = "simulator"\n[health]\nport = 1\n'
    )
    code = (
        "import sys\nfrom inspector.commands import status\nask = status.ask\n"
        "def first(port):\n    print('asking', flush=True)\n    return ask(port)\nstatus.ask = first\n"
        "from inspector.cli import main\nsys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "status", "--config", str(config), "--wait", "60"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert (process.returncode, told) == (130, "inspector: interrupted\n")


def test_an_abbreviation_is_taken_and_hidden_options_are_not_offered(capsys: pytest.CaptureFixture[str]) -> None:
    """As argparse does; and a value may be a negative number."""
    assert "none.toml: cannot be read" in said(cli.main, ["status", "--conf", "none.toml"], capsys)
    line = said(cli.main, ["worker", "--child-off", "1", "--config", "x"], capsys)
    assert "no option --child-off" in line
    assert "did you mean" not in line


def test_the_config_of_the_service_is_the_default_of_commands_that_look(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """INSPECTOR_CONFIG goes before it, and an option before both; `run` starts no second line by mistake."""
    monkeypatch.delenv("INSPECTOR_CONFIG", raising=False)
    installed = tmp_path / "installed.toml"
    installed.write_text("")
    monkeypatch.setattr(options, "INSTALLED_CONFIG", installed)
    assert "installed.toml: " in said(cli.main, ["status"], capsys)
    assert "which line?" in said(cli.main, ["run"], capsys)
    monkeypatch.setenv("INSPECTOR_CONFIG", str(tmp_path / "mine.toml"))
    for command in ("status", "run"):
        assert "mine.toml: cannot be read" in said(cli.main, [command], capsys)
    assert "other.toml: cannot be read" in said(cli.main, ["run", "--config", "other.toml"], capsys)

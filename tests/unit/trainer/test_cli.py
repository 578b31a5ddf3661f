"""The command line itself."""

import pytest

from trainer.cli import COMMANDS, main


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_shows_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And exits 0."""
    assert main([command, "--help"]) == 0
    assert f"trainer {command}" in capsys.readouterr().out.split("example")[1]


def test_wrong_usage_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown command or option, or none."""
    for arguments in ([], ["fly"], ["simulate", "--out", "x"], ["train", "--out", "x"]):
        assert main(arguments) == 2
        assert "error" in capsys.readouterr().err

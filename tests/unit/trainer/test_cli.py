"""The command line itself."""

import pytest

from trainer.cli import COMMANDS, main


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_shows_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` of each command shows an example and exits with 0."""
    assert main([command, "--help"]) == 0
    assert f"trainer {command}" in capsys.readouterr().out.split("example")[1]


def test_wrong_usage_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown command or option, or none."""
    for arguments in ([], ["fly"], ["simulate", "--out", "x"], ["train", "--out", "x"]):
        assert main(arguments) == 2
        assert "error" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [
        (["trian"], "no command trian: did you mean train?"),
        (["chek-data", "d"], "no command chek-data: did you mean check-data?"),
        (["train", "--dta", "d", "--out", "o"], "no option --dta: did you mean --data?"),
        (["export", "c", "--out", "o", "--higth", "8"], "no option --higth: did you mean --height?"),
    ],
)
def test_a_misspelt_word_suggests_the_right_one(
    words: list[str], suggestion: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line before any other complaint, without a screen of usage."""
    assert main(words) == 2
    error = capsys.readouterr().err.strip()
    assert suggestion in error
    assert len(error.splitlines()) == 1

"""Command lines that report wrong usage in one line."""

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from inspector.names import printable

_NUMBER: Final = re.compile(r"-\.?\d")
"""A negative number is a value and not an option, as in argparse."""

_CHOICE: Final = re.compile(r"argument COMMAND: invalid choice: '(.*?)' \(choose from (.*)\)", re.DOTALL)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that reports an error in one line with a suggestion, without usage screen; exit code 2.

    A misspelt option is reported before the missing option that it causes.
    """

    def parse_known_args(  # type: ignore[override]  # argparse's own has overloads for the namespace
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Refuse the first option that this command does not have, then parse."""
        given = list(sys.argv[1:] if args is None else args)
        for word in given:
            if printable(word) != word:
                self.error(f"{printable(word)}: is not UTF-8, which results could not hold: rename it")
        if self._subparsers is None:
            for word in given:
                if word == "--":
                    break
                self._refuse_unknown(word.partition("=")[0])
        return super().parse_known_args(given, namespace)

    def _refuse_unknown(self, option: str) -> None:
        if len(option) < 2 or option[0] != "-" or _NUMBER.match(option):
            return
        known = [name for name, action in self._option_string_actions.items() if action.help != argparse.SUPPRESS]
        hidden = self._option_string_actions.keys() - known
        if option in hidden or any(name.startswith(option) for name in known if option.startswith("--")):
            return
        if option not in known:
            close = difflib.get_close_matches(option, known, n=1)
            self.error(f"no option {option}" + (f": did you mean {close[0]}?" if close else ""))

    def error(self, message: str) -> NoReturn:
        """One line on stderr, exit code 2."""
        choice = _CHOICE.fullmatch(message)
        if choice is not None:
            commands = re.findall(r"[\w-]+", choice[2])
            close = difflib.get_close_matches(choice[1], commands, n=1)
            message = f"no command {choice[1]}" + (f": did you mean {close[0]}?" if close else "")
        self.exit(2, f"{self.prog}: error: {message.replace(chr(10), ' ')} (`{self.prog} --help` shows how)\n")

"""A parser of one command's options that reports wrong usage in one line."""

import argparse
import difflib
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final, NoReturn

from inspector.errors import InputError
from inspector.names import printable

_NUMBER: Final = re.compile(r"-\.?\d")
"""A negative number is a value and not an option, as in argparse."""

_CHOICE: Final = re.compile(r"argument (\S+): invalid choice: '(.*?)' \(choose from (.*)\)", re.DOTALL)
_MISSING: Final = re.compile(r"the following arguments are required: (.*)")
_NO_VALUE: Final = re.compile(r"argument ([^:]+): expected (.*)")
_TOO_MANY: Final = "unrecognized arguments: "
_EXAMPLE: Final = re.compile(r"^(?:example: +|  )(\S.*?)(?: {2,}\(.*)?$", re.MULTILINE)


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
            self.error(f"no option {option}{did_you_mean(option, known)}")

    def error(self, message: str) -> NoReturn:
        """One line on stderr, exit code 2."""
        self.exit(InputError.exit_code, usage_line(self.prog, self._plain(message)))

    def _plain(self, message: str) -> str:
        """Return argparse's message in the words of this program."""
        if found := _CHOICE.fullmatch(message):
            what, given, listed = found.groups()
            choices = [each.strip(" '\"") for each in listed.split(",")]
            meant = did_you_mean(given, choices) or f": choose from {', '.join(choices)}"
            return f"{'no' if what.isupper() else f'{what}: no'} {_noun(what)} {given}{meant}"
        if found := _MISSING.fullmatch(message):
            example = _EXAMPLE.search(self.epilog or "")
            return f"{found[1]} missing" + (f", as in: {example[1].strip()}" if example else "")
        if found := _NO_VALUE.fullmatch(message):
            wanted = {"one argument": "a value", "at least one argument": "a value"}.get(found[2], found[2])
            return f"{found[1]} needs {wanted}"
        if message.startswith(_TOO_MANY):
            return f"unexpected {message.removeprefix(_TOO_MANY)}"
        return message


def usage_line(prog: str, message: str) -> str:
    """Return the line that reports wrong usage."""
    return f"{prog}: error: {message.replace(chr(10), ' ')} (`{prog} --help` shows how)\n"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a suggestion that continues an error line; empty if nothing known is close."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f": did you mean {close[0]}?" if close else ""


def _noun(what: str) -> str:
    return what.lower() if what.isupper() else "choice"

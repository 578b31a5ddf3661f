"""A program made of commands: a table names them, one function runs one of them.

Each command is a module with `EXAMPLE`, `add_arguments(parser)` and `run(arguments)`, which returns the exit code
or None for 0. Its docstring is the text of `--help`. Only the module of the given command is imported.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from inspector import __version__, logs
from inspector.errors import EXIT_INTERRUPTED, InputError, InspectorError, WorkError
from inspector.passwords import masked
from inspector.usage import Parser, did_you_mean, usage_line

_HELP: Final = ("-h", "--help")
_VERSION: Final = "--version"


@dataclass(frozen=True, slots=True)
class Command:
    """One row of the table of commands."""

    module: str
    summary: str
    group: str = "commands"


@dataclass(frozen=True, slots=True)
class Program:
    """A name, a table of commands, and what `--help` says about them."""

    name: str
    description: str
    example: str
    commands: Mapping[str, Command]
    check: Callable[[argparse.Namespace], None] = lambda _: None
    """Called with the options of every command before it runs; raises InputError."""

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Run one command; returns the exit code.

        0 for success, 1 for failed work, 2 for wrong usage, config or input, 130 for Ctrl-C, or what the command
        returns.
        """
        words = list(sys.argv[1:] if argv is None else argv)
        name = words[0] if words else ""
        if name in _HELP:
            print(self._help(), end="")
            return 0
        if name == _VERSION:
            print(f"{self.name} {__version__}")
            return 0
        if name not in self.commands:
            sys.stderr.write(usage_line(self.name, self._unknown(name)))
            return InputError.exit_code
        try:
            return self._run(name, words[1:])
        except KeyboardInterrupt:
            print(f"{self.name}: interrupted", file=sys.stderr)
            return EXIT_INTERRUPTED

    def _run(self, name: str, words: Sequence[str]) -> int:
        prog = f"{self.name} {name}"
        try:
            module = import_module(self.commands[name].module)
            arguments = _parser(prog, module).parse_args(words)
        except SystemExit as stop:  # argparse has printed its error line or the help
            return int(stop.code or 0)
        arguments.command = name
        logs.configure(name)
        try:
            self.check(arguments)
            code = int(module.run(arguments) or 0)
            sys.stdout.flush()  # inside the try: stdout may be a closed pipe
        except InspectorError as error:
            return _fail(prog, str(error), error.exit_code)
        except BrokenPipeError:  # the reader of stdout (head, less) has closed it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return WorkError.exit_code
        except OSError as error:  # a disk that is full, read-only or gone; a PC out of memory or descriptors
            where = f"{error.filename}: " if error.filename else ""
            return _fail(prog, f"{where}{error.strerror or error}", WorkError.exit_code)
        return code

    def _unknown(self, word: str) -> str:
        if not word:
            return f"no command given: give one of {', '.join(self.commands)}"
        if word.startswith("-"):
            known = [*_HELP, _VERSION]
            meant = did_you_mean(word, known) or f": options follow the command, as in: {self.example}"
            return f"no option {word} before a command{meant}"
        return f"no command {word}{did_you_mean(word, [*self.commands, *_HELP])}"

    def _help(self) -> str:
        width = max(map(len, self.commands))
        lines = [f"usage: {self.name} COMMAND …", "", self.description]
        group = ""
        for name, command in self.commands.items():
            if command.group != group:
                group = command.group
                lines += ["", f"{group}:"]
            lines.append(f"  {name:{width}}  {command.summary}")
        lines += ["", f"`{self.name} COMMAND --help` shows the options of a command and an example."]
        return "\n".join([*lines, f"example: {self.example}", ""])


def _parser(prog: str, module: Any) -> Parser:
    parser = Parser(
        prog=prog,
        description=module.__doc__,
        epilog=module.EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    return parser


def _fail(prog: str, message: str, code: int) -> int:
    print(masked(f"{prog}: error: {message}"), file=sys.stderr)
    return code

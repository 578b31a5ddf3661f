"""Subcommands of `trainer`: one module each, with `add_arguments(parser)` and `run(arguments)`.

The docstring of a command's module is its help text.
"""

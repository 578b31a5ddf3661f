"""The subcommands of `inspector`, one module each."""

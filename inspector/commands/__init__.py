"""The subcommands of `inspector` that run, check and measure a whole line."""

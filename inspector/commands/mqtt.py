"""Send the line's results to an MQTT broker: coils, defects, health. It reads the line and never holds it up."""

import argparse
from typing import Final

from inspector.commands.options import add_config, config_path
from inspector.config.line import load_config
from inspector.extras import needs_extra

EXAMPLE: Final = "example: inspector mqtt --config line.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_config(parser, installed=True)


def run(arguments: argparse.Namespace) -> int:
    """Send until stopped; returns the exit code. Raises InspectorError."""
    config = load_config(config_path(arguments))
    with needs_extra("`inspector mqtt`"):
        from inspector.mqtt.process import main
    main(config)
    return 0

"""Entry point of `inspector` and `python -m inspector`; handles Ctrl-C even while libraries load."""

import sys

from inspector.errors import EXIT_INTERRUPTED


def main() -> int:
    """Run one command; returns the exit code."""
    try:
        from inspector.cli import main as run

        return run()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())

"""Entry point of `inspector` and `python -m inspector`; handles Ctrl-C even while libraries load."""

import sys


def main() -> int:
    """Run one command; returns the exit code."""
    try:
        from inspector.cli import main as run

        return run()
    except KeyboardInterrupt:
        return 1


if __name__ == "__main__":
    sys.exit(main())

"""What the archive keeps over a restart, in its own folder: the clocks of the last sweep, and the marked coils."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from inspector.archive.clock import Seen
from inspector.errors import ConfigError
from inspector.files import write_whole

STATE_NAME: Final = "retention.json"


class State(msgspec.Struct, frozen=True):
    """The content of retention.json."""

    clock: Seen | None = None
    """None without `keep_days`."""
    marks: Mapping[str, tuple[str, ...]] = {}
    """Database (the key of its first run) → its marked coils when it answered last."""


def load_state(archive: Path) -> State:
    """Return the state; an empty one for a new archive. Raises ConfigError for a damaged file, OSError."""
    path = archive / STATE_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return State()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: is damaged ({error}): remove it; marks are then read from the records again"
        ) from None


def save_state(archive: Path, state: State) -> None:
    """Write the state. Raises OSError."""
    write_whole(archive / STATE_NAME, msgspec.json.format(msgspec.json.encode(state), indent=1))

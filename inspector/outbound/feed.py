"""All streams of a bus, and its position in each, which is kept on disk."""

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from inspector.errors import ConfigError
from inspector.files import write_whole
from inspector.outbound.stream import Step, Stream
from inspector.repeated import Repeated

CURSOR_NAME: Final = "cursor.json"

log = structlog.get_logger()


class Feed:
    """Hands out results in the order of each stream; the cursor moves when they have been taken."""

    def __init__(self, folder: Path, streams: Sequence[Stream]) -> None:
        """Begin at the positions in `folder`; a stream without one begins now. Raises OSError, ConfigError."""
        self._path = folder / CURSOR_NAME
        self._streams = {each.name: each for each in streams}
        self._cursor = self._load()
        self._saved = dict(self._cursor)
        self._open: deque[Step] = deque()
        self._taken: set[int] = set()
        self._troubles = Repeated()
        self.trouble: OSError | None = None
        """Why a stream could not be read the last time."""
        self.rewind()
        for name, stream in self._streams.items():
            self._cursor.setdefault(name, stream.position())
        self.save()

    def read(self, most: int) -> list[Step]:
        """Return at most `most` results; they count as open until `taken`.

        Raises OSError when a stream cannot be read and no other has results.
        """
        found: list[Step] = []
        self.trouble = None
        for stream in self._streams.values():
            try:
                found += stream.read(most - len(found))
            except OSError as error:
                self.trouble = error
            if len(found) >= most:
                break
        if self.trouble is not None and not found:
            raise self.trouble
        self._open += found
        return found

    @property
    def open(self) -> int:
        """Results that were read and not taken."""
        return len(self._open)

    def taken(self, step: Step) -> None:
        """Note that a peer has it: the cursor moves past it once all earlier ones are taken, too."""
        self._taken.add(id(step))
        while self._open and id(self._open[0]) in self._taken:
            first = self._open.popleft()
            self._taken.discard(id(first))
            self._cursor[first.stream] = first.position

    def rewind(self) -> None:
        """Go back to the cursor: results that were not taken are read again."""
        self._open.clear()
        self._taken.clear()
        for name, stream in self._streams.items():
            stream.seek(self._cursor.get(name))

    def save(self) -> None:
        """Write the cursor; without it, results are sent again under the same key, and none is lost."""
        if self._cursor == self._saved and self._path.exists():
            return
        try:
            write_whole(self._path, msgspec.json.encode(self._cursor))
            self._saved = dict(self._cursor)
        except OSError as error:
            if self._troubles.due() is not None:
                log.error("the position cannot be written", path=str(self._path), error=error.strerror)

    def _load(self) -> dict[str, Any]:
        try:
            cursor = msgspec.json.decode(self._path.read_bytes(), type=dict[str, Any])
        except FileNotFoundError:
            return {}
        except msgspec.DecodeError as error:
            raise ConfigError(
                f"{self._path}: is damaged ({error}): remove it; then sending begins with what comes next"
            ) from None
        return {name: at for name, at in cursor.items() if at is not None}

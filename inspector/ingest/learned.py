"""Picture limits that outlive an ingest, so that a restart does not take a faulty camera for normal."""

from pathlib import Path

import msgspec
import structlog

from inspector.core.picture import Limits, PictureCheck
from inspector.files import write_whole

log = structlog.get_logger()


class _Learned(msgspec.Struct, frozen=True):
    recipe: str
    limits: Limits


class LearnedLimits:
    """One camera's learned limits, in the folder of the links: they last until the PC restarts."""

    def __init__(self, folder: Path, camera: str, recipe: str) -> None:
        """`recipe` is the name and content hash of the recipe that the limits belong to."""
        self._path, self._recipe = folder / f"picture-{camera}", recipe
        self._stored = False

    def load(self) -> PictureCheck | None:
        """A check with the limits that an earlier ingest learned by the same recipe; None without them."""
        try:
            found = msgspec.msgpack.decode(self._path.read_bytes(), type=_Learned)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            log.warning("learned picture limits cannot be read: they are learned again", error=str(error))
            return None
        if found.recipe != self._recipe:
            return None
        self._stored = True
        return PictureCheck(msgspec.structs.asdict(found.limits), learn_frames=0)

    def store(self, check: PictureCheck) -> None:
        """Keep the limits once they are learned; cheap enough for every frame."""
        if self._stored or not check.learned:
            return
        self._stored = True
        try:
            write_whole(self._path, msgspec.msgpack.encode(_Learned(self._recipe, check.limits)), sync=False)
        except OSError as error:
            log.warning("learned picture limits cannot be kept: a restart learns again", error=error.strerror)

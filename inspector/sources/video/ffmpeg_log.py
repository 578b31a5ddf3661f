"""Captures FFmpeg's log: FFmpeg reports some repaired damage nowhere else."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import av.logging

_TOLD_AS_WARNING: Final = re.compile(r"RTP: missed|Packet corrupt|[Dd]ropping|max delay reached|jitter buffer")
"""Warnings with which demuxers report lost data; other warnings do not matter here."""


TS_LOSS: Final = "Continuity check failed"
"""How the MPEG-TS demuxer reports, for debugging only, that packets of the transport stream are missing."""


@contextmanager
def listen(*, to_ts: bool = False) -> Iterator[list[str]]:
    """Collect the messages about damage that this thread's FFmpeg calls log; with `to_ts`, TS_LOSS too."""
    level, skips = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.DEBUG if to_ts else av.logging.WARNING)
    av.logging.set_skip_repeated(False)  # else the second damaged frame in a row would pass as sound
    said: list[str] = []
    try:
        with av.logging.Capture() as lines:
            try:
                yield said
            finally:
                said += [
                    text.strip().splitlines()[0]
                    for severity, _, text in lines
                    if text.strip() and _is_about_damage(severity, text)
                ]
    finally:
        av.logging.set_skip_repeated(skips)
        av.logging.set_level(level)


def _is_about_damage(severity: int, text: str) -> bool:
    if severity <= av.logging.WARNING:
        return severity <= av.logging.ERROR or _TOLD_AS_WARNING.search(text) is not None
    return TS_LOSS in text

"""One camera's account: what its ingest has announced, what is still owed, and when it was last heard of."""

import math
from dataclasses import dataclass
from typing import Final

from inspector.stages.ledger import CameraLedger
from inspector.stages.verdicts import VerdictMaker
from inspector.values import Announcement, Inspection
from inspector.wire.messages import Begin, End, Fault, News

SILENT_NS: Final = 1_000_000_000
"""A camera whose ingest says nothing for so long is silent: one that lives would have said so five times."""


@dataclass(slots=True)
class Camera:
    """Times are monotonic ns."""

    ledger: CameraLedger[Announcement, Inspection]
    maker: VerdictMaker
    ingest_ns: int | None = None
    """Which ingest its frame ids are counted by; None until one was heard of."""
    total: int | None = None
    ended: bool = False
    heard_ns: int | None = None
    """When its ingest last said anything."""
    first: int = 0
    """The frame id this decide began with."""
    before: int = 0
    """Frames captured before its ingest started again."""
    late_before: int = 0
    """Results that came too late then, or that an ingest before this one's had asked for."""
    last_verdict_ns: int | None = None

    @property
    def captured(self) -> int:
        """Frames it has announced, or failed to, since this decide has started."""
        return self.before + self.ledger.expected - self.first

    @property
    def late(self) -> int:
        """Results that came after their frame's deadline."""
        return self.late_before + self.ledger.late

    def resume(self, next_frame: int) -> None:
        """An earlier decide has given the verdicts of all frames before this one."""
        self.ledger.expected = self.first = next_frame

    def hear(self, message: News, now_ns: int) -> None:
        """What ingest says; raises ValueError for a frame id or a place that cannot be."""
        self.heard_ns = now_ns
        if isinstance(message, Announcement):
            if not math.isfinite(message.position_mm):
                # JSON has no word for it, so nobody could read the verdict again.
                raise ValueError(f"frame {message.frame_id} is at {message.position_mm} mm")
            self.ledger.announce(message.frame_id, message, message.clock_ns, message.fault)
        elif isinstance(message, Fault):
            self.ledger.fault(message.frame_id, message.reason)
        elif isinstance(message, End):
            self.ledger.end(message.captured, now_ns)
            self.ended = True
        elif isinstance(message, Begin):
            self.total = message.total

    def succeed(self, before: "Camera") -> None:
        """Go on with the counts of the account before this one; its ledger is closed."""
        self.before, self.late_before = before.captured, before.late
        self.heard_ns, self.last_verdict_ns = before.heard_ns, before.last_verdict_ns

    def silent(self, now_ns: int) -> bool:
        """Its ingest has ended, or is not heard of: nobody vouches for its side of the strip."""
        return self.ended or self.heard_ns is None or now_ns - self.heard_ns > SILENT_NS

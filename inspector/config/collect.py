"""Settings of what the page keeps for review."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Quota = Annotated[int, Field(ge=0, le=100_000)]


class CollectSettings(BaseModel):
    """How many frames a day (UTC) the page keeps without loss, by the reason why; 0 keeps none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rejects: Quota = 300
    """Rejected frames, without those whose main defect looks like a kept one's."""
    uncertain: Quota = 300
    """Frames with a score near its threshold, without those whose main defect looks like a kept one's."""
    random_accepts: Quota = 100
    random_rejects: Quota = 50
    """Drawn by lot, look-alikes included: `inspector acceptance` estimates escape and overkill from them."""
    shadow: Quota = 300
    """Frames on which a candidate of `inspector shadow` differs from the line."""

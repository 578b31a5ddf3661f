"""The random frames of the review queue, and how people reviewed them."""

import json
from typing import Final

import cv2
import msgspec
import numpy as np

from inspector.core.acceptance import Reviewed
from inspector.core.collect import RANDOM
from inspector.core.rules import BoundRecipe
from inspector.errors import InputError
from inspector.serve.store import Store
from inspector.values import Decision

_DRAWN: Final = (
    "SELECT samples.id, samples.decision, classes, chance, mask FROM samples "
    "JOIN origins ON origins.sample_id = samples.id "
    "LEFT JOIN reviews ON reviews.sample_id = samples.id AND undone_ns IS NULL "
    "WHERE origin = ? AND chance IS NOT NULL AND (? IS NULL OR coil = ?) "
    "AND captured_ns >= ? AND captured_ns < ? ORDER BY samples.id"
)


class Drawn(msgspec.Struct):
    """The random frames of one decision."""

    drawn: int = 0
    reviewed: list[Reviewed] = []


def drawn_frames(
    store: Store, recipe: BoundRecipe, coil: str | None, from_ns: int, to_ns: int
) -> dict[Decision, Drawn]:
    """The random frames by the line's decision. A frame is defective if people marked a class that rejects.

    Raises InputError for reviews of an engine with other classes.
    """
    found = {Decision.ACCEPT: Drawn(), Decision.REJECT: Drawn()}
    with store.reading() as connection:
        for row in connection.execute(_DRAWN, (RANDOM, coil, coil, from_ns, to_ns)):
            of = found[Decision(row["decision"])]
            of.drawn += 1
            if row["mask"] is None:
                continue
            if tuple(json.loads(row["classes"])) != recipe.names:
                raise InputError(
                    f"frame {row['id']}: was reviewed with the classes {row['classes']}, the line has "
                    f"{', '.join(recipe.names)}: choose a time span with --from and --to"
                )
            mask = cv2.imdecode(np.frombuffer(row["mask"], np.uint8), cv2.IMREAD_GRAYSCALE)
            kinds = np.flatnonzero(np.bincount(mask.ravel())).tolist() if mask is not None else []
            of.reviewed.append(Reviewed(any(recipe.rejects[kind] for kind in kinds if kind), row["chance"]))
    return found

"""The newest frame of each camera, which a shadow looks at when it has time."""

import numpy as np

from inspector.shadow.latest import Latest
from inspector.wire.view import ViewMessage
from tests.support.recorded import verdict


def seen(camera: str, number: int) -> ViewMessage:
    plane = np.zeros((4, 4), np.uint8)
    return ViewMessage(verdict(number, camera=camera), plane, plane)


def test_what_is_not_taken_in_time_is_shed_and_cameras_take_turns() -> None:
    """A fast camera does not keep a shadow from a slow one; verdicts without a picture do not count."""
    latest = Latest()
    latest.offer(ViewMessage(verdict(0)))
    assert latest.take(0.0) is None
    for number in range(5):
        latest.offer(seen("fast", number))
    latest.offer(seen("slow", 0))
    latest.offer(seen("fast", 5))
    taken = [latest.take(0.0), latest.take(0.0), latest.take(0.0)]
    assert [each and (each.verdict.camera, each.verdict.frame_id) for each in taken] == [
        ("slow", 0),
        ("fast", 5),
        None,
    ]
    assert (latest.offered, latest.shed) == (7, 5)

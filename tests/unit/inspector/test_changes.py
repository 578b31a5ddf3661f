"""What changes between two verdicts on the same steel."""

from inspector.reinspect.changes import Changes, of_verdicts
from tests.support.written import verdict

FRAMES = [verdict(n, defects=2 * (n % 3 == 0)) for n in range(9)]


def test_the_same_verdicts_change_nothing() -> None:
    """No flip and no row."""
    changes = Changes()
    changes.add(of_verdicts(FRAMES), of_verdicts(FRAMES), {})
    assert (changes.frames, dict(changes.flips), changes.rows()) == (9, {}, [])


def test_severity_follows_the_area_and_a_frame_without_a_record_is_said() -> None:
    """A defect over a limit is one severity higher; what was never judged is no acceptance."""
    changes = Changes()
    changes.add(of_verdicts(FRAMES[1:]), of_verdicts(FRAMES), {"bright": (2.0, 50.0)})
    assert dict(changes.flips) == {"not on record → reject": 1}
    assert changes.rows() == [{"coil": "C-0000", "kind": "bright", "severity": 2, "before": 4, "after": 6}]

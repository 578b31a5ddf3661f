"""When a backend reports answers: one wake-up for many while the engine has enough work, else immediately."""

import select
import time
from pathlib import Path

import numpy as np
import pytest

from inspector.backends.base import Answer, Backend, BackendSettings
from inspector.backends.instant import write_engine
from inspector.engine.manifest import EngineFolder
from inspector.values import Pixels

SLOTS = 4
FRAME = np.zeros((1, 8, 8), np.uint8)


class Queueing(Backend):
    """Answers when the test says so."""

    queues = True

    def _open(self) -> None:
        self.slots = self.settings.slots or SLOTS
        self.tickets: list[int] = []

    def _submit(self, ticket: int, frames: Pixels) -> None:
        self.tickets.append(ticket)

    def answer(self) -> None:
        """The oldest batch is done."""
        maps = np.zeros((1, 2, 2), np.uint8)
        self._answer(Answer(self.tickets.pop(0), maps, maps, 1.0))

    def fill(self) -> None:
        """Submit until all slots are in use."""
        while self.in_flight < self.slots:
            self.submit(self.in_flight, FRAME)

    def told(self) -> bool:
        """Whether a loop that polls would wake."""
        return bool(select.select([self.fileno()], [], [], 0)[0])

    def _close(self) -> None:
        self.tickets.clear()

    def device(self) -> str:
        return "none"


@pytest.fixture
def folder(tmp_path: Path) -> EngineFolder:
    return write_engine(tmp_path / "engine", height=8, width=8, max_batch=1)


def answers_until_told(backend: Queueing) -> int:
    """With all slots in use, how many answers it takes to wake the loop."""
    backend.fill()
    for count in range(1, backend.slots + 1):
        backend.answer()
        if backend.told():
            assert len(backend.collect()) == count
            return count
    raise AssertionError("answers that nobody is told of")


def test_a_loop_is_woken_when_half_the_slots_are_free(folder: EngineFolder) -> None:
    """The engine must not run dry."""
    with Queueing(folder) as backend:
        answers_until_told(backend)  # the first one is reported immediately, because its duration is unknown
        assert answers_until_told(backend) == SLOTS // 2


def test_told_together_means_that_many_answers_a_wake(folder: EngineFolder) -> None:
    """That many more batches are accepted, so that the engine keeps as much work as before."""
    with Queueing(folder) as backend:
        backend.coalesce(8, 60.0)
        assert backend.slots == SLOTS + 8
        answers_until_told(backend)
        assert answers_until_told(backend) == 8 + SLOTS // 2


def test_an_engine_with_little_to_do_tells_of_each_answer(folder: EngineFolder) -> None:
    """At half load each answer wakes the loop, because latency matters more than wake-ups."""
    with Queueing(folder) as backend:
        backend.coalesce(8, 60.0)
        for ticket in range(3):
            backend.submit(ticket, FRAME)
            backend.answer()
            assert len(backend.wait()) == 1


def test_no_answer_waits_longer_than_was_asked_for(folder: EngineFolder) -> None:
    """If the engine slows down, its next answer delivers the earlier ones, too."""
    with Queueing(folder) as backend:
        backend.coalesce(8, 0.05)
        answers_until_told(backend)
        backend.fill()
        backend.answer()
        time.sleep(0.06)
        backend.answer()
        assert backend.told()
        assert len(backend.collect()) == 2


def test_the_slots_of_a_config_are_kept_to(folder: EngineFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine whose slots cost memory keeps its number, too."""
    with Queueing(folder, BackendSettings(slots=3)) as backend:
        backend.coalesce(8, 60.0)
        assert backend.slots == 3
    monkeypatch.setattr(Queueing, "queues", False)
    with Queueing(folder) as backend:
        backend.coalesce(8, 60.0)
        assert backend.slots == SLOTS

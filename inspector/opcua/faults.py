"""Tells faults and states: an event for each fault that begins or ends; the state machine follows the line."""

from collections.abc import Sequence
from typing import Any, Final

from asyncua import ua

from inspector.monitoring.client import alarm_key
from inspector.opcua.space import (
    AUTOMATIC_STATES,
    FAULT,
    FAULT_OVER,
    STATE_CHANGED,
    STATES,
    Space,
)

FAULT_SEVERITY: Final = 800
OVER_SEVERITY: Final = 100
CHANGE_SEVERITY: Final = 300

MACHINE: Final = "VisionStateMachine"
AUTOMATIC: Final = "VisionStateMachine/AutomaticModeStateMachine"

FIRST: Final = "Preoperational"
"""Where the specification's state machine begins."""


class Faults:
    """What is wrong now, as the clients were told."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._open: dict[str, str] = {}
        self._states = (FIRST, "Initialized")

    @property
    def open(self) -> Sequence[str]:
        """The faults, one line each: what, and what to do."""
        return list(self._open.values())

    async def show(self, findings: Sequence[str]) -> None:
        """Tell what has begun and what is over. Other numbers in a fault are the same fault."""
        now = {alarm_key(each): each for each in findings}
        before, self._open = self._open, now
        if now != before:
            await self._space.set("Findings", list(now.values()))
        for key in now.keys() - before.keys():
            await self._space.trigger(FAULT, now[key], FAULT_SEVERITY, self._standing())
        for key in before.keys() - now.keys():
            await self._space.trigger(FAULT_OVER, f"over: {before[key]}", OVER_SEVERITY, self._standing())

    async def enter(self, system: str, automatic: str) -> None:
        """Go to a state, by the transitions that the specification has."""
        if self._states[0] == "Halted" and system in ("Operational", "Error"):
            await self._change(FIRST, "Initialized")
        await self._change(system, automatic)

    async def _change(self, system: str, automatic: str) -> None:
        if (system, automatic) == self._states:
            return
        before, self._states = self._states, (system, automatic)
        await self._space.set_state(MACHINE, STATES, system)
        await self._space.set_state(AUTOMATIC, AUTOMATIC_STATES, automatic)
        text = f"{'/'.join(before)} → {system}/{automatic}"
        severity = FAULT_SEVERITY if system == "Error" else CHANGE_SEVERITY
        if before[0] != system:
            name = f"{before[0]}To{system}Auto"
            fields = self._fields(before[0], system, name, await self._space.transition(name))
        else:
            fields = self._standing()
        await self._space.trigger(STATE_CHANGED, text, severity, fields)

    def _standing(self) -> dict[str, Any]:
        return self._fields(self._states[0], self._states[0], "", ua.NodeId())

    def _fields(self, before: str, after: str, name: str, transition: ua.NodeId) -> dict[str, Any]:
        """The mandatory fields of a TransitionEventType, which all events of the state machine are."""
        state = {each: ua.NodeId(number, self._space.vision) for each, number in STATES.items()}
        return {
            "FromState": ua.LocalizedText(before),
            "FromState/Id": state[before],
            "ToState": ua.LocalizedText(after),
            "ToState/Id": state[after],
            "Transition": ua.LocalizedText(name),
            "Transition/Id": transition,
        }

"""Whether the engine that a frame was judged by has the classes that the page started with."""

from collections.abc import Sequence
from pathlib import Path

from inspector.engine.manifest import open_folder
from inspector.errors import InspectorError
from inspector.values import Decision, Verdict


class KnownEngines:
    """Compares classes: a line that starts anew may run another engine, `inspector swap` only one of the same."""

    def __init__(self, configured: Path, identity: str, classes: Sequence[str]) -> None:
        """`identity` and `classes` are those of the engine at the page's start; `configured` is its folder."""
        self._configured, self._classes = configured, tuple(classes)
        self._fits = {identity: True}

    def fits(self, verdict: Verdict) -> bool:
        """Whether a verdict's classes are the page's, as far as its defects and the config's engine tell."""
        if verdict.decision is Decision.UNINSPECTED:
            return self._fits.get(verdict.engine, True)
        if verdict.engine not in self._fits:
            self._fits[verdict.engine] = self._is_same(verdict.engine)
        if any(
            each.kind >= len(self._classes) or each.name != self._classes[each.kind] for each in verdict.defects
        ):
            self._fits[verdict.engine] = False
        return self._fits[verdict.engine]

    def _is_same(self, identity: str) -> bool:
        try:
            folder = open_folder(self._configured)
        except InspectorError:
            return True  # the line runs: its defects tell
        return folder.identity != identity or tuple(folder.manifest.classes) == self._classes

"""Plans and coils for clients: which plans there are, which one is prepared, and orders to the strip process."""

from collections.abc import Sequence
from typing import Any

from inspector.config.line import LoadedConfig
from inspector.errors import InspectorError, WorkError
from inspector.runtime.orders import give_order
from inspector.strip.orders import orders_path

DEFAULT = "default"


class Plans:
    """The plans of line.toml, and the one that the next coil gets."""

    def __init__(self, config: LoadedConfig) -> None:
        """Raises ConfigError."""
        plans = config.plans()
        self.identities = {DEFAULT: plans.default.identity} | {each.name: each.recipe for each in plans.choices}
        self.prepared: str | None = None
        strip = config.line.strip
        self._orders = None if strip is None else orders_path(strip.folder)

    def find(self, external: str, internal: str) -> str | None:
        """A plan's name by the name in line.toml, or by its recipe's; None for an unknown one."""
        if external:
            return external if external in self.identities else None
        matching = (name for name, identity in self.identities.items() if identity.partition("@")[0] == internal)
        return next(matching, None)

    def start_coil(self, coil: str, plan: str) -> int:
        """Announce that a coil starts now; returns its number. Raises WorkError with the reason of a refusal."""
        named = "" if plan == DEFAULT else plan
        return int(self._order({"coil": "start", "data": {"id": coil, "plan": named}})["number"])

    def end_coil(self) -> int:
        """Announce that the coil on the line ends now. Raises WorkError."""
        return int(self._order({"coil": "end", "id": ""})["number"])

    def open_coil(self) -> dict[str, Any] | None:
        """Return the coil on the line from the strip process; None without one. Raises WorkError."""
        coils: Sequence[dict[str, Any]] = self._order({"coil": "status"})["coils"]
        return coils[-1] if coils and coils[-1]["end_mm"] is None else None

    @property
    def has_strip(self) -> bool:
        """Whether the line has a strip process that takes orders."""
        return self._orders is not None

    def _order(self, wanted: dict[str, Any]) -> dict[str, Any]:
        if self._orders is None:
            raise WorkError("the line has no [strip] table: coils come from its source")
        try:
            return give_order(self._orders, wanted, lambda _: None, any_owner=True)
        except FileNotFoundError:
            raise WorkError("the strip process does not run: start the line") from None
        except OSError as error:
            raise WorkError(f"{self._orders}: {error.strerror or error}") from None
        except InspectorError as error:
            raise WorkError(str(error)) from None

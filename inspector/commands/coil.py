"""`inspector coil`: says that a coil starts or ends, and shows the coils on the line."""

import json
import sys
from pathlib import Path
from typing import Any

from inspector.config.line import load_config
from inspector.errors import InputError, WorkError
from inspector.strip.orders import orders_path
from inspector.supervisor.control import give_order


def coil(config_path: Path, action: str, order: dict[str, Any], *, as_json: bool) -> int:
    """Give one order to the strip process of this line; returns the exit code. Raises InspectorError."""
    config = load_config(config_path)
    strip = config.line.strip
    if strip is None:
        raise InputError(f"{config_path}: has no [strip] table: add one, and start the line again")
    try:
        done = give_order(
            orders_path(strip.folder), {"coil": action, **order}, lambda note: print(note, file=sys.stderr)
        )
    except FileNotFoundError:
        raise WorkError(f"{config_path}: its strip process does not run: start the line") from None
    if as_json:
        print(json.dumps(done, ensure_ascii=False))
        return 0
    match action:
        case "start":
            plan = done["plan"] or "the default"
            print(
                f"coil {order['data']['id']} from {done['position_mm'] / 1000:.3f} m; plan: {plan} ({done['why']})"
            )
        case "end":
            print(f"coil {done['id']} ended after {done['length_mm'] / 1000:.3f} m")
        case _:
            print("\n".join(_table(done)))
    return 0


def _table(told: dict[str, Any]) -> list[str]:
    lines = [f"position {told['position_mm'] / 1000:.3f} m   {told['position_source']}"]
    if "level2" in told:
        lines.append(f"level 2  {told['level2']}; {told['results_not_sent']} results not sent")
    for each in told["coils"]:
        state = each.get("verdict") or ("runs" if each["end_mm"] is None else "is being judged")
        plan = each["plan"] or "default"
        grade = f" {each['grade']}" if each["grade"] else ""
        lines.append(
            f"coil     {each['id']}{grade}: {state}, {each['length_mm'] / 1000:.1f} m, plan {plan} "
            f"({each['plan_why']})"
        )
        lines += [f"           {reason}" for reason in each.get("reasons", ())]
    lines += [f"rolls    {text}" for text in told["roll_marks"]]
    return lines

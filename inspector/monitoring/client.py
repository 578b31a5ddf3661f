"""Asks the health server of a running line for its state."""

import http.client
import re
import time
from typing import Final

import msgspec

from inspector.errors import WorkError
from inspector.monitoring.local_server import LOOPBACK
from inspector.monitoring.state import LineState

ANSWER_S: Final = 5.0
"""Time-out of a health request, seconds. decide answers from memory; a slower one is dead or overloaded."""

NO_LINE: Final = "no line is running"
"""Beginning of what is said where nothing listens."""

START_S: Final = 60.0
"""How long an incomplete line counts as starting, seconds; after that, what is missing is a fault."""

_CAMERA: Final = re.compile(r"camera [^:]+:")
_ROLL_MARK: Final = re.compile(
    r"(?P<roll>roll mark, .+), [\d \u202f]+ mm, since .* \((?P<kind>.+), (?P<across_mm>-?\d+) mm across\)$"
)
_NUMBERS: Final = re.compile(r"(?<![\w-])(?<!stand )\d[\d.,\u202f]*")
"""Figures of a finding. A number in a name, as in `camera-2` or `stand 3`, tells two findings apart."""


class Status(msgspec.Struct, frozen=True):
    """The answer of /status."""

    healthy: bool
    findings: list[str]
    age_s: float | None
    disk_free_bytes: int | None
    line: LineState | None


def ask(port: int, answer_s: float = ANSWER_S) -> tuple[bytes, Status]:
    """Return the raw answer and its decoded content. Raises WorkError."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=answer_s)
    try:
        connection.request("GET", "/status")
        raw = connection.getresponse().read()
        return raw, msgspec.json.decode(raw, type=Status)
    except msgspec.MsgspecError as error:
        raise WorkError(
            f"the program on {LOOPBACK}:{port} is not this version of decide ({error}): "
            "does another one use the port?"
        ) from None
    except ConnectionRefusedError:
        raise WorkError(f"{NO_LINE}: nothing listens on {LOOPBACK}:{port}: start the line") from None
    except (OSError, http.client.HTTPException) as error:
        reason = error or type(error).__name__
        raise WorkError(
            f"decide does not answer on {LOOPBACK}:{port} ({reason}): see its log and restart it"
        ) from None
    finally:
        connection.close()


def is_starting(answer: Status) -> bool:
    """Whether a line is starting: for START_S, until every ingest, a worker and the strip have reported."""
    line = answer.line
    if line is None:
        return True
    incomplete = line.worker.starts == 0 or any(camera.begins == 0 for camera in line.cameras.values())
    incomplete |= line.has_strip and (line.strip is None or line.strip.source_answers is False)
    return incomplete and time.time() - line.started_s < START_S


def alarm_key(finding: str) -> str:
    """Return a finding without its numbers, which change while it is the same alarm.

    A camera keeps its name; a roll mark its roll, its stand, its kind of defect and its place across.
    """
    mark = _ROLL_MARK.match(finding)
    if mark:
        return f"{mark['roll']} ({mark['kind']}, {mark['across_mm']} mm across)"
    camera = _CAMERA.match(finding)
    own = camera[0] if camera else ""
    return own + _NUMBERS.sub("#", finding[len(own) :])

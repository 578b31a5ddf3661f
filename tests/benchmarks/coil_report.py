"""How long the report of a 2 km coil takes: `python -m tests.benchmarks.coil_report [FOLDER]`."""

import sys
import tempfile
import time
from pathlib import Path

import cv2
import msgspec
import numpy as np

from inspector.config.line import load_config
from inspector.core.strip.quality import RatedDefect
from inspector.report.report import write_report
from inspector.report.verdict_files import Selection
from inspector.sinks.coil_results import CoilResult, RollMarkResult
from inspector.sinks.pictures import picture_name
from inspector.values import Decision, Defect, Verdict

LENGTH_MM = 2_000_000.0
FRAME_MM = 128.0
"""256 rows at 0.5 mm."""

CAMERAS = {"top-left": ("top", 0.0), "top-right": ("top", 750.0), "bottom": ("bottom", 0.0)}
DEFECTS = 4000
PICTURES = 400
KINDS = ("pits", "cracks", "scratches", "patches")
SEVERITY_MM2 = (400.0, 2000.0)


def _reason(defect: Defect) -> str:
    place = f"{defect.along_mm / 1000:.3f} m, {defect.across_mm:.0f} mm across"
    return f"{defect.name} {defect.area_mm2:,.0f} mm² at {place}: over 5 mm²"


def write_coil(folder: Path) -> Path:
    """A service's folder with one coil; returns line.toml."""
    random = np.random.default_rng(1)
    out, coils = folder / "out", folder / "strip" / "coils"
    for path in (out / "rejects", coils):
        path.mkdir(parents=True)
    places = sorted(random.uniform(0, LENGTH_MM, DEFECTS))
    cameras = list(CAMERAS)
    by_frame: dict[tuple[str, int], list[Defect]] = {}
    rated = []
    for number, along_mm in enumerate(map(float, places)):
        camera = cameras[number % len(cameras)]
        side, left_mm = CAMERAS[camera]
        kind = 1 + int(random.integers(len(KINDS)))
        high, wide = (int(side_px) for side_px in np.exp(random.normal(3.2, 0.7, 2)) + 4)
        column, frame = int(random.integers(0, 1500)), int(along_mm // FRAME_MM)
        row = int((along_mm - frame * FRAME_MM) / 0.5)
        area_mm2 = 0.25 * 0.7 * high * wide
        across_mm = left_mm + 0.5 * (column + wide / 2)
        box = (column, row, min(wide, 1600 - column), max(1, min(high, 256 - row)))
        found = Defect(
            f"d{number}", kind, KINDS[kind - 1], box, max(1, int(area_mm2 * 4)), area_mm2, across_mm, along_mm, 0.9
        )
        by_frame.setdefault((camera, frame), []).append(found)
        severity = 1 + sum(area_mm2 >= limit for limit in SEVERITY_MM2)
        rated.append(
            RatedDefect(
                KINDS[kind - 1], side, along_mm, across_mm, high / 2, wide / 2, area_mm2, severity, 0.9, (camera,)
            )
        )  # fmt: skip
    steel = random.normal(110, 6, (256, 1600)).astype(np.uint8)
    _, jpeg = cv2.imencode(".jpg", steel)
    begun_ns = time.time_ns() - 400 * 10**9
    pictures = 0
    with (out / "verdicts.jsonl").open("wb") as log:
        for frame in range(int(LENGTH_MM // FRAME_MM)):
            for camera in CAMERAS:
                defects = tuple(by_frame.get((camera, frame), ()))
                blind = 3000 <= frame < 3012
                decision = Decision.UNINSPECTED if blind else Decision.REJECT if defects else Decision.ACCEPT
                reasons = ("overdue",) if blind else tuple(_reason(each) for each in defects)
                at_ns = begun_ns + frame * 25_600_000
                codes = reasons if blind else tuple(each.name for each in defects)
                verdict = Verdict(
                    camera, frame, at_ns, frame * FRAME_MM, "C-48213", decision, reasons, () if blind else defects,
                    "deep-drawing@aaaabbbbcccc", "demo@ddddeeeeffff", ingest_epoch=1, codes=codes,
                )  # fmt: skip
                log.write(msgspec.json.encode(verdict) + b"\n")
                if decision is Decision.REJECT and pictures < PICTURES:
                    pictures += 1
                    (out / "rejects" / f"{picture_name(camera, frame, 1)}.jpg").write_bytes(jpeg.tobytes())
    mark = "roll mark, work roll top, stand 3, 2 073 mm, since 412 m, 190 of 271 turns (pits, 640 mm across)"
    counts = {name: sum(each.name == name for each in rated) for name in KINDS}
    result = CoilResult(
        number=1, id="C-48213", grade="DC04", customer="ACME", width_mm=1500.0, thickness_mm=1.5,
        stated_length_mm=LENGTH_MM, start_mm=0.0, end_mm=LENGTH_MM, length_mm=LENGTH_MM, started_ns=begun_ns,
        ended_ns=begun_ns + 400 * 10**9, end_why="", plan="deep-drawing", plan_why="grade DC04",
        recipe="deep-drawing@aaaabbbbcccc", verdict="hold",
        reasons=(f"hold: {mark}", "downgrade: 212 defects of severity 3 or more: over 3 in a coil"), frames=46_875,
        frames_rejected=3600, frames_uninspected=36, uninspected_mm=1536.0, uninspected=((384_000.0, 385_536.0),),
        count=len(rated), counts=counts, severities={}, engines=("demo@ddddeeeeffff",),
        recipes=("deep-drawing@aaaabbbbcccc",),
        roll_marks=(RollMarkResult(mark, "work roll top", "top", "pits", 2073.0, 640.0, 412e3, 974e3, 190, 271),),
        defects=tuple(rated), left_mm=0.0, right_mm=1550.0,
    )  # fmt: skip
    (coils / "000001.json").write_bytes(msgspec.json.encode(result))
    config = folder / "line.toml"
    config.write_text(
        'name = "mill"\nengine = "engine"\nrecipe = "recipe.toml"\n'
        + "".join(f'[cameras.{name}]\ntype = "simulator"\n' for name in CAMERAS)
        + f'[strip]\n[sinks]\nout = "{out}"\nlog_megabytes = 64\n'
    )
    return config


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(made)
        config = load_config(write_coil(folder))
        for pdf in (False, True):
            began_s, began_cpu_s = time.perf_counter(), time.process_time()
            path = write_report(config.line.sinks.out, selection=Selection("C-48213"), config=config, pdf=pdf)
            print(
                f"{path.suffix[1:]}: {time.perf_counter() - began_s:.1f} s, of CPU "
                f"{time.process_time() - began_cpu_s:.1f} s, {path.stat().st_size / 1e6:.1f} MB"
            )


if __name__ == "__main__":
    main()

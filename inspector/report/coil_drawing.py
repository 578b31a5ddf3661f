"""Drawings in the PDF: a side of the coil with its defects, and the mark of a kind."""

from typing import Any, Final

from reportlab.platypus import Flowable

from inspector.numbers import THIN_SPACE
from inspector.render.colours import kind_colour, kind_shape
from inspector.report.coil_sides import CoilSide

HEIGHT: Final = 88.0
"""Of a side, points; the width across is drawn over it, so the coil is not to scale."""

AXIS: Final = 22.0
"""Room below the drawing for its ticks, points."""

POINTS_PER_PX: Final = 0.6
"""A mark of the page, drawn on paper."""

HATCH_STEP: Final = 4.0

STEEL, EDGE, INK, SOFT = "#e4e8eb", "#9aa4ac", "#14181c", "#5c6770"


class SideDrawing(Flowable):  # type: ignore[misc]  # reportlab has no types
    """One side: head on the left."""

    def __init__(self, side: CoilSide, width: float, font: str) -> None:
        super().__init__()
        self._side, self.width, self.height, self._font = side, width, HEIGHT + AXIS, font

    def wrap(self, *_: float) -> tuple[float, float]:
        """The room that it takes."""
        return self.width, self.height

    def draw(self) -> None:
        """Draw it."""
        canvas, side = self.canv, self._side
        canvas.setFillColor(STEEL)
        canvas.setStrokeColor(EDGE)
        canvas.setLineWidth(0.5)
        canvas.rect(0, AXIS, self.width, HEIGHT, fill=1)
        for start, share in side.blind:
            self._hatch(start / 100 * self.width, share / 100 * self.width)
        for roll in side.rolls:
            y = AXIS + HEIGHT * (1 - roll.across_pct / 100)
            canvas.setStrokeColor(INK)
            canvas.setLineWidth(0.8)
            canvas.setDash(3, 2)
            canvas.line(roll.from_pct / 100 * self.width, y, roll.to_pct / 100 * self.width, y)
            canvas.setDash()
        for mark in reversed(side.marks):
            x, y = mark.along_pct / 100 * self.width, AXIS + HEIGHT * (1 - mark.across_pct / 100)
            draw_mark(canvas, mark.kind, x, y, POINTS_PER_PX * mark.radius_px)
        self._axis()

    def _hatch(self, left: float, wide: float) -> None:
        canvas = self.canv
        canvas.saveState()
        path = canvas.beginPath()
        path.rect(left, AXIS, wide, HEIGHT)
        canvas.clipPath(path, stroke=1, fill=0)
        canvas.setFillColor("#ffffff")
        canvas.rect(left, AXIS, wide, HEIGHT, stroke=0, fill=1)
        canvas.setStrokeColor("#3c444b")
        canvas.setLineWidth(0.7)
        x = left - HEIGHT
        while x < left + wide:
            canvas.line(x, AXIS, x + HEIGHT, AXIS + HEIGHT)
            x += HATCH_STEP
        canvas.restoreState()

    def _axis(self) -> None:
        canvas, ticks = self.canv, self._side.ticks_along
        canvas.setFont(self._font, 7)
        canvas.setFillColor(SOFT)
        canvas.setStrokeColor(EDGE)
        for n, tick in enumerate(ticks):
            x = tick.at_pct / 100 * self.width
            canvas.line(x, AXIS, x, AXIS - 4)
            label = tick.label.replace(THIN_SPACE, "\N{NO-BREAK SPACE}")
            if n == 0:
                canvas.drawString(x, AXIS - 12, f"{label} m")
            elif n == len(ticks) - 1:
                canvas.drawRightString(x, AXIS - 12, f"{label} m")
            else:
                canvas.drawCentredString(x, AXIS - 12, label)


class KindMark(Flowable):  # type: ignore[misc]  # reportlab has no types
    """The mark of a kind, for tables."""

    def __init__(self, kind: int) -> None:
        super().__init__()
        self._kind, self.width, self.height = kind, 9.0, 9.0

    def wrap(self, *_: float) -> tuple[float, float]:
        """The room that it takes."""
        return self.width, self.height

    def draw(self) -> None:
        """Draw it."""
        draw_mark(self.canv, self._kind, 4.0, 4.5, 3.4)


def draw_mark(canvas: Any, kind: int, x: float, y: float, radius: float) -> None:
    """The mark of a defect's kind: its colour and its shape."""
    canvas.setFillColor(kind_colour(kind))
    canvas.setStrokeColor(INK)
    canvas.setLineWidth(0.4)
    match kind_shape(kind):
        case "circle":
            canvas.circle(x, y, radius, fill=1)
        case "square":
            canvas.rect(x - 0.9 * radius, y - 0.9 * radius, 1.8 * radius, 1.8 * radius, fill=1)
        case shape:
            path = canvas.beginPath()
            corners = (
                [(0, 1.25), (1.1, -0.8), (-1.1, -0.8)]
                if shape == "triangle"
                else [(0, 1.3), (1.3, 0), (0, -1.3), (-1.3, 0)]
            )
            for n, (across, up) in enumerate(corners):
                (path.moveTo if n == 0 else path.lineTo)(x + across * radius, y + up * radius)
            path.close()
            canvas.drawPath(path, fill=1, stroke=1)

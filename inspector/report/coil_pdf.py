"""The coil's report as a PDF: a sheet to sign, then the defects and their pictures."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

from inspector.extras import needs_extra
from inspector.numbers import THIN_SPACE, thousands
from inspector.passwords import masked
from inspector.render.numbers import metres, square_mm
from inspector.report.coil_card import CoilCard

if TYPE_CHECKING:
    from inspector.report.report import Report

MM: Final = 72 / 25.4
"""Points in a millimetre of paper."""

MARGIN: Final = 16 * MM
WIDTH: Final = 210 * MM - 2 * MARGIN
"""Between the margins of an A4 sheet, points."""

PADDING: Final = 6.0
"""What reportlab leaves free inside the margins, points."""

PICTURES_OF_A_KIND: Final = 3
MOST_REASONS: Final = 3
"""Reasons under a picture."""

INK, SOFT, LINE, PALE = "#1b2127", "#5c6770", "#d5dade", "#f3f5f6"
TONES: Final = {"good": "#1f7a4d", "warn": "#8a5d00", "bad": "#b3261e", "none": SOFT}

FONTS: Final = Path("/usr/share/fonts/truetype/dejavu")
"""Debian's fonts-dejavu-core, which has every letter of Europe."""

_Flow = list[Any]


def render_pdf(report: "Report", coil: CoilCard) -> bytes:
    """The whole document. Raises InputError if reportlab is missing."""
    with needs_extra("a report as PDF"):
        from reportlab.platypus import SimpleDocTemplate
    plain, bold = _fonts()
    styles = _Styles(plain, bold)
    target = io.BytesIO()
    document = SimpleDocTemplate(
        target, pagesize=(210 * MM, 297 * MM), leftMargin=MARGIN - PADDING, rightMargin=MARGIN - PADDING,
        topMargin=14 * MM, bottomMargin=16 * MM, title=f"Coil {coil.id}: {coil.verdict}",
        author=f"strip-inspector {report.version}",
    )  # fmt: skip

    def foot(canvas: Any, page: Any) -> None:
        canvas.setFont(plain, 7.5)
        canvas.setFillColor(SOFT)
        canvas.drawString(
            MARGIN, 9 * MM, _text(f"coil {coil.id} · {report.captured} · strip-inspector {report.version}")
        )
        canvas.drawRightString(210 * MM - MARGIN, 9 * MM, f"page {page.page}")

    story = [
        *_head(report, coil, styles),
        *_table_of_kinds(coil, styles),
        *_map(coil, styles),
        *_sign(styles),
    ]
    story += [*_defects(coil, styles), *_pictures(report, styles)]
    document.build(story, onFirstPage=foot, onLaterPages=foot)
    return target.getvalue()


def _fonts() -> tuple[str, str]:
    """Names of a plain and a bold font: DejaVu where Debian has it, else the one that comes with reportlab."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFError, TTFont

    pairs = (
        (str(FONTS / "DejaVuSans.ttf"), str(FONTS / "DejaVuSans-Bold.ttf")),
        ("Vera.ttf", "VeraBd.ttf"),
    )
    for plain, bold in pairs:
        try:
            pdfmetrics.registerFont(TTFont("Report", plain))
            pdfmetrics.registerFont(TTFont("Report-Bold", bold))
        except TTFError:
            continue
        pdfmetrics.registerFontFamily("Report", "Report", "Report-Bold", "Report", "Report-Bold")
        return "Report", "Report-Bold"
    return "Helvetica", "Helvetica-Bold"


class _Styles:
    """Paragraphs and tables of the document."""

    def __init__(self, plain: str, bold: str) -> None:
        from reportlab.lib.styles import ParagraphStyle

        def style(name: str, size: float, *, heavy: bool = False, **more: Any) -> Any:
            font = bold if heavy else plain
            return ParagraphStyle(
                name, fontName=font, fontSize=size, leading=1.35 * size, **({"textColor": INK} | more)
            )

        self.plain, self.bold = plain, bold
        self.text = style("text", 8.5)
        self.soft = style("soft", 7.5, textColor=SOFT)
        self.number = style("number", 8.5, alignment=2)
        self.number_head = style("number_head", 7.5, alignment=2, textColor=SOFT)
        self.title = style("title", 20, heavy=True)
        self.heading = style("heading", 11, heavy=True, spaceBefore=5 * MM, spaceAfter=2 * MM, keepWithNext=1)

    def paragraph(self, text: str, name: str = "text") -> Any:
        """A paragraph of plain text."""
        from reportlab.platypus import Paragraph

        return Paragraph(escape(_text(text)), getattr(self, name))

    def table(self, head: list[str], rows: list[list[Any]], widths: list[float], numbers: set[int]) -> Any:
        """A table with a line under each row; `numbers` are the columns that stand to the right."""
        from reportlab.platypus import Table, TableStyle

        cells = [[self.paragraph(t, "number_head" if n in numbers else "soft") for n, t in enumerate(head)]]
        cells += [
            [
                self.paragraph(t, "number" if n in numbers else "text") if isinstance(t, str) else t
                for n, t in enumerate(row)
            ]
            for row in rows
        ]
        made = Table(cells, colWidths=widths, repeatRows=1)
        made.setStyle(
            TableStyle(
                [
                    ("LINEBELOW", (0, 0), (-1, 0), 0.8, INK),
                    ("LINEBELOW", (0, 1), (-1, -1), 0.4, LINE),
                    ("VALIGN", (0, 0), (-1, -1), "TOP"),
                    ("LEFTPADDING", (0, 0), (-1, -1), 0),
                    ("RIGHTPADDING", (0, 0), (-1, -1), 5),
                    ("TOPPADDING", (0, 0), (-1, -1), 2),
                    ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
                ]
            )
        )
        return made


def _text(text: str) -> str:
    """Without passwords, and with a space that every font has."""
    return masked(text).replace(THIN_SPACE, "\N{NO-BREAK SPACE}")


def _head(report: "Report", coil: CoilCard, styles: _Styles) -> _Flow:
    from reportlab.platypus import Paragraph, Spacer, Table, TableStyle

    tone = TONES[coil.tone]
    verdict = Paragraph(
        f'<font color="{tone}"><b>{escape(coil.verdict.upper())}</b></font>',
        styles.title.clone("verdict", alignment=2),
    )
    top = Table([[styles.paragraph(f"Coil {coil.id}", "title"), verdict]], colWidths=[0.65 * WIDTH, 0.35 * WIDTH])
    top.setStyle(TableStyle([("LEFTPADDING", (0, 0), (-1, -1), 0), ("LINEBELOW", (0, 0), (-1, 0), 1.2, INK)]))
    reasons = [styles.paragraph(reason) for reason in coil.reasons] or [
        styles.paragraph("No rule of its plan is broken.")
    ]
    box = Table([[reasons]], colWidths=[WIDTH])
    box.setStyle(
        TableStyle(
            [
                ("BACKGROUND", (0, 0), (-1, -1), PALE),
                ("LINEBEFORE", (0, 0), (0, -1), 4, tone),
                ("LEFTPADDING", (0, 0), (-1, -1), 10),
                ("TOPPADDING", (0, 0), (-1, -1), 5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 6),
            ]
        )
    )
    facts = [[styles.paragraph(name, "soft"), styles.paragraph(text)] for name, text in coil.facts]
    facts.append([styles.paragraph("frames", "soft"), styles.paragraph(_ledger(report))])
    half = (len(facts) + 1) // 2
    rows = [
        [*facts[n], *(facts[n + half] if n + half < len(facts) else [styles.paragraph(""), styles.paragraph("")])]
        for n in range(half)
    ]
    table = Table(rows, colWidths=[0.13 * WIDTH, 0.36 * WIDTH, 0.13 * WIDTH, 0.38 * WIDTH])
    table.setStyle(
        TableStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("TOPPADDING", (0, 0), (-1, -1), 1.5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
            ]
        )
    )
    story: _Flow = [top, Spacer(1, 3 * MM), box, Spacer(1, 3 * MM), table]
    if coil.roll_marks:
        story.append(styles.paragraph("Roll marks", "heading"))
        story += [styles.paragraph(mark) for mark in coil.roll_marks]
    return story


def _ledger(report: "Report") -> str:
    ledger = report.ledger
    return (
        f"{thousands(ledger.captured)} captured = {thousands(ledger.accepted)} accepted + "
        f"{thousands(ledger.rejected)} rejected + {thousands(ledger.uninspected)} uninspected"
    )


def _table_of_kinds(coil: CoilCard, styles: _Styles) -> _Flow:
    story: _Flow = [styles.paragraph("Defects by kind and severity", "heading")]
    if not coil.rows:
        return [*story, styles.paragraph("No defect was found.")]
    head = ["kind", *(f"severity {each}" for each in coil.severities), "all", "largest"]
    rows = [
        [_kind(row.kind, row.name, styles), *(thousands(n) if n else "–" for n in row.by_severity),
         thousands(row.total), square_mm(row.largest_mm2)]
        for row in coil.rows
    ]  # fmt: skip
    columns = len(head) - 1
    widths = [0.25 * WIDTH, *[0.75 * WIDTH / columns] * columns]
    return [*story, styles.table(head, rows, widths, set(range(1, columns + 1)))]


def _kind(kind: int, name: str, styles: _Styles) -> Any:
    """The kind's mark and name."""
    from reportlab.platypus import Table, TableStyle

    from inspector.report.coil_drawing import KindMark

    made = Table([[KindMark(kind), styles.paragraph(name)]], colWidths=[12, None])
    made.setStyle(
        TableStyle(
            [
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("TOPPADDING", (0, 0), (-1, -1), 0),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 0),
                ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
            ]
        )
    )
    return made


def _map(coil: CoilCard, styles: _Styles) -> _Flow:
    from reportlab.platypus import KeepTogether

    from inspector.report.coil_drawing import SideDrawing

    story: _Flow = []
    for n, side in enumerate(coil.sides):
        about = (
            f"{side.side} side, {thousands(side.width_mm)} mm wide, head left: {thousands(side.defects)} defects"
        )
        told = [styles.paragraph("Where on the coil", "heading")] if n == 0 else []
        story.append(
            KeepTogether([*told, styles.paragraph(about, "soft"), SideDrawing(side, WIDTH, styles.plain)])
        )
    if coil.blind:
        story.append(styles.paragraph(f"Not inspected (hatched), from the head: {coil.blind}.", "soft"))
    return story


def _sign(styles: _Styles) -> _Flow:
    from reportlab.platypus import KeepTogether, Spacer, Table, TableStyle

    labels = [styles.paragraph(text, "soft") for text in ("date", "", "name", "", "signature")]
    line = Table([labels], colWidths=[0.2 * WIDTH, 0.04 * WIDTH, 0.34 * WIDTH, 0.04 * WIDTH, 0.38 * WIDTH])
    line.setStyle(
        TableStyle(
            [("LINEABOVE", (n, 0), (n, 0), 0.8, INK) for n in (0, 2, 4)] + [("LEFTPADDING", (0, 0), (-1, -1), 0)]
        )
    )
    return [KeepTogether([Spacer(1, 14 * MM), line])]


def _defects(coil: CoilCard, styles: _Styles) -> _Flow:
    from reportlab.platypus import PageBreak

    if not coil.defects:
        return []
    head = ["kind", "severity", "from head", "across", "length", "width", "area", "side", "cameras"]
    rows = [
        [each.name, str(each.severity), metres(each.from_head_mm), f"{each.across_mm:.0f} mm",
         f"{each.length_mm:.0f} mm", f"{each.width_mm:.0f} mm", square_mm(each.area_mm2), each.side,
         ", ".join(each.cameras)]
        for each in coil.defects
    ]  # fmt: skip
    widths = [share * WIDTH for share in (0.14, 0.08, 0.12, 0.1, 0.1, 0.1, 0.14, 0.08, 0.14)]
    return [
        PageBreak(),
        styles.paragraph("Worst defects", "heading"),
        styles.table(head, rows, widths, set(range(1, 7))),
    ]


def _pictures(report: "Report", styles: _Styles) -> Iterator[Any]:
    from reportlab.platypus import Image, KeepTogether, Spacer

    for group in report.gallery.kinds:
        name: list[Any] = [styles.paragraph(f"{group.name}: {group.said}", "heading")]
        for picture in [each for each in group.pictures if each.jpeg][:PICTURES_OF_A_KIND]:
            width = min(WIDTH, WIDTH * max(0.5, picture.width_px / (4 * max(1, picture.height_px))))
            image = Image(
                io.BytesIO(base64.b64decode(picture.jpeg or "")),
                width,
                width * picture.height_px / picture.width_px,
            )
            image.hAlign = "LEFT"
            place = (
                f"{metres(picture.position_mm)} · {picture.camera}, frame {picture.frame_id} · {picture.captured}"
            )
            reasons = [
                styles.paragraph((f"{each.number}  " if each.number else "") + each.text)
                for each in picture.reasons[:MOST_REASONS]
            ]
            yield KeepTogether(
                [*name, image, Spacer(1, 1 * MM), styles.paragraph(place, "soft"), *reasons, Spacer(1, 4 * MM)]
            )
            name = []

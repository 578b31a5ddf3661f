"""Positions that a power cut must not repeat."""

from pathlib import Path

import pytest

from inspector.strip.reserved import NAME, RESERVE_MM, ReservedPosition


def test_after_a_power_cut_no_position_is_given_again(tmp_path: Path) -> None:
    """The next one begins beyond all that may have been given, and at most RESERVE_MM further on."""
    strip = ReservedPosition(tmp_path)
    for position_mm in range(0, 800_000, 7_000):
        strip.keep(float(position_mm))
    # No close: the PC is gone.
    assert position_mm < ReservedPosition(tmp_path).mm <= position_mm + RESERVE_MM


def test_after_a_stop_in_order_the_position_goes_on_where_it_was(tmp_path: Path) -> None:
    """Reverse travel gives no position back."""
    strip = ReservedPosition(tmp_path)
    strip.keep(1000.0)
    strip.close(1234.5)
    again = ReservedPosition(tmp_path)
    assert again.mm == pytest.approx(1234.5)
    again.keep(400_000.0)
    again.keep(390_000.0)
    again.close(390_000.0)
    assert ReservedPosition(tmp_path).mm >= 400_000.0


def test_a_damaged_file_is_said_and_replaced(tmp_path: Path) -> None:
    """The strip's other records still say where it was."""
    (tmp_path / NAME).write_text("none")
    strip = ReservedPosition(tmp_path)
    assert strip.mm == 0.0
    strip.keep(5.0)
    assert ReservedPosition(tmp_path).mm == 5.0 + RESERVE_MM

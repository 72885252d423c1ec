"""Bars in cells: one per phase, drawn once there is something to draw."""

from __future__ import annotations

from typing import Any

import pytest

from assay.flows.progress import CellBars


class Drawn:
    """A bar that records what it is asked for."""

    def __init__(self, **options: Any) -> None:
        self.desc, self.total = options["desc"], options["total"]
        self.n = options["initial"]
        self.is_open = True

    def update(self, n: int) -> None:
        """Count images."""
        self.n += n

    def close(self) -> None:
        """Close the bar."""
        self.is_open = False


@pytest.fixture
def made() -> list[Drawn]:
    return []


@pytest.fixture
def bars(made: list[Drawn]) -> CellBars:
    def make(**options: Any) -> Drawn:
        made.append(Drawn(**options))
        return made[-1]

    return CellBars(make)


def test_a_bar_waits_for_its_total(bars: CellBars, made: list[Drawn]) -> None:
    """A listing that is not finished yet has no length to draw."""
    bars.begin("moderate", None)
    assert made == []
    bars.expect(10)
    bars.advance(4)
    assert [(one.desc, one.total, one.n, one.is_open) for one in made] == [
        ("moderate", 10, 4, True)
    ]


def test_a_bar_without_a_total_is_drawn_with_the_first_image(
    bars: CellBars, made: list[Drawn]
) -> None:
    """The total may never be known; one that comes later is set."""
    bars.begin("ingest", None)
    bars.advance(3)
    assert (made[0].total, made[0].n) == (None, 3)
    bars.expect(8)
    assert (made[0].total, made[0].n) == (8, 3)


def test_the_end_of_a_phase_fills_its_bar(bars: CellBars, made: list[Drawn]) -> None:
    """Images that turned out to be known are not waited for."""
    bars.begin("score", 8)
    bars.advance(5)
    bars.end()
    bars.begin("views", 2)
    assert [(one.total, one.n, one.is_open) for one in made] == [(5, 5, False), (2, 0, True)]


def test_an_interrupted_bar_stays_as_it_is(bars: CellBars, made: list[Drawn]) -> None:
    """A bar below its total is drawn in red by tqdm."""
    bars.begin("score", 8)
    bars.advance(5)
    bars.close()
    assert (made[0].total, made[0].n, made[0].is_open) == (8, 5, False)


def test_a_phase_without_images_draws_nothing(bars: CellBars, made: list[Drawn]) -> None:
    """Nothing to do is no empty bar."""
    bars.begin("score", 0)
    bars.end()
    assert made == []

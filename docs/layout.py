"""Places for the boxes of a diagram: in rows from top to bottom, lines without detours.

After Sugiyama, Tagawa, Toda, "Methods for visual understanding of hierarchical system structures",
IEEE SMC 11(2), 1981: rows by longest path, order by barycentre; then each row as near to its
neighbours as its order and the gaps allow (isotonic regression).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

GAP = 26.0  # between boxes of a row
ORDERINGS, SWEEPS = 24, 400
STRAIGHT = 8.0  # how much more a long line wants to be straight than a box wants to stand well


@dataclass(eq=False)
class Place:
    """A box in the picture, or a point that a long line passes.

    Attributes:
        width: of the box, 0 for a point.
        lane: boxes of a lower number stand further left.
        above: what it reads.
        below: what reads it.
        row: from the top.
        x: of its middle.
    """

    width: float
    lane: float
    above: list[Place] = field(default_factory=list)
    below: list[Place] = field(default_factory=list)
    row: int = 0
    x: float = 0.0


class _Block(NamedTuple):
    """Neighbours of a row that stand as close as they may."""

    total: float
    weight: float
    count: int

    @property
    def middle(self) -> float:
        """Where they would like to be, all in all."""
        return self.total / self.weight


def arrange(places: list[Place]) -> list[list[Place]]:
    """Gives each place its row and its x, the leftmost edge being 0.

    Args:
        places: each after those that it reads; the lines are in `above` and `below`.

    Returns:
        The rows, with the points that long lines pass; `above` and `below` then go row by row.
    """
    for place in places:
        place.row = max((other.row + 1 for other in place.above), default=0)
    for place in reversed(places):  # what goes in comes as late as it can
        if not place.above and place.below:
            place.row = min(other.row for other in place.below) - 1
    rows: list[list[Place]] = [[] for _ in range(max(place.row for place in places) + 1)]
    for place in places:
        rows[place.row].append(place)
    for place in places:
        place.below = [_bridge(rows, place, other) for other in place.below]
    for row in rows:
        row.sort(key=lambda place: place.lane)
    for sweep in range(ORDERINGS):
        _order(rows, down=sweep % 2 == 0)
    for row in rows:
        _settle(row, [place.lane * 200 for place in row])
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            _settle(row, [_pull(place) for place in row])
    left = min(place.x - place.width / 2 for row in rows for place in row)
    for row in rows:
        for place in row:
            place.x -= left
    return rows


def _bridge(rows: list[list[Place]], start: Place, end: Place) -> Place:
    """Points in the rows between two places; the first thing on the way from the start."""
    before = start
    first = end
    for row in range(start.row + 1, end.row):
        point = Place(0, (start.lane + end.lane) / 2 + 0.2, above=[before], row=row)
        rows[row].append(point)
        if before is start:
            first = point
        else:
            before.below = [point]
        before = point
    end.above[end.above.index(start)] = before
    if before is not start:
        before.below = [end]
    return first


def _order(rows: list[list[Place]], *, down: bool) -> None:
    for row in rows if down else rows[::-1]:
        centre = {}
        for index, place in enumerate(row):
            others = place.above if down else place.below
            spots = [rows[other.row].index(other) / len(rows[other.row]) for other in others]
            here = (index + 0.5) / len(row)
            centre[id(place)] = sum(spots) / len(spots) if spots else here
        row.sort(key=lambda place: (round(place.lane), centre[id(place)]))


def _pull(place: Place) -> float:
    """Where a place would like to be: at the mean of its neighbours."""
    pulls = [(_stiffness(place, other), other.x) for other in (*place.above, *place.below)]
    total = sum(weight for weight, _ in pulls)
    return sum(weight * x for weight, x in pulls) / total if total else place.x


def _stiffness(place: Place, other: Place) -> float:
    """How straight the line between two places wants to be."""
    if not place.width and not other.width:
        return STRAIGHT
    first, second = (place, other) if place.row < other.row else (other, place)
    is_chain = len(first.below) == 1 and len(second.above) == 1
    return 3.0 if is_chain else 1.0


def _settle(row: list[Place], wanted: list[float]) -> None:
    """The nearest to what is wanted, squared, that keeps order and gaps."""
    offsets = [0.0]
    for left, right in pairwise(row):
        offsets.append(offsets[-1] + (left.width + right.width) / 2 + GAP)
    blocks: list[_Block] = []
    for place, want, offset in zip(row, wanted, offsets, strict=True):
        weight = 1.0 if place.width else STRAIGHT
        blocks.append(_Block((want - offset) * weight, weight, 1))
        while len(blocks) > 1 and blocks[-2].middle > blocks[-1].middle:
            last, before = blocks.pop(), blocks.pop()
            blocks.append(_Block(*(a + b for a, b in zip(before, last, strict=True))))
    middles = [block.middle for block in blocks for _ in range(block.count)]
    for place, middle, offset in zip(row, middles, offsets, strict=True):
        place.x = middle + offset

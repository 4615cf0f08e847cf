"""What an evaluation hands on: figures to show, and the counts behind them to resample and draw."""

from __future__ import annotations

from dataclasses import dataclass

from featherface.evaluation.average_precision import Measure, Tally, measure
from featherface.evaluation.matching import Matches, Truth


@dataclass(frozen=True, slots=True)
class LandmarkError:
    """How far landmarks lie from those that people set.

    Attributes:
        faces: found faces, at any score, with landmarks set by a person.
        mean: of the distances of their points, over the square root of the box's area; NaN
            when there are no such faces.
    """

    faces: int
    mean: float


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """The result of an evaluation.

    Attributes:
        protocol: "labelled" or "wider".
        truth: what was to be found.
        matches: what was found.
        tallies: what each figure counts, by the name of the list or band.
        measures: the figures, by the same names.
        landmarks: None when the protocol knows no landmarks.
    """

    protocol: str
    truth: Truth
    matches: Matches
    tallies: dict[str, Tally]
    measures: dict[str, Measure]
    landmarks: LandmarkError | None = None

    @classmethod
    def of(
        cls,
        protocol: str,
        truth: Truth,
        matches: Matches,
        tallies: dict[str, Tally],
        landmarks: LandmarkError | None = None,
    ) -> Report:
        """The report with the figures of `tallies`."""
        figures = {name: measure(counts) for name, counts in tallies.items()}
        return cls(protocol, truth, matches, tallies, figures, landmarks)

"""Doing one part: its pictures are read, looked at, and become one Parquet file.

What every engine calls. It may be called twice for a part, by processes that know nothing of each
other: a part that is finished is not done again, and a file appears whole.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from featherface import __version__
from featherface.batch.attempts import FOLDER, Attempt, PartError, forget
from featherface.batch.places import Place, place_of
from featherface.batch.plan import Options, Plan, part_name, part_of, settle, top_for
from featherface.batch.reading import Given, read
from featherface.batch.rows import Counts, Row, count, write
from featherface.image import ImageError
from featherface.runtime.detector import Detector

UNNAMED = "the bytes given: "  # what an `ImageError` about bytes begins with
GUILTY = (
    "the process that looked at it died, again and again, perhaps for want of memory; "
    "--tiles or --size take less"
)


class Outcome(NamedTuple):
    """What became of a part.

    Attributes:
        number: of the part.
        pictures: in it, like the next two.
        faces: found.
        errors: pictures that could not be looked at.
        seconds: that it took; 0 if it was finished before.
        failure: why the part could not be done at all; "" if it was.
    """

    number: int
    pictures: int = 0
    faces: int = 0
    errors: int = 0
    seconds: float = 0.0
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """All that a process needs to do parts; can be sent to another machine.

    Attributes:
        source: the input, as `place_of` takes it.
        output: the same for the output.
        plan: the output's.
        detector: finds the faces; a copy opens its weights anew.
        run: the start of the command that this is, for its notes.
    """

    source: str
    output: str
    plan: Plan
    detector: Detector
    run: str

    @classmethod
    def begin(
        cls, source: str, output: str, detector: Detector, *, part: int, column: str = ""
    ) -> Job:
        """Makes a plan, or takes up the one that is there.

        Args:
            source: the input.
            output: a new folder, or one with a plan.
            detector: finds the faces.
            part: pictures a part, at most.
            column: of Parquet files; "" to find it.

        Raises:
            ValueError: as `plan.settle`.
            OSError: as `plan.settle`.
        """
        given, target = place_of(source), place_of(output)
        options = Options(
            featherface=__version__,
            weights=detector.sha256,
            score=detector.score,
            size=detector.size,
            tiles=detector.tiles,
            input=_everywhere(given, given.shown),
            part=part,
            column=column,
        )
        plan = settle(given, target, options)
        (target / FOLDER).make_folder()
        places = _everywhere(given, source), _everywhere(target, output)
        return cls(*places, plan, detector, uuid.uuid4().hex)

    def check(self) -> None:
        """Makes sure that this machine would do what the others do.

        Raises:
            ValueError: it has other weights under the same name.
        """
        if self.detector.sha256 != self.plan.options.weights:
            raise ValueError("the weights on this machine are not those that the run began with")

    def do(self, number: int) -> Outcome:
        """Does a part, unless it is finished.

        What may be otherwise at the next start, such as a store that cannot be reached, becomes
        the outcome's failure.
        """
        output = place_of(self.output)
        target = output / part_name(number)
        try:
            if target.is_file():
                forget(output, number)
                return Outcome(number, *count(target))
            start = time.perf_counter()
            attempt = Attempt(output, number, self.run)
            try:
                counts = self._make(number, output, target, attempt)
            finally:  # an error is no death
                attempt.end()
        except (OSError, PartError, ValueError, MemoryError, pa.ArrowException) as error:
            return Outcome(number, failure=str(error) or type(error).__name__)
        return Outcome(number, *counts, time.perf_counter() - start)

    def _make(self, number: int, output: Place, target: Place, attempt: Attempt) -> Counts:
        top = top_for(self.plan, place_of(self.source))
        rows = []
        for index, given in enumerate(read(part_of(output, number), self.plan, top)):
            if index in attempt.guilty:
                rows.append(Row(given.path, error=GUILTY))
                continue
            attempt.at(index)
            rows.append(look(given, self.detector))
        options = self.plan.options
        facts = {"version": options.featherface, "weights": options.weights}
        return write(rows, target, facts)


def _everywhere(place: Place, name: str) -> str:
    """A name that means the same in every process."""
    return place.path if place.is_local else name


def look(given: Given, detector: Detector) -> Row:
    """Finds the faces of one picture; whatever goes wrong with it becomes its row's error."""
    if given.error is not None:
        return Row(given.path, error=given.error)
    try:
        fitted = detector.fit(given.content)
        return Row(given.path, fitted.fit.size, detector.find([fitted])[0])
    except ImageError as error:
        return Row(given.path, error=str(error).removeprefix(UNNAMED))
    except Exception as error:  # one picture of a million must not stop the rest
        return Row(given.path, error=f"cannot be looked at ({type(error).__name__}: {error})")

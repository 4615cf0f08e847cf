"""Notes about parts that were begun, so that a picture that kills whoever looks at it is found out.

A process that is killed, most often for want of memory, leaves its note behind. Whoever begins the
part again then notes each picture before looking at it. A picture at which two more processes die
is left out, with an error in its row; a part that kills five before its first picture is given up.
The notes lie in `_attempts/` in the output, one a part under way, so that they outlive everything.
"""

from __future__ import annotations

import json
from collections import Counter

from featherface.batch.places import Place
from featherface.batch.plan import DIGITS

FOLDER = "_attempts"
DEADLY = 2  # deaths at one picture that make it guilty: a killed node is no fault of the picture
HOPELESS = 5  # deaths before the first picture that make a part so
BEFORE = -1  # the picture that none is noted as yet


class PartError(Exception):
    """A part that cannot be done; the message says why."""


class Attempt:
    """Doing a part once.

    Attributes:
        guilty: indices of pictures that are not to be looked at.
        is_careful: somebody died at this part, so each picture is noted.
    """

    guilty: frozenset[int]
    is_careful: bool

    def __init__(self, output: Place, number: int) -> None:
        """Takes note that the part is begun.

        Raises:
            PartError: it was begun too often.
            OSError: the note cannot be read or written.
        """
        self._note = output / FOLDER / f"{number:0{DIGITS}}"
        self._deaths = self._count()
        self.guilty = frozenset(
            at for at, deaths in self._deaths.items() if at != BEFORE and deaths >= DEADLY
        )
        self.is_careful = bool(self._deaths)
        if self._deaths[BEFORE] >= HOPELESS:
            self.end()  # the next start may try again
            raise PartError(
                f"{HOPELESS} processes died over it before they had noted a picture, perhaps for "
                "want of memory"
            )
        self._write(BEFORE)

    def _count(self) -> Counter[int]:
        """Deaths by the picture they came at."""
        try:
            facts = json.loads(self._note.read())
        except FileNotFoundError:
            return Counter()
        deaths = Counter({int(at): times for at, times in facts["deaths"].items()})
        deaths[facts["at"]] += 1
        return deaths

    def _write(self, at: int) -> None:
        self._note.write(json.dumps({"deaths": self._deaths, "at": at}).encode())

    def at(self, index: int) -> None:
        """Notes that this picture is looked at next, if that is worth a note."""
        if self.is_careful:
            self._write(index)

    def end(self) -> None:
        """Takes the note away: nobody has died."""
        self._note.delete()

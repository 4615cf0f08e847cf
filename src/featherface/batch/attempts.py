"""Notes about parts that were begun, so that a picture that kills whoever looks at it is found out.

A process that is killed, most often for want of memory, leaves its note behind. Whoever begins the
part again then notes each picture before looking at it. A picture at which two more processes die
is left out, with an error in its row; a part that kills five before its first picture is given up.
If the whole run ended with the process, most likely somebody ended it, wherever it was: only when
that has happened five times does it count as one death. So what is stopped again and again ends as
if undisturbed, and a picture that takes the run down each time still does not do so for ever.
The notes lie in `_attempts/` in the output, one a part under way, so that they outlive everything.
"""

from __future__ import annotations

import json
from collections import Counter

from featherface.batch.places import Place
from featherface.batch.plan import DIGITS

FOLDER = "_attempts"
ALONE = 5  # what a death weighs that the run outlived
TOGETHER = 1  # and one that it did not
DEADLY = 2 * ALONE  # at one picture makes it guilty: a killed node is no fault of the picture
HOPELESS = 5 * ALONE  # before the first picture makes a part so
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

    def __init__(self, output: Place, number: int, run: str) -> None:
        """Takes note that the part is begun.

        Args:
            output: where the notes are.
            number: of the part.
            run: what no other start of the command calls itself.

        Raises:
            PartError: it was begun too often.
            OSError: the note cannot be read or written.
        """
        self._note = _note(output, number)
        self._run = run
        self._blame = self._weigh()
        self.guilty = frozenset(
            at for at, blame in self._blame.items() if at != BEFORE and blame >= DEADLY
        )
        self.is_careful = bool(self._blame)
        if self._blame[BEFORE] >= HOPELESS:
            self.end()  # the next start may try again
            raise PartError(
                "the processes that began it died before they had noted a picture, again and "
                "again, perhaps for want of memory"
            )
        self._write(BEFORE)

    def _weigh(self) -> Counter[int]:
        """What the deaths weigh, by the picture they came at."""
        try:
            facts = json.loads(self._note.read())
        except FileNotFoundError:
            return Counter()
        blame = Counter({int(at): weight for at, weight in facts["blame"].items()})
        blame[facts["at"]] += ALONE if facts["run"] == self._run else TOGETHER
        return blame

    def _write(self, at: int) -> None:
        facts = {"blame": self._blame, "at": at, "run": self._run}
        self._note.write(json.dumps(facts).encode())

    def at(self, index: int) -> None:
        """Notes that this picture is looked at next, if that is worth a note."""
        if self.is_careful:
            self._write(index)

    def end(self) -> None:
        """Takes the note away: nobody has died."""
        self._note.delete()


def forget(output: Place, number: int) -> None:
    """Takes the note of a finished part away, whose process may have died just after finishing."""
    _note(output, number).delete()


def _note(output: Place, number: int) -> Place:
    return output / FOLDER / f"{number:0{DIGITS}}"

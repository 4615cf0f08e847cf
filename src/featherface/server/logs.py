"""Log lines as JSON, without anything that a client has sent.

Neither addresses, file names, queries nor pictures: a log is kept longer and read by more people
than the pictures are. Errors are told by type and place, since their texts may quote their input.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

OWN = "featherface"
FACTS = "facts"
"""Where `tell` puts what belongs into a line, in the log record."""


class JsonLines(logging.Formatter):
    """One object a line: time, level, event and its facts."""

    def format(self, record: logging.LogRecord) -> str:
        """Of other libraries' records the text as it stands in their source, nothing put in."""
        is_own = record.name.partition(".")[0] == OWN
        event = record.getMessage() if is_own else str(record.msg).partition("\n")[0]
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname.lower(),
            "event": event,
        }
        if not is_own:
            line["logger"] = record.name
        line |= getattr(record, FACTS, {})
        if record.exc_info and (error := record.exc_info[1]):
            line["error"] = type(error).__name__
            line["at"] = [
                f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
                for frame in traceback.extract_tb(error.__traceback__)
            ]
        return json.dumps(line)


def tell(
    logger: logging.Logger,
    event: str,
    *,
    level: int = logging.INFO,
    error: BaseException | None = None,
    **facts: object,
) -> None:
    """Writes a line with facts."""
    logger.log(level, event, exc_info=error, extra={FACTS: facts})


def warn(event: str, *, fix: str) -> None:
    """Writes a line that somebody should look at."""
    tell(logging.getLogger(OWN), event, level=logging.WARNING, fix=fix)


def log_as_json() -> None:
    """Sends all that this process logs to stderr, as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(OWN).setLevel(logging.INFO)
    # It quotes what it could not parse, and whoever sent that is told anyhow.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL + 1)

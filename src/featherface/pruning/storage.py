"""Where a study is kept, and the locks between those who work on it.

On one machine both lie in the run's folder: SQLite, and files that the system locks. For several
machines both are a PostgreSQL server's: its session locks are gone when a connection ends, as the
system's are when a process dies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout
from optuna.storages import RDBStorage
from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from featherface.pruning.config import SearchError

PATIENCE = 60  # seconds that a process waits for another one's write to SQLite
# A machine that lost its power says no goodbye: the server asks for it, and gives up after 60 s.
KEEPALIVE = {"idle": 30, "interval": 10, "count": 3}


class Hold(Protocol):
    """That a trial is worked on; gone when its process is."""

    def release(self) -> None:
        """Let others have the trial."""


class Storage(Protocol):
    """A study and its locks."""

    def __str__(self) -> str:
        """What an error calls it."""

    @property
    def study(self) -> str:
        """The study's name."""

    def open(self) -> RDBStorage:
        """What Optuna keeps the trials in; called by one process at a time."""

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Waits until no other process is in here."""

    def hold(self, number: int) -> Hold | None:
        """A trial for this process, or None when another one has it."""


def lock(folder: Path, name: str) -> FileLock:
    """A lock between the processes in a folder; the system opens it when its holder dies."""
    locks = folder / "locks"
    locks.mkdir(exist_ok=True)
    return FileLock(locks / name)


class Disk:
    """`study.db` in a folder, for the processes of one machine."""

    study = "prune"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder / "study.db")

    def open(self) -> RDBStorage:
        """See `Storage`."""
        engine = {"connect_args": {"timeout": PATIENCE}}
        return RDBStorage(f"sqlite:///{self}", engine_kwargs=engine)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """See `Storage`."""
        with lock(self._folder, "study"):
            yield

    def hold(self, number: int) -> Hold | None:
        """See `Storage`."""
        found = lock(self._folder, f"trial-{number:03}")
        try:
            found.acquire(timeout=0)
        except Timeout:  # its process lives
            return None
        return found


class Database:
    """A study on a PostgreSQL server, for processes on any machines.

    Connections go to the server itself, or to a pooler that leaves sessions whole.

    Args:
        url: postgresql://USER@HOST/DATABASE; the tables are made on first use.
        study: tells the studies of a database apart.

    Raises:
        SearchError: when it is another kind of URL, the server does not answer, or its driver is
            not installed.
    """

    def __init__(self, url: str, study: str) -> None:
        try:
            found = make_url(url)
        except ArgumentError as error:
            raise SearchError(f"--storage: {error}") from error
        if found.get_backend_name() != "postgresql":
            raise SearchError(f"--storage: {found!r} is not postgresql://USER@HOST/DATABASE")
        if found.drivername == "postgresql":  # which driver that means depends on SQLAlchemy's age
            found = found.set(drivername="postgresql+psycopg")
        self.study = study
        self._url = found
        try:
            self._engine = create_engine(
                found, poolclass=NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True
            )
            self._engine.connect().close()
        except ModuleNotFoundError as error:
            raise SearchError(
                f'--storage needs {error.name}, please: pip install "featherface[postgres]"'
            ) from error
        except DBAPIError as error:
            reason = str(error.orig).strip().partition("\n")[0]
            raise SearchError(f"{self}: {reason}") from error

    def __str__(self) -> str:
        return repr(self._url)  # its password is left out

    def open(self) -> RDBStorage:
        """See `Storage`."""
        url = self._url.render_as_string(hide_password=False)
        return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})  # a server may start anew

    @contextmanager
    def alone(self) -> Iterator[None]:
        """See `Storage`. Of all studies, as the tables may be made within."""
        with self._connect() as connection:
            connection.execute(text("select pg_advisory_lock(:key)"), {"key": _key("featherface")})
            yield

    def hold(self, number: int) -> Hold | None:
        """See `Storage`."""
        connection = self._connect()
        key = {"key": _key(f"{self.study}/{number}")}
        if connection.scalar(text("select pg_try_advisory_lock(:key)"), key):
            return _Session(connection)
        connection.close()
        return None

    def _connect(self) -> Connection:
        """A connection whose end the server notices."""
        connection = self._engine.connect()
        for name, value in KEEPALIVE.items():
            connection.execute(text(f"set tcp_keepalives_{name} = {value}"))
        return connection


class _Session:
    """A connection that holds a lock as long as it lives."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def release(self) -> None:
        """Unlocks and closes; one that the server has closed is let go already."""
        with self._connection, suppress(DBAPIError):
            self._connection.execute(text("select pg_advisory_unlock_all()"))


def _key(name: str) -> int:
    """What PostgreSQL calls a lock: 64 bits with a sign."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)

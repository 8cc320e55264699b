"""What is done and what is left, in one SQLite file that survives a kill at any moment.

Only the parent process of a batch writes here. Each case is in one state: `waiting`, `running`, `done`, `unusable` or
`failed`. A case is taken for `done` only after its folder has appeared under its final name.
"""

from __future__ import annotations

import json
import sqlite3
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from groundglass.batch.cases import Case, unique_names
from groundglass.batch.outcome import Outcome, Value
from groundglass.errors import OptionError, OutputError
from groundglass.io.write import writing

LEDGER = "batch.sqlite"
LOCK = "batch.lock"
VERSION = "1"

_TABLES = """
CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cases (
    identity TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE, path TEXT NOT NULL, part TEXT NOT NULL,
    suggestion TEXT NOT NULL, members BLOB, state TEXT NOT NULL, attempts INTEGER NOT NULL, claimed REAL,
    kind TEXT NOT NULL, reason TEXT NOT NULL, row TEXT NOT NULL, seconds REAL NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger.

    Attributes:
        case: the case, with its name.
        state: `waiting`, `running`, `done`, `unusable` or `failed`.
        attempts: how often a worker was lost over it.
        claimed: when it was last begun, seconds since 1970; 0 if never.
        outcome: None until it has come to an end.
    """

    case: Case
    state: str
    attempts: int
    claimed: float
    outcome: Outcome | None


class Ledger:
    """The record of one batch."""

    def __init__(self, database: sqlite3.Connection) -> None:
        """Take over an open database; see `opened`."""
        self._database = database

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, facts: Mapping[str, str], *, restart: bool = False) -> Iterator[Ledger]:
        """Open or begin the ledger of an output folder; no second batch can open it meanwhile.

        Args:
            folder: output folder, which exists.
            facts: what must be the same to go on: options, version, networks.
            restart: forget what was recorded.

        Raises:
            OptionError: the ledger was begun with other facts.
            OutputError: another batch is at work here, or the folder cannot be written.
        """
        with writing(folder / LEDGER), _locked(folder):
            if restart:
                for ending in ("", "-wal", "-shm"):
                    (folder / f"{LEDGER}{ending}").unlink(missing_ok=True)
            database = _connected(folder / LEDGER)
            try:
                ledger = cls(database)
                ledger._agree(dict(facts) | {"ledger": VERSION}, folder)
                ledger._release_all()
                yield ledger
            finally:
                database.close()

    def _agree(self, facts: Mapping[str, str], folder: Path) -> None:
        known = dict(self._database.execute("SELECT key, value FROM facts"))
        if not known:
            self._database.executemany("INSERT INTO facts VALUES (?, ?)", facts.items())
            return
        other = [
            f"{key}: {known.get(key)} then, {value} now" for key, value in facts.items() if known.get(key) != value
        ]
        if other:
            raise OptionError(
                f"{folder} holds a batch that was begun otherwise ({'; '.join(other)}); use the same options to go on, "
                "--restart to begin anew, or another output folder"
            )

    def _release_all(self) -> None:
        self._database.execute("UPDATE cases SET state = 'waiting' WHERE state = 'running'")

    def add(self, cases: Sequence[Case], *, anonymous: bool = False) -> int:
        """Register cases and name them; known ones keep their name and state.

        Returns:
            How many were new.
        """
        known = dict(self._database.execute("SELECT identity, name FROM cases"))
        new = sorted((case for case in cases if case.identity not in known), key=lambda case: (case.path, case.part))
        names = unique_names(new, list(known.values()), anonymous=anonymous)
        with self._transaction():
            for case, name in zip(new, names, strict=True):
                members = zlib.compress("\n".join(case.members).encode()) if case.members else None
                self._database.execute(
                    "INSERT INTO cases VALUES (?, ?, ?, ?, ?, ?, 'waiting', 0, 0, '', '', '{}', 0)",
                    (case.identity, name, case.path, case.part, case.suggestion, members),
                )
        return len(new)

    def retry(self) -> None:
        """Let failed cases wait again."""
        self._database.execute("UPDATE cases SET state = 'waiting', attempts = 0 WHERE state = 'failed'")

    def entries(self, *states: str) -> Iterator[Entry]:
        """Entries in the order of their names, all or those in some states."""
        marks = ",".join("?" * len(states))
        where = f" WHERE state IN ({marks})" if states else ""
        query = f"SELECT * FROM cases{where} ORDER BY name COLLATE NOCASE"
        cursor = self._database.cursor()
        cursor.row_factory = sqlite3.Row
        for line in cursor.execute(query, states):
            yield _entry(line)

    def counts(self) -> dict[str, int]:
        """State -> number of cases."""
        return dict(self._database.execute("SELECT state, COUNT(*) FROM cases GROUP BY state"))

    def claim(self, case: Case) -> None:
        """A worker begins a case."""
        self._database.execute(
            "UPDATE cases SET state = 'running', claimed = ? WHERE identity = ?", (time.time(), case.identity)
        )

    def finish(self, outcome: Outcome) -> None:
        """A case has come to its end; kept for good when this returns."""
        self._database.execute(
            "UPDATE cases SET state = ?, kind = ?, reason = ?, row = ?, seconds = ? WHERE identity = ?",
            (
                outcome.status,
                outcome.kind,
                outcome.reason,
                json.dumps(dict(outcome.row)),
                outcome.seconds,
                outcome.identity,
            ),
        )

    def lost(self, case: Case) -> int:
        """A worker died over a case, which waits again.

        Returns:
            How often that has happened to this case.
        """
        self._database.execute(
            "UPDATE cases SET state = 'waiting', attempts = attempts + 1 WHERE identity = ?", (case.identity,)
        )
        (attempts,) = self._database.execute(
            "SELECT attempts FROM cases WHERE identity = ?", (case.identity,)
        ).fetchone()
        return int(attempts)

    def claimed(self, case: Case) -> float:
        """When a case was last begun, seconds since 1970."""
        query = "SELECT claimed FROM cases WHERE identity = ?"
        return float(self._database.execute(query, (case.identity,)).fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")


def _connected(path: Path) -> sqlite3.Connection:
    try:
        database = sqlite3.connect(path, isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.executescript(_TABLES)
    except sqlite3.DatabaseError as error:
        raise OutputError(
            f"{path} cannot be used as the record of a batch ({error}); choose another output folder, or --restart"
        ) from error
    return database


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder against a second batch; the operating system lets go when this process ends, however it ends."""
    lock = sqlite3.connect(folder / LOCK, isolation_level=None, timeout=5.0)
    try:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise OutputError(
                f"{folder} cannot be locked ({error}): another batch may be at work there; wait for it, or choose "
                "another output folder"
            ) from error
        yield
    finally:
        lock.close()


def _entry(line: sqlite3.Row) -> Entry:
    members = tuple(zlib.decompress(line["members"]).decode().split("\n")) if line["members"] else ()
    case = Case(line["path"], members, line["part"], line["suggestion"], line["name"])
    outcome = None
    if line["state"] not in {"waiting", "running"}:
        row: dict[str, Value] = _row(line["row"])
        outcome = Outcome(case.identity, line["state"], line["kind"], line["reason"], row, line["seconds"])
    return Entry(replace(case, name=line["name"]), line["state"], line["attempts"], line["claimed"] or 0.0, outcome)


def _row(text: str) -> dict[str, Value]:
    values: dict[str, Any] = json.loads(text)
    return values

"""A batch from its inputs to its tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import psutil

from groundglass import __version__
from groundglass.batch.discover import Discovery, discover
from groundglass.batch.engine import CaseSource, Ended, Engine, Limits, Lost, Observer
from groundglass.batch.ledger import Entry, Ledger
from groundglass.batch.outcome import WORKER_LOST, Outcome
from groundglass.batch.table import Row, write_csv, write_parquet
from groundglass.batch.work import Task, finished_before
from groundglass.errors import OptionError
from groundglass.inference.engine import usable_cores
from groundglass.io.write import check_output_folder, remove_leftovers, writing
from groundglass.models.catalog import available
from groundglass.models.place import segmentation_cards
from groundglass.options import AnalysisOptions
from groundglass.settings import Settings

_WORKER_MB = 1500.0
"""Memory that a worker is expected to need, when the number of workers is chosen."""

Mode = Literal["resume", "restart"]


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """How a batch is run.

    Attributes:
        workers: scans at a time; 0 chooses by cores and memory.
        engine: `local` processes, or actors of a `ray` cluster.
        mode: go on where an earlier run ended, or forget it.
        retry_failed: try failed cases of an earlier run again.
        limits: of each case.
        attempts: how often a case is begun whose worker is lost.
        anonymous: name cases after a checksum of their path instead of their file or folder.
        store: address for the case folders (`s3://...`); the output folder when empty.
        address: of a Ray cluster; empty for one on this machine.
        gpus: share of a GPU that each Ray actor reserves.
    """

    workers: int = 0
    engine: Literal["local", "ray"] = "local"
    mode: Mode = "resume"
    retry_failed: bool = False
    limits: Limits = field(default_factory=Limits)
    attempts: int = 3
    anonymous: bool = False
    store: str = ""
    address: str = ""
    gpus: float = 0.0

    def __post_init__(self) -> None:
        """Reject what cannot be meant."""
        if self.workers < 0 or self.attempts < 1:
            raise OptionError(f"{self.workers} workers, {self.attempts} attempts; expected 0 or more, and 1 or more")
        for name, value in (("--timeout", self.limits.seconds), ("--memory-limit", self.limits.memory_mb)):
            if value is not None and value <= 0:
                raise OptionError(f"{name} is {value:g}; expected a number above 0")
        if self.engine == "local" and (self.address or self.gpus):
            raise OptionError("--address and --gpus belong to --engine ray")


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """How a batch ended.

    Attributes:
        counts: state -> number of cases.
        failures: cases that failed or are unusable.
        left_out: what was seen in the inputs and is no case.
        parquet: whether `results.parquet` was written.
    """

    counts: dict[str, int]
    failures: list[Entry]
    left_out: list[str]
    parquet: bool

    @property
    def complete(self) -> bool:
        """Whether every case has usable numbers."""
        return set(self.counts) <= {"done"}


def run_batch(
    inputs: Sequence[str],
    output: Path,
    options: BatchOptions,
    observer: Observer,
    *,
    analysis: AnalysisOptions | None = None,
    settings: Settings | None = None,
) -> BatchSummary:
    """Analyze many scans; may be ended at any moment and run again with the same arguments.

    Args:
        inputs: see `discover`.
        output: folder of the results, the ledger and the tables.
        options: how.
        observer: told what goes on.
        analysis: choices of every analysis.
        settings: limits and threads; the environment's when None.

    Raises:
        InputError: no scan found, or a path that is not there.
        OptionError: options that contradict those of the run to go on with.
        OutputError: the folder cannot be written, or another batch is at work there.
        ModelError: the network is missing or damaged.
    """
    analysis, settings = _settled(analysis or AnalysisOptions()), settings or Settings.from_environment()
    check_output_folder(output)
    found = discover(inputs, settings=settings)
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    workers = options.workers or _suitable_workers()
    task = Task(options.store or str(output.absolute()), analysis, _per_worker(settings, workers))
    with Ledger.opened(output, _facts(analysis), restart=options.mode == "restart") as ledger:
        if options.retry_failed:
            ledger.retry()
        ledger.add(list(found.cases.values()), anonymous=options.anonymous)
        _take_up(ledger, task, output)
        try:
            _run(ledger, task, _engine(task, workers, options, observer), options, observer)
        finally:
            parquet = write_tables(ledger, output, found)
        failures = list(ledger.entries("failed", "unusable"))
        return BatchSummary(ledger.counts(), failures, found.left_out, parquet)


def _run(ledger: Ledger, task: Task, engine: Engine, options: BatchOptions, observer: Observer) -> None:
    waiting = [entry.case for entry in ledger.entries("waiting")]
    names = {case.identity: case.name for case in waiting}
    total = sum(ledger.counts().values())
    observer.begin(total, total - len(waiting))
    source = CaseSource(waiting, ledger.claim)
    for event in engine.run(source):
        outcome = event.outcome if isinstance(event, Ended) else _after_loss(event, ledger, task, options, source)
        if outcome is not None:
            ledger.finish(outcome)
            observer.end(names[outcome.identity], outcome)


def _after_loss(event: Lost, ledger: Ledger, task: Task, options: BatchOptions, source: CaseSource) -> Outcome | None:
    """What becomes of a case whose worker died: its result is there all the same, it is tried again, or failed."""
    case = event.case
    finished = finished_before(case, task, ledger.claimed(case))
    if finished is not None:
        return finished
    if ledger.lost(case) < options.attempts:
        source.again(case)
        return None
    text = f"the worker process was lost {options.attempts} times over this scan (last: {event.how})"
    return Outcome(case.identity, "failed", WORKER_LOST, text)


def _take_up(ledger: Ledger, task: Task, output: Path) -> None:
    """Record what was finished but not recorded when an earlier run was killed, and clear half-written folders."""
    for entry in list(ledger.entries("waiting")):
        if entry.claimed:
            remove_leftovers(output, entry.case.name)
            finished = finished_before(entry.case, task, entry.claimed)
            if finished is not None:
                ledger.finish(finished)


def write_tables(ledger: Ledger, output: Path, found: Discovery) -> bool:
    """Write `results.csv`, `results.parquet`, `inputs.csv` and `cohort.html` from the ledger.

    Returns:
        Whether `results.parquet` was written.

    Raises:
        OutputError: they cannot be written.
    """
    from groundglass.batch.cohort import write_cohort_report

    entries = list(ledger.entries())
    rows = [result_row(entry) for entry in entries]
    write_csv(rows, output / "results.csv")
    inputs: list[Row] = [
        {"case": entry.case.name, "path": entry.case.path, "part": entry.case.part} for entry in entries
    ]
    write_csv(inputs, output / "inputs.csv", ("case", "path", "part"))
    write_cohort_report(entries, output, found.left_out)
    return write_parquet(rows, output / "results.parquet")


def result_row(entry: Entry) -> Row:
    """One line of `results.csv`."""
    if entry.outcome is None:
        return {"case": entry.case.name, "status": "waiting"}
    outcome = entry.outcome
    leading = {"case": entry.case.name, "status": outcome.status, "kind": outcome.kind, "reason": outcome.reason}
    return {**leading, **outcome.row, "seconds": outcome.seconds}


def _engine(task: Task, workers: int, options: BatchOptions, observer: Observer) -> Engine:
    if options.engine == "ray":
        from groundglass.batch.ray_engine import RayEngine

        return RayEngine(task, workers, options.limits, observer, address=options.address, gpus=options.gpus)
    from groundglass.batch.local import LocalEngine

    return LocalEngine(task, workers, options.limits, observer)


def _facts(analysis: AnalysisOptions) -> dict[str, str]:
    """What a batch must share with the run that it goes on with."""
    # Of the networks the content counts, not where they lie. A damaged one is found before any worker starts.
    cards = {card.sha256[:16]: card for card in segmentation_cards(analysis.model)}
    for card in cards.values():
        card.verify()
    return {
        "options": json.dumps(asdict(replace(analysis, model="")), sort_keys=True),
        "groundglass": __version__,
        "network": " ".join(cards),
    }


def _settled(analysis: AnalysisOptions) -> AnalysisOptions:
    """The options with a network that every worker finds, wherever it starts."""
    if str(analysis.model) in available():
        return analysis
    return replace(analysis, model=str(Path(analysis.model).expanduser().absolute()))


def _suitable_workers() -> int:
    """One per core, as long as each has memory enough."""
    return max(1, min(usable_cores(), int(psutil.virtual_memory().available / 1024**2 / _WORKER_MB)))


def _per_worker(settings: Settings, workers: int) -> Settings:
    """The settings of one worker: its share of the cores, unless the user has said how many threads."""
    return settings if settings.threads else replace(settings, threads=max(1, usable_cores() // workers))

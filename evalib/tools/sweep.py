"""Run a sweep's experiments on Dask: here, or on any cluster whose scheduler has an address.

Workers only compute: each record travels back and is written here, once and in one step, so a
remote worker needs no disk in common. What has its record does not run again. Neither Keras nor
Dask is imported before a run needs it.
"""

import contextlib
import logging
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from evalib.files import write_atomically
from evalib.results import write_results
from evalib.tools.sweep_process import ALLOWED_DEATHS, answer_task, end_run
from evalib.tools.sweep_records import (
    Record,
    Sweep,
    digest,
    format_summary,
    headline,
    locked_folder,
    read_records,
    summarize,
)
from evalib.tools.sweep_worker import PLAIN_RUN, failed_record, fingerprint

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT_SECONDS = 10

_ERROR_WIDTH = 100
_POLL_SECONDS = 0.05
_COUNT_SECONDS = 2.0  # between two counts of the workers
_PATIENCE_SECONDS = 20.0  # without a worker, before saying so


def run_sweep(
    sweep: Sweep,
    folder: Path,
    *,
    scheduler: str | None = None,
    workers: int = 1,
    retry_failed: bool = False,
    run: str = PLAIN_RUN,
) -> dict[str, Record]:
    """Run what has no record yet, then write the summary of all.

    Args:
        sweep: what to run.
        folder: for `<key>.json`, a record each, and at the end `records.json`, `table.md` and
            `figure.png`. Records of other experiments may lie there, too.
        scheduler: the address of a Dask scheduler, such as `tcp://10.0.0.5:8786`; without one,
            worker processes are started here.
        workers: how many, if they are started here; each does one run at a time, with all cores.
        retry_failed: run again also what failed earlier.
        run: the function of a plain run, written `module:function`, that workers import; it takes
            an experiment's plain values and returns its record.

    Returns:
        The record of each experiment by its key, in the sweep's order; one that failed has
        `error` in place of its scores.

    Raises:
        ValueError: the number of workers is below 1.
        RuntimeError: another sweep runs in the folder, Dask is not installed, the scheduler does
            not answer or is lost, it has no worker, or a worker has another evalib.
        KeyboardInterrupt: as always; workers started here have ended by then.
    """
    if workers < 1:
        raise ValueError(f"expected at least 1 worker, got {workers}")
    with locked_folder(folder):
        records = read_records(folder, sweep.experiments)
        failed = [key for key in records if "error" in records[key]]
        again = failed if retry_failed else []
        waiting = [key for key in sweep.experiments if key not in records or key in again]
        _announce(sweep, len(waiting), len(records) - len(failed), len(failed) - len(again))
        if waiting:
            with _quiet_dask(), _connected(scheduler, workers) as client:
                if scheduler is not None:
                    check_workers(client)
                tasks = {key: _task(sweep, key, run) for key in waiting}
                work = _Work(client, sweep, folder, tasks)
                try:
                    records |= work.finish()
                except KeyboardInterrupt:
                    work.collect()
                    print(f"\n{work.standing()}", file=sys.stderr)
                    raise
        records = {key: records[key] for key in sweep.experiments}
        write_summary(sweep, folder, records)
    return records


def write_summary(sweep: Sweep, folder: Path, records: Mapping[str, Record]) -> None:
    """Write all records as one file, the table and the figure, each in one step."""
    from evalib.plots.sweeps import save_figure, show_sweep

    configurations = summarize(sweep, records)
    write_results(folder / "records.json", list(records.values()))
    table = f"{headline(sweep)}\n\n{format_summary(configurations)}\n"
    write_atomically(folder / "table.md", table)
    save_figure(show_sweep(configurations, title=headline(sweep)), folder / "figure.png")


def check_workers(client: "Client") -> None:
    """Refuse a cluster's workers if their evalib is not the one that runs here.

    Raises:
        RuntimeError: there is no worker, or one has another evalib or none; says which.
    """
    own = fingerprint()
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except TimeoutError as error:
        address = client.scheduler_info()["address"]
        raise RuntimeError(
            f"the scheduler at {address} has no worker: start one with `dask worker {address}`"
        ) from error
    answers = client.run(fingerprint, on_error="return")
    wrong = [
        f"{worker} has {found}" if isinstance(found, str) else f"{worker}: {found!r}"
        for worker, found in answers.items()
        if found != own
    ]
    if wrong:
        raise RuntimeError("\n".join([f"expected evalib {own} on each worker, but", *wrong]))


class _Work:
    """The runs of one call: which wait, which are on a worker, and what became of the others."""

    def __init__(
        self, client: "Client", sweep: Sweep, folder: Path, tasks: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self.client, self.sweep, self.folder, self.tasks = client, sweep, folder, tasks
        self.waiting = list(tasks)
        self.running: dict[str, Future] = {}
        self.records: dict[str, Record] = {}
        self.start = self.counted_at = self.workers_seen_at = time.monotonic()
        self.workers = 1
        # disable=None: a bar in a terminal only.
        total = len(sweep.experiments)
        self.bar = tqdm(
            total=total,
            initial=total - len(tasks),
            desc=sweep.name,
            unit="run",
            smoothing=0,
            disable=None,
            leave=False,
        )

    def finish(self) -> dict[str, Record]:
        """Run all that waits and return the records."""
        with contextlib.closing(self.bar):
            self._count_workers()
            while self.waiting or self.running:
                # One run a worker: where one dies, no run that only queued there is blamed.
                while self.waiting and len(self.running) < self.workers:
                    key = self.waiting.pop(0)
                    task = self.tasks[key]
                    # Equal tasks have equal names: if the last call was killed while a cluster
                    # went on with its run, this call takes it over.
                    self.running[key] = self.client.submit(
                        answer_task, task, key=f"evalib-sweep-{digest(task)}", pure=False
                    )
                if not self.collect():
                    time.sleep(_POLL_SECONDS)
                if time.monotonic() - self.counted_at > _COUNT_SECONDS:
                    self._count_workers()
                    self.bar.refresh()
        return self.records

    def collect(self) -> int:
        """Write the records of runs that have ended, and return how many there were."""
        ended = [key for key, future in self.running.items() if future.status in _ENDED]
        for key in ended:
            future = self.running[key]
            if future.status == "cancelled":
                raise RuntimeError(f"the scheduler is lost: {self.standing()}")
            if future.status == "error":  # its workers died, or could not begin
                record, copy = failed_record(self.tasks[key], future.exception()), None
            else:
                answer = future.result()
                record, copy = answer["record"], answer["copy"]
            if copy is not None:
                write_atomically(self.folder / f"{key}.ipynb", copy)
            write_results(self.folder / f"{key}.json", record)
            self.records[key] = record
            del self.running[key]
            self._tell(key)
        return len(ended)

    def standing(self) -> str:
        """How far the sweep is, for a call that ends before it."""
        total = len(self.sweep.experiments)
        done = total - len(self.tasks) + len(self.records)
        return f"{done} of {total} runs are recorded in {self.folder}; the same command goes on"

    def _tell(self, key: str) -> None:
        """Print one line about a run that has ended."""
        self.bar.update()
        total, left = len(self.sweep.experiments), len(self.tasks) - len(self.records)
        record = self.records[key]
        if "error" in record:
            message = " ".join(record["error"]["message"].split())
            message = f"{message[: _ERROR_WIDTH - 1]}…" if len(message) > _ERROR_WIDTH else message
            outcome = f"failed: {record['error']['type']}: {message}"
        else:
            outcome = f"{100 * record['accuracy']:.2f} %"
            outcome += f" in {record['seconds']:.1f} s" if "seconds" in record else ""
        if left:
            seconds = (time.monotonic() - self.start) * left / len(self.records)
            outcome += f"; about {duration(seconds)} left"
        line = f"[{total - left}/{total}] {self.sweep.label(key)}: {outcome}"
        tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()

    def _count_workers(self) -> None:
        """Learn how many workers there are: they may come and go."""
        try:
            self.workers = len(self.client.nthreads())
        except OSError as error:
            raise RuntimeError(f"the scheduler is lost: {self.standing()}") from error
        self.counted_at = time.monotonic()
        if self.workers:
            self.workers_seen_at = self.counted_at
        elif self.counted_at - self.workers_seen_at > _PATIENCE_SECONDS:
            tqdm.write("evalib: no worker is left; waiting for one", file=sys.stderr)
            self.workers_seen_at = float("inf")  # once is enough


_ENDED = ("finished", "error", "cancelled")  # not "lost": the scheduler runs that again


def duration(seconds: float) -> str:
    """A time in the unit that fits it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _announce(sweep: Sweep, waiting: int, known: int, failed: int) -> None:
    parts = [f"sweep {sweep.name}: {waiting} of {len(sweep.experiments)} to run"]
    if known:
        parts.append(f"{known} have their record")
    if failed:
        parts.append(f"{failed} failed earlier (--retry-failed runs them again)")
    print(", ".join(parts), flush=True)


def _task(sweep: Sweep, key: str, run: str) -> dict[str, Any]:
    experiment = dict(sweep.experiments[key])
    return {"key": key, "experiment": experiment, "run": run, "notebook": sweep.notebook}


@contextlib.contextmanager
def _connected(address: str | None, workers: int) -> Iterator["Client"]:
    """A client of the cluster at an address, or of one that lives as long as it is used."""
    try:
        import dask
        from distributed import Client
    except ImportError as error:
        raise RuntimeError(
            "a sweep needs Dask, which is not installed: pip install distributed"
        ) from error
    if address is None:
        # Dask would give each worker one thread for its mathematics.
        changes = {
            "distributed.nanny.pre-spawn-environ": {"MALLOC_TRIM_THRESHOLD_": 65536},
            "distributed.scheduler.allowed-failures": ALLOWED_DEATHS,
        }
        with (
            dask.config.set(changes),
            _local_cluster(workers) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            try:
                yield client
            except BaseException:
                # A worker that is asked to close waits some seconds for its run.
                with contextlib.suppress(Exception):
                    client.run(end_run)
                raise
        return
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise RuntimeError(
            f"no Dask scheduler answers at {address} within {CONNECT_SECONDS} s"
        ) from error
    with client:
        yield client


def _local_cluster(workers: int) -> Any:
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        memory_limit=0,  # a share of the memory for each would stop large runs
        # Dask opens a port for HTTP in any case: one that is free, and for this machine alone.
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
        silence_logs=logging.CRITICAL + 1,
        preload=["evalib.tools.sweep_worker"],
        env={"TF_FORCE_GPU_ALLOW_GROWTH": "true"},  # several workers may share a GPU
    )


@contextlib.contextmanager
def _quiet_dask() -> Iterator[None]:
    """Keep Dask's log off the terminal: what matters of it is in the records."""
    names = ("distributed", "tornado", "asyncio")
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)

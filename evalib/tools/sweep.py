"""Run a sweep's experiments on Dask: on workers here, or on any cluster with a scheduler.

Workers only compute. Each record travels back and is written here, in one step, so that a cluster
needs no disk in common. What has its record does not run again.
"""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from functools import partial
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import dask
from dask.system import CPU_COUNT
from distributed import Client, Future, LocalCluster, Security, as_completed, rpc
from distributed.comm import CommClosedError
from tqdm import tqdm

from evalib.results import folder_lock
from evalib.tools.sweep_records import Record, Sweep, read_records, write_record, write_summary
from evalib.tools.sweep_run import execute, failure, made_by, run_alone

Run = Callable[[Any], Record]

CONNECT_SECONDS = 5
ALLOWED_DEATHS = 2  # of workers under one run; with the next it has failed


def run_sweep(
    sweep: Sweep,
    folder: Path,
    *,
    scheduler: str | None = None,
    workers: int = 1,
    retry_failed: bool = False,
    run: Run | None = None,
) -> dict[str, Record]:
    """Run what has no record yet, then write the summary of all.

    Args:
        sweep: what to run.
        folder: for a record each, `KEY.json`, and the summary; shared with other sweeps or not.
        scheduler: the address for `connect`; without one, workers are started here.
        workers: how many are started here; they share the cores.
        retry_failed: run again what failed earlier.
        run: what a worker calls with an experiment's values, in place of the training.

    Returns:
        Each experiment's record by its key, in order; a failed one has `error` for its scores.

    Raises:
        ValueError: the number of workers is below 1.
        RuntimeError: another sweep runs in the folder, no scheduler answers or it is lost, it has
            no worker, or a worker has another evalib.
        OSError: the folder cannot be written.
    """
    if workers < 1:
        raise ValueError(f"expected at least 1 worker, got {workers}")
    with folder_lock(folder, patience=0):
        records, others = read_records(sweep, folder)
        failed = [key for key, record in records.items() if "error" in record]
        again = failed if retry_failed else []
        waiting = [key for key in sweep.experiments if key not in records or key in again]
        known, kept = len(records) - len(failed), len(failed) - len(again)
        notes = [f"sweep {sweep.name}: {len(waiting)} of {len(sweep.experiments)} to run"]
        notes += [f"{known} have their record"] * bool(known)
        notes += [f"{kept} failed earlier (--retry-failed runs them again)"] * bool(kept)
        notes += [f"{others} of them again, for other code made their records"] * bool(others)
        print(", ".join(notes), flush=True)
        if waiting:
            with _cluster(scheduler, workers, sweep) as client:
                run = run or partial(run_alone, sweep.notebook)
                records |= _finish(client, sweep, folder, waiting, run)
        records = {key: records[key] for key in sweep.experiments}
        write_summary(sweep, folder, records)
    return records


def connect(address: str) -> Client:
    """Connect to a Dask scheduler, such as `tcp://10.0.0.5:8786`, within ten seconds.

    Raises:
        RuntimeError: no scheduler answers there.
    """

    async def ask() -> str:
        options = Security().get_connection_args("client")
        async with rpc(address, connection_args=options) as server:
            return str((await server.identity())["type"])

    try:  # a port of another kind, such as a dashboard's, would never answer a client
        kind = asyncio.run(asyncio.wait_for(ask(), CONNECT_SECONDS))
    except Exception as error:
        kind = f"no answer ({type(error).__name__})"
    if kind != "Scheduler":
        raise RuntimeError(
            f"expected a Dask scheduler at {address}, got {kind}: give the address that "
            "`dask scheduler` prints, such as tcp://10.0.0.5:8786, not that of its dashboard"
        )
    return Client(address, timeout=CONNECT_SECONDS)


def _finish(
    client: Client, sweep: Sweep, folder: Path, waiting: list[str], run: Run
) -> dict[str, Record]:
    """Run what waits, and write each record when it comes, with a line about it."""
    records: dict[str, Record] = {}
    total = len(sweep.experiments)
    known = total - len(waiting)
    # disable=None: a bar in a terminal only.
    with tqdm(total=total, initial=known, disable=None, leave=False) as bar:
        try:
            for record in _records(client, sweep, waiting, run):
                write_record(folder, record)
                records[record["key"]] = record
                bar.update()
                count = f"[{known + len(records)}/{total}]"
                tqdm.write(f"{count} {sweep.describe(record)}", file=sys.stdout)
        except BaseException as error:
            bar.close()
            count = f"{known + len(records)} of {total} runs are recorded in {folder}"
            print(f"\n{count}; the same command goes on", file=sys.stderr)
            if isinstance(error, CancelledError | CommClosedError):
                raise RuntimeError("the Dask scheduler is lost") from error
            raise
    return records


def _records(client: Client, sweep: Sweep, waiting: list[str], run: Run) -> Iterator[Record]:
    """Run experiments on the workers, and yield the record of each when it has ended."""
    running: dict[Future, str] = {}
    ended = as_completed()
    while waiting or running:
        # One run a worker: it has the cores, and where one dies, no run that queued is blamed.
        while waiting and len(running) < max(1, len(client.nthreads())):
            key = waiting.pop(0)
            # Dask names equal tasks alike: this call takes over what a killed one began there.
            future = client.submit(execute, run, key, sweep.experiments[key], sweep.made_by)
            running[future] = key
            ended.add(future)
        future = next(ended)
        key, error = running.pop(future), future.exception()
        head = {"key": key, "experiment": sweep.experiments[key], "made_by": sweep.made_by}
        record = head | failure(error) if error else future.result()
        future.release()  # what is fetched need not be made again where its worker dies
        yield record


@contextlib.contextmanager
def _cluster(address: str | None, workers: int, sweep: Sweep) -> Iterator[Client]:
    """A client of the cluster at an address, or of one that lives as long as it is used."""
    logging.disable(logging.CRITICAL)  # what matters of Dask's log is in the records
    try:
        if address is None:
            with _local_cluster(workers) as cluster, Client(cluster) as client:
                yield client
        else:
            with connect(address) as client:
                _check_workers(client, sweep)
                yield client
    finally:
        logging.disable(logging.NOTSET)


@contextlib.contextmanager
def _local_cluster(workers: int) -> Iterator[LocalCluster]:
    """Worker processes here. Dask starts one again when it has died."""
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    share = dict.fromkeys(names, str(max(1, CPU_COUNT // workers)))
    # Threads and processes inherit what is blocked: Ctrl-C is for this process, which ends its
    # workers itself.
    _block_interrupts(True)
    try:
        with (
            dask.config.set({"distributed.scheduler.allowed-failures": ALLOWED_DEATHS}),
            LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                memory_limit=0,  # a share of the memory for each would stop large runs
                # Dask opens a port for HTTP in any case: one that is free, for this machine alone.
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False},
                silence_logs=logging.CRITICAL,
                env=share | {"TF_FORCE_GPU_ALLOW_GROWTH": "true"},
            ) as cluster,
        ):
            _block_interrupts(False)
            yield cluster
    finally:
        _block_interrupts(False)


def _block_interrupts(block: bool) -> None:
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        resource_tracker.ensure_running()  # which would unblock them if it started later
        how = signal.SIG_BLOCK if block else signal.SIG_UNBLOCK
        signal.pthread_sigmask(how, {signal.SIGINT})


def _check_workers(client: Client, sweep: Sweep) -> None:
    """Refuse a cluster without workers, or one of whose workers has another code."""
    try:
        client.wait_for_workers(1, timeout=2 * CONNECT_SECONDS)
    except TimeoutError:
        at = client.scheduler_info()["address"]
        raise RuntimeError(f"there is no worker: start one with `dask worker {at}`") from None
    answers = client.run(made_by, sweep.notebook, on_error="return")
    wrong = [f"{at} has {answer}" for at, answer in answers.items() if answer != sweep.made_by]
    if wrong:
        raise RuntimeError("\n".join([f"expected {sweep.made_by} on each worker", *wrong]))

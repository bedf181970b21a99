"""Run a sweep's experiments on Dask: on workers here, or on any cluster with a scheduler.

Workers only compute: each record travels back and is written here, so a cluster needs no disk.
"""

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

from dask.system import CPU_COUNT
from distributed import Client, Future, LocalCluster, as_completed
from distributed.comm import CommClosedError

from evalib.results import folder_lock, write_atomically, write_results
from evalib.tools.cluster import connect, quiet
from evalib.tools.sweep_run import Record, execute, failure, made_by, run_alone
from evalib.tools.sweep_spec import Sweep, read_records, write_summary

ALLOWED_DEATHS = 2  # of workers under one run; with the next it has failed


def run_sweep(
    sweep: Sweep, folder: Path, *, scheduler: str | None = None, workers: int = 1,
    retry_failed: bool = False, run: Callable[[Any], Record] | None = None,
) -> dict[str, Record]:  # fmt: skip
    """Run what has no record yet, write each record as `KEY.json`, then the summary of all.

    Without a cluster's address, `workers` are started here; `run` gets an experiment's values.
    Returns the records by key; a failed one has `error` for its scores. Raises a RuntimeError
    where the folder is in use, or the cluster is lost, missing or another.
    """
    if workers < 1:
        raise ValueError(f"expected at least 1 worker, got {workers}")
    with folder_lock(folder, patience=0):
        records, others = read_records(sweep, folder)
        if retry_failed:
            records = {key: one for key, one in records.items() if "error" not in one}
        waiting = [key for key in sweep.experiments if key not in records]
        failed = sum("error" in one for one in records.values())
        known = len(records) - failed
        notes = [f"sweep {sweep.name}: {len(waiting)} of {len(sweep.experiments)} to run"]
        notes += [f"{known} have their record"] * bool(known)
        notes += [f"{failed} failed earlier (--retry-failed runs them again)"] * bool(failed)
        notes += [f"{others} of them again, for other code made their records"] * bool(others)
        print(", ".join(notes), flush=True)
        if waiting:
            with _cluster(scheduler, workers, sweep) as client:
                run = run or partial(run_alone, sweep.notebook)
                records |= _finish(client, sweep, folder, waiting, run)
        records = {key: records[key] for key in sweep.experiments}
        write_summary(sweep, folder, records)
    return records


def _finish(
    client: Client, sweep: Sweep, folder: Path, waiting: list[str], run: Callable[[Any], Record]
) -> dict[str, Record]:
    records: dict[str, Record] = {}
    running: dict[Future, str] = {}
    ended = as_completed()
    total, known = len(sweep.experiments), len(sweep.experiments) - len(waiting)
    try:
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
            record: Record = head | failure(error) if error else future.result()
            future.release()  # what is fetched need not be made again where its worker dies
            if copy := record.pop("copy", None):
                write_atomically(folder / f"{key}.ipynb", copy)
            write_results(folder / f"{key}.json", record)
            records[key] = record
            print(f"[{known + len(records)}/{total}] {sweep.describe(record)}", flush=True)
    except BaseException as error:
        count = f"{known + len(records)} of {total} runs are recorded in {folder}"
        print(f"\n{count}; the same command goes on", file=sys.stderr)
        if isinstance(error, CancelledError | CommClosedError):
            raise RuntimeError("the Dask scheduler is lost") from error
        raise
    return records


@contextlib.contextmanager
def _cluster(address: str | None, workers: int, sweep: Sweep) -> Iterator[Client]:
    if address is None:
        with quiet(), _local_cluster(workers) as cluster, Client(cluster) as client:
            yield client
        return
    with connect(address) as client:
        answers = client.run(made_by, sweep.notebook, on_error="return").items()
        if wrong := [f"{at} has {answer}" for at, answer in answers if answer != sweep.made_by]:
            raise RuntimeError("\n".join([f"expected {sweep.made_by} on each worker", *wrong]))
        yield client


def _local_cluster(workers: int) -> LocalCluster:
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    share = dict.fromkeys(names, str(max(1, CPU_COUNT // workers)))
    # Ctrl-C is for this process, which ends its workers: they inherit what is blocked at the start.
    if posix := hasattr(signal, "pthread_sigmask"):
        resource_tracker.ensure_running()  # which would unblock it if it started later
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return LocalCluster(
            **{"n_workers": workers, "threads_per_worker": 1, "silence_logs": logging.CRITICAL},
            memory_limit=0,  # a share of the memory for each would stop large runs
            # Dask opens a port for HTTP in any case: one that is free, for this machine alone.
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False, "allowed_failures": ALLOWED_DEATHS},
            env=share | {"TF_FORCE_GPU_ALLOW_GROWTH": "true"},
        )
    finally:
        if posix:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

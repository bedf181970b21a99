"""evalib.tools.sweep: what runs once, what survives a kill, what is written in the end.

Most runs are short functions in a file that workers import; the last test trains real networks.
"""

import functools
import hashlib
import importlib
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import LocalCluster

from evalib.networks.config import NetworkConfig
from evalib.tools import cluster as cluster_module
from evalib.tools.cli import main
from evalib.tools.sweep import ALLOWED_DEATHS, run_sweep
from evalib.tools.sweep_run import made_by
from evalib.tools.sweep_spec import Sweep, read_records
from evalib.training.experiments import Experiment, experiment_from, run_experiment
from tests.tools.notebook_calls import tagged, wait_until, write_notebook

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as on POSIX")

FAKES = '''
import os, signal, sys, time
from pathlib import Path

def run(values):
    """Leave a file a start, with the process's number, and do what the experiment says."""
    place, does, seed = Path(values["place"]), values["does"], values["seed"]
    (place / f"{seed}-{os.getpid()}-{time.monotonic_ns()}").touch()
    if does == "dies" or does == "dies once" and len([*place.glob(f"{seed}-*")]) == 1:
        time.sleep(0.5)  # so that what its worker did before has been fetched
        os.kill(os.getpid(), signal.SIGKILL)
    if does == "exits":
        sys.exit("enough")
    if does == "raises" and not (place / "mended").exists():
        raise ZeroDivisionError("no such luck")
    while does == "waits" and not (place / "go").exists():
        time.sleep(0.02)
    other = {"made_by": "somebody else"} if does == "lies" else {}
    return {"key": values["key"], "accuracy": 0.9, "parameters": 10, "seconds": 0.1, **other}
'''

DRIVER = """
import json, sys
from pathlib import Path
import fake_runs
from evalib.tools.sweep import run_sweep
from evalib.tools.sweep_spec import Sweep
if __name__ == "__main__":
    folder, scheduler, parts = json.loads(sys.argv[1])
    run_sweep(Sweep(*parts), Path(folder), scheduler=scheduler, run=fake_runs.run)
"""


@pytest.fixture(scope="module", autouse=True)
def code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("code")
    (folder / "fake_runs.py").write_text(FAKES)
    (folder / "driver.py").write_text(DRIVER)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        others = os.environ.get("PYTHONPATH", "")
        patch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{others}")
        yield


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "starts").mkdir()
    return tmp_path / "starts"


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A cluster of somebody else's, with two worker processes of several threads."""
    options: dict[str, Any] = {"dashboard_address": "127.0.0.1:0", "silence_logs": logging.CRITICAL}
    with LocalCluster(n_workers=2, threads_per_worker=3, **options) as running:
        yield running


def fakes(place: Path, *does: str, code: str = "this code") -> Sweep:
    experiments = {}
    for seed, what in enumerate(does):
        values = {"seed": seed, "does": what, "place": str(place), "scored_on": "validation"}
        key = hashlib.sha256(json.dumps(values).encode()).hexdigest()[:12]
        experiments[key] = values | {"key": key}
    return Sweep("fakes", experiments, {key: {} for key in experiments}, code)


def run(sweep: Sweep, folder: Path, **options: Any) -> list[dict[str, Any]]:
    runs = importlib.import_module("fake_runs")
    return list(run_sweep(sweep, folder, run=runs.run, **options).values())


def start(sweep: Sweep, folder: Path, scheduler: str | None = None) -> Any:
    parts = [sweep.name, sweep.experiments, sweep.varied, sweep.made_by]
    arguments = json.dumps([str(folder), scheduler, parts])
    return start_process([sys.executable, "-m", "driver", arguments])


def start_process(command: list[str], **options: Any) -> Any:
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # Where the tests themselves run in the background, an interrupt would be ignored.
    default = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(command, preexec_fn=default, **pipes, **options)


def starts(place: Path) -> dict[int, int]:
    return dict(Counter(int(file.name.split("-")[0]) for file in place.glob("*-*-*")))


def process_of(place: Path, seed: int) -> psutil.Process:
    """The process that a run has begun in."""
    wait_until(lambda: any(place.glob(f"{seed}-*")))
    return psutil.Process(int(next(place.glob(f"{seed}-*")).name.split("-")[1]))


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=20)[1]


def test_failures_are_recorded_and_the_rest_go_on(place, tmp_path, capsys):
    does = ("works", "raises", "dies", "exits", "lies", "dies once")
    sweep, out = fakes(place, *does), tmp_path / "out"
    records = run(sweep, out, workers=2)
    assert [record.get("accuracy") for record in records] == [0.9, None, None, None, None, 0.9]
    errors = [record["error"] for record in records[1:5]]
    assert [(error["type"], error["message"]) for error in errors] == [
        ("ZeroDivisionError", "no such luck"),
        ("KilledWorker", errors[1]["message"]),
        ("SystemExit", "enough"),
        ("ValueError", "expected a record with made_by this code, got somebody else"),
    ]
    assert f"on {ALLOWED_DEATHS + 1} different workers" in errors[1]["message"]
    assert any("fake_runs.py" in line for line in errors[0]["traceback"])
    assert [record["experiment"] for record in records] == list(sweep.experiments.values())
    began = starts(place)
    # A worker may die between two runs of it, by the other deadly one: that counts too.
    assert began[5] == 2 <= began[2] <= ALLOWED_DEATHS + 1
    for record in records:
        assert json.loads((out / f"{record['key']}.json").read_text()) == record
    assert json.loads((out / "records.json").read_text()) == records
    assert re.search(r"\| +90.00 ± 0.00 \| 90.00 \| +2 \| +4 \|", (out / "table.md").read_text())
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "table.md").write_text("not of a sweep")
    with pytest.raises(ValueError, match="table.md is of no sweep: move it"):
        run(sweep, tmp_path / "mine")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "sweep fakes: 6 of 6 to run"
    assert [line.split("]")[0] for line in lines[1:]] == [f"[{n}/6" for n in range(1, 7)]
    assert any("seed 1: failed: ZeroDivisionError: no such luck" in line for line in lines)
    assert any("seed 0: 90.00 % in 0.1 s" in line for line in lines)

    # The same call again runs nothing; failed runs run again where that is wanted.
    assert run(sweep, out) == records
    assert "0 of 6 to run, 2 have their record, 4 failed earlier" in capsys.readouterr().out
    (place / "mended").touch()
    key = records[1]["key"]
    one = Sweep("one", {key: sweep.experiments[key]}, {key: {}}, sweep.made_by)
    assert run(one, out, retry_failed=True)[0]["accuracy"] == 0.9
    assert starts(place) == began | {1: began[1] + 1}


def test_records_of_other_code_or_torn_ones_are_made_again(place, tmp_path, capsys):
    sweep = fakes(place, "works", "works", "works", "works")
    paths = [tmp_path / f"{key}.json" for key in sweep.experiments]
    run(sweep, tmp_path)
    paths[0].write_text(paths[0].read_text()[:50])
    paths[1].write_text('{"key": "another", "accuracy": 0.5}')
    paths[2].write_text(paths[2].read_text().replace("this code", "last year's code"))
    run(sweep, tmp_path)
    assert starts(place) == {0: 2, 1: 2, 2: 2, 3: 1}
    said = capsys.readouterr().out
    assert "3 of 4 to run, 1 have their record, 1 of them again, for other code" in said
    assert {record["made_by"] for record in run(sweep, tmp_path)} == {"this code"}


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_sweep_goes_on_where_it_was(place, tmp_path, sent):
    sweep, out = fakes(place, "works", "waits", "works"), tmp_path / "out"
    process = start(sweep, out)
    process_of(place, 1)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    with pytest.raises(RuntimeError, match="another process is writing to"):
        run(sweep, out)
    process.send_signal(sent)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == -sent
    assert gone(children)
    assert "[1/3] seed 0: 90.00 % in 0.1 s" in output
    if sent == signal.SIGINT:
        assert f"1 of 3 runs are recorded in {out}; the same command goes on" in errors
    assert starts(place) == {0: 1, 1: 1}
    assert not list(out.glob(".*partial*"))

    (place / "go").touch()
    assert [record.get("accuracy") for record in run(sweep, out)] == [0.9] * 3
    assert starts(place) == {0: 1, 1: 2, 2: 1}


def test_any_scheduler_by_address(place, tmp_path, cluster):
    """A call is killed; the cluster finishes what it began, and the next call takes it over."""
    sweep = fakes(place, "waits", "works", "raises", code=made_by())
    workers = psutil.Process().children(recursive=True)
    process = start(sweep, tmp_path, cluster.scheduler_address)
    assert process_of(place, 0).pid in {worker.pid for worker in workers}
    wait_until(lambda: len(read_records(sweep, tmp_path)[0]) == 2)
    process.kill()
    process.communicate()
    (place / "go").touch()
    records = run(sweep, tmp_path, scheduler=cluster.scheduler_address)
    assert [record.get("accuracy") for record in records] == [0.9, 0.9, None]
    assert starts(place)[1] == starts(place)[2] == 1
    assert all(worker.is_running() for worker in workers)


def test_workers_with_another_evalib_are_refused(place, tmp_path, cluster):
    sweep = fakes(place, "works", code="evalib 0.0.1 (mine)")
    with pytest.raises(RuntimeError, match=r"expected evalib 0\.0\.1 \(mine\)") as refused:
        run(sweep, tmp_path, scheduler=cluster.scheduler_address)
    lines = str(refused.value).splitlines()
    assert {line.split(" has ")[0] for line in lines[1:]} == set(cluster.scheduler_info["workers"])
    assert starts(place) == {}


def test_what_is_no_scheduler_is_refused(place, tmp_path, cluster, monkeypatch):
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # as a dashboard is, to Dask's words
        worker = next(iter(cluster.scheduler_info["workers"]))
        port = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        for address in (port, worker, "tcp://127.0.0.1:1", "nonsense", "ftp://127.0.0.1:1", ""):
            begin = time.monotonic()
            with pytest.raises(RuntimeError, match=f"expected a Dask scheduler at {address}, got"):
                run(fakes(place, "works"), tmp_path, scheduler=address)
            assert time.monotonic() - begin < 8
    with pytest.raises(ValueError, match="at least 1 worker, got 0"):
        run(fakes(place, "works"), tmp_path, workers=0)


def test_a_lost_scheduler_and_one_without_workers(place, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 1)
    sweep = fakes(place, "works", "waits", code=made_by())
    options: dict[str, Any] = {"dashboard_address": ":0", "silence_logs": logging.CRITICAL}
    with LocalCluster(n_workers=0, threads_per_worker=1, **options) as cluster:
        address = cluster.scheduler_address
        with pytest.raises(RuntimeError, match=f"start one with `dask worker {address}`"):
            run(sweep, tmp_path, scheduler=address)
        cluster.scale(1)
        cluster.wait_for_workers(1, timeout=120)

        def close() -> None:
            process_of(place, 1)
            cluster.close()

        closer = threading.Thread(target=close)
        closer.start()
        monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 5)
        with pytest.raises(RuntimeError, match="the Dask scheduler is lost"):
            run(sweep, tmp_path, scheduler=address)
        closer.join()
    assert "1 of 2 runs are recorded" in capsys.readouterr().err


def test_runs_as_notebooks(tmp_path, monkeypatch):
    networks = {dropout: NetworkConfig(dropout=dropout) for dropout in (0.1, 0.4)}
    keys = {dropout: Experiment(network=one).key() for dropout, one in networks.items()}
    form = tagged("seed = 0\ndropout = 0.0\nrecord_path = None", "parameters")
    work = (
        f"import json\nrecord = {{'key': {keys}[dropout], 'accuracy': 0.5}}\n"
        "json.dump(record, open(record_path, 'w'))"
    )
    book = write_notebook(tmp_path / "mine.ipynb", form, "assert dropout < 0.3, dropout", work)
    monkeypatch.setattr("evalib.tools.sweep_spec.NOTEBOOK", book)
    spec = tmp_path / "books.toml"
    spec.write_text('runs_as = "notebook"\n[vary]\nnetwork.dropout = [0.1, 0.4]')
    assert main(["sweep", str(spec), "--out", str(tmp_path / "out")]) == 1
    records = json.loads((tmp_path / "out" / "records.json").read_text())
    assert records[0]["accuracy"] == 0.5
    assert records[1]["error"]["message"] == "cell 3: AssertionError: 0.4"
    for record, dropout in zip(records, ["0.1", "0.4"], strict=True):
        cells = json.loads((tmp_path / "out" / f"{record['key']}.ipynb").read_text())["cells"]
        assert any(f"dropout = {dropout}" in "".join(cell["source"]) for cell in cells[1:])


def test_what_is_not_installed_takes_one_line(tmp_path):
    (tmp_path / "try.toml").write_text("")
    code = "import sys; sys.modules['distributed'] = None; import evalib.tools.cli as cli\n"
    command = [sys.executable, "-c", code + "sys.exit(cli.main(['sweep', 'try.toml']))"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    expected = "evalib: a sweep needs Dask (pip install distributed), but: "
    assert (ended.returncode, ended.stderr.startswith(expected)) == (2, True)
    assert ended.stderr.count("\n") == 1


def test_real_networks_by_the_command_line(tmp_path):
    (tmp_path / "real.toml").write_text(
        "data_share = 0.01\nnetwork.channels = [4, 4]\nrecipe.epochs = 2\n"
        '[vary]\n"network.kernel_sizes" = [[3], [5]]\n'
    )
    command = [sys.executable, "-m", "evalib", "sweep", "real.toml"]
    environment = {**os.environ, "KERAS_MAX_EPOCHS": "1"}  # is not for sweeps
    options: dict[str, Any] = {"cwd": tmp_path, "env": environment}
    out = tmp_path / "outputs" / "sweeps" / "real"
    process = start_process(command, start_new_session=True, **options)
    wait_until(lambda: any(out.glob("?" * 12 + ".json")))
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.endswith("the same command goes on\nevalib: interrupted\n")
    assert len(errors.strip().splitlines()) == 2, errors
    assert gone(children)
    [first] = out.glob("?" * 12 + ".json")
    written = first.stat().st_mtime_ns

    result = subprocess.run(command, capture_output=True, text=True, **options)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("sweep real: 1 of 2 to run, 1 have their record\n")
    assert first.stat().st_mtime_ns == written
    records = json.loads((out / "records.json").read_text())
    assert [record["experiment"]["network"]["kernel_sizes"] for record in records] == [[3], [5]]
    # 4 * 9 + 4 * 4 * 9 weights, 2 * 4 * 4 of the normalizations, 4 * 10 + 10 of the head.
    assert [record["parameters"] for record in records] == [262, 100 + 400 + 32 + 50]
    for record in records:
        assert record["epochs"] == len(record["history"]["loss"]) == 2
        # Dask's threads and earlier runs leave no trace in the random numbers. PyTorch's sums
        # depend on the number of threads, in the last digit.
        again = run_experiment(experiment_from(record["experiment"]))
        assert again["loss"] == pytest.approx(record["loss"], rel=1e-5)
        for name, values in record["history"].items():
            assert again["history"][name] == pytest.approx(values, rel=1e-5)
    assert (out / "table.md").read_text() in result.stdout

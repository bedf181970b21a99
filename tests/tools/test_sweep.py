"""evalib.tools.sweep: what runs once, what survives a kill, what is written in the end.

Most runs are short functions in a file that workers import; the last test trains real networks.
"""

import errno
import json
import logging
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import LocalCluster
from nbformat import v4
from nbformat import write as write_notebook

from evalib.tools import sweep as sweep_module
from evalib.tools import sweep_worker
from evalib.tools.sweep import ALLOWED_DEATHS, duration, run_sweep
from evalib.tools.sweep_records import Sweep, digest, locked_folder, read_records
from evalib.tools.sweep_worker import execute, flat_values, read_notebook
from evalib.training.experiments import experiment_from, run_experiment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as on POSIX")

FAKES = '''
import os, signal, sys, time
from pathlib import Path

def run(values):
    """Leave a file a start, with the process's number, and do what the experiment says."""
    place, does = Path(values["place"]), values["does"]
    start = place / f"{values['seed']}-{os.getpid()}-{time.monotonic_ns()}"
    start.touch()
    if does == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if does == "kills":
        time.sleep(0.5)  # so that what its worker did before has been fetched
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    if does == "exits":
        sys.exit("enough")
    if does == "raises" and not (place / "mended").exists():
        raise ZeroDivisionError("no such luck")
    while does == "waits" and not (place / "go").exists():
        time.sleep(0.02)
    return {"key": values["key"], "accuracy": 0.9, "parameters": 10, "seconds": 0.1}
'''

DRIVER = """
import json, sys
from pathlib import Path
from evalib.sweep import run_sweep
from evalib.sweep_records import Sweep
folder, scheduler, experiments = json.loads(sys.argv[1])
if __name__ == "__main__":
    sweep = Sweep("driven", experiments)
    run_sweep(sweep, Path(folder), scheduler=scheduler, run="fake_runs:run")
"""


@pytest.fixture(scope="module", autouse=True)
def code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Modules that workers can import."""
    folder = tmp_path_factory.mktemp("code")
    (folder / "fake_runs.py").write_text(FAKES)
    (folder / "driver.py").write_text(DRIVER)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", str(folder))
        yield


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder for the traces of runs."""
    (tmp_path / "starts").mkdir()
    return tmp_path / "starts"


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A cluster of somebody else's, with two worker processes of several threads."""
    with LocalCluster(
        n_workers=2,
        threads_per_worker=3,
        processes=True,
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL,
    ) as running:
        yield running


def fakes(place: Path, *does: str) -> Sweep:
    experiments = {}
    for seed, what in enumerate(does):
        values: dict[str, Any] = {"seed": seed, "does": what, "place": str(place)}
        values |= {"scored_on": "validation"}
        key = digest(values)[:12]
        experiments[key] = values | {"key": key}
    return Sweep("fakes", experiments)


def starts(place: Path) -> dict[int, int]:
    """How often each seed's run began."""
    return dict(Counter(int(file.name.split("-")[0]) for file in place.glob("*-*-*")))


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found


def process_of(place: Path, seed: int) -> psutil.Process:
    """The process that a run has begun in."""
    return psutil.Process(
        int(wait_for(lambda: list(place.glob(f"{seed}-*")))[0].name.split("-")[1])
    )


def started(folder: Path, sweep: Sweep, scheduler: str | None = None) -> "subprocess.Popen[str]":
    """A sweep in a process of its own."""
    arguments = json.dumps([str(folder), scheduler, sweep.experiments])
    return subprocess.Popen(
        [sys.executable, "-m", "driver", arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests themselves run in the background, an interrupt would be ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=20)[1]


def test_failures_are_recorded_and_the_rest_go_on(place, tmp_path, capsys):
    sweep = fakes(place, "works", "raises", "dies", "exits", "kills", "works")
    out = tmp_path / "out"
    records = run_sweep(sweep, out, workers=2, run="fake_runs:run")
    assert list(records) == list(sweep.experiments)
    by_seed = dict(enumerate(records.values()))
    assert [seed for seed in by_seed if "error" not in by_seed[seed]] == [0, 5]
    raised = by_seed[1]["error"]
    assert (raised["type"], raised["message"]) == ("ZeroDivisionError", "no such luck")
    assert raised["traceback"][-1] == "ZeroDivisionError: no such luck"
    assert any("fake_runs.py" in line for line in raised["traceback"])
    assert by_seed[1]["experiment"] == list(sweep.experiments.values())[1]
    died = by_seed[2]["error"]
    assert (died["type"], died["message"]) == (
        "KilledRun",
        "the process of the run ended with signal 9",
    )
    assert by_seed[4]["error"]["type"] == "KilledWorker"
    assert by_seed[3]["error"]["type"] == "SystemExit"
    often = ALLOWED_DEATHS + 1
    assert starts(place) == {0: 1, 1: 1, 2: often, 3: 1, 4: often, 5: 1}
    for key, record in records.items():
        assert json.loads((out / f"{key}.json").read_text()) == record
    assert json.loads((out / "records.json").read_text()) == list(records.values())
    assert "|    2 |      4 |" in (out / "table.md").read_text()
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "sweep fakes: 6 of 6 to run"
    assert sorted(line.split("]")[0] for line in lines[1:]) == [f"[{n}/6" for n in range(1, 7)]
    assert any("seed 1: failed: ZeroDivisionError: no such luck; about" in line for line in lines)
    assert any("seed 0: 90.00 % in 0.1 s; about" in line for line in lines)

    # The same call again runs nothing; failed runs run again where that is wanted.
    assert run_sweep(sweep, out, run="fake_runs:run") == records
    assert "0 of 6 to run, 2 have their record, 4 failed earlier" in capsys.readouterr().out
    one = Sweep("one", {key: sweep.experiments[key] for key in [by_seed[1]["key"]]})
    (place / "mended").touch()
    mended = run_sweep(one, out, retry_failed=True, run="fake_runs:run")
    assert [record["accuracy"] for record in mended.values()] == [0.9]
    assert starts(place)[1] == 2
    assert starts(place)[0] == 1


def test_a_killed_worker_costs_only_its_run(place, tmp_path):
    sweep = fakes(place, "works", "waits", "works")

    def kill() -> None:
        process = process_of(place, 1)
        worker = process.parent()
        assert worker is not None
        assert worker.pid != os.getpid()
        worker.kill()
        orphans_ended.append(gone([process, worker]))
        wait_for(lambda: starts(place)[1] == 2)
        (place / "go").touch()

    orphans_ended: list[bool] = []
    killer = threading.Thread(target=kill)
    killer.start()
    records = run_sweep(sweep, tmp_path / "out", run="fake_runs:run")
    killer.join()
    assert orphans_ended == [True]
    assert [record.get("accuracy") for record in records.values()] == [0.9] * 3
    assert starts(place) == {0: 1, 1: 2, 2: 1}


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_stopped_sweep_goes_on_where_it_was(place, tmp_path, sent):
    sweep, out = fakes(place, "works", "waits", "works"), tmp_path / "out"
    process = started(out, sweep)
    process_of(place, 1)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    # While it runs nobody else may run the same.
    with pytest.raises(RuntimeError, match=rf"another sweep runs in .*\(process {process.pid} on"):
        run_sweep(sweep, out, run="fake_runs:run")
    process.send_signal(sent)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == -sent
    assert gone(children)
    assert "[1/3] seed 0: 90.00 % in 0.1 s" in output
    if sent == signal.SIGINT:
        assert f"1 of 3 runs are recorded in {out}; the same command goes on" in errors
    assert starts(place) == {0: 1, 1: 1}
    assert not list(out.glob("*partial*"))

    (place / "go").touch()
    records = run_sweep(sweep, out, run="fake_runs:run")
    assert [record.get("accuracy") for record in records.values()] == [0.9] * 3
    assert starts(place) == {0: 1, 1: 2, 2: 1}


def test_any_scheduler_by_address(place, tmp_path, cluster):
    sweep, out = fakes(place, *["works"] * 4, "raises"), tmp_path / "out"
    cluster_processes = psutil.Process().children(recursive=True)
    process = started(out, sweep, cluster.scheduler_address)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert starts(place) == dict.fromkeys(range(5), 1)
    ran_in = {process_of(place, seed).ppid() for seed in range(5)}
    assert ran_in <= {child.pid for child in cluster_processes}
    assert len(read_records(out, sweep.experiments)) == 5
    assert all(child.is_running() for child in cluster_processes)


def test_a_cluster_finishes_for_the_next_call_what_the_last_began(place, tmp_path, cluster):
    sweep, out = fakes(place, "waits", "works", "works"), tmp_path / "out"
    process = started(out, sweep, cluster.scheduler_address)
    process_of(place, 0)
    wait_for(lambda: len(read_records(out, sweep.experiments)) == 2)
    process.kill()
    process.communicate()
    (place / "go").touch()
    records = run_sweep(sweep, out, scheduler=cluster.scheduler_address, run="fake_runs:run")
    assert [record.get("accuracy") for record in records.values()] == [0.9] * 3
    assert starts(place)[1] == starts(place)[2] == 1


def test_workers_with_another_evalib_are_refused(place, tmp_path, cluster, monkeypatch):
    monkeypatch.setattr(sweep_worker, "_FINGERPRINT", "0.0.1 (mine)")
    with pytest.raises(RuntimeError, match=r"expected evalib 0\.0\.1 \(mine\)") as refused:
        run_sweep(fakes(place, "works"), tmp_path, scheduler=cluster.scheduler_address)
    lines = str(refused.value).splitlines()
    assert {line.split(" has ")[0] for line in lines[1:]} == set(cluster.scheduler_info["workers"])
    assert starts(place) == {}


def test_a_scheduler_that_does_not_answer(place, tmp_path, monkeypatch):
    monkeypatch.setattr(sweep_module, "CONNECT_SECONDS", 1)
    for address in ("tcp://127.0.0.1:1", "nonsense", "ftp://127.0.0.1:1"):
        start = time.monotonic()
        with pytest.raises(RuntimeError, match=f"no Dask scheduler answers at {address}"):
            run_sweep(fakes(place, "works"), tmp_path, scheduler=address)
        assert time.monotonic() - start < 10
    with pytest.raises(ValueError, match="at least 1 worker, got 0"):
        run_sweep(fakes(place, "works"), tmp_path, workers=0)


def test_a_lost_scheduler_and_one_without_workers(place, tmp_path, monkeypatch):
    monkeypatch.setattr(sweep_module, "CONNECT_SECONDS", 1)
    sweep = fakes(place, "works", "waits")
    options: dict[str, Any] = {"dashboard_address": ":0", "silence_logs": logging.CRITICAL + 1}
    with LocalCluster(n_workers=0, threads_per_worker=1, **options) as cluster:
        address = cluster.scheduler_address
        with pytest.raises(
            RuntimeError, match=f"has no worker: start one with `dask worker {address}`"
        ):
            run_sweep(sweep, tmp_path, scheduler=address, run="fake_runs:run")
        cluster.scale(1)

        def close() -> None:
            process_of(place, 1)
            cluster.close()

        closer = threading.Thread(target=close)
        closer.start()
        monkeypatch.setattr(sweep_module, "CONNECT_SECONDS", 20)
        with pytest.raises(RuntimeError, match="the scheduler is lost: 1 of 2 runs are recorded"):
            run_sweep(sweep, tmp_path, scheduler=address, run="fake_runs:run")
        closer.join()


def test_a_terminal_shows_a_bar_with_the_time_left(place, tmp_path, cluster):
    import fcntl
    import pty
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 80, 0, 0))
    sweep = fakes(place, "works", "waits")
    arguments = json.dumps([str(tmp_path / "out"), cluster.scheduler_address, sweep.experiments])
    command = [sys.executable, "-m", "driver", arguments]
    process = subprocess.Popen(command, stderr=slave, stdout=subprocess.PIPE)
    process_of(place, 1)
    time.sleep(1)
    (place / "go").touch()
    process.communicate(timeout=60)
    shown = os.read(master, 65536).decode()
    os.close(slave)
    os.close(master)
    assert "driven:   0%|" in shown
    assert "driven:  50%|" in shown
    assert "1/2 [00:0" in shown


def test_a_lock_ends_with_its_process(tmp_path):
    code = (
        "import sys, os, time\nfrom pathlib import Path\n"
        "from evalib.tools.sweep_records import locked_folder\n"
        "with locked_folder(Path(sys.argv[1])):\n"
        "    print('locked', flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    with pytest.raises(RuntimeError, match=f"process {process.pid} on"), locked_folder(tmp_path):
        pass
    process.kill()
    process.communicate()
    with locked_folder(tmp_path):
        assert (tmp_path / ".lock").read_text().startswith(f" process {os.getpid()} on ")
    with locked_folder(tmp_path):
        pass


def test_a_disk_without_locks_is_no_other_sweep(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def unknown(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unknown)
    with locked_folder(tmp_path):
        assert (tmp_path / ".lock").is_file()


@pytest.mark.parametrize("written", [b"", b'{"key": "half a ta'])
def test_a_run_ends_with_its_worker_even_within_a_line(written):
    command = [sys.executable, "-m", "evalib.tools.sweep_process"]
    ended = subprocess.run(command, input=written, capture_output=True, timeout=60, check=False)
    assert ended.stdout == b""


def test_what_is_no_record_runs_again(tmp_path):
    (tmp_path / "a.json").write_text('{"key": "a", "accur')
    (tmp_path / "b.json").write_text('{"key": "a", "accuracy": 0.5}')
    (tmp_path / "c.json").write_text('{"key": "c"}')
    (tmp_path / "d.json").write_text('{"key": "d", "accuracy": 0.5}')
    (tmp_path / "e.json").write_text('{"key": "e", "error": {"type": "ValueError"}}')
    assert list(read_records(tmp_path, ["a", "b", "c", "d", "e", "f"])) == ["d", "e"]


def test_a_run_gives_the_record_of_its_own_experiment(place):
    [values] = fakes(place, "works").experiments.values()
    task = {"key": "other", "experiment": values, "run": "fake_runs:run", "notebook": None}
    record = execute(task)["record"]
    assert record["error"]["message"] == f"expected a record of other, got {values['key']}"
    record = execute({**task, "run": "fake_runs:missing"})["record"]
    assert record["error"]["type"] == "AttributeError"


def test_without_dask_it_says_what_to_install(place, tmp_path, monkeypatch):
    code = (
        "import sys, evalib.tools.sweep; print({'dask', 'distributed', 'keras'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(RuntimeError, match="not installed: pip install distributed"):
        run_sweep(fakes(place, "works"), tmp_path / "out", run="fake_runs:run")


def test_durations():
    assert [duration(seconds) for seconds in (0.4, 99, 101, 5000, 9000)] == [
        "0 s",
        "99 s",
        "2 min",
        "83 min",
        "2.5 h",
    ]


def test_runs_as_notebooks(tmp_path, monkeypatch):
    # A Keras without a GPU that is imported at once.
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    (stubs / "keras.py").write_text("class backend:\n    backend = staticmethod(lambda: 'jax')\n")
    (stubs / "jax.py").write_text("__version__ = '0'\ndevices = lambda: []\n")
    monkeypatch.setenv("PYTHONPATH", str(stubs))
    parameters = v4.new_code_cell("seed = 0\nchannels = [1]\nepochs = 1\nrecord_path = None")
    parameters.metadata["tags"] = ["parameters"]
    work = v4.new_code_cell(
        "import json\n"
        "assert channels[0] == 4, channels\n"
        "record = {'key': f'{seed:012d}', 'accuracy': 0.5 + seed / 10, 'epochs': epochs}\n"
        "json.dump(record, open(record_path, 'w'))"
    )
    write_notebook(v4.new_notebook(cells=[parameters, work]), tmp_path / "mine.ipynb")
    experiments = {
        f"{seed:012d}": {
            "seed": seed,
            "scored_on": "test",
            "network": {"channels": [4 + seed // 2]},
            "recipe": {"epochs": 7},
        }
        for seed in (1, 2)
    }
    assert flat_values(experiments["000000000001"]) == {
        "seed": 1,
        "scored_on": "test",
        "channels": [4],
        "epochs": 7,
    }
    sweep = Sweep("books", experiments, notebook=read_notebook(tmp_path / "mine.ipynb"))
    first, second = run_sweep(sweep, tmp_path / "out").values()
    assert first == {"key": "000000000001", "accuracy": 0.6, "epochs": 7}
    assert second["error"]["message"] == "the notebook failed: cell 2: AssertionError: [5]"
    for key in experiments:
        cells = json.loads((tmp_path / "out" / f"{key}.ipynb").read_text())["cells"]
        assert any("channels = [" in "".join(cell["source"]) for cell in cells[1:])


REAL = """\
data_share = 0.01
[network]
channels = [4, 4]
[recipe]
epochs = 1
[vary]
"network.kernel_sizes" = [[3], [5]]
"""


def test_real_networks_by_the_command_line(tmp_path):
    (tmp_path / "real.toml").write_text(REAL)
    command = [sys.executable, "-m", "evalib", "sweep"]
    options: dict[str, Any] = {"cwd": tmp_path, "text": True}
    out = tmp_path / "outputs" / "sweeps" / "real"
    process = subprocess.Popen(
        [*command, "real.toml"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        start_new_session=True,
        **options,
    )
    first = wait_for(lambda: list(out.glob("?" * 12 + ".json")))[0]
    written = first.stat().st_mtime_ns
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.endswith("the same command goes on\nevalib: interrupted\n")
    assert len(errors.strip().splitlines()) == 2, errors
    assert gone(children)
    assert len(list(out.glob("?" * 12 + ".json"))) == 1

    result = subprocess.run([*command, "real.toml"], capture_output=True, **options)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("sweep real: 1 of 2 to run, 1 have their record\n")
    assert first.stat().st_mtime_ns == written
    records = json.loads((out / "records.json").read_text())
    assert [record["experiment"]["network"]["kernel_sizes"] for record in records] == [[3], [5]]
    # 4 * 9 + 4 * 4 * 9 weights, 2 * 4 * 4 of the normalizations, 4 * 10 + 10 of the head.
    assert [record["parameters"] for record in records] == [262, 100 + 400 + 32 + 50]
    for record in records:
        assert record["versions"]["evalib"]
        assert 0 <= record["accuracy"] <= 1
        # Dask's threads and earlier runs leave no trace in the random numbers. PyTorch's sums
        # depend on the number of threads, in the last digit.
        again = run_experiment(experiment_from(record["experiment"]))
        assert again["loss"] == pytest.approx(record["loss"], rel=1e-5)
        for name, values in record["history"].items():
            assert again["history"][name] == pytest.approx(values, rel=1e-5)
    table = (out / "table.md").read_text()
    assert table in result.stdout
    assert [row.split("|")[1].strip() for row in table.splitlines()[2:]] == [
        "kernel_sizes",
        ":-------------",
        "[3]",
        "[5]",
    ]
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")

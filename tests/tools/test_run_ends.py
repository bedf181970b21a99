"""The runner is interrupted or killed, or its kernels are: what is finished is kept, and nothing
of what was running stays behind."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psutil
import pytest

from tests.tools.notebook_calls import (
    is_running,
    numbers_in,
    partial_files,
    read_report,
    start_run,
    wait_for_end,
    wait_until,
    write_notebook,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as on POSIX")


def hang(folder: Path, how: str) -> str:
    """A cell that hangs until the file `go` is there, and tells its kernel's number before."""
    number, go = folder / f"{how}.number", folder / "go"
    ways = {
        "sleeping": "time.sleep(600)",
        # The interpreter does nothing else meanwhile: no thread of the kernel can end it.
        "computing": "sum(range(10**15))",
    }
    return (
        "import os, time\nfrom pathlib import Path\n"
        f"Path({str(number)!r}).write_text(str(os.getpid()))\n"
        f"if not Path({str(go)!r}).exists():\n    {ways[how]}"
    )


def start_child(folder: Path) -> str:
    """A cell that starts a process which would outlive its kernel."""
    return (
        "import subprocess\nfrom pathlib import Path\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        f"Path({str(folder / 'child.number')!r}).write_text(str(child.pid))"
    )


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Three notebooks, of which the first ends and the others do not."""
    write_notebook(tmp_path / "notebooks" / "01_ends.ipynb", "print('done')")
    write_notebook(
        tmp_path / "notebooks" / "02_computes.ipynb",
        start_child(tmp_path),
        hang(tmp_path, "computing"),
    )
    write_notebook(tmp_path / "notebooks" / "03_sleeps.ipynb", "x = 1", hang(tmp_path, "sleeping"))
    yield tmp_path
    for file in tmp_path.glob("*.number"):  # of a test that failed
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(int(file.read_text()), signal.SIGKILL)


def running_kernels(folder: Path) -> list[int]:
    return numbers_in(*(folder / f"{name}.number" for name in ("computing", "sleeping", "child")))


def check_what_is_left(folder: Path) -> None:
    out = folder / "outputs" / "executed"
    assert sorted(path.name for path in out.iterdir()) == ["01_ends.ipynb", "report.json"]
    assert [run["name"] for run in read_report(out)["runs"]] == ["01_ends"]
    copy = nbformat.read(out / "01_ends.ipynb", as_version=4)
    assert copy.cells[0].outputs[0].text == "done\n"


def check_resume(folder: Path) -> None:
    """What was finished is not done again; the others now come to their end."""
    (folder / "go").touch()
    finished = folder / "outputs" / "executed" / "01_ends.ipynb"
    before = finished.stat().st_mtime_ns
    process = start_run(folder, "--resume", "--jobs", 2)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    results = [line.split("cpu")[1].strip() for line in output.splitlines()[1:]]
    assert results == ["passed (earlier)", "passed", "passed"]
    assert finished.stat().st_mtime_ns == before
    assert partial_files(folder) == []


def test_kill_of_the_runner(folder: Path) -> None:
    process = start_run(folder, "--jobs", 2)
    kernels = running_kernels(folder)
    below = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    assert set(kernels) < set(below)
    assert all(map(is_running, below))
    wait_until(lambda: partial_files(folder))

    process.kill()
    process.communicate(timeout=60)

    wait_for_end(below)
    check_what_is_left(folder)
    assert list((folder / "runtime").glob("kernel-*")) == []
    check_resume(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_kill_of_the_runner_and_its_processes_at_once(folder: Path) -> None:
    process = start_run(folder, "--jobs", 2)
    *kernels, child = running_kernels(folder)
    below = psutil.Process(process.pid).children()
    wait_until(lambda: len(partial_files(folder)) == 2)

    process.send_signal(signal.SIGSTOP)  # so that it does not see how its processes end
    for notebook in below:
        notebook.kill()
    process.kill()
    process.wait()

    wait_for_end(kernels)
    os.kill(child, signal.SIGKILL)  # nobody was left to do it
    process.communicate(timeout=60)
    assert len(partial_files(folder)) == 2
    check_resume(folder)  # this cleans up


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_kill_of_the_runner_while_its_process_is_deaf(tmp_path: Path) -> None:
    # nbclient looks for carriage returns in a way that takes an hour for a line of this length,
    # all within one call of C.
    write_notebook(
        tmp_path / "notebooks" / "a.ipynb",
        "import os\nfrom pathlib import Path\n"
        f"Path({str(tmp_path / 'kernel.number')!r}).write_text(str(os.getpid()))\n"
        "print('x' * 2_000_000)",
    )
    process = start_run(tmp_path)
    (kernel,) = numbers_in(tmp_path / "kernel.number")
    (worker,) = psutil.Process(process.pid).children()
    busy = worker.cpu_times().user
    wait_until(lambda: worker.cpu_times().user > busy + 1)
    process.kill()
    wait_for_end([worker.pid, kernel])
    process.communicate(timeout=60)


def test_kill_of_a_notebooks_process(folder: Path) -> None:
    process = start_run(folder, "--jobs", 2)
    computing, sleeping, child = running_kernels(folder)
    (parent,) = psutil.Process(computing).parents()[:1]
    (folder / "go").touch()  # for whatever is started from here on

    parent.kill()
    wait_for_end([computing, child])
    assert is_running(sleeping)
    os.kill(sleeping, signal.SIGKILL)
    output, errors = process.communicate(timeout=60)

    assert process.returncode == 1, errors
    _, ends, computes, sleeps, *advice = output.splitlines()
    assert ends.endswith("passed")
    assert computes.endswith(
        "failed: EndedProcess: the process that ran the notebook ended with signal 9 (SIGKILL)"
    )
    assert sleeps.endswith(
        "failed in cell 2: DeadKernelError: the kernel ended with signal 9 (SIGKILL)"
    )
    assert len(advice) == 2
    assert all("memory" in line and "--jobs" in line for line in advice)
    assert partial_files(folder) == []


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)]
)
def test_interrupt(folder: Path, number: signal.Signals, status: int) -> None:
    process = start_run(folder, "--jobs", 2)
    kernels = running_kernels(folder)
    below = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in errors
    assert errors.splitlines()[:-1][:1] == ["01_ends: started"]
    wait_for_end([*below, *kernels])
    check_what_is_left(folder)
    if number == signal.SIGINT:
        assert errors.endswith("evalib: interrupted\n")
        check_resume(folder)


def test_a_cell_that_hangs(folder: Path) -> None:
    process = start_run(folder, "02", "--timeout", 2)
    (kernel,) = numbers_in(folder / "computing.number")
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 1, errors
    _, table, advice = output.splitlines()
    assert table.endswith("failed in cell 2: CellTimeoutError: still running after 2 s")
    assert "more than --timeout 2" in advice
    wait_for_end([kernel, *numbers_in(folder / "child.number")])
    copy = folder / "outputs" / "executed" / "02_computes.ipynb"
    assert nbformat.read(copy, as_version=4).cells[0].execution_count == 1


def test_what_a_notebook_started_ends_with_it(tmp_path: Path) -> None:
    write_notebook(tmp_path / "notebooks" / "a.ipynb", start_child(tmp_path))
    process = start_run(tmp_path)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, output + errors
    wait_for_end(numbers_in(tmp_path / "child.number"))

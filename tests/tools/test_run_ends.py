"""The runner is interrupted or killed, or its kernels are: what is finished is kept, and nothing
of what was running stays behind."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.tools import notebook_calls as calls

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as on POSIX")

START_CHILD = """
import os, subprocess, time
from pathlib import Path
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
Path("child.number").write_text(str(child.pid))
"""
# Hangs until the file `go` is there. While it computes, no thread of the kernel can end it.
HANG = """
import os, time
from pathlib import Path
Path("{0}.number").write_text(str(os.getpid()))
Path("go").exists() or {1}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Three notebooks: the first ends, the others do not, and one starts a process of its own."""
    notebooks = tmp_path / "notebooks"
    calls.write_notebook(notebooks / "01_ends.ipynb", "print('done')")
    computes = HANG.format("computing", "sum(range(10**15))")
    calls.write_notebook(notebooks / "02_computes.ipynb", START_CHILD, computes)
    sleeps = HANG.format("sleep", "time.sleep(600)")
    calls.write_notebook(notebooks / "03_sleeps.ipynb", "x = 1", sleeps)
    yield tmp_path
    for file in notebooks.glob("*.number"):  # of a test that failed
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(int(file.read_text()), signal.SIGKILL)


def running_kernels(folder: Path) -> list[int]:
    names = ("computing", "sleep", "child")
    return calls.numbers_in(*(folder / "notebooks" / f"{name}.number" for name in names))


def check_resume(folder: Path) -> None:
    """What was finished is not done again; the others now come to their end."""
    (folder / "notebooks" / "go").touch()
    finished = folder / "outputs" / "executed" / "01_ends.ipynb"
    before = finished.stat().st_mtime_ns
    process = calls.start_run(folder, "--resume", "--jobs", 2)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    results = [line.split("cpu")[1].strip() for line in output.splitlines()[1:]]
    assert results == ["passed (earlier)", "passed", "passed"]
    assert finished.stat().st_mtime_ns == before
    assert calls.half_written(folder) == []
    child = folder / "notebooks" / "child.number"  # of a notebook that passed
    calls.wait_for_end(calls.numbers_in(child))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, -15)])
def test_the_runner_is_ended(folder: Path, number: int, status: int) -> None:
    process = calls.start_run(folder, "--jobs", 2)
    kernels = running_kernels(folder)
    below = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    assert set(kernels) < set(below)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in errors
    assert errors.endswith("evalib: interrupted\n") == (number == signal.SIGINT)
    calls.wait_for_end(below)
    out = folder / "outputs" / "executed"
    copies = [path.name for path in out.iterdir() if not path.name.startswith(".")]
    assert sorted(copies) == ["01_ends.ipynb", "report.json"]
    assert [run["name"] for run in calls.read_report(out)["runs"]] == ["01_ends"]
    assert calls.cells_of(out / "01_ends.ipynb")[0].outputs[0].text == "done\n"
    calls.wait_until(lambda: not list((folder / "outputs").rglob("0[23]_*.ipynb")))
    calls.wait_until(lambda: not list((folder / "temporary").iterdir()))
    if number == signal.SIGINT:
        check_resume(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_kill_of_the_runner_and_its_processes_at_once(folder: Path) -> None:
    process = calls.start_run(folder, "--jobs", 2)
    *kernels, child = running_kernels(folder)
    process.send_signal(signal.SIGSTOP)  # so that it does not see how its processes end
    for notebook in psutil.Process(process.pid).children():
        notebook.kill()
    process.kill()
    calls.wait_for_end(kernels)
    os.kill(child, signal.SIGKILL)  # nobody was left to do it
    process.communicate(timeout=60)
    assert len(list((folder / "outputs").rglob("0[23]_*.ipynb"))) == 2
    check_resume(folder)  # this cleans up


def test_a_notebooks_processes_are_killed_or_hang(folder: Path) -> None:
    process = calls.start_run(folder, "--jobs", 2, "--timeout", 5)
    computing, sleeping, child = running_kernels(folder)
    os.kill(sleeping, signal.SIGKILL)
    output, errors = process.communicate(timeout=120)  # the other hangs until its time is up
    assert process.returncode == 1, errors
    _, ends, computes, sleeps = output.splitlines()
    assert ends.endswith("passed")
    assert "failed in cell 2: CellTimeoutError: still running after 5 s (--timeout)" in computes
    assert "failed in cell 2: DeadKernelError: the kernel ended with signal 9 (SIGKILL)" in sleeps
    calls.wait_for_end([computing, child])
    copy = calls.cells_of(folder / "outputs" / "executed" / "02_computes.ipynb")
    assert 1 in [cell.get("execution_count") for cell in copy]
    assert calls.half_written(folder) == []

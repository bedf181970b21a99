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

from tests.tools.notebook_calls import (
    cells_of,
    half_written,
    numbers_in,
    read_report,
    start_run,
    wait_for_end,
    wait_until,
    write_notebook,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as on POSIX")

START_CHILD = """
import os, subprocess, time
from pathlib import Path
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
Path("child.number").write_text(str(child.pid))
"""
# Each hangs until the file `go` is there, and writes its kernel's number before. While it computes,
# the interpreter does nothing else: no thread of the kernel can end it.
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
    write_notebook(notebooks / "01_ends.ipynb", "print('done')")
    computes = HANG.format("computing", "sum(range(10**15))")
    write_notebook(notebooks / "02_computes.ipynb", START_CHILD, computes)
    write_notebook(notebooks / "03_sleeps.ipynb", "x = 1", HANG.format("sleep", "time.sleep(600)"))
    yield tmp_path
    for file in notebooks.glob("*.number"):  # of a test that failed
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(int(file.read_text()), signal.SIGKILL)


def running_kernels(folder: Path) -> list[int]:
    names = ("computing", "sleep", "child")
    return numbers_in(*(folder / "notebooks" / f"{name}.number" for name in names))


def check_resume(folder: Path) -> None:
    """What was finished is not done again; the others now come to their end."""
    (folder / "notebooks" / "go").touch()
    finished = folder / "outputs" / "executed" / "01_ends.ipynb"
    before = finished.stat().st_mtime_ns
    process = start_run(folder, "--resume", "--jobs", 2)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    results = [line.split("cpu")[1].strip() for line in output.splitlines()[1:]]
    assert results == ["passed (earlier)", "passed", "passed"]
    assert finished.stat().st_mtime_ns == before
    assert half_written(folder) == []
    wait_for_end(numbers_in(folder / "notebooks" / "child.number"))  # of a notebook that passed


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, -15)])
def test_the_runner_is_ended(folder: Path, number: int, status: int) -> None:
    process = start_run(folder, "--jobs", 2)
    kernels = running_kernels(folder)
    below = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    assert set(kernels) < set(below)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in errors
    assert errors.endswith("evalib: interrupted\n") == (number == signal.SIGINT)
    wait_for_end(below)
    out = folder / "outputs" / "executed"
    copies = [path.name for path in out.iterdir() if not path.name.startswith(".")]
    assert sorted(copies) == ["01_ends.ipynb", "report.json"]
    assert [run["name"] for run in read_report(out)["runs"]] == ["01_ends"]
    assert cells_of(out / "01_ends.ipynb")[0].outputs[0].text == "done\n"
    wait_until(lambda: not list((folder / "outputs").rglob("0[23]_*.ipynb")))
    wait_until(lambda: not list((folder / "temporary").iterdir()))
    if number == signal.SIGINT:
        check_resume(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_kill_of_the_runner_and_its_processes_at_once(folder: Path) -> None:
    process = start_run(folder, "--jobs", 2)
    *kernels, child = running_kernels(folder)
    process.send_signal(signal.SIGSTOP)  # so that it does not see how its processes end
    for notebook in psutil.Process(process.pid).children():
        notebook.kill()
    process.kill()
    process.wait()
    wait_for_end(kernels)
    os.kill(child, signal.SIGKILL)  # nobody was left to do it
    process.communicate(timeout=60)
    assert len(list((folder / "outputs").rglob("0[23]_*.ipynb"))) == 2
    check_resume(folder)  # this cleans up


def test_a_notebooks_processes_are_killed_or_hang(folder: Path) -> None:
    process = start_run(folder, "--jobs", 2, "--timeout", 5)
    computing, sleeping, child = running_kernels(folder)
    os.kill(sleeping, signal.SIGKILL)
    output, errors = process.communicate(timeout=120)  # the other hangs until its time is up
    assert process.returncode == 1, errors
    _, ends, computes, sleeps = output.splitlines()
    assert ends.endswith("passed")
    assert "failed in cell 2: CellTimeoutError: still running after 5 s (--timeout)" in computes
    assert "failed in cell 2: DeadKernelError: the kernel ended with signal 9 (SIGKILL)" in sleeps
    wait_for_end([computing, child])
    copy = cells_of(folder / "outputs" / "executed" / "02_computes.ipynb")
    assert 1 in [cell.get("execution_count") for cell in copy]
    assert half_written(folder) == []

"""The disk is full, or nothing may be written: the error says where, and what was finished is kept.

Real disks of a few megabytes are mounted where only the test's own processes see them.
"""

import os
import resource
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools import notebook_calls as calls

# A private namespace for mounts; who is not root becomes it in a namespace of users.
_NAMESPACE = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-r", "-m"]

KEPT = "mend that or choose another folder"

Script = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two notebooks, the second one's copy larger than a megabyte."""
    notebooks = tmp_path / "notebooks"
    calls.write_notebook(notebooks / "01_small.ipynb", "print('done')")
    calls.write_notebook(notebooks / "02_large.ipynb", "x = 1", "print('0123456\\n' * 150_000)")
    (tmp_path / "out").mkdir()
    return tmp_path


@pytest.fixture
def script(folder: Path) -> Script:
    """Run a shell script with mounts of its own; `$RUN` stands for `evalib run --out out`."""
    try:
        probe = [*_NAMESPACE, "mount", "-t", "tmpfs", "none", str(folder / "out")]
        subprocess.run(probe, capture_output=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"no disk can be mounted here: {error}")
    environment = calls.quick_environment(folder)
    environment["RUN"] = shlex.join(calls.run_command(folder, "--out", folder / "out"))
    command = [*_NAMESPACE, "bash", "-ec"]
    return lambda text: subprocess.run(
        [*command, text], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_a_disk_that_fills_up(folder: Path, script: Script) -> None:
    result = script(
        "mount -t tmpfs -o size=4m none out; head -c 3000000 /dev/zero > out/filler\n"
        "$RUN || status=$?\n"
        "cat /dev/zero > out/filler 2>/dev/null || cp -r out first\n"
        "$RUN --resume && exit 1 || test $? = 2\n"  # full from the start
        "rm -f out/filler first/filler first/.lock; $RUN --resume; cp -r out second; exit $status"
    )
    out = folder / "out"
    assert result.returncode == 2, result.stderr
    message = f"evalib: {out} cannot be written (no space left on device): {KEPT}"
    assert result.stderr.splitlines().count(message) == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.count("02_large: started") == 2  # not where the disk was full at first
    (_, small, large) = result.stdout.splitlines()  # of the last call alone
    assert small.endswith("passed (earlier)"), result.stderr
    assert large.endswith("passed")
    # After the first call the small notebook was finished, and the large one left no trace.
    assert {path.name for path in (folder / "first").iterdir()} == {"01_small.ipynb", "report.json"}
    assert [run["name"] for run in calls.read_report(folder / "first")["runs"]] == ["01_small"]
    assert calls.half_written(folder) == []
    assert len(calls.cells_of(folder / "second" / "02_large.ipynb")[1].outputs[0].text) == 1_200_001


def test_a_limit_on_the_size_of_files(folder: Path) -> None:
    limit = (300_000, 300_000)
    process = calls.start_run(
        folder,
        *("--out", folder / "out", "02"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )
    _, errors = process.communicate()
    assert process.returncode == 2, errors
    assert errors.endswith(f"evalib: {folder / 'out'} cannot be written (file too large): {KEPT}\n")
    assert calls.half_written(folder) == []


def test_what_is_read_only(folder: Path, script: Script) -> None:
    result = script(
        "mount -t tmpfs none out; mount -o remount,ro out; cp notebooks/01_small.ipynb before\n"
        "$RUN --out out/new/deep || test $? = 2\n"
        "mount --bind notebooks notebooks; mount -o remount,ro,bind notebooks; umount out\n"
        "$RUN 01 --store-outputs || test $? = 2; cmp before notebooks/01_small.ipynb"
    )
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    lines = [line for line in result.stderr.splitlines() if "evalib: " in line]
    for line, place in zip(lines, ("out/new/deep", "notebooks"), strict=True):
        assert line == f"evalib: {folder / place} cannot be written (read-only file system): {KEPT}"
    assert calls.half_written(folder) == []

"""The disk is full, or nothing may be written: the error says where and what to do, and what was
finished is kept.

Real disks of a few megabytes are mounted where only the test's own processes see them. Where that
is not allowed, a limit on the size of files takes their place.
"""

import os
import resource
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from tests.tools.notebook_calls import (
    partial_files,
    quick_environment,
    read_report,
    run_command,
    write_notebook,
)

# A private namespace for mounts; who is not root becomes it in a namespace of users.
_NAMESPACE = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-r", "-m"]

KEPT = "what has finished is kept, and --resume goes on after it"

Script = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two notebooks, the second one's copy larger than a megabyte."""
    write_notebook(tmp_path / "notebooks" / "01_small.ipynb", "print('done')")
    write_notebook(
        tmp_path / "notebooks" / "02_large.ipynb", "x = 1", "print('0123456\\n' * 75_000)"
    )
    (tmp_path / "out").mkdir()
    return tmp_path


@pytest.fixture
def script(folder: Path) -> Script:
    """Run a shell script with mounts of its own; `$RUN` stands for `evalib run --out out`."""
    try:
        probe = [*_NAMESPACE, "mount", "-t", "tmpfs", "none", str(folder / "out")]
        refused = subprocess.run(probe, capture_output=True, text=True, timeout=30).stderr
    except OSError as error:
        refused = str(error)
    if refused:
        pytest.skip(f"no disk can be mounted here: {refused.strip()}")
    environment = quick_environment(folder)
    environment["RUN"] = shlex.join(run_command(folder, "--out", folder / "out"))

    def run(text: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*_NAMESPACE, "bash", "-ec", text],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
        )

    return run


def check_first_run(folder: Path, kept: Path) -> None:
    """The small notebook is finished, the large one left no trace."""
    assert sorted(path.name for path in kept.iterdir()) == ["01_small.ipynb", "report.json"]
    assert [run["name"] for run in read_report(kept)["runs"]] == ["01_small"]
    nbformat.validate(nbformat.read(kept / "01_small.ipynb", as_version=4))
    assert partial_files(folder) == []


def test_a_disk_that_fills_up(folder: Path, script: Script) -> None:
    result = script(
        "mount -t tmpfs -o size=4m none out; head -c 3400000 /dev/zero > out/filler\n"
        "$RUN || status=$?\n"
        "rm out/filler; cp -r out first\n"
        "$RUN --resume; cp -r out second; exit $status"
    )
    out = folder / "out"
    assert result.returncode == 2, result.stderr
    assert (
        f"evalib: no space left in {out}: make room there or choose another folder (--out); {KEPT}"
        in result.stderr.splitlines()
    )
    assert "Traceback" not in result.stderr
    (heading, small, large) = result.stdout.splitlines()  # of the second call alone
    assert heading.startswith("notebook")
    assert small.endswith("passed (earlier)"), result.stderr
    assert large.endswith("passed")
    check_first_run(folder, folder / "first")
    copy = nbformat.read(folder / "second" / "02_large.ipynb", as_version=4)
    assert len(copy.cells[1].outputs[0].text) == 600_001


def test_a_disk_that_is_full_from_the_start(folder: Path, script: Script) -> None:
    result = script(
        "mount -t tmpfs -o size=1m none out\n"
        "$RUN 01; cp out/report.json before.json\n"
        "cat /dev/zero > out/filler 2>/dev/null || true\n"
        "$RUN || status=$?\n"
        "cmp before.json out/report.json; rm out/filler; cp -r out first; exit $status"
    )
    assert result.returncode == 2, result.stderr
    assert f"no space left in {folder / 'out'}" in result.stderr.splitlines()[-1]
    assert result.stderr.count("started") == 1  # the first call's
    check_first_run(folder, folder / "first")


def test_a_limit_on_the_size_of_files(folder: Path) -> None:
    limit = 300_000
    result = subprocess.run(
        run_command(folder, "--out", folder / "out"),
        env=quick_environment(folder),
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert result.returncode == 2, result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"evalib: a file in {folder / 'out'} would be larger than this process")
    assert "ulimit -f" in last
    assert KEPT in last
    check_first_run(folder, folder / "out")


def test_a_disk_that_is_read_only(folder: Path, script: Script) -> None:
    result = script("mount -t tmpfs none out; mount -o remount,ro out; $RUN")
    assert result.returncode == 2
    assert result.stderr == (
        f"evalib: {folder / 'out'} cannot be written (read-only file system): allow it or choose "
        f"another folder (--out); {KEPT}\n"
    )
    assert result.stdout == ""


def test_a_folder_that_cannot_be_made(folder: Path, script: Script) -> None:
    result = script("mount -t tmpfs none out; mount -o remount,ro out; $RUN --out out/new/deep")
    assert result.returncode == 2
    assert "read-only file system" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_folder_without_permission(folder: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (folder / "out").chmod(0o555)
    result = subprocess.run(
        run_command(folder, "--out", folder / "out"),
        env=quick_environment(folder),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert f"{folder / 'out'} cannot be written (permission denied)" in result.stderr
    assert result.stdout == ""


def test_notebooks_that_are_read_only(folder: Path, script: Script) -> None:
    before = (folder / "notebooks" / "01_small.ipynb").read_bytes()
    result = script(
        "mount --bind notebooks notebooks; mount -o remount,ro,bind notebooks\n"
        "$RUN 01 --store-outputs"
    )
    assert result.returncode == 2
    assert f"{folder / 'notebooks'} cannot be written (read-only file system)" in result.stderr
    assert (folder / "notebooks" / "01_small.ipynb").read_bytes() == before
    assert partial_files(folder) == []

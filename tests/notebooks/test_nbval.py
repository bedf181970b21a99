"""The test command fails where a cell fails, also where nbval alone does not see it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from nbformat import v4

from tests.tools.notebook_calls import write_notebook

FAILING = ["%no_such_magic\nassert False", "raise ExceptionGroup('', [ValueError()])", "assert 0"]


def test_failed_cells_are_seen(repository: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")  # which kernels must not inherit
    tags = {"tags": ["nbval-ignore-output"]}
    cells = [v4.new_code_cell(source, metadata=tags) for source in (*FAILING, "print(1)")]
    expected = v4.new_code_cell("1 / 0", metadata={"tags": ["raises-exception", *tags["tags"]]})
    write_notebook(tmp_path / "notebooks" / "x.ipynb", *cells, expected)
    shutil.copy(repository / "notebooks" / "conftest.py", tmp_path / "notebooks")
    command = [sys.executable, "-m", "pytest", "--nbval", "-p", "no:cacheprovider", "notebooks"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    failed = re.findall(r"^FAILED notebooks/x.ipynb::Cell (\d)", result.stdout, re.MULTILINE)
    assert failed == ["0", "1", "2"], result.stdout

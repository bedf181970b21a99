"""evalib.tools.cli: exit status, messages, and what is not imported for help."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from papermill.cli import _resolve_type

from evalib.tools.cli import main, parse_value
from tests.tools.notebook_calls import quick_environment, start_run, tagged, write_notebook


def test_exit_status_and_table_in_a_terminal_that_lacks_characters(tmp_path: Path) -> None:
    folder = tmp_path / "notebooks"
    # papermill would log a warning about the second line of the parameters.
    parameters = tagged("N = 1\nM = N == 1", "parameters")
    write_notebook(folder / "01_fine.ipynb", parameters, "assert N == 2")
    write_notebook(folder / "02_fails.ipynb", "x = 1", "raise ValueError('€')")
    (folder / "03_broken.ipynb").write_text("<<<<<<< HEAD")
    environment = quick_environment(tmp_path) | {"PYTHONIOENCODING": "ascii"}

    def run(*arguments: object) -> tuple[int, list[str], list[str]]:
        process = start_run(tmp_path, "-p", "N", 2, *arguments, env=environment)
        printed, errors = process.communicate()
        assert "Traceback" not in errors
        return process.returncode, printed.splitlines(), errors.splitlines()

    status, table, news = run("--jobs", 2)
    assert (status, len(table), len(news)) == (1, 4, 6)
    assert table[0].split() == ["notebook", "cells", "seconds", "device", "result"]
    assert table[1].split()[:2] == ["01_fine", "2/2"]
    assert table[1].endswith("cpu     passed")
    assert "failed in cell 2: ValueError: \\u20ac" in table[2]
    assert "failed: NotJSONError: the file is damaged, half-merged" in table[3]
    status, table, news = run("1", "--resume")
    assert (status, news) == (0, ["01_fine: passed (earlier)"])
    assert table[1].endswith("passed (earlier)")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("run --jobs 0", "argument --jobs: expected 1 or more, got 0"),
        ("run --out=", "argument --out: expected a folder, got an empty name"),
        ("grade a.ipynb --jobs 0", "argument --jobs: expected 1 or more, got 0"),
    ],
)
def test_refused_input(capsys, command, message) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(command.split())
    assert message in capsys.readouterr().err


def test_gpu_without_a_gpu(tmp_path: Path) -> None:
    write_notebook(tmp_path / "notebooks" / "01_fine.ipynb", "N = 1")
    # The real Keras, on whatever backend; where there is a GPU it is hidden.
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "HIP_VISIBLE_DEVICES": "-1"}
    process = start_run(tmp_path, "--device", "gpu", env=hidden)
    errors = process.communicate()[1]
    assert (process.returncode, errors.count("\n")) == (2, 1)
    assert errors.startswith("evalib: expected a device of the kind gpu, but Keras on ")
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    "text", ["True", "False", "None", "3", "-3", "1_0", "0.5", "1e-3", "inf", "relu", "true", ""]
)
def test_values_are_read_as_papermill_reads_them(text: str) -> None:
    expected = _resolve_type(text)
    assert parse_value(text) == expected
    assert type(parse_value(text)) is type(expected)


def test_help_does_not_import_keras() -> None:
    code = (
        "import contextlib, sys, evalib.tools.cli, evalib.tools.run, evalib.tools.colab\n"
        "for command in ([], ['run'], ['colab']):\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        evalib.tools.cli.main([*command, '--help'])\n"
        "print(sorted({'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)))\n"
    )
    result = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True)
    assert (result.stdout.count("usage: evalib"), result.stderr) == (3, "")
    assert result.stdout.endswith("\n[]\n")

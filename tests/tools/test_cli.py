"""evalib.tools.cli: exit status, messages, and what is not imported for help."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from papermill.cli import _resolve_type

from evalib.tools.cli import main, parse_value
from tests.tools.notebook_calls import start_run, tagged, write_notebook


def test_exit_status_and_table(tmp_path: Path) -> None:
    folder = tmp_path / "notebooks"
    # papermill would log a warning about the second line of the parameters.
    write_notebook(
        folder / "01_fine.ipynb", tagged("N = 1\nM = N == 1", "parameters"), "assert N == 2"
    )
    write_notebook(folder / "02_fails.ipynb", "x = 1", "undefined_name")
    (folder / "03_broken.ipynb").write_text("<<<<<<< HEAD")

    def run(*arguments: object) -> tuple[int, list[str], list[str]]:
        process = start_run(tmp_path, "-p", "N", 2, *arguments)
        printed, errors = process.communicate()
        assert "Traceback" not in errors
        return process.returncode, printed.splitlines(), errors.splitlines()

    status, table, news = run("--jobs", 2)
    assert (status, len(table), len(news)) == (1, 4, 6)
    assert table[0].split() == ["notebook", "cells", "seconds", "device", "result"]
    assert table[1].split()[:2] == ["01_fine", "2/2"]
    assert table[1].endswith("cpu     passed")
    assert "failed in cell 2: NameError: name 'undefined_name' is not defined" in table[2]
    assert "failed: NotJSONError: the file is damaged, half-merged" in table[3]
    assert (tmp_path / "outputs" / "executed" / "report.json").is_file()
    status, table, news = run("1", "--resume")
    assert (status, news) == (0, ["01_fine: passed (earlier)"])
    assert table[1].endswith("passed (earlier)")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["09"], "evalib: no notebook is called '09'; there are: 01_fine\n"),
        (["-p", "M", "1"], "there are:\n  01_fine: N\n"),
        (["--device", "tpu"], "invalid choice: 'tpu'"),
        (["--jobs", "0"], "argument --jobs: expected 1 or more, got 0"),
        (["--timeout", "0"], "argument --timeout: expected 1 or more, got 0"),
        (["--out", ""], "argument --out: expected a folder, got an empty name"),
    ],
)
def test_refused_input(tmp_path, capsys, arguments: list[str], message: str) -> None:
    write_notebook(tmp_path / "notebooks" / "01_fine.ipynb", tagged("N = 1", "parameters"))
    command = ["run", "--notebooks", str(tmp_path / "notebooks"), *arguments]
    try:
        status = main(command)
    except SystemExit as refused:
        status = int(refused.code or 0)
    assert status == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "outputs").exists()


def test_gpu_without_a_gpu(tmp_path: Path) -> None:
    write_notebook(tmp_path / "notebooks" / "01_fine.ipynb", "N = 1")
    # The real Keras, on whatever backend; where there is a GPU it is hidden.
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "HIP_VISIBLE_DEVICES": "-1"}
    process = start_run(tmp_path, "--device", "gpu", env=hidden)
    _, errors = process.communicate()
    assert process.returncode == 2
    assert errors.startswith("evalib: expected a device of the kind gpu, but Keras on ")
    assert len(errors.splitlines()) == 1
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
        "import contextlib, io, sys\n"
        "import evalib.tools.cli, evalib.tools.run, evalib.tools.colab\n"
        "for command in (['--help'], ['run', '--help'], ['colab', '--help']):\n"
        "    text = io.StringIO()\n"
        "    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(text):\n"
        "        evalib.tools.cli.main(command)\n"
        "    assert text.getvalue().startswith('usage: evalib'), text.getvalue()\n"
        "print(sorted({'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)))\n"
    )
    result = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("[]\n", "")


def test_colab(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text('[project.urls]\nRepository = "https://github.com/OWNER/REPOSITORY"\n')
    readme = tmp_path / "README.md"
    readme.write_text("git clone https://github.com/OWNER/REPOSITORY\n")
    where = ["--folder", str(tmp_path)]
    assert main(["colab", "--repo", "https://github.com/ada/course.git", *where]) == 0
    assert capsys.readouterr().out == "changed pyproject.toml\nchanged README.md\n"
    assert main(["colab", "--check", *where]) == 0
    readme.write_text("git clone https://github.com/someone/else\n")
    assert main(["colab", "--check", *where]) == 1
    assert capsys.readouterr().err == (
        "README.md: found https://github.com/someone/else, expected https://github.com/ada/course\n"
    )
    assert main(["colab", "--repo", "https://example.com/a/b", *where]) == 2
    assert "https://github.com/OWNER/REPOSITORY" in capsys.readouterr().err


def test_a_sweep_of_a_pipe_is_refused_for_it_can_be_read_only_once(capsys):
    assert main(["sweep", "/dev/null"]) == 2
    assert "expected a TOML file, got /dev/null" in capsys.readouterr().err

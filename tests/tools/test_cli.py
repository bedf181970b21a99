"""evalib.tools.cli: exit status, messages, and what is not imported for help."""

import contextlib
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import v4
from papermill.cli import _resolve_type

from evalib.tools.cli import main, parse_value

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def write_notebook(path: Path, *sources: str) -> None:
    cells = [v4.new_code_cell(source) for source in sources]
    cells[0].metadata["tags"] = ["parameters"]
    path.parent.mkdir(exist_ok=True)
    nbformat.write(v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL}), path)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Give subprocesses a Keras without a GPU that is imported at once."""
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    (stubs / "keras.py").write_text("class backend:\n    backend = staticmethod(lambda: 'jax')\n")
    (stubs / "jax.py").write_text("__version__ = '0'\ndevices = lambda: []\n")
    return {**os.environ, "PYTHONPATH": str(stubs)}


def evalib(
    *arguments: object, environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "evalib", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_exit_status_and_table(tmp_path: Path, environment: dict[str, str]) -> None:
    folder = tmp_path / "notebooks"
    # papermill would log a warning about the second line of the parameters.
    write_notebook(folder / "01_fine.ipynb", "N = 1\nM = N == 1", "assert N == 2")
    write_notebook(folder / "02_fails.ipynb", "x = 1", "undefined_name")

    result = evalib("run", "-p", "N", 2, "--notebooks", folder, environment=environment)

    assert result.returncode == 1
    table = result.stdout.splitlines()
    assert table[0].split() == ["notebook", "cells", "seconds", "device", "result"]
    assert table[1].split()[:2] == ["01_fine", "2/2"]
    assert table[1].endswith("cpu     passed")
    assert "failed in cell 2: NameError: name 'undefined_name' is not defined" in table[2]
    assert len(table) == 3
    assert len(result.stderr.splitlines()) == 4, result.stderr
    assert (tmp_path / "outputs" / "executed" / "report.json").is_file()

    result = evalib("run", "1", "-p", "N", 2, "--notebooks", folder, environment=environment)
    assert (result.returncode, len(result.stdout.splitlines())) == (0, 2)
    assert len(result.stderr.splitlines()) == 2


def test_refused_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_notebook(tmp_path / "notebooks" / "01_fine.ipynb", "N = 1")
    out = tmp_path / "out"
    base = ["run", "--notebooks", str(tmp_path / "notebooks"), "--out", str(out)]
    assert main([*base, "09"]) == 2
    assert capsys.readouterr().err == "evalib: no notebook is called '09'; there are: 01_fine\n"
    assert main([*base, "-p", "M", "1"]) == 2
    assert "01_fine: N" in capsys.readouterr().err
    with pytest.raises(SystemExit) as refused:
        main([*base, "--device", "tpu"])
    assert refused.value.code == 2
    assert not out.exists()


def test_gpu_without_a_gpu(tmp_path: Path) -> None:
    write_notebook(tmp_path / "notebooks" / "01_fine.ipynb", "N = 1")
    out = tmp_path / "out"
    # The real Keras, on whatever backend; where there is a GPU it is hidden.
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "HIP_VISIBLE_DEVICES": "-1"}
    arguments = ("run", "--device", "gpu", "--notebooks", tmp_path / "notebooks", "--out", out)
    result = evalib(*arguments, environment=hidden)
    assert result.returncode == 2
    assert result.stderr.startswith("evalib: expected a GPU, but Keras on ")
    assert len(result.stderr.splitlines()) == 1
    assert not out.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX terminal")
def test_a_terminal_shows_bars(tmp_path: Path, environment: dict[str, str]) -> None:
    import fcntl
    import pty
    import termios

    for name in "ab":
        wait = "import time\ntime.sleep(1)"
        write_notebook(tmp_path / "notebooks" / f"{name}.ipynb", "N = 1", wait, wait)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 80, 0, 0))
    command = [sys.executable, "-m", "evalib", "run", "--notebooks", str(tmp_path / "notebooks")]
    environment["TERM"] = "xterm"
    command += ["--jobs", "2"]
    process = subprocess.Popen(command, env=environment, stderr=slave, stdout=subprocess.DEVNULL)
    os.close(slave)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while piece := os.read(master, 65536):
            shown += piece
    assert process.wait() == 0
    os.close(master)
    for name in ("a", "b"):
        assert re.search(rf"{name} .*━.* \d+%", shown.decode()), shown
        assert f"{name}: passed after" in shown.decode()
    assert b"started" not in shown


def test_what_passed_earlier_and_a_damaged_file(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = tmp_path / "notebooks"
    write_notebook(folder / "01_fine.ipynb", "N = 1")
    (folder / "02_broken.ipynb").write_text("<<<<<<< HEAD")
    (tmp_path / "evalib").mkdir()
    (tmp_path / "evalib" / "__init__.py").touch()  # what kernels import
    arguments = ("run", "--resume", "--jobs", 2, "--notebooks", folder)
    assert evalib(*arguments, environment=environment).returncode == 1
    result = evalib(*arguments, environment=environment)
    assert result.returncode == 1
    _, fine, broken = result.stdout.splitlines()
    assert fine.endswith("passed (earlier)"), result.stderr
    assert "failed: NotJSONError: the file is damaged or half-merged" in broken
    assert "Traceback" not in result.stderr
    result = evalib("run", "--out", "", "--notebooks", folder, environment=environment)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "evalib: expected a folder for --out, got an empty name\n"


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
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("[]\n", "")
    assert evalib("--help").returncode == 0


def test_colab(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text('[project.urls]\nRepository = "https://github.com/OWNER/REPOSITORY"\n')
    readme = tmp_path / "README.md"
    readme.write_text("git clone https://github.com/OWNER/REPOSITORY\n")
    where = ["--folder", str(tmp_path)]
    assert main(["colab", "--repo", "https://github.com/ada/course.git", *where]) == 0
    assert capsys.readouterr().out == "changed pyproject.toml\nchanged README.md\n"
    assert readme.read_text() == "git clone https://github.com/ada/course\n"
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

"""Kernels run in a known environment, with the evalib beside them, and nothing outlives them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from evalib.tools.kernels import end_processes, kernel_environment
from evalib.tools.run import run_notebooks
from tests.tools.notebook_calls import is_running, numbers_in, wait_for_end, write_notebook

pytestmark = pytest.mark.usefixtures("found")

CHECKS = """
import os, random, sys
import helper, keras
import evalib
assert not sys.flags.optimize and __debug__
assert evalib.WHICH == "beside", evalib.__file__
assert random.randint and keras.WHICH == "installed", keras.__file__
assert sys.prefix == PREFIX
assert os.environ["KERAS_BACKEND"] == "jax"
assert not os.path.exists(os.path.join(os.environ["KERAS_HOME"], "keras.json"))
assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"
assert "inline" in os.environ["MPLBACKEND"]
assert "KERAS_MAX_EPOCHS" not in os.environ
assert "loaded_by_the_profile" not in globals()
assert "started_by_python" not in globals()
import shutil
assert os.path.dirname(shutil.which("python")) == os.path.dirname(sys.executable)
1
2
"""


def test_user_settings_and_the_current_folder_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, folder = tmp_path / "home", tmp_path / "notebooks"
    files = {
        # Every expression of a cell is shown, and code runs before the first cell.
        "home/.ipython/profile_default/ipython_config.py": (
            "c = get_config()\nc.InteractiveShell.ast_node_interactivity = 'all'\n"
            "c.InteractiveShellApp.exec_lines = ['loaded_by_the_profile = 1']"
        ),
        "home/jupyter/kernels/python3/kernel.json": json.dumps(
            {"argv": ["false"], "display_name": "Python 3", "language": "python"}
        ),
        "home/.keras/keras.json": '{"backend": "torch", "image_data_format": "channels_first"}',
        "home/startup.py": "started_by_python = 1",
        "site/keras.py": "WHICH = 'installed'",
        "site/evalib/__init__.py": "WHICH = 'installed'",
        "evalib/__init__.py": "WHICH = 'beside'",
        "notebooks/keras.py": "WHICH = 'in the current folder'",
        "notebooks/random.py": "raise SystemError('not the standard library')",
        "notebooks/helper.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    variables = {
        "HOME": str(home),
        "IPYTHONDIR": str(home / ".ipython"),
        "JUPYTER_PATH": str(home / "jupyter"),
        "PYTHONPATH": str(tmp_path / "site"),
        "PYTHONSTARTUP": str(home / "startup.py"),
        "PYTHONOPTIMIZE": "1",
        "MPLBACKEND": "agg",
        "KERAS_MAX_EPOCHS": "1",
        "KERAS_BACKEND": "jax",
        "CUDA_VISIBLE_DEVICES": "5",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("KERAS_HOME", raising=False)
    text = files["evalib/__init__.py"]
    write_notebook(folder / "a.ipynb", CHECKS.replace("PREFIX", repr(sys.prefix)), "assert False")
    (tmp_path / "evalib" / "__init__.py").write_text(text)

    (run,) = run_notebooks(device="cpu", notebook_folder=folder, output_folder=tmp_path / "out")

    assert (run.failing_cell, run.error) == (2, "AssertionError: "), run.error
    executed = nbformat.read(tmp_path / "out" / "a.ipynb", as_version=4)
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert [output.data["text/plain"] for output in code[0].outputs] == ["2"]
    assert {name: os.environ[name] for name in variables} == variables


def test_downloads_of_keras_are_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    environment = kernel_environment(tmp_path / "home")
    (Path(environment["KERAS_HOME"]) / "models" / "weights.h5").touch()
    assert (tmp_path / "keras" / "models" / "weights.h5").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="sessions are POSIX's")
def test_processes_end_however_far_down(tmp_path: Path) -> None:
    file, home = tmp_path / "number", tmp_path / "home"
    deepest = f"import os, time; open({str(file)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    between = (
        "import subprocess, sys\n"
        f"subprocess.Popen([sys.executable, '-c', {deepest!r}], start_new_session=True)"
    )
    environment = kernel_environment(home)
    subprocess.run([sys.executable, "-c", between], env=environment, start_new_session=True)
    other = subprocess.Popen(["sleep", "600"], env=kernel_environment(tmp_path / "other"))
    (number,) = numbers_in(file)
    assert is_running(number)
    end_processes(home)
    wait_for_end([number])
    assert is_running(other.pid)
    other.kill()
    other.wait()

"""Kernels run in a known environment, with the evalib beside them, and nothing outlives them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evalib.tools.kernels import KERNEL, end_processes, kernel_environment
from evalib.tools.run import run_notebooks
from tests.tools import notebook_calls as calls

pytestmark = pytest.mark.usefixtures("found")

CHECKS = """
import os, random, sys
import helper, keras
import evalib
assert not sys.flags.optimize and __debug__
assert evalib.WHICH == "beside", evalib.__file__
assert random.randint and keras.WHICH == "installed", keras.__file__
assert sys.prefix == PREFIX
assert (os.environ["KERAS_BACKEND"], os.environ["CUDA_VISIBLE_DEVICES"]) == ("jax", "-1")
assert not os.path.exists(os.path.join(os.environ["KERAS_HOME"], "keras.json"))
assert "inline" in os.environ["MPLBACKEND"] and "KERAS_MAX_EPOCHS" not in os.environ
assert not {"loaded_by_the_profile", "started_by_python"} & set(globals())
import shutil
assert os.path.dirname(shutil.which("python")) == os.path.dirname(sys.executable)
1
2
"""


def test_user_settings_and_the_current_folder_change_nothing(tmp_path, monkeypatch):
    home = tmp_path / "home"
    # Every expression of a cell is shown, and code runs before the first cell.
    profile = (
        "c = get_config()\nc.InteractiveShell.ast_node_interactivity = 'all'\n"
        "c.InteractiveShellApp.exec_lines = ['loaded_by_the_profile = 1']"
    )
    files = {
        "home/.ipython/profile_default/ipython_config.py": profile,
        "home/jupyter/kernels/python3/kernel.json": json.dumps({"argv": ["false"], **KERNEL}),
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
        **{"PYTHONOPTIMIZE": "1", "KERAS_MAX_EPOCHS": "1", "CUDA_VISIBLE_DEVICES": "5"},
        **{"MPLBACKEND": "agg", "KERAS_BACKEND": "jax"},
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("KERAS_HOME", raising=False)
    checks = CHECKS.replace("PREFIX", repr(sys.prefix))
    calls.write_notebook(tmp_path / "notebooks" / "a.ipynb", checks, "assert False")

    (run,) = run_notebooks(device="cpu", notebooks=tmp_path / "notebooks", out=tmp_path / "out")

    assert (run.failing_cell, run.error) == (2, "AssertionError: "), run.error
    cells = calls.cells_of(tmp_path / "out" / "a.ipynb")
    first = next(cell for cell in cells if cell.cell_type == "code")
    assert [output.data["text/plain"] for output in first.outputs] == ["2"]
    assert {name: os.environ[name] for name in variables} == variables
    # What Keras downloads is shared.
    (Path(kernel_environment(home)["KERAS_HOME"]) / "models" / "weights.h5").touch()
    assert (home / ".keras" / "models" / "weights.h5").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="sessions are POSIX's")
def test_processes_end_however_far_down(tmp_path: Path) -> None:
    file, home = tmp_path / "number", tmp_path / "home"
    command = ["setsid", "sh", "-c", f"sleep 600 & echo $! > {file}"]
    subprocess.run(command, env=kernel_environment(home), check=True)
    other = subprocess.Popen(["sleep", "600"], env=kernel_environment(tmp_path / "other"))
    (number,) = calls.numbers_in(file)
    assert calls.is_running(number)
    end_processes(home)
    calls.wait_for_end([number])
    assert calls.is_running(other.pid)
    other.kill()
    other.wait()

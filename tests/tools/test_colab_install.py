"""First cells as on Colab: evalib is installed from a clone, alone, into an environment without it.

The environment borrows what is installed here, evalib apart; git is told that the repository's
address is a folder. `make test-colab` does the same with Colab's versions and whole notebooks.
"""

import json
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

import evalib
from tests.colab import stand_in
from tests.colab.stand_in import ADDRESS, NOTEBOOKS, distributions, first_cell, git, variables


class Colab(NamedTuple):
    folder: Path
    python: Path
    clone: Path

    def run(self, code: str) -> str:
        """Run code in the empty folder as a cell; what it prints, and in the end the error."""
        result = subprocess.run(
            [self.python, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c", code],
            cwd=self.folder,
            env=variables(self.clone) | {"IPYTHONDIR": str(self.folder.parent / "ipython")},
            capture_output=True,
            text=True,
            timeout=300,
        )
        return result.stdout + result.stderr


@pytest.fixture(scope="module")
def colab(tmp_path_factory: pytest.TempPathFactory) -> Colab:
    stand_in.skip_without_history()
    folder = tmp_path_factory.mktemp("colab")
    stand_in.make_clone(folder / "clone")
    (folder / "empty").mkdir()
    python = stand_in.borrow_environment(folder / "environment")
    return Colab(folder / "empty", python, folder / "clone")


def test_outside_colab_nothing_happens(colab: Colab) -> None:
    cell = first_cell(colab.clone / "notebooks" / NOTEBOOKS[0])
    code = "import sys; del sys.modules['google.colab']\nbefore = set(sys.modules)\n"
    assert colab.run(f"{code}{cell}\nprint(set(sys.modules) - before)") == "set()\n"


USE = """
import json
import evalib as ev

(x_train, y_train), (x_test, y_test) = ev.load_mnist()
print("found", json.dumps({
    "file": ev.data.__file__,
    "shapes": [x_train.shape, x_test.shape],
    "seeds": len(ev.read_results("s3_assignment/seeds.json")),
    "results": [str(p.relative_to(ev.results_folder())) for p in ev.results_folder().rglob("*.*")],
}))
"""


@pytest.mark.parametrize("source", ["main", "zip"])
def test_the_first_cell_installs_evalib_and_nothing_else(colab: Colab, source: str) -> None:
    cell = first_cell(colab.clone / "notebooks" / NOTEBOOKS[0])
    assert "No module named 'evalib'" in colab.run("import evalib")
    before = distributions(colab.python)
    if source == "zip":  # of a copy that has no address yet, as GitHub and a file manager make it
        archive = ["archive", "--format=zip", "--prefix=course-main/", "HEAD"]
        git(colab.clone, *archive, "--output", str(colab.folder / "the course (1).zip"))
        cell = cell.replace(ADDRESS, "https://github.com/OWNER/REPOSITORY")

    printed = colab.run(f"{cell}\n{USE}")
    if "requirement setuptools" in printed:
        pytest.skip("needs a package index: pip builds evalib with a setuptools of its own")
    assert "found {" in printed, printed
    found = json.loads(printed.partition("found ")[2])

    (new,) = distributions(colab.python) - before
    assert new == f"evalib {evalib.__version__}"
    assert before < distributions(colab.python)
    assert Path(found["file"]).is_relative_to(colab.python.parents[1])
    # The data and the committed results travelled along.
    assert found["shapes"] == [[60000, 28, 28], [10000, 28, 28]]
    assert found["seeds"] > 0
    assert {"study/size.keras", "activations/study.json"} <= set(found["results"])
    uninstall = [str(colab.python), "-m", "pip", "uninstall", "--yes", "--quiet", "evalib"]
    subprocess.run(uninstall, check=True, env=variables(colab.clone))

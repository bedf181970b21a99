"""First cells as on Colab: evalib is installed from a clone, alone, into an environment without it.

The environment borrows what is installed here, evalib apart; git is told that the repository's
address is a folder. `make test-colab` does the same with Colab's versions and whole notebooks.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.colab.stand_in import (
    ADDRESS,
    NOTEBOOKS,
    REPOSITORY,
    borrow_environment,
    distributions,
    first_cell,
    make_clone,
    skip_without_history,
    variables,
)


@dataclass(frozen=True)
class Colab:
    """An environment without evalib, an empty folder to work in, a repository to install from."""

    folder: Path
    python: Path
    clone: Path

    def run(self, code: str, *, leads_to: Path | None = None, **more: str) -> str:
        """Run code in the empty folder; what it prints, and in the end the error."""
        result = subprocess.run(
            [self.python, "-c", code],
            cwd=self.folder,
            env=variables(leads_to or self.clone) | more,
            capture_output=True,
            text=True,
            timeout=300,
        )
        return result.stdout + result.stderr


@pytest.fixture(scope="module")
def colab(tmp_path_factory: pytest.TempPathFactory) -> Colab:
    skip_without_history()
    folder = tmp_path_factory.mktemp("colab")
    make_clone(folder / "clone")
    (folder / "empty").mkdir()
    return Colab(folder / "empty", borrow_environment(folder / "environment"), folder / "clone")


@pytest.fixture(scope="module")
def cell(colab: Colab) -> str:
    return first_cell(colab.clone / "notebooks" / NOTEBOOKS[0])


def test_all_notebooks_begin_with_the_same_cell(colab: Colab, cell: str) -> None:
    assert len(NOTEBOOKS) >= 6
    for name in NOTEBOOKS:
        assert first_cell(colab.clone / "notebooks" / name) == cell, name
    assert f'REPOSITORY = "{ADDRESS}"' in cell


def test_outside_colab_nothing_happens(colab: Colab, cell: str) -> None:
    code = "import sys; del sys.modules['google.colab']\nbefore = set(sys.modules)\n"
    assert colab.run(f"{code}{cell}\nprint(set(sys.modules) - before)") == "set()\n"


def test_a_copy_without_an_address(colab: Colab, cell: str) -> None:
    bare = cell.replace(ADDRESS, "https://github.com/OWNER/REPOSITORY")
    expected = "This copy has no address yet: run `evalib colab --repo URL` in a checkout.\n"
    assert colab.run(bare) == expected


def test_an_address_that_leads_nowhere(colab: Colab, cell: str) -> None:
    said = colab.run(cell, leads_to=colab.folder / "nowhere").splitlines()
    assert said[0].startswith("evalib was not installed. fatal: ")
    assert "nowhere" in said[0]  # git's own reason
    assert said[1].startswith(f"1. Open {ADDRESS} in a private window")
    assert said[2].startswith("2. Choose Runtime > Disconnect and delete runtime")
    assert "%pip install --no-deps NAME.zip" in said[4]
    assert len(said) == 5


def test_a_revision_that_is_not_there(colab: Colab, cell: str) -> None:
    before, _, after = cell.partition('REVISION = "')
    said = colab.run(f'{before}REVISION = "{"0" * 40}{after[40:]}').splitlines()
    assert said[0].startswith("evalib was not installed. fatal: ")
    assert "0" * 40 in said[0]
    assert len(said) == 5


USE = """
seconds = time.perf_counter() - start

import importlib.metadata, json
import evalib
from evalib.data import load_mnist
from evalib.results import read_results, results_folder

(x_train, y_train), (x_test, y_test) = load_mnist()
origin = json.loads(importlib.metadata.distribution("evalib").read_text("direct_url.json"))
print(json.dumps({
    "seconds": seconds,
    "file": evalib.__file__,
    "commit": origin["vcs_info"]["commit_id"],
    "shapes": [x_train.shape, x_test.shape],
    "seeds": len(read_results("s3_assignment/seeds.json")),
    "results": [p.relative_to(results_folder()).as_posix() for p in results_folder().rglob("*.*")],
}))
"""


def test_the_first_cell_installs_evalib_and_nothing_else(colab: Colab, cell: str) -> None:
    assert "No module named 'evalib'" in colab.run("import evalib")
    before = distributions(colab.python)

    said = colab.run(f"import time; start = time.perf_counter()\n{cell}\n{USE}")
    if "requirement setuptools" in said:
        pytest.skip("needs a package index: pip builds evalib with a setuptools of its own")
    assert said.startswith("{"), said
    found = json.loads(said)
    print(f"the first cell took {found['seconds']:.1f} s")  # shown by pytest -rP

    (new,) = distributions(colab.python) - before
    assert f'name = "evalib"\nversion = "{new.removeprefix("evalib ")}"' in (
        REPOSITORY / "pyproject.toml"
    ).read_text(encoding="utf-8")
    assert before < distributions(colab.python)
    assert Path(found["file"]).is_relative_to(colab.python.parents[1])
    assert f'REVISION = "{found["commit"]}"' in cell
    # The data and the committed results travelled along, and the folder is as empty as before.
    assert found["shapes"] == [[60000, 28, 28], [10000, 28, 28]]
    assert found["seeds"] > 0
    assert {"study/size.keras", "activations/study.json"} <= set(found["results"])
    assert list(colab.folder.iterdir()) == []

"""The committed results: weights, scores, notebook and README say the same."""

import json
import re
import statistics
from pathlib import Path

import keras
import nbformat
import numpy as np
import pytest

from evalib.networks.course import s3_network
from evalib.training.recipe import Recipe, score

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "outputs" / "s3_assignment"
NOTEBOOK = REPOSITORY / "notebooks" / "05_s3_assignment.ipynb"


@pytest.fixture(scope="module")
def seeds() -> list[dict]:
    return json.loads((FOLDER / "seeds.json").read_text())


@pytest.fixture(scope="module")
def metrics() -> dict:
    return json.loads((FOLDER / "metrics.json").read_text())


def printed_by(source: str) -> str:
    """What the one cell of the S3 notebook that ends in `source` printed."""
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    (cell,) = [c for c in cells if c.cell_type == "code" and c.source.endswith(source)]
    return "".join(output.text for output in cell.outputs if output.get("name") == "stdout")


def test_the_committed_weights_give_the_committed_score(mnist, metrics):
    model = keras.saving.load_model(FOLDER / "model.keras")
    assert model.count_params() == metrics["parameters"] < 20_000
    assert score(model, *mnist[1])[0] == metrics["test_accuracy"]


def test_the_notebook_printed_a_score_like_the_committed_one(metrics):
    """Another processor rounds otherwise: the same seed then has another score, as seeds have."""
    printed = float(printed_by("score = run.test_accuracy\nprint(score)"))
    assert printed > 0.994
    assert abs(printed - metrics["test_accuracy"]) < 0.001


def test_the_seeds_meet_the_target(seeds):
    accuracies = [record["test_accuracy"] for record in seeds]
    assert len({record["seed"] for record in seeds}) == len(seeds) >= 5
    assert statistics.mean(accuracies) >= 0.996
    assert min(accuracies) >= 0.995
    assert max(record["seconds"] for record in seeds) < 300


def test_the_records_are_of_this_network_and_this_recipe(seeds, metrics):
    for record in [*seeds, metrics]:
        assert record["parameters"] == s3_network().count_params()
        assert Recipe(**record["recipe"]) == Recipe()
        assert record["epochs"] == Recipe().epochs == len(record["history"]["loss"])
    assert metrics in seeds


def test_accuracies_are_counts_of_ten_thousand(seeds):
    counts = np.array([record["test_accuracy"] for record in seeds]) * 10_000
    np.testing.assert_allclose(counts, counts.round(), atol=1e-6)


def test_the_readme_says_what_the_records_say(seeds):
    percent = [100 * record["test_accuracy"] for record in seeds]
    readme = (REPOSITORY / "README.md").read_text()
    (row,) = re.findall(r"^\| `s3_network\(\)` .*$", readme, re.MULTILINE)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:] == [
        f"{seeds[0]['parameters']:,}",
        f"{seeds[0]['epochs']}",
        f"{statistics.mean(percent):.2f} ± {statistics.stdev(percent):.2f} %",
        f"{min(percent):.2f} %",
        f"{len(seeds)}",
    ]

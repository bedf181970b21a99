"""The committed results: weights, scores, notebook and README say the same."""

import re
import statistics
from pathlib import Path

import keras
import nbformat
import numpy as np

from evalib.networks.course import s3_network
from evalib.results import read_results, results_folder
from evalib.training.recipe import Recipe, score

REPOSITORY = Path(__file__).parents[2]


SEEDS = read_results("s3_assignment/seeds.json")
METRICS = read_results("s3_assignment/metrics.json")


def test_the_committed_weights_give_the_committed_score(mnist):
    model = keras.saving.load_model(results_folder() / "s3_assignment" / "model.keras")
    assert model.count_params() == METRICS["parameters"] < 20_000
    assert score(model, *mnist[1])[0] == METRICS["test_accuracy"]


def test_the_notebook_printed_a_score_like_the_committed_one():
    """Another processor rounds otherwise: the same seed then has another score, as seeds have."""
    cells = nbformat.read(REPOSITORY / "notebooks" / "05_s3_assignment.ipynb", as_version=4).cells
    (cell,) = [c for c in cells if c.source.endswith("score = run.test_accuracy\nprint(score)")]
    printed = float("".join(o.text for o in cell.outputs if o.get("name") == "stdout"))
    assert printed > 0.994
    assert abs(printed - METRICS["test_accuracy"]) < 0.001


def test_the_seeds_meet_the_target_with_this_network_and_recipe():
    accuracies = [record["test_accuracy"] for record in SEEDS]
    assert len({record["seed"] for record in SEEDS}) == len(SEEDS) >= 5
    assert statistics.mean(accuracies) >= 0.996
    assert min(accuracies) >= 0.995
    assert max(record["seconds"] for record in SEEDS) < 300
    counts = np.array(accuracies) * 10_000
    np.testing.assert_allclose(counts, counts.round(), atol=1e-6)
    assert METRICS in SEEDS
    for record in SEEDS:
        assert record["parameters"] == s3_network().count_params()
        assert Recipe(**record["recipe"]) == Recipe()
        assert record["epochs"] == Recipe().epochs == len(record["history"]["loss"])


def test_the_readme_says_what_the_records_say():
    percent = [100 * record["test_accuracy"] for record in SEEDS]
    readme = (REPOSITORY / "README.md").read_text()
    (row,) = re.findall(r"^\| `s3_network\(\)` .*$", readme, re.MULTILINE)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    spread = f"{statistics.mean(percent):.2f} ± {statistics.stdev(percent):.2f} %"
    size, epochs = f"{SEEDS[0]['parameters']:,}", f"{SEEDS[0]['epochs']}"
    assert cells[1:] == [size, epochs, spread, f"{min(percent):.2f} %", f"{len(SEEDS)}"]

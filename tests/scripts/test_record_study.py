"""The records: honest statistics, weights that give their score, a README that says the same."""

import re
import statistics
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest

from evalib.networks.folding import fold_normalization
from evalib.results import read_results, results_folder
from evalib.training.best_networks import PUBLISHED_RESULTS
from evalib.training.ensembles import ensemble
from evalib.training.recipe import Recipe
from evalib.training.scoring import score

Entries = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def study(load_script) -> ModuleType:
    return load_script("record_study")


@pytest.fixture(scope="module")
def entries() -> dict[str, Entries]:
    return {
        name: read_results(f"study/{name}.json") for name in ("records", "teaching", "frontier")
    }


def load(name: str) -> keras.Model:
    return keras.saving.load_model(results_folder() / "study" / f"{name}.keras")


def accuracies(entry: dict[str, Any]) -> list[float]:
    return [run["test_accuracy"] for run in entry["runs"]]


def test_every_network_has_its_runs_with_the_present_network_and_recipe(study, entries):
    together: Entries = entries["records"] | entries["teaching"] | entries["frontier"]
    assert set(together) == set(study.NETWORKS)
    assert list(entries["frontier"]) == list(study.FRONTIER)
    for name, entry in together.items():
        network = study.NETWORKS[name]
        model = study.finished(network.build(), network)
        assert entry["network"] == network.build().name
        assert entry["parameters"] == model.count_params() < 20_000
        assert entry["epochs"] == network.recipe.epochs
        assert Recipe(**entry["recipe"]) == network.recipe
        seeds = [run["seed"] for run in entry["runs"]]
        assert seeds == sorted(set(seeds))
        assert len(seeds) >= study.seeds_of(name), name
        counts = np.array(accuracies(entry)) * 10_000
        np.testing.assert_allclose(counts, counts.round(), atol=1e-6)


def test_the_committed_weights_give_their_seeds_score_on_moved_digits_too(entries, mnist):
    images, labels = mnist[1]
    moved = np.zeros_like(images)
    moved[:, 4:] = images[:, :-4]
    for name, entry in entries["records"].items():
        model, disturbed = load(name), entry["disturbed"]
        assert model.count_params() == entry["parameters"]
        first = score(model, images, labels)[0]
        assert first == pytest.approx(entry["runs"][0]["test_accuracy"], abs=1e-9)
        assert first == pytest.approx(disturbed["as they are"], abs=1e-9)
        assert disturbed["shifted by 4 pixels"] == score(model, moved, labels)[0]
        assert min(disturbed.values()) < disturbed["as they are"]


def test_speed_and_size_are_above_their_bars(entries):
    records = entries["records"]
    for name in ("speed", "size"):
        assert statistics.mean(accuracies(records[name])) >= 0.994
    runs = records["speed"]["runs"]
    assert statistics.mean(run["seconds"] / run["reference_seconds"] for run in runs) <= 1 / 3
    # The reference is what it should be: its site reports about 99 %.
    assert all(0.985 < run["reference_test_accuracy"] < 0.995 for run in runs)
    # By hand: 3x3 kernels, mixtures, windows, a bias each, and the dense layer.
    blocks = 12 * 18 + 4 * 18 * 18 + 5 * (9 * 18 + 18)
    assert records["size"]["parameters"] == 9 * 12 + 12 + blocks + 18 * 10 + 10 < 3000


def test_the_teachers_are_the_assignments_network_with_its_own_seeds(entries, mnist):
    """Trained once more, with the same seeds, and folded: each scores what its twin scored."""
    taught, teachers = (entries["teaching"][name] for name in ("taught", "teachers"))
    assert taught["teachers"]["count"] == len(teachers["runs"]) == 4
    assert taught["teachers"]["recipe"] == teachers["recipe"]
    for run, of_record in zip(
        teachers["runs"], entries["records"]["accuracy"]["runs"], strict=False
    ):
        found = score(load(f"teachers_{run['seed']}"), *mnist[1])
        for one in (run, of_record):
            assert found == pytest.approx((one["test_accuracy"], one["test_loss"]), abs=1e-6)


def test_the_frontier_spans_what_it_should(entries):
    """From about 600 to nearly 20,000 parameters, in eight sizes or more."""
    both = entries["frontier"] | entries["records"]
    sizes = sorted({entry["parameters"] for entry in both.values()})
    assert len(sizes) >= 8
    assert sizes[0] < 650
    assert 15_000 < sizes[-1] < 20_000
    for title, entry in entries["frontier"].items():
        first, width = (int(number) for number in title.split(" and "))
        # By hand, as for the smallest record.
        blocks = first * width + 4 * width**2 + 5 * 10 * width
        assert entry["parameters"] == 10 * first + blocks + 10 * width + 10


def test_the_reference_is_the_keras_sites_network(study):
    """By hand: 3x3x32 + 32, 3x3x32x64 + 64, 5x5x64x10 + 10."""
    model = study.reference_network()
    assert model.count_params() == 320 + 18_496 + 16_010 == 34_826
    names = ["conv1", "pool1", "conv2", "pool2", "flatten", "dropout", "probabilities"]
    assert [layer.name for layer in model.layers] == names
    assert fold_normalization(model).count_params() == 34_826


def test_the_readme_says_what_the_records_say(entries, mnist, repository: Path):
    readme = (repository / "README.md").read_text(encoding="utf-8")
    for name, entry in entries["records"].items():
        percent = [100 * accuracy for accuracy in accuracies(entry)]
        (row,) = re.findall(rf"^\| {name} \|.*$", readme, re.MULTILINE)
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        expected = [
            f"{entry['parameters']:,}",
            f"{entry['epochs']}",
            f"{statistics.mean(percent):.2f} ± {statistics.stdev(percent):.2f} %",
            f"{min(percent):.2f} %",
            f"{len(percent)}",
        ]
        if name == "speed":
            ratios = [run["seconds"] / run["reference_seconds"] for run in entry["runs"]]
            expected.append(f"{statistics.mean(ratios):.2f} of the reference's")
        assert cells[2 : 2 + len(expected)] == expected
    together, _ = score(ensemble(load(f"teachers_{seed}") for seed in range(4)), *mnist[1])
    assert f"four of them together reach {100 * together:.2f} %" in readme
    percent = [100 * accuracy for accuracy in accuracies(entries["teaching"]["taught"])]
    mean, spread = statistics.mean(percent), statistics.stdev(percent)
    assert f"{mean:.2f} ± {spread:.2f} % with {len(percent)} seeds" in readme


def test_captions_name_where_published_results_come_from(repository: Path):
    for file in ("README.md", "notebooks/src/06_experiments.py"):
        text = (repository / file).read_text(encoding="utf-8")
        assert [one.source for one in PUBLISHED_RESULTS if one.source not in text] == []

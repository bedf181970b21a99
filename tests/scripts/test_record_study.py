"""The records: honest statistics, weights that give their score, a README that says the same."""

import re
import statistics
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest

from evalib.results import read_results, results_folder
from evalib.training.ensembles import ensemble
from evalib.training.recipe import Recipe
from evalib.training.scoring import score

Entries = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def study(load_script) -> ModuleType:
    return load_script("record_study")


@pytest.fixture(scope="module")
def entries() -> dict[str, Entries]:
    names = ("records", "teaching", "frontier")
    return {name: read_results(f"study/{name}.json") for name in names}


def load(name: str) -> keras.Model:
    return keras.saving.load_model(results_folder() / "study" / f"{name}.keras")


def percent(runs: list[dict[str, Any]]) -> list[float]:
    return [100 * run["test_accuracy"] for run in runs]


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
        counts = np.array(percent(entry["runs"])) * 100
        np.testing.assert_allclose(counts, counts.round(), atol=1e-6)


def test_the_committed_weights_give_their_seeds_score_on_moved_digits_too(entries, mnist):
    images, labels = mnist[1]
    moved = np.zeros_like(images)
    moved[:, 4:] = images[:, :-4]
    for name, entry in entries["records"].items():
        model, disturbed = load(name), entry["disturbed"]
        assert model.count_params() == entry["parameters"]
        first, _ = score(model, images, labels)
        assert first == pytest.approx(entry["runs"][0]["test_accuracy"], abs=1e-9)
        assert first == pytest.approx(disturbed["as they are"], abs=1e-9)
        assert min(disturbed.values()) < disturbed["as they are"]
        if name == "size":
            assert disturbed["shifted by 4 pixels"] == score(model, moved, labels)[0]


def test_speed_and_size_are_above_their_bars(entries):
    records = entries["records"]
    for name in ("speed", "size"):
        assert statistics.mean(percent(records[name]["runs"])) >= 99.4
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
    twins = entries["records"]["accuracy"]["runs"]
    for run, twin in zip(teachers["runs"], twins, strict=False):
        found = score(load(f"teachers_{run['seed']}"), *mnist[1])
        for one in (run, twin):
            assert found == pytest.approx((one["test_accuracy"], one["test_loss"]), abs=1e-6)


def test_the_readme_says_what_the_records_say(entries, mnist, repository: Path):
    readme = (repository / "README.md").read_text(encoding="utf-8")
    for name, entry in entries["records"].items():
        runs = percent(entry["runs"])
        (row,) = re.findall(rf"^\| {name} \|.*$", readme, re.MULTILINE)
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        mean = f"{statistics.mean(runs):.2f} ± {statistics.stdev(runs):.2f} %"
        counts = [f"{entry['parameters']:,}", str(entry["epochs"])]
        expected = [*counts, mean, f"{min(runs):.2f} %", str(len(runs))]
        if name == "speed":
            ratios = [run["seconds"] / run["reference_seconds"] for run in entry["runs"]]
            expected.append(f"{statistics.mean(ratios):.2f} of the reference's")
        assert cells[2 : 2 + len(expected)] == expected
    together, _ = score(ensemble(load(f"teachers_{seed}") for seed in range(4)), *mnist[1])
    assert f"four of them together reach {100 * together:.2f} %" in readme
    runs = percent(entries["teaching"]["taught"]["runs"])
    mean = f"{statistics.mean(runs):.2f} ± {statistics.stdev(runs):.2f} %"
    assert f"{mean} with {len(runs)} seeds" in readme

"""The records: honest statistics, weights that give their score, a README that says the same."""

import dataclasses
import re
import statistics
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from evalib.networks.folding import fold_normalization
from evalib.results import read_results, results_folder
from evalib.training.best_networks import (
    BEST_NETWORKS,
    DISTILLED,
    FRONTIER,
    PUBLISHED_RESULTS,
    TEACHERS,
    reference_network,
)
from evalib.training.ensembles import ensemble
from evalib.training.recipe import Recipe, score


@pytest.fixture(scope="module")
def records() -> dict[str, dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = read_results("study/records.json")
    return entries


@pytest.fixture(scope="module")
def frontier() -> dict[str, dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = read_results("study/frontier.json")
    return entries


@pytest.fixture(scope="module")
def teaching() -> dict[str, dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = read_results("study/teaching.json")
    return entries


def test_every_record_has_its_runs(records):
    assert set(records) == set(BEST_NETWORKS)
    for name, entry in records.items():
        seeds = [run["seed"] for run in entry["runs"]]
        assert seeds == sorted(set(seeds))
        assert len(seeds) >= 10, name
        counts = np.array([run["test_accuracy"] for run in entry["runs"]]) * 10_000
        np.testing.assert_allclose(counts, counts.round(), atol=1e-6)


def test_runs_are_of_the_present_network_and_recipe(records, teaching):
    networks = BEST_NETWORKS | TEACHERS | DISTILLED
    assert {*records, *teaching} == set(networks)
    for name, entry in (records | teaching).items():
        record = networks[name]
        model = record.build()
        model = fold_normalization(model) if record.folded else model
        assert entry["network"] == record.build().name
        assert entry["parameters"] == model.count_params() < 20_000
        assert entry["epochs"] == record.recipe.epochs
        assert Recipe(**entry["recipe"]) == record.recipe


def test_the_committed_weights_give_their_seeds_score(records, mnist):
    for name, entry in records.items():
        model = keras.saving.load_model(results_folder() / "study" / f"{name}.keras")
        assert model.count_params() == entry["parameters"]
        (first,) = (run for run in entry["runs"] if run["seed"] == 0)
        assert score(model, *mnist[1])[0] == pytest.approx(first["test_accuracy"], abs=1e-9)


def test_the_disturbed_digits_are_scored_with_these_weights(records, mnist):
    images, labels = mnist[1]
    moved = np.zeros_like(images)
    moved[:, 4:] = images[:, :-4]
    for name, entry in records.items():
        model = keras.saving.load_model(results_folder() / "study" / f"{name}.keras")
        disturbed = entry["disturbed"]
        (first,) = (run for run in entry["runs"] if run["seed"] == 0)
        assert disturbed["as they are"] == pytest.approx(first["test_accuracy"], abs=1e-9)
        assert disturbed["shifted by 4 pixels"] == score(model, moved, labels)[0]
        assert min(disturbed.values()) < disturbed["as they are"]


def test_speed_is_above_its_bar_in_less_than_a_third_of_the_reference_time(records):
    runs = records["speed"]["runs"]
    assert statistics.mean(run["test_accuracy"] for run in runs) >= 0.994
    ratios = [run["seconds"] / run["reference_seconds"] for run in runs]
    assert statistics.mean(ratios) <= 1 / 3
    # The reference is what it should be: its site reports about 99 %.
    assert all(0.985 < run["reference_test_accuracy"] < 0.995 for run in runs)


def test_size_is_above_its_bar_with_fewer_than_3000_parameters(records):
    runs = records["size"]["runs"]
    assert statistics.mean(run["test_accuracy"] for run in runs) >= 0.994
    # By hand: 3x3 kernels, mixtures, windows, a bias each, and the dense layer.
    blocks = 12 * 18 + 4 * 18 * 18 + 5 * (9 * 18 + 18)
    assert records["size"]["parameters"] == 9 * 12 + 12 + blocks + 18 * 10 + 10 < 3000


def test_the_teachers_are_the_assignments_network_with_its_own_seeds(records, teaching, mnist):
    """Trained once more, with the same seeds, and folded: each scores what its twin scored."""
    runs = teaching["teachers"]["runs"]
    assert [run["seed"] for run in runs] == [0, 1, 2, 3]
    for run, of_record in zip(runs, records["accuracy"]["runs"], strict=False):
        file = results_folder() / "study" / f"teachers_{run['seed']}.keras"
        found = score(keras.saving.load_model(file), *mnist[1])
        assert found == pytest.approx((run["test_accuracy"], run["test_loss"]), abs=1e-6)
        assert found == pytest.approx(
            (of_record["test_accuracy"], of_record["test_loss"]), abs=1e-6
        )


def test_who_was_taught_learned_from_all_of_them(teaching):
    taught, teachers = teaching["taught"], teaching["teachers"]
    assert len({run["seed"] for run in taught["runs"]}) == len(taught["runs"]) >= 5
    assert taught["teachers"]["count"] == len(teachers["runs"]) == DISTILLED["taught"].teachers
    assert taught["teachers"]["recipe"] == teachers["recipe"]


def test_the_readme_says_what_the_committee_reaches(teaching, mnist, repository: Path):
    files = [results_folder() / "study" / f"teachers_{seed}.keras" for seed in range(4)]
    accuracy, _ = score(ensemble([keras.saving.load_model(file) for file in files]), *mnist[1])
    readme = (repository / "README.md").read_text(encoding="utf-8")
    assert f"four of them together reach {100 * accuracy:.2f} %" in readme
    percent = [100 * run["test_accuracy"] for run in teaching["taught"]["runs"]]
    mean, spread = statistics.mean(percent), statistics.stdev(percent)
    assert f"{mean:.2f} ± {spread:.2f} % with {len(percent)} seeds" in readme


def test_the_frontier_spans_what_it_should(frontier, records):
    """From about 600 to nearly 20,000 parameters, in eight sizes or more, of five seeds or more."""
    entries = [*frontier.values(), *records.values()]
    sizes = sorted({entry["parameters"] for entry in entries})
    assert len(sizes) >= 8
    assert sizes[0] < 650
    assert 15_000 < sizes[-1] < 20_000
    for entry in entries:
        assert len({run["seed"] for run in entry["runs"]}) == len(entry["runs"]) >= 5


def test_the_frontier_is_of_the_present_networks_and_recipes(frontier):
    assert list(frontier) == list(FRONTIER)
    for title, entry in frontier.items():
        first, width = (int(number) for number in title.split(" and "))
        # By hand, as for the smallest record.
        blocks = first * width + 4 * width**2 + 5 * 10 * width
        assert entry["parameters"] == 10 * first + blocks + 10 * width + 10
        network = fold_normalization(FRONTIER[title].build())
        assert network.count_params() == entry["parameters"]
        assert Recipe(**entry["recipe"]) == FRONTIER[title].recipe


def test_captions_name_where_the_peers_come_from(repository: Path):
    for file in ("README.md", "notebooks/src/06_experiments.py"):
        text = (repository / file).read_text(encoding="utf-8")
        assert [peer.source for peer in PUBLISHED_RESULTS if peer.source not in text] == []


def test_the_reference_is_the_keras_sites_network():
    """By hand: 3x3x32 + 32, 3x3x32x64 + 64, 5x5x64x10 + 10."""
    model = reference_network()
    assert model.count_params() == 320 + 18_496 + 16_010 == 34_826
    kinds = [type(layer) for layer in model.layers]
    assert kinds == [
        *(layers.Conv2D, layers.MaxPooling2D) * 2,
        layers.Flatten,
        layers.Dropout,
        layers.Dense,
    ]
    assert model.get_layer("dropout").rate == 0.5


def test_the_readme_says_what_the_records_say(records, repository: Path):
    readme = (repository / "README.md").read_text(encoding="utf-8")
    for name, entry in records.items():
        runs = entry["runs"]
        percent = [100 * run["test_accuracy"] for run in runs]
        (row,) = re.findall(rf"^\| {name} \|.*$", readme, re.MULTILINE)
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        expected = [
            f"{entry['parameters']:,}",
            f"{entry['epochs']}",
            f"{statistics.mean(percent):.2f} ± {statistics.stdev(percent):.2f} %",
            f"{min(percent):.2f} %",
            f"{len(runs)}",
        ]
        if name == "speed":
            ratios = [run["seconds"] / run["reference_seconds"] for run in runs]
            expected.append(f"{statistics.mean(ratios):.2f} of the reference's")
        assert cells[2 : 2 + len(expected)] == expected


def test_recipes_are_plain_values():
    for record in BEST_NETWORKS.values():
        assert Recipe(**dataclasses.asdict(record.recipe)) == record.recipe

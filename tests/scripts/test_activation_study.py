"""The study of activation functions: its choices, its resumption and its committed records."""

import math
from types import ModuleType

import numpy as np
import pytest

from evalib import results
from evalib.networks.activations import FAMILY, small_network
from evalib.results import read_results, write_results
from evalib.training.probes import TrackedTraining


@pytest.fixture(scope="module")
def script(load_script) -> ModuleType:
    return load_script("activation_study")


def choice(script, rate: float, losses: list[float]) -> dict:
    scores = {"validation": np.array([[loss, 0.5] for loss in losses])}
    watch = TrackedTraining((0, 1), np.zeros(1), [], scores)
    return script.record_of(("adam", "relu"), rate, 7, watch)


def test_the_rate_with_the_least_last_loss_is_chosen_and_lost_runs_are_not(script):
    losses = {0.1: [9.0, math.nan], 0.01: [3.0, 0.5], 0.001: [0.1, 2.0]}
    choices = [choice(script, rate, each) for rate, each in losses.items()]
    assert choices[0]["validation_loss"] == [9.0, None]
    assert script.best_rate(choices, ("adam", "relu")) == 0.01
    with pytest.raises(ValueError, match="ended with a loss, got none"):
        script.best_rate(choices[:1], ("adam", "relu"))
    assert script.has(choices, ("adam", "relu"), rate=0.1, seed=7)
    assert not script.has(choices, ("adam", "relu"), rate=0.2)
    assert not script.has(choices, ("momentum", "relu"), rate=0.1)


def test_records_of_other_settings_are_not_gone_on_with(script, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "_PACKAGE", tmp_path / "evalib")
    (tmp_path / "outputs").mkdir()
    file = tmp_path / "outputs" / "activations" / "study.json"
    assert script.known(again=False)["runs"] == []
    write_results(file, {"settings": script.SETTINGS, "choices": [], "runs": [1]})
    assert script.known(again=False)["runs"] == [1]
    assert script.known(again=True)["runs"] == []
    write_results(file, {"settings": {"steps": 1}, "choices": [], "runs": [1]})
    assert script.known(again=False)["runs"] == []


def test_the_committed_records_are_those_of_the_script(script):
    study = read_results("activations/study.json")
    assert study["settings"] == script.SETTINGS
    assert set(script.NAMES) <= set(FAMILY)
    for pair in script.PAIRS:
        group = [run for run in study["runs"] if (run["optimizer"], run["activation"]) == pair]
        assert [run["seed"] for run in group] == script.SEEDS
        rate = script.best_rate(study["choices"], pair)
        assert {run["rate"] for run in group} == {rate}
        assert {len(run["validation_accuracy"]) for run in group} == {len(script.MARKS)}
    relu = next(run for run in study["runs"] if run["activation"] == "relu")
    assert relu["parameters"] == small_network("relu").count_params()

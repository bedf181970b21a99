"""Experiments: read from plain values, told apart by their keys, run on the images they name."""

import dataclasses
import json
import math
from typing import Any

import keras
import numpy as np

from evalib.networks.config import NetworkConfig, build_network
from evalib.training import experiments
from evalib.training.experiments import Experiment, experiment_data, experiment_from
from evalib.training.recipe import Recipe, Run

TINY: dict[str, Any] = {
    "network": {"channels": [4, 4], "pool_after": [1, 2]},
    "recipe": {"epochs": 2, "optimizer": "adamw"},
    "data_share": 0.01,
}


def test_plain_values_and_experiments_are_the_same():
    experiment = experiment_from({**TINY, "seed": 3})
    assert experiment.network == NetworkConfig(channels=(4, 4), pool_after=(1, 2))
    assert experiment.recipe == Recipe(epochs=2, optimizer="adamw")
    assert (experiment.seed, experiment.data_share) == (3, 0.01)
    assert experiment_from(json.loads(json.dumps(experiment.as_dict()))) == experiment
    assert experiment_from({}) == Experiment()


def test_keys_differ_where_experiments_do():
    changes: list[dict[str, Any]] = [
        *({}, {"seed": 1}, {"data_share": 0.02}, {"scored_on": "test"}),
        *({"recipe": {"epochs": 1}}, {"network": {**TINY["network"], "head": "dense"}}),
    ]
    assert len({experiment_from({**TINY, **change}).key() for change in changes}) == 6
    one: Any = np.int64(1)
    whole = Experiment(NetworkConfig(dropout=0), Recipe(shift=one), seed=one, data_share=one)
    part = Experiment(NetworkConfig(dropout=0.0), Recipe(shift=1.0), seed=1, data_share=1.0)
    assert whole.key() == part.key()


def test_validation_images_come_from_the_training_set_and_are_not_learned_from(mnist):
    (fit, labels), (scored, scored_labels) = experiment_data(experiment_from({}))
    assert (len(fit), len(scored)) == (50_000, 10_000)
    # The 60,000 are divided up: sums over both parts are those of the whole.
    both = np.bincount(labels) + np.bincount(scored_labels)
    assert (both == np.bincount(mnist[0][1])).all()
    assert fit.sum(dtype=int) + scored.sum(dtype=int) == mnist[0][0].sum(dtype=int)


def test_a_share_of_the_data_has_the_mixture_of_the_whole(mnist):
    few = experiment_from({"data_share": 0.01, "scored_on": "test", "seed": 5})
    (images, labels), (scored, _) = experiment_data(few)
    assert (len(images), len(scored)) == (600, 10_000)
    assert np.abs(np.bincount(labels) - np.bincount(mnist[0][1]) / 100).max() < 1
    assert (images == experiment_data(dataclasses.replace(few, seed=6))[0][0]).all()
    assert np.array_equal(scored, mnist[1][0])
    assert len(experiment_data(experiment_from({"data_share": 1e-5}))[0][0]) == 1


def test_a_record_says_what_was_run_and_what_came_out():
    experiment = experiment_from(TINY)
    keras.config.set_max_epochs(1)  # as KERAS_MAX_EPOCHS does
    try:
        record = json.loads(json.dumps(experiments.run_experiment(experiment)))
    finally:
        keras.config.set_max_epochs(None)
    assert experiment_from(record["experiment"]) == experiment
    assert record["key"] == experiment.key()
    assert 0.05 < record["accuracy"] < 1
    assert record["parameters"] == build_network(experiment.network).count_params()
    assert record["epochs"] == len(record["history"]["loss"]) == 1
    # One that diverged leaves what JSON can hold.
    history = {"loss": [1.0, math.inf]}
    run = Run(0, experiment.recipe, 9, history, 0.1, math.nan, 1.0, {}, "cpu")
    record = experiments.experiment_record(experiment, run)
    assert json.loads(json.dumps(record, allow_nan=False))["history"]["loss"] == [1.0, None]
    assert (record["loss"], record["accuracy"], record["parameters"]) == (None, 0.1, 9)

"""Experiments: read from plain values, told apart by their keys, run on the images they name."""

import json
import math
from typing import Any

import keras
import numpy as np

from evalib.networks.config import NetworkConfig, build_network
from evalib.training.experiments import (
    Experiment,
    experiment_data,
    experiment_from,
    experiment_record,
    run_experiment,
)
from evalib.training.recipe import Recipe, Run, train

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
    others = [
        TINY,
        {**TINY, "seed": 1},
        {**TINY, "data_share": 0.02},
        {**TINY, "scored_on": "test"},
        {**TINY, "recipe": {**TINY["recipe"], "epochs": 1}},
        {**TINY, "network": {**TINY["network"], "head": "dense"}},
    ]
    assert len({experiment_from(values).key() for values in others}) == 6
    one: Any = np.int64(1)
    whole = Experiment(NetworkConfig(dropout=0), Recipe(shift=one), seed=one, data_share=one)
    part = Experiment(NetworkConfig(dropout=0.0), Recipe(shift=1.0), seed=1, data_share=1.0)
    assert whole.key() == part.key()


def test_validation_images_come_from_the_training_set_and_are_not_learned_from(mnist):
    (fit, labels), (scored, scored_labels) = experiment_data(experiment_from({}))
    assert (len(fit), len(scored)) == (50_000, 10_000)
    rows = {image.tobytes() for image in mnist[0][0]}
    assert {image.tobytes() for image in scored} <= rows
    # The 60,000 are divided up: sums over both parts are those of the whole.
    both = np.bincount(labels) + np.bincount(scored_labels)
    assert (both == np.bincount(mnist[0][1])).all()
    assert fit.sum(dtype=int) + scored.sum(dtype=int) == mnist[0][0].sum(dtype=int)


def test_a_share_of_the_data_has_the_mixture_of_the_whole(mnist):
    few = experiment_from({"data_share": 0.01, "scored_on": "test", "seed": 5})
    (images, labels), (scored, _) = experiment_data(few)
    assert (len(images), len(scored)) == (600, 10_000)
    assert np.abs(np.bincount(labels) - np.bincount(mnist[0][1]) / 100).max() < 1
    again = experiment_data(experiment_from({"data_share": 0.01, "scored_on": "test", "seed": 6}))
    assert (images == again[0][0]).all()
    assert np.array_equal(scored, mnist[1][0])
    assert len(experiment_data(experiment_from({"data_share": 1e-5}))[0][0]) == 1


def test_a_run_that_diverged_leaves_a_record_that_json_can_hold():
    experiment = experiment_from(TINY)
    history = {"loss": [1.0, math.inf]}
    run = Run(0, experiment.recipe, 9, history, 0.1, math.nan, 1.0, {}, "cpu")
    record = experiment_record(experiment, run)
    assert json.loads(json.dumps(record, allow_nan=False))["history"]["loss"] == [1.0, None]
    assert record["loss"] is None


def test_a_record_says_what_was_run_and_what_came_out():
    experiment = experiment_from(TINY)
    keras.config.set_max_epochs(1)  # as KERAS_MAX_EPOCHS does
    try:
        record = json.loads(json.dumps(run_experiment(experiment)))
        model = build_network(experiment.network)
        run = train(model, experiment.recipe, experiment_data(experiment), 0, verbose=False)
    finally:
        keras.config.set_max_epochs(None)
    assert experiment_from(record["experiment"]) == experiment
    assert record["key"] == experiment.key()
    assert record["accuracy"] == run.test_accuracy
    assert record["loss"] == run.test_loss
    assert record["parameters"] == model.count_params()
    assert record["epochs"] == len(record["history"]["loss"]) == 1

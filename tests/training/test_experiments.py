"""Experiments: read from plain values, told apart by their keys, run on the images they name."""

import json
import math
from typing import Any

import numpy as np
import pytest

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
    "recipe": {"epochs": 1, "optimizer": "adamw"},
    "data_share": 0.01,
}


def test_plain_values_and_experiments_are_the_same():
    experiment = experiment_from({**TINY, "seed": 3})
    assert experiment.network == NetworkConfig(channels=(4, 4), pool_after=(1, 2))
    assert experiment.recipe == Recipe(epochs=1, optimizer="adamw")
    assert (experiment.seed, experiment.data_share) == (3, 0.01)
    assert experiment_from(json.loads(json.dumps(experiment.as_dict()))) == experiment
    assert experiment_from({}) == Experiment()


def test_a_key_stays_and_differs_where_anything_does():
    base = experiment_from(TINY)
    assert base.key() == experiment_from(TINY).key()
    others = [
        {**TINY, "seed": 1},
        {**TINY, "data_share": 0.02},
        {**TINY, "scored_on": "test"},
        {**TINY, "recipe": {**TINY["recipe"], "epochs": 2}},
        {**TINY, "network": {**TINY["network"], "head": "dense"}},
    ]
    whole, part = ({"recipe": {"weight_decay": value}} for value in (1, 1.0))
    assert experiment_from(whole).key() == experiment_from(part).key()
    assert len({base.key(), *(experiment_from(values).key() for values in others)}) == 6


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sead": 1}, "unknown sead: expected one of network, recipe, seed"),
        ({"network": {"chanels": [4]}}, "unknown network.chanels"),
        ({"network": [4]}, "expected network to be a table"),
        ({"network": {"channels": [4.5]}}, "network.channels to be a list of whole numbers"),
        ({"network": {"channels": 4}}, "network.channels to be a list of whole numbers"),
        ({"network": {"dropout": True}}, "network.dropout to be a float, got True"),
        ({"recipe": {"epochs": "many"}}, "recipe.epochs to be a int, got 'many'"),
        ({"recipe": {"epochs": 0}}, "recipe: expected at least 1 epoch"),
        ({"seed": -1}, "a seed from 0 to 4,294,967,295"),
        ({"seed": 2**32}, "a seed from 0 to 4,294,967,295"),
        ({"data_share": 0}, "a data share above 0"),
        ({"scored_on": "luck"}, "validation, test"),
    ],
)
def test_what_is_wrong_is_named(values, message):
    with pytest.raises(ValueError, match=message):
        experiment_from(values)


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


def test_a_run_that_diverged_leaves_a_record_that_json_can_hold():
    experiment = experiment_from(TINY)
    history = {"loss": [1.0, math.inf]}
    run = Run(0, experiment.recipe, 9, history, 0.1, math.nan, 1.0, {}, "cpu")
    record = experiment_record(experiment, run)
    assert json.loads(json.dumps(record, allow_nan=False))["history"]["loss"] == [1.0, None]
    assert record["loss"] is None


def test_a_record_says_what_was_run_and_what_came_out():
    experiment = experiment_from(TINY)
    record = json.loads(json.dumps(run_experiment(experiment)))
    assert experiment_from(record["experiment"]) == experiment
    assert record["key"] == experiment.key()
    model = build_network(experiment.network)
    run = train(model, experiment.recipe, experiment_data(experiment), 0, verbose=False)
    assert record["accuracy"] == run.test_accuracy
    assert record["loss"] == run.test_loss
    assert record["parameters"] == model.count_params()
    assert len(record["history"]["loss"]) == 1

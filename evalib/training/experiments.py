"""One experiment: a network plan, a recipe, a seed, and images that it is scored on."""

import dataclasses
import hashlib
import json
import math
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

from evalib.data.mnist import Arrays, load_mnist, split_validation
from evalib.networks.config import NetworkConfig, build_network
from evalib.training.recipe import Recipe, Run, train

SCORED_ON = ("validation", "test")
VALIDATION_IMAGES = 10_000


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is trained, how, and on what.

    Attributes:
        network: what is trained.
        recipe: how.
        seed: of weights, order and augmentation.
        data_share: the share of the training images that is used, above 0 to 1. Every class gives
            the same share; which images these are does not depend on the seed.
        scored_on: `"validation"`: 10,000 images cut from the training set, and trained on the rest;
            for every choice. `"test"`: trained on the whole training set and scored on the test
            set; once, for what is reported.
    """

    network: NetworkConfig = dataclasses.field(default_factory=NetworkConfig)
    recipe: Recipe = dataclasses.field(default_factory=Recipe)
    seed: int = 0
    data_share: float = 1.0
    scored_on: str = "validation"

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:  # what NumPy takes
            raise ValueError(f"expected a seed from 0 to {2**32 - 1:,}, got {self.seed}")
        if not 0 < self.data_share <= 1:
            raise ValueError(f"expected a data share above 0 to 1, got {self.data_share}")
        if self.scored_on not in SCORED_ON:
            raise ValueError(f"expected one of {', '.join(SCORED_ON)}, got {self.scored_on!r}")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file; `experiment_from` reads them back."""
        return typing.cast(dict[str, Any], json.loads(json.dumps(dataclasses.asdict(self))))

    def key(self) -> str:
        """Twelve hexadecimal digits that differ wherever two experiments do."""
        text = json.dumps(self.as_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def experiment_from(values: Mapping[str, Any]) -> Experiment:
    """Read an experiment from plain values, with the defaults for what is left out.

    Args:
        values: `seed`, `data_share`, `scored_on`, and the tables `network` and `recipe`.

    Raises:
        ValueError: a name is unknown, a value of the wrong type or out of its range; says which.
    """
    values = dict(values)
    for name, kind in (("network", NetworkConfig), ("recipe", Recipe)):
        table = values.get(name, {})
        if not isinstance(table, Mapping):
            raise ValueError(f"expected {name} to be a table, got {table!r}")
        values[name] = _checked(kind, table, f"{name}.")
    return typing.cast(Experiment, _checked(Experiment, values, ""))


def run_experiment(experiment: Experiment, *, verbose: bool = False) -> dict[str, Any]:
    """Train and score one experiment.

    Args:
        experiment: which one.
        verbose: show the progress of its epochs.

    Returns:
        A record of plain values: the experiment's own under `experiment`, its `key`, and what the
        run measured. The score is called `accuracy`, 0 to 1, on the images of `scored_on`.

    Raises:
        ValueError: the network cannot be built.
    """
    model = build_network(experiment.network)
    run = train(model, experiment.recipe, experiment_data(experiment), experiment.seed, verbose)
    return experiment_record(experiment, run)


def experiment_record(experiment: Experiment, run: Run) -> dict[str, Any]:
    """What `run_experiment` returns, for a run that was made apart.

    Args:
        experiment: what was run.
        run: what `train` gave for its network, recipe, images and seed.
    """
    record = run.record()
    for name in ("recipe", "seed"):  # they stand under "experiment"
        del record[name]
    record["accuracy"] = record.pop("test_accuracy")
    del record["test_loss"]
    record["loss"] = _known(run.test_loss)
    record["history"] = {name: list(map(_known, values)) for name, values in run.history.items()}
    return {"key": experiment.key(), "experiment": experiment.as_dict(), **record}


def experiment_data(experiment: Experiment) -> tuple[Arrays, Arrays]:
    """The images that an experiment learns from, and those that it is scored on."""
    fit, scored = _mnist(experiment.scored_on)
    count = round(experiment.data_share * len(fit[1]))
    if count == 0:
        raise ValueError(f"a data share of {experiment.data_share} leaves no image")
    return (split_validation(*fit, count)[1] if count < len(fit[1]) else fit), scored


def _known(number: float) -> float | None:
    """A number that JSON can hold: a training that diverged has others."""
    return number if math.isfinite(number) else None


@cache
def _mnist(scored_on: str) -> tuple[Arrays, Arrays]:
    train_part, test_part = load_mnist()
    if scored_on == "test":
        return train_part, test_part
    return split_validation(*train_part, VALIDATION_IMAGES)


def _checked(kind: type, values: Mapping[str, Any], prefix: str) -> Any:
    """Build a dataclass from plain values, and say which name is wrong if one is."""
    types_of = typing.get_type_hints(kind)
    for name, value in values.items():
        if name not in types_of:
            known = ", ".join(types_of)
            raise ValueError(f"unknown {prefix}{name}: expected one of {known}")
        if not _fits(value, types_of[name]):
            wanted = getattr(types_of[name], "__name__", str(types_of[name]))
            wanted = "list of whole numbers" if wanted == "Sequence" else wanted
            raise ValueError(f"expected {prefix}{name} to be a {wanted}, got {value!r}")
    # 1 and 1.0 are the same rate: they shall have the same key.
    numbers = {name: float(values[name]) for name in values if types_of[name] is float}
    try:
        return kind(**{**values, **numbers})
    except ValueError as error:
        raise ValueError(f"{prefix.rstrip('.')}: {error}" if prefix else str(error)) from error


def _fits(value: Any, kind: Any) -> bool:
    """Whether a plain value may stand for a field of this type."""
    if isinstance(kind, types.GenericAlias):
        return isinstance(value, list | tuple) and all(type(one) is int for one in value)
    if kind is float:
        return type(value) in (int, float)
    return type(value) is kind

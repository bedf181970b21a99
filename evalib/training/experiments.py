"""One experiment: a network, a recipe, a seed, and the images that it is scored on."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from functools import cache
from typing import Any

from evalib.data.mnist import Arrays, load_mnist, split_validation
from evalib.networks.config import NetworkConfig, build_network
from evalib.training.recipe import Recipe, Run, check_seed, train

SCORED_ON = ("validation", "test")
VALIDATION_IMAGES = 10_000


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is trained, how, and on what. A value out of its range raises a ValueError."""

    network: NetworkConfig = dataclasses.field(default_factory=NetworkConfig)
    recipe: Recipe = dataclasses.field(default_factory=Recipe)  #: without a teacher
    seed: int = 0  #: of weights, order and augmentation, 0 to 2**32 - 1
    #: The share of the training images that is used, 0.00001 to 1, the same for every class. Which
    #: images these are does not depend on the seed.
    data_share: float = 1.0
    #: `"validation"`: 10,000 images cut from the training set, and trained on the rest; for every
    #: choice. `"test"`: trained on the whole training set; once, for what is reported.
    scored_on: str = "validation"

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", check_seed(self.seed))
        object.__setattr__(self, "data_share", float(self.data_share))
        if not 1e-5 <= self.data_share <= 1:
            raise ValueError(f"expected a data share from 0.00001 to 1, got {self.data_share}")
        if self.scored_on not in SCORED_ON:
            raise ValueError(f"expected one of {', '.join(SCORED_ON)}, got {self.scored_on!r}")
        if self.recipe.teacher_share:
            raise ValueError("expected a recipe without a teacher share: there is no teacher")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file; `experiment_from` reads them back."""
        return dict(json.loads(json.dumps(dataclasses.asdict(self))))

    def key(self) -> str:
        """Twelve hexadecimal digits that differ wherever two experiments do."""
        text = json.dumps(self.as_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def experiment_from(values: Mapping[str, Any]) -> Experiment:
    """Read an experiment from plain values, with the defaults for what is left out.

    These are `seed`, `data_share`, `scored_on`, and the tables `network` and `recipe`. A ValueError
    says which name is unknown, or which value of the wrong type or out of its range.
    """
    parts = dict(values)
    for name, kind in (("network", NetworkConfig), ("recipe", Recipe)):
        parts[name] = _build(kind, values.get(name, {}), f"{name}.")
    return _build(Experiment, parts, "")


def _build(kind: Any, values: Any, prefix: str) -> Any:
    """A dataclass from plain values by the names of its fields."""
    if not isinstance(values, Mapping):
        raise ValueError(f"expected {prefix.rstrip('.')} to be a table, got {values!r}")
    names = [field.name for field in dataclasses.fields(kind)]
    for name in values.keys() - names:
        raise ValueError(f"unknown {prefix}{name}: expected one of {', '.join(names)}")
    try:
        return kind(**values)
    except (TypeError, OverflowError) as error:  # a value of quite another type
        raise ValueError(f"{prefix.rstrip('.') or 'experiment'}: {error}") from error


def run_experiment(experiment: Experiment, *, verbose: bool = False) -> dict[str, Any]:
    """Train and score one experiment, and return its `experiment_record`."""
    model, data = build_network(experiment.network), experiment_data(experiment)
    run = train(model, experiment.recipe, data, experiment.seed, verbose=verbose)
    return experiment_record(experiment, run)


def experiment_record(experiment: Experiment, run: Run) -> dict[str, Any]:
    """Describe in plain values what `train` returned for an experiment.

    These are `experiment`, its `key`, and what the run measured: `accuracy`, 0 to 1, on the images
    of `scored_on`; `loss`; `epochs`, which KERAS_MAX_EPOCHS can make fewer than the recipe's; and
    more. A number that is not finite is None.
    """
    measured = run.record()
    for name in ("recipe", "seed", "test_accuracy", "test_loss"):
        del measured[name]
    measured |= {"accuracy": run.test_accuracy, "loss": _finite(run.test_loss)}
    measured["history"] = {name: [*map(_finite, one)] for name, one in run.history.items()}
    return {"key": experiment.key(), "experiment": experiment.as_dict(), **measured}


@cache
def _mnist(scored_on: str) -> tuple[Arrays, Arrays]:
    whole = load_mnist()
    return whole if scored_on == "test" else split_validation(*whole[0], VALIDATION_IMAGES)


def experiment_data(experiment: Experiment) -> tuple[Arrays, Arrays]:
    """Images and labels that an experiment learns from, and those that it is scored on."""
    fit, scored = _mnist(experiment.scored_on)
    count = max(1, round(experiment.data_share * len(fit[1])))
    return (split_validation(*fit, count)[1] if count < len(fit[1]) else fit), scored


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None

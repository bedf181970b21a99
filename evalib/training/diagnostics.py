"""What tells a training that fails from another, and what one experiment's numbers can carry."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from evalib.data.mnist import Arrays
from evalib.filters import as_array
from evalib.networks.graph import find_call
from evalib.training.scoring import check_probabilities, loss_and_accuracy

TARGET = 0.994  # what the course demands of its small network
PARAMETER_LIMIT = 20_000


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What one experiment's numbers say, and what they are too few to say."""

    parameters: int
    train_accuracy: float  #: on its own training images, unmoved, 0 to 1
    validation_accuracy: float  #: on images that it was not trained on, 0 to 1
    images: int  #: how many of these there are, at least 1
    target: float = TARGET  #: the accuracy that is demanded, between 0 and 1

    def __post_init__(self) -> None:
        shares = self.train_accuracy, self.validation_accuracy
        if self.images < 1 or not 0 < self.target < 1 or not all(0 <= one <= 1 for one in shares):
            raise ValueError(
                "expected 1 image or more, a target between 0 and 1 and accuracies from 0 to 1, "
                f"got {self.images}, {self.target} and {shares}"
            )

    @property
    def is_small(self) -> bool:
        """Whether the network has fewer parameters than the course allows."""
        return self.parameters < PARAMETER_LIMIT

    @property
    def standard_error(self) -> float:
        """Of the validation accuracy: that of a binomial count over its number of images."""
        return math.sqrt(self.validation_accuracy * (1 - self.validation_accuracy) / self.images)

    @property
    def distance(self) -> float:
        """Validation accuracy minus target, in standard errors of a network that just meets it.

        The score test of Wilson (*Probable Inference*, 1927), which also stands at a share of 1.
        """
        error = math.sqrt(self.target * (1 - self.target) / self.images)
        return (self.validation_accuracy - self.target) / error

    def advice(self) -> str:
        """What to try next: it underfits, overfits, or its errors are too few to tell."""
        if 1 - self.train_accuracy > (1 - self.validation_accuracy) / 2:
            where, finding = "training images, too", "underfits"
            ideas = "epochs, another rate, more channels, or less augmentation and dropout"
        elif self.train_accuracy - self.validation_accuracy > 2 * self.standard_error:
            where, finding = "unseen images only", "overfits"
            ideas = "augmentation, all of the data, dropout, averaging, or fewer weights"
        else:
            return "Too few errors to tell underfitting from overfitting. Try other seeds first."
        return f"Most of its errors occur on {where}: it {finding}. Try more {ideas}."

    def __str__(self) -> str:
        size = "fewer than" if self.is_small else "not fewer than"
        side = "above" if self.distance >= 0 else "below"
        doubt = "" if abs(self.distance) > 2 else ", too close to tell from luck"
        return (
            f"{self.parameters:,} parameters: {size} {PARAMETER_LIMIT:,}.\n"
            f"{100 * self.validation_accuracy:.2f} % of {self.images:,} unseen images right, with "
            f"a standard error of {100 * self.standard_error:.2f} %:\n"
            f"{abs(self.distance):.1f} standard errors {side} {100 * self.target:.1f} %{doubt}.\n"
            f"{100 * self.train_accuracy:.2f} % of the training images right.\n{self.advice()}"
        )


def predict(model: keras.Model, images: Any, *, training: bool = False) -> np.ndarray:
    """A network's probabilities for `n` images: float32 of shape `(n, classes)`.

    With `training`, dropout and batch normalization work as they do in training, with all images as
    one batch; no weight and no moving average is changed by it.
    """
    # Not `model.predict`: it would compile each of many small networks for a single use.
    before, size = model.get_weights(), len(images) if training else 1000
    probabilities = _in_parts(lambda part: model(part, training=training), images, size)
    if training:
        model.set_weights(before)
    check_probabilities(probabilities)
    return probabilities


def accuracy(model: keras.Model, data: Arrays, *, training: bool = False) -> float:
    """The share of images whose most probable class is their label, 0 to 1; see `predict`."""
    return loss_and_accuracy(predict(model, data[0], training=training), data[1])[1]


def layer_values(model: keras.Model, layer: str, images: Any) -> np.ndarray:
    """What a layer, `outer/inner` in a nested model, gives for `n` images: float32 `(n, ...)`.

    As in inference. A model that is not Sequential or functional raises a ValueError.
    """
    _, values = find_call(model, layer, outputs=True)
    return _in_parts(lambda part: values(part)[0], images)


class DiagnosisTable:
    """A row for each mistake: Markdown, which a notebook draws as a table."""

    HEADINGS = ("mistake", "symptom", "measure first", "repair", "unseen images right")

    def __init__(self) -> None:
        # By the mistake's name: what the table shows, and both trainings.
        self.rows: dict[str, tuple[str, ...]] = {}
        self.cases: dict[str, tuple[Any, Any]] = {}

    def add(
        self, mistake: str, cases: tuple[Any, Any], *, symptom: str, measure: str, repair: str
    ) -> None:
        """Add a mistake, or write its row anew, for a cell may run twice.

        The cases, without and with the repair, have a `validation_accuracy`.
        """
        broken, fixed = (100 * case.validation_accuracy for case in cases)
        self.cases[mistake] = cases
        self.rows[mistake] = (mistake, symptom, measure, repair, f"{broken:.1f} % → {fixed:.1f} %")

    def __repr__(self) -> str:
        lines = [self.HEADINGS, ["---"] * len(self.HEADINGS), *self.rows.values()]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    _repr_markdown_ = __repr__


def _in_parts(function: Callable[[Any], Any], images: Any, size: int = 1000) -> np.ndarray:
    """A function's values for some images at a time, as float32."""
    images = as_array(images, "images")
    parts = (images[first : first + size] for first in range(0, len(images), size))
    return np.concatenate([as_array(function(one), "values") for one in parts]).astype("float32")

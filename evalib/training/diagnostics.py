"""Trainings that fail: small runs with a mistake built in, and what tells one from another."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from evalib.data.mnist import Arrays, load_mnist, prepare_images, split_validation
from evalib.filters import as_array
from evalib.networks.graph import find_call
from evalib.training.probes import compile_classifier, train_steps
from evalib.training.recipe import initialize
from evalib.training.scoring import check_fit, check_probabilities, loss_and_accuracy

TARGET = 0.994  # what the course demands of its small network
PARAMETER_LIMIT = 20_000


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What one experiment's numbers say, and what they are too few to say.

    Attributes:
        parameters: of the network.
        train_accuracy: on its own training images, unmoved, 0 to 1.
        validation_accuracy: on images that it was not trained on, 0 to 1.
        images: how many of these there are, at least 1.
        target: the accuracy that is demanded, between 0 and 1.

    Raises:
        ValueError: a number is out of its range.
    """

    parameters: int
    train_accuracy: float
    validation_accuracy: float
    images: int
    target: float = TARGET

    def __post_init__(self) -> None:
        if self.images < 1 or not 0 < self.target < 1:
            numbers = f"{self.images} and {self.target}"
            raise ValueError(f"expected 1 image or more, a target between 0 and 1, got {numbers}")
        for share in (self.train_accuracy, self.validation_accuracy):
            if not 0 <= share <= 1:
                raise ValueError(f"expected an accuracy from 0 to 1, got {share}")

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

    @property
    def underfits(self) -> bool:
        """Whether its error rate on training images is more than half of that on others."""
        return 1 - self.train_accuracy > (1 - self.validation_accuracy) / 2

    @property
    def overfits(self) -> bool:
        """Whether most of its errors come outside only, by more than two standard errors."""
        gap = self.train_accuracy - self.validation_accuracy
        return not self.underfits and gap > 2 * self.standard_error

    def advice(self) -> str:
        """What to try next, in a sentence or two."""
        if self.underfits:
            return (
                "Most of its errors occur on training images, too: it underfits. Try more epochs, "
                "another rate, more channels, or less augmentation and dropout."
            )
        if self.overfits:
            return (
                "Most of its errors occur on unseen images only: it overfits. Try more "
                "augmentation, all of the data, dropout, averaging, or fewer weights."
            )
        return "Too few errors to tell underfitting from overfitting. Try other seeds first."

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


@dataclasses.dataclass(frozen=True)
class TrainingRun:
    """One small training, and how it ended.

    Attributes:
        model: the network, as the training left it.
        losses: of each step's images before the step, in nats, shape `(steps,)`.
        train_loss: on its training images as in inference, in nats; likewise the next three.
        train_accuracy: from 0 to 1.
        validation_loss: on images that were put aside.
        validation_accuracy: from 0 to 1.
    """

    model: keras.Model
    losses: np.ndarray
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float

    def __str__(self) -> str:
        return (
            f"loss {self.losses[0]:.2f} at the start and {self.losses[-20:].mean():.2f} at the "
            f"end; right: {100 * self.train_accuracy:.1f} % of the training images, "
            f"{100 * self.validation_accuracy:.1f} % of unseen ones"
        )


def small_digits() -> tuple[Arrays, Arrays]:
    """6,000 digits to train on and 4,000 others, always the same, from MNIST's training set.

    Returns:
        `(images, labels)` twice; images are float32 from 0 to 1 of shape `(n, 28, 28, 1)`.
    """
    _, (images, labels) = split_validation(*load_mnist()[0], 10_000)
    (images, labels), (others, their_labels) = split_validation(images, labels, 4_000)
    return (prepare_images(images), labels), (prepare_images(others), their_labels)


def train_small(
    model: keras.Model,
    data: Arrays,
    validation: Arrays,
    *,
    learning_rate: float = 0.003,
    steps: int = 300,
    batch_size: int = 60,
    shuffle: bool = True,
    seed: int = 0,
) -> TrainingRun:
    """Train a small network with Adam from fresh weights, and look at it.

    Args:
        model: gives class probabilities; its weights are drawn anew, see `initialize`.
        data: images as the network takes them, and their labels.
        validation: likewise, for the score at the end.
        learning_rate: of Adam, the same in every step.
        steps: at least 1.
        batch_size: images per step. What is left over at the end of a pass is not used in it.
        shuffle: draw a new order for each pass; otherwise the order is that of the data.
        seed: of the weights, of the order, and of what layers draw in training.

    Raises:
        ValueError: there is no step, a batch has no image or more than there are, or images and
            labels do not fit the network.
    """
    if steps < 1:
        raise ValueError(f"expected at least 1 step, got {steps}")
    check_fit(model, *validation)
    order = np.random.default_rng(seed) if shuffle else None
    each_step = train_steps(model, data, batch_size, order)
    initialize(model, seed)
    compile_classifier(model, keras.optimizers.Adam(learning_rate))
    losses = np.array([next(each_step) for _ in range(steps)])
    parts = [
        loss_and_accuracy(predict(model, images), labels) for images, labels in (data, validation)
    ]
    return TrainingRun(model, losses, *parts[0], *parts[1])


def predict(model: keras.Model, images: Any, *, training: bool = False) -> np.ndarray:
    """A network's probabilities for `n` images: float32 of shape `(n, classes)`.

    Args:
        model: gives class probabilities.
        images: what it takes.
        training: let dropout and batch normalization work as they do in training, with all images
            as one batch. No weight and no moving average is changed by it.

    Raises:
        ValueError: it does not give probabilities.
    """
    # Not `model.predict`: it would compile each of many small networks for a single use.
    if training:
        before = model.get_weights()
        probabilities = as_array(model(images, training=True), "probabilities")
        model.set_weights(before)
    else:
        probabilities = _in_parts(lambda part: model(part, training=False), images)
    check_probabilities(probabilities)
    return probabilities


def accuracy(model: keras.Model, data: Arrays, *, training: bool = False) -> float:
    """The share of images whose most probable class is their label, 0 to 1; see `predict`."""
    return loss_and_accuracy(predict(model, data[0], training=training), data[1])[1]


def layer_values(model: keras.Model, layer: str, images: Any) -> np.ndarray:
    """What a layer gives for `n` images, as in inference: float32 of shape `(n, ...)`.

    Args:
        model: a Sequential or functional model.
        layer: its name; of a layer inside a nested model `outer/inner`.
        images: what the model takes.

    Raises:
        ValueError: there is no such layer, or no graph of layers.
    """
    _, values = find_call(model, layer, outputs=True)
    return _in_parts(lambda part: values(part)[0], images)


def duplicated_in(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which of `n` images are, bit for bit, among others of the same size and dtype: `(n,)` bool.

    Raises:
        ValueError: size or dtype differ, so that equal images would have different bits.
    """
    if images.shape[1:] != others.shape[1:] or images.dtype != others.dtype:
        found = f"{images.shape[1:]} {images.dtype}"
        raise ValueError(f"expected images of {others.shape[1:]} {others.dtype}, got {found}")
    known = {other.tobytes() for other in others}
    return np.array([image.tobytes() in known for image in images], bool)


class DiagnosisTable:
    """A row for each mistake: Markdown, which a notebook draws as a table."""

    HEADINGS = ("mistake", "symptom", "measure first", "repair", "unseen images right")

    def __init__(self) -> None:
        self.rows: list[tuple[str, ...]] = []
        self.cases: dict[str, tuple[TrainingRun, TrainingRun]] = {}

    def add(
        self,
        mistake: str,
        cases: tuple[TrainingRun, TrainingRun],
        *,
        symptom: str,
        measure: str,
        repair: str,
    ) -> None:
        """Add a mistake, or write its row anew.

        Args:
            mistake: its name.
            cases: the training with it, and the one after the repair.
            symptom: how it shows.
            measure: what to look at first, with the number that was found.
            repair: what was done.
        """
        broken, fixed = (100 * case.validation_accuracy for case in cases)
        self.cases[mistake] = cases
        self.rows = [row for row in self.rows if row[0] != mistake]  # a cell may run twice
        self.rows.append((mistake, symptom, measure, repair, f"{broken:.1f} % → {fixed:.1f} %"))

    def __repr__(self) -> str:
        lines = [self.HEADINGS, ["---"] * len(self.HEADINGS), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    _repr_markdown_ = __repr__


def _in_parts(function: Callable[[Any], Any], images: Any) -> np.ndarray:
    """A function's values for a thousand images at a time, as float32."""
    images = as_array(images, "images")
    parts = (images[first : first + 1000] for first in range(0, len(images), 1000))
    return np.concatenate([as_array(function(one), "values") for one in parts]).astype("float32")

"""Trainings that are ill: small runs with a mistake built in, and what tells one from another."""

import dataclasses
import hashlib
import html
import math
from collections.abc import Iterator

import keras
import numpy as np
from keras import ops

from evalib.data.mnist import Arrays, load_mnist, prepare_images, split_validation
from evalib.training.probes import compile_classifier
from evalib.training.recipe import initialize

TARGET = 0.994  # what the course demands of its small network
PARAMETER_LIMIT = 20_000


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What one experiment's numbers say, and what they are too few to say.

    Attributes:
        parameters: of the network.
        seen: the share of its own training images that it names right, unmoved, 0 to 1.
        unseen: the share of the images that it never saw, 0 to 1.
        images: how many it never saw, at least 1.
        target: the share that is demanded, between 0 and 1.
    """

    parameters: int
    seen: float
    unseen: float
    images: int
    target: float = TARGET

    def __post_init__(self) -> None:
        if self.images < 1:
            raise ValueError(f"expected at least 1 image, got {self.images}")
        if not 0 < self.target < 1:
            raise ValueError(f"expected a target between 0 and 1, got {self.target}")
        for name in ("seen", "unseen"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"expected a share from 0 to 1, got {getattr(self, name)}")

    @property
    def is_small(self) -> bool:
        """Whether the network has fewer parameters than the course allows."""
        return self.parameters < PARAMETER_LIMIT

    @property
    def standard_error(self) -> float:
        """Of the unseen share: that of a binomial count over its number of images."""
        return math.sqrt(self.unseen * (1 - self.unseen) / self.images)

    @property
    def distance(self) -> float:
        """Unseen share minus target, in standard errors of a network that just meets the target.

        The score test of Wilson (*Probable Inference*, 1927), which also stands at a share of 1.
        """
        return (self.unseen - self.target) / math.sqrt(
            self.target * (1 - self.target) / self.images
        )

    @property
    def underfits(self) -> bool:
        """Whether it errs on the images that it learned from more than half as often as outside."""
        return 1 - self.seen > (1 - self.unseen) / 2

    @property
    def overfits(self) -> bool:
        """Whether most of its errors come outside only, by more than two standard errors."""
        return not self.underfits and self.seen - self.unseen > 2 * self.standard_error

    def advice(self) -> str:
        """What to try next, in a sentence or two."""
        if self.underfits:
            return (
                "Most of its errors it makes on training images too: it underfits. Try more "
                "epochs, another rate, more channels, or less augmentation and dropout."
            )
        if self.overfits:
            return (
                "Most of its errors it makes on unseen images only: it overfits. Try more "
                "augmentation, all of the data, dropout, averaging, or fewer weights."
            )
        return (
            "There are too few errors to say whether it underfits or overfits. Try other seeds "
            "before another network."
        )

    def __str__(self) -> str:
        size = "fewer than" if self.is_small else "not fewer than"
        side = "above" if self.distance >= 0 else "below"
        return "\n".join(
            [
                f"{self.parameters:,} parameters: {size} {PARAMETER_LIMIT:,}.",
                f"{100 * self.unseen:.2f} % of {self.images:,} unseen images right, with a standard"
                f" error of {100 * self.standard_error:.2f} %:",
                f"{abs(self.distance):.1f} standard errors {side} {100 * self.target:.1f} %"
                f"{'' if abs(self.distance) > 2 else ', too close to tell from luck'}.",
                f"{100 * self.seen:.2f} % of the training images right.",
                self.advice(),
            ]
        )


@dataclasses.dataclass(frozen=True)
class TrainingRun:
    """One small training, and how it ended.

    Attributes:
        model: the network, as the training left it.
        losses: of each step's images before the step, in nats, shape `(steps,)`.
        seen: loss in nats and accuracy from 0 to 1 on its training images, as in inference.
        unseen: likewise on images that were put aside.
    """

    model: keras.Model
    losses: np.ndarray
    seen: tuple[float, float]
    unseen: tuple[float, float]

    def __str__(self) -> str:
        return (
            f"loss {self.losses[0]:.2f} at the start and {self.losses[-20:].mean():.2f} at the "
            f"end; right: {100 * self.seen[1]:.1f} % of the training images, "
            f"{100 * self.unseen[1]:.1f} % of unseen ones"
        )


def small_digits() -> tuple[Arrays, Arrays]:
    """6,000 training images and 4,000 others, both cut from MNIST's training set.

    Returns:
        `(images, labels), (unseen_images, unseen_labels)`; the images are float32 from 0 to 1 of
        shape `(n, 28, 28, 1)`. They are the same in every run.
    """
    _, (images, labels) = split_validation(*load_mnist()[0], 10_000)
    (images, labels), (others, their_labels) = split_validation(images, labels, 4_000)
    return (prepare_images(images), labels), (prepare_images(others), their_labels)


def train_small(
    model: keras.Model,
    data: Arrays,
    unseen: Arrays,
    *,
    learning_rate: float = 0.003,
    steps: int = 300,
    batch_size: int = 60,
    shuffle: bool = True,
    seed: int = 0,
) -> TrainingRun:
    """Train a small network with Adam from fresh weights, and look at it.

    Args:
        model: gives ten probabilities; its weights are drawn anew from the seed.
        data: images as the network takes them, and their labels.
        unseen: likewise, for the score at the end.
        learning_rate: of Adam, the same in every step.
        steps: at least 1.
        batch_size: images a step. What is left over at the end of a pass is not used in it.
        shuffle: draw a new order for each pass; otherwise the order is that of the data.
        seed: of the weights, of the order, and of what layers draw in training.

    Raises:
        ValueError: there is no step, or a batch has no image or more than there are.
    """
    if steps < 1:
        raise ValueError(f"expected at least 1 step, got {steps}")
    if not 1 <= batch_size <= len(data[0]):
        raise ValueError(f"expected batches of 1 to {len(data[0])} images, got {batch_size}")
    initialize(model, seed)
    compile_classifier(model, keras.optimizers.Adam(learning_rate))
    batches = _batches(len(data[0]), batch_size, np.random.default_rng(seed) if shuffle else None)
    losses = np.empty(steps)
    for step in range(steps):
        chosen = next(batches)
        model.reset_metrics()  # otherwise the loss is a mean over all steps so far
        losses[step] = model.train_on_batch(data[0][chosen], data[1][chosen])[0]
    both = predict(model, np.concatenate([data[0], unseen[0]]))
    count = len(data[0])
    return TrainingRun(
        model, losses, _score(both[:count], data[1]), _score(both[count:], unseen[1])
    )


def predict(model: keras.Model, images: np.ndarray, *, training: bool = False) -> np.ndarray:
    """A network's probabilities, as in inference or as in training.

    Args:
        model: gives class probabilities.
        images: what it takes, `n` of them.
        training: let dropout and batch normalization work as they do in training. All images are
            then one batch. No weight and no moving average is changed by it.

    Returns:
        float32 of shape `(n, classes)`.
    """
    # Not `predict`: it would compile each of many small networks for a single use.
    if not training:
        return _in_parts(model, images)
    before = model.get_weights()
    given = ops.convert_to_numpy(model(images, training=True))
    model.set_weights(before)
    return given


def accuracy(model: keras.Model, data: Arrays, *, training: bool = False) -> float:
    """The share of images whose most probable class is their label, 0 to 1; see `predict`."""
    return _score(predict(model, data[0], training=training), data[1])[1]


def layer_values(model: keras.Model, layer: str, images: np.ndarray) -> np.ndarray:
    """What a layer gives for images, as in inference: float32 of shape `(n, ...)`."""
    return _in_parts(keras.Model(model.inputs[0], model.get_layer(layer).output), images)


def dead_unit_fraction(values: np.ndarray) -> float:
    """The share of values, 0 to 1, that are zero or less for every one of the images.

    Args:
        values: of a layer, shape `(n, ...)`, as `layer_values` gives them.
    """
    return float((values.max(axis=0) <= 0).mean())


def nearest_centroid_accuracy(images: np.ndarray, labels: np.ndarray) -> float:
    """How many images lie nearest to the mean image of their own label: a check without a network.

    Args:
        images: shape `(n, ...)`.
        labels: integers of shape `(n,)`, each class from 0 to the largest at least once.

    Returns:
        A share from 0 to 1. Labels that have nothing to do with their images give about one over
        the number of classes.
    """
    flat = images.reshape(len(images), -1).astype("float32")
    means = np.stack([flat[labels == label].mean(axis=0) for label in range(labels.max() + 1)])
    # The square of the distance, without the part that is the same for every mean.
    distances = (means**2).sum(axis=1) - 2 * flat @ means.T
    return float((distances.argmin(axis=1) == labels).mean())


def duplicated_in(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which images are, bit for bit, among others.

    Args:
        images: shape `(n, ...)`.
        others: shape `(m, ...)` and the same dtype.

    Returns:
        bool of shape `(n,)`.

    Raises:
        ValueError: size or dtype differ, so that equal images would have different bits.
    """
    if images.shape[1:] != others.shape[1:] or images.dtype != others.dtype:
        raise ValueError(
            f"expected images of {others.shape[1:]} {others.dtype}, got {images.shape[1:]} "
            f"{images.dtype}"
        )
    known = {_digest(image) for image in others}
    return np.array([_digest(image) in known for image in images], bool)


class DiagnosisTable:
    """A doctor's notes: a row a mistake. They print as text, and draw as HTML in a notebook."""

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
        """Write down one mistake.

        Args:
            mistake: its name.
            cases: the training with it, and the one after the repair.
            symptom: how it shows.
            measure: what to look at first, with the number it gave.
            repair: what was done.
        """
        ill, healed = (100 * case.unseen[1] for case in cases)
        self.cases[mistake] = cases
        change = f"{ill:.1f} % → {healed:.1f} %"
        self.rows = [row for row in self.rows if row[0] != mistake]  # a cell may run twice
        self.rows.append((mistake, symptom, measure, repair, change))

    def __str__(self) -> str:
        blocks = []
        for row in self.rows:
            named = zip(self.HEADINGS[1:], row[1:], strict=True)
            blocks.append("\n".join([row[0], *(f"  {name}: {text}" for name, text in named)]))
        return "\n".join(blocks)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def line(tag: str, texts: tuple[str, ...]) -> str:
            style = ' style="text-align:left"'
            return f"<tr>{''.join(f'<{tag}{style}>{html.escape(t)}</{tag}>' for t in texts)}</tr>"

        body = "".join(line("td", row) for row in self.rows)
        return f"<table><thead>{line('th', self.HEADINGS)}</thead><tbody>{body}</tbody></table>"


def _in_parts(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """A network's output as in inference, for a thousand images at a time."""
    parts = (images[first : first + 1000] for first in range(0, len(images), 1000))
    return np.concatenate([ops.convert_to_numpy(model(part, training=False)) for part in parts])


def _score(probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Mean cross-entropy in nats, with no probability below 1e-7, and accuracy."""
    given_to_truth = probabilities[np.arange(len(labels)), labels].astype("float64")
    losses = -np.log(np.maximum(given_to_truth, 1e-7))
    return float(losses.mean()), float((probabilities.argmax(axis=1) == labels).mean())


def _batches(
    count: int, batch_size: int, generator: np.random.Generator | None
) -> Iterator[np.ndarray]:
    """Indices of each step's images, without end."""
    while True:
        order = generator.permutation(count) if generator else np.arange(count)
        for first in range(0, count - batch_size + 1, batch_size):
            yield order[first : first + batch_size]


def _digest(image: np.ndarray) -> bytes:
    return hashlib.sha256(image.tobytes()).digest()

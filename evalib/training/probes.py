"""What can be watched while something learns: paths of optimizers, losses and kernels by step."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from evalib.data.mnist import Arrays
from evalib.training.scoring import check_fit

Surface = Callable[[Any, Any], Any]
_LOSS = "sparse_categorical_crossentropy"  # of probabilities


def optimizer_path(
    optimizer: keras.optimizers.Optimizer,
    surface: Surface,
    start: tuple[float, float],
    steps: int,
) -> np.ndarray:
    """Let an optimizer of Keras walk down a surface: two weights whose loss is the height there.

    Args:
        optimizer: fresh, for it remembers the weights that it first worked on.
        surface: the height at `(x, y)`, made of `keras.ops`.
        start: where the walk begins.
        steps: at least 1.

    Returns:
        The positions, the start first: float32 of shape `(steps + 1, 2)`.

    Raises:
        ValueError: the number of steps is below 1, or the optimizer has been used.
    """
    if steps < 1:
        raise ValueError(f"expected at least 1 step, got {steps}")
    if optimizer.built:
        raise ValueError(f"expected a fresh optimizer, got {optimizer.name!r} after its first step")
    walker = _Walker(surface, start)
    model = keras.Sequential([keras.Input((1,)), walker])
    model.compile(optimizer=optimizer, jit_compile=_just_in_time())
    clock = np.zeros((1, 1), "float32")  # one row is one step, its value is not used
    positions = [np.array(start, "float32")]
    for _ in range(steps):
        model.train_on_batch(clock)
        positions.append(np.array(ops.convert_to_numpy(walker.position)))
    return np.stack(positions)


class _Walker(keras.layers.Layer):
    """A layer whose two weights are a position, and whose loss is the surface's height there."""

    def __init__(self, surface: Surface, start: tuple[float, float]) -> None:
        super().__init__(dtype="float32")
        self.surface = surface
        self.position = self.add_weight(shape=(2,), initializer="zeros")
        self.position.assign(np.array(start, "float32"))

    def call(self, clock: Any) -> Any:
        self.add_loss(self.surface(self.position[0], self.position[1]))
        return clock


def compile_classifier(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
    """Compile a network of class probabilities, with a fresh optimizer, for `track_training`."""
    model.compile(optimizer, _LOSS, metrics=["accuracy"], jit_compile=_just_in_time())
    optimizer.build(model.trainable_variables)


def _just_in_time() -> bool | str:
    """Whether to compile for a machine: JAX needs it, TensorFlow is quicker to start without."""
    return False if keras.backend.backend() == "tensorflow" else "auto"


class StartingPoint:
    """The weights of a compiled network and of its optimizer, to begin from them once more.

    Compiling again would do that too, and take longer than a short training.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self.weights = model.get_weights()
        self.memory = [np.array(ops.convert_to_numpy(value)) for value in model.optimizer.variables]

    def restore(
        self, *, weights: list[np.ndarray] | None = None, learning_rate: float | None = None
    ) -> None:
        """Bring the network back to the start, or to other weights or another learning rate."""
        self.model.set_weights(self.weights if weights is None else weights)
        for variable, value in zip(self.model.optimizer.variables, self.memory, strict=True):
            variable.assign(value)
        if learning_rate is not None:
            self.model.optimizer.learning_rate = learning_rate


@dataclasses.dataclass(frozen=True)
class TrackedTraining:
    """What was seen of a training.

    Attributes:
        marks: after how many steps the network was looked at, in rising order.
        losses: the mean loss of the batches between each mark and the next, each batch before
            its step; in nats, shape `(marks - 1,)`.
        kernels: the first layer's kernels at each mark.
        scores: the name of each part that was scored to its mean loss in nats and its accuracy
            from 0 to 1 at each mark, shape `(marks, 2)`.
    """

    marks: tuple[int, ...]
    losses: np.ndarray
    kernels: list[np.ndarray]
    scores: dict[str, np.ndarray]


def track_training(
    model: keras.Model,
    data: Arrays,
    marks: Iterable[int],
    *,
    batch_size: int = 64,
    seed: int = 0,
    score_on: dict[str, Arrays] | None = None,
) -> TrackedTraining:
    """Train a network step by step, and look at it now and then.

    Args:
        model: compiled by `compile_classifier`. It is left trained.
        data: images that the model takes, and their labels.
        marks: after how many steps to look. There are two at least, and the last is the end.
        batch_size: images per step.
        seed: of the order of the images. It does not set the weights.
        score_on: name to images and labels. They are scored at each mark, as in inference.

    Returns:
        What was seen. A training whose loss is no longer a number goes on to the end.

    Raises:
        ValueError: there are fewer than two marks or negative ones, a batch has no image or more
            than there are, or images and labels do not fit the network.
    """
    looks = tuple(sorted({int(mark) for mark in marks}))
    if len(looks) < 2 or looks[0] < 0:
        raise ValueError(f"expected two marks or more, from 0 up, got {looks}")
    steps = train_steps(model, data, batch_size, np.random.default_rng(seed))
    logits = model.loss != _LOSS
    parts = {name: check_fit(model, *one, logits=logits) for name, one in (score_on or {}).items()}
    scores: dict[str, list[Any]] = {name: [] for name in parts}
    losses, kernels, done = [], [], 0
    for mark in looks:
        since = [next(steps) for _ in range(mark - done)]
        if mark > looks[0]:
            losses.append(np.mean(since))
        done = mark
        kernels.append(np.array(ops.convert_to_numpy(model.trainable_weights[0])))
        for name, part in parts.items():
            model.reset_metrics()
            scores[name].append([float(one) for one in model.test_on_batch(*part)])
    arrays = {name: np.array(values) for name, values in scores.items()}
    return TrackedTraining(looks, np.array(losses), kernels, arrays)


def train_steps(
    model: keras.Model, data: Arrays, batch_size: int, order: np.random.Generator | None
) -> Iterator[float]:
    """Train a compiled classifier without end: each next value is a batch's mean loss in nats.

    Args:
        model: compiled by `compile_classifier`.
        data: images that the model takes, and their labels.
        batch_size: images per step. What is left over at the end of a pass is not used in it.
        order: draws a new order for each pass; `None` keeps that of the data.

    Raises:
        ValueError: as for `track_training`.
    """
    images, labels = check_fit(model, *data, logits=model.loss != _LOSS)
    if not 1 <= batch_size <= len(images):
        raise ValueError(f"expected batches of 1 to {len(images)} images, got {batch_size}")

    def steps() -> Iterator[float]:
        while True:
            places = order.permutation(len(images)) if order else np.arange(len(images))
            for first in range(0, len(images) - batch_size + 1, batch_size):
                chosen = places[first : first + batch_size]
                model.reset_metrics()  # otherwise the loss is a mean over all steps so far
                yield float(model.train_on_batch(images[chosen], labels[chosen])[0])

    return steps()

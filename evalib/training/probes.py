"""Training, watched: gradients, the paths of optimizers, losses and kernels step by step.

Everything is had through Keras alone, so that it runs on every backend: an optimizer that only
writes down the gradients it is given, a layer of two weights on a surface, a loop of training
steps that looks at the network now and then.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator

import keras
import numpy as np
from keras import ops

from evalib.data.mnist import Arrays

Surface = Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]


def optimizer_path(
    optimizer: keras.optimizers.Optimizer,
    surface: Surface,
    start: tuple[float, float],
    steps: int,
) -> np.ndarray:
    """Let an optimizer of Keras walk down a surface, as it does in training.

    The place is the two weights of a layer, and the surface's height is the layer's loss.

    Args:
        optimizer: fresh, for it remembers the weights that it first worked on.
        surface: the height at `(x, y)`, made of `keras.ops`.
        start: where the walk begins.
        steps: at least 1.

    Returns:
        The places, the start first: float32 of shape `(steps + 1, 2)`.

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
    places = [np.array(start, "float32")]
    for _ in range(steps):
        model.train_on_batch(clock)
        places.append(np.array(ops.convert_to_numpy(walker.place)))
    return np.stack(places)


class _Walker(keras.layers.Layer):
    """A layer whose two weights are a place, and whose loss is the surface's height there."""

    def __init__(self, surface: Surface, start: tuple[float, float]) -> None:
        super().__init__()
        self.surface = surface
        self.place = self.add_weight(shape=(2,), initializer="zeros")
        self.place.assign(np.array(start, "float32"))

    def call(self, clock: keras.KerasTensor) -> keras.KerasTensor:
        self.add_loss(self.surface(self.place[0], self.place[1]))
        return clock


def compile_classifier(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
    """Compile a network for `track_training`: cross-entropy, accuracy, quick small steps.

    Args:
        model: gives class probabilities.
        optimizer: fresh.
    """
    model.compile(
        optimizer=optimizer,
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=_just_in_time(),
    )
    optimizer.build(model.trainable_variables)


def _just_in_time() -> bool | str:
    """Whether to compile for a machine: JAX needs it, TensorFlow is quicker to start without."""
    return False if keras.backend.backend() == "tensorflow" else "auto"


class StartingPoint:
    """Everything that a compiled network's training begins with, to begin from it once more.

    Compiling again would do that too, and take longer than a short training.
    """

    def __init__(self, model: keras.Model) -> None:
        """Remember the weights, and what the optimizer holds.

        Args:
            model: compiled by `compile_classifier`.
        """
        self.model = model
        self.weights = model.get_weights()
        self.memory = [np.array(ops.convert_to_numpy(value)) for value in model.optimizer.variables]

    def restore(
        self, *, weights: list[np.ndarray] | None = None, learning_rate: float | None = None
    ) -> None:
        """Bring the network back to the start.

        Args:
            weights: to begin with others than the remembered ones.
            learning_rate: to begin with another than the remembered one.
        """
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
        batch_size: images a step.
        seed: of the order of the images. It does not set the weights.
        score_on: name to images and labels. They are scored at each mark, as in inference.

    Returns:
        What was seen. A training whose loss is no longer a number goes on to the end.

    Raises:
        ValueError: there are fewer than two marks or negative ones, or a batch has no image or
            more than there are.
    """
    looks = tuple(sorted(set(marks)))
    if len(looks) < 2 or looks[0] < 0:
        raise ValueError(f"expected two marks or more, from 0 up, got {looks}")
    if not 1 <= batch_size <= len(data[0]):
        raise ValueError(f"expected batches of 1 to {len(data[0])} images, got {batch_size}")
    batches = _batches(len(data[0]), batch_size, seed)
    losses, kernels = [], []
    scores: dict[str, list[tuple[float, float]]] = {name: [] for name in score_on or {}}
    done = 0
    for mark in looks:
        model.reset_metrics()  # what Keras gives is the mean of all batches since
        while done < mark:
            chosen = next(batches)
            loss = model.train_on_batch(data[0][chosen], data[1][chosen])[0]
            done += 1
        if mark > looks[0]:
            losses.append(float(loss))
        kernels.append(np.array(ops.convert_to_numpy(model.trainable_weights[0])))
        for name, part in (score_on or {}).items():
            scores[name].append(_score(model, part))
    pairs = {name: np.array(values) for name, values in scores.items()}
    return TrackedTraining(looks, np.array(losses), kernels, pairs)


def _score(model: keras.Model, part: Arrays) -> tuple[float, float]:
    """Loss and accuracy on images that pass through the network as one batch."""
    model.reset_metrics()
    loss, accuracy = model.test_on_batch(*part)
    return float(loss), float(accuracy)


def _batches(count: int, batch_size: int, seed: int) -> Iterator[np.ndarray]:
    """Indices of each step's images, without end: every image once, then all in a new order.

    What is left over at the end of an order is dropped.
    """
    generator = np.random.default_rng(seed)
    while True:
        order = generator.permutation(count)
        for first in range(0, count - batch_size + 1, batch_size):
            yield order[first : first + batch_size]

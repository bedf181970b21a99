"""What can be watched while a network learns: losses, scores and kernels by step."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from evalib.data.mnist import Arrays
from evalib.training.scoring import check_fit

_LOSS = "sparse_categorical_crossentropy"  # of probabilities
# JAX needs to compile for a machine, TensorFlow is quicker to start without.
_JUST_IN_TIME: bool | str = False if keras.backend.backend() == "tensorflow" else "auto"


def compile_classifier(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
    """Compile a network of class probabilities, with a fresh optimizer, for `track_training`."""
    model.compile(optimizer, _LOSS, metrics=["accuracy"], jit_compile=_JUST_IN_TIME)
    optimizer.build(model.trainable_variables)


class StartingPoint:
    """The weights of a compiled network and its optimizer: quicker than to compile once more."""

    def __init__(self, model: keras.Model) -> None:
        self.model, self.weights = model, model.get_weights()
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


class TrackedTraining(NamedTuple):
    """What was seen of a training."""

    marks: tuple[int, ...]  #: after how many steps the network was looked at, in rising order
    losses: np.ndarray  #: means over the batches from mark to mark, in nats, shape `(marks - 1,)`
    kernels: list[np.ndarray]  #: of the first layer at each mark
    scores: dict[str, np.ndarray]  #: name to loss in nats and accuracy by mark, shape `(marks, 2)`


def track_training(
    model: keras.Model,
    data: Arrays,
    marks: Iterable[int],
    *,
    batch_size: int = 64,
    seed: int | None = 0,
    score_on: dict[str, Arrays] | None = None,
) -> TrackedTraining:
    """Train a network step by step, and look at it now and then.

    The model is compiled by `compile_classifier`, and left trained. A loss that is no longer a
    number stops nothing. Each batch's loss is that before its step. What does not fit, or is out
    of range, raises a ValueError.

    Args:
        data: images that the model takes, and their labels.
        marks: after how many steps to look. There are two at least, and the last is the end.
        batch_size: images per step. What is left over at the end of a pass is not used in it.
        seed: of the order of the images in each pass alone; `None` keeps that of the data.
        score_on: name to images and labels, scored at each mark, as in inference.
    """
    looks = tuple(sorted({int(mark) for mark in marks}))
    if len(looks) < 2 or looks[0] < 0:
        raise ValueError(f"expected two marks or more, from 0 up, got {looks}")
    logits = model.loss != _LOSS
    images, labels = check_fit(model, *data, logits=logits)
    if not 1 <= batch_size <= len(images):
        raise ValueError(f"expected batches of 1 to {len(images)} images, got {batch_size}")
    parts = {name: check_fit(model, *one, logits=logits) for name, one in (score_on or {}).items()}
    scores: dict[str, list[Any]] = {name: [] for name in parts}
    losses, kernels = [], []
    batches = _batches(len(images), batch_size, seed)
    for before, mark in itertools.pairwise((0, *looks)):
        since = []
        for chosen in itertools.islice(batches, mark - before):
            model.reset_metrics()  # otherwise the loss is a mean over all steps so far
            since.append(float(model.train_on_batch(images[chosen], labels[chosen])[0]))
        losses.append(np.mean(since) if since else 0.0)
        kernels.append(np.array(ops.convert_to_numpy(model.trainable_weights[0])))
        for name, part in parts.items():
            model.reset_metrics()
            scores[name].append([float(one) for one in model.test_on_batch(*part)])
    arrays = {name: np.array(values) for name, values in scores.items()}
    return TrackedTraining(looks, np.array(losses[1:]), kernels, arrays)


def _batches(count: int, size: int, seed: int | None) -> Iterator[np.ndarray]:
    """The places of each step's images, pass after pass."""
    order = None if seed is None else np.random.default_rng(seed)
    while True:
        places = order.permutation(count) if order else np.arange(count)
        yield from (places[first : first + size] for first in range(0, count - size + 1, size))

"""Data that fit a network, its own batch statistics, and a score by counting."""

import math
import warnings
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from evalib.data.mnist import prepare_images
from evalib.filters import as_array
from evalib.networks.gradients import checked_images


def score(model: keras.Model, images: Any, labels: Any) -> tuple[float, float]:
    """The share of images whose most probable class is their label, and the mean cross-entropy.

    The latter is in nats; no probability counts as less than 1e-7. Warns after so few steps of the
    network's optimizer that its moving averages of batch normalization are not yet its own:
    `estimate_statistics` comes first then.

    The images are uint8 of shape `(n, height, width)`, or float in [0, 1]; channels may follow. The
    labels are whole numbers `(n,)`. What does not fit, or is no probability, raises a ValueError.
    """
    images, labels = check_fit(model, scale_images(images), labels)
    steps = steps_taken(model)
    if 0 < steps < steps_needed(model) and getattr(model, "estimated_after", None) != steps:
        warnings.warn(
            f"after {steps} steps the moving averages of batch normalization are not yet the "
            "network's own: first call evalib.training.estimate_statistics(model, training_images)",
            stacklevel=2,
        )
    probabilities = model.predict(images, batch_size=1000, verbose=0)
    check_probabilities(probabilities)
    loss, accuracy = loss_and_accuracy(probabilities, labels)
    return accuracy, loss


def loss_and_accuracy(probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Mean cross-entropy in nats, no probability below 1e-7, and the share of labels `(n,)` met.

    A row of the probabilities `(n, classes)` with a NaN meets none.
    """
    values = np.asarray(probabilities, "float32")
    of_truth = values[np.arange(len(labels)), labels].astype("float64")
    right = (values.argmax(axis=1) == labels) & ~np.isnan(values).any(axis=1)
    return float(-np.log(np.maximum(of_truth, 1e-7)).mean()), float(right.mean())


def estimate_statistics(model: keras.Model, images: Any) -> None:
    """Set the moving averages of batch normalization to the means over training images.

    In training each step replaces one part in a hundred of them, so after a few hundred steps they
    are still partly what they began with. One pass in training mode, in which each batch has the
    same weight, replaces all (Wu and Johnson, *Rethinking "Batch" in BatchNorm*, 2021, section 3).
    No other weight changes, and frozen layers keep their averages.
    """
    images = checked_images(model, scale_images(images))
    norms = _normalizations(model)
    own = {id(each) for norm in norms for each in norm.non_trainable_variables}
    others = [(each, ops.copy(each)) for each in model.variables if id(each) not in own]
    momenta = [norm.momentum for norm in norms]
    try:
        for number, batch in enumerate(np.array_split(images, -(-len(images) // 500))):
            for norm in norms:
                norm.momentum = number / (number + 1)
            model(batch, training=True)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for variable, value in others:
            variable.assign(value)
    model.estimated_after = steps_taken(model)


def steps_needed(model: keras.Model) -> float:
    """After how many steps 1 % is left of what moving averages of batch normalization began with.

    That is `log(0.01) / log(momentum)`: 458 for Keras's momentum of 0.99; 0 without trained ones.
    """
    momenta = [norm.momentum for norm in _normalizations(model) if 0 < norm.momentum < 1]
    return math.log(0.01) / math.log(max(momenta)) if momenta else 0.0


def scale_images(images: Any) -> np.ndarray:
    """`prepare_images` for any number of channels: float32 of shape `(n, height, width, c)`."""
    array = as_array(images, "images")
    if array.ndim != 4:
        return prepare_images(array)
    return prepare_images(array.reshape(*array.shape[:2], -1)).reshape(array.shape)


def check_fit(
    model: keras.Model, images: Any, labels: Any, *, logits: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return images as an array and labels as int64 of shape `(n,)`, as a classifier takes them.

    The images have the network's input shape; the labels are whole numbers from 0, of any number
    type, shape `(n,)` or `(n, 1)`. Else, or if the network gives no class probabilities (or, with
    `logits`, no scores), a ValueError is raised. A network that was not built is built.
    """
    images = checked_images(model, as_array(images, "images"))
    outputs = as_array(model(images[:8], training=False), "outputs")
    if outputs.ndim != 2 or outputs.shape[1] < 2:
        wanted = "a network that gives probabilities of shape (n, classes) for two classes or more"
        raise ValueError(f"expected {wanted}, got {outputs.shape} for {len(images[:8])} images")
    if not logits:
        check_probabilities(outputs)
    return images, check_labels(labels, outputs.shape[1], len(images))


def check_labels(labels: Any, classes: int, count: int) -> np.ndarray:
    """Return labels as int64 of shape `(count,)`; those that fit no class raise a ValueError."""
    found = as_array(labels, "labels")
    found = found[:, 0] if found.shape == (count, 1) else found
    if found.shape != (count,):
        hint = "; of one-hot labels take argmax(axis=1)" if found.shape == (count, classes) else ""
        raise ValueError(f"expected labels of shape ({count},), got {found.shape}{hint}")
    if not (found == np.floor(found)).all():
        raise ValueError(f"expected labels that are whole numbers, got {found[:3]}")
    low, high = found.min(), found.max()
    if low < 0 or high >= classes:
        raise ValueError(f"expected labels from 0 to {classes - 1}, got {low:g} to {high:g}")
    return found.astype("int64")


def check_probabilities(values: Any) -> None:
    """Raise a ValueError where rows of numbers are no probabilities; rows with NaN may be."""
    rows = as_array(values, "probabilities").astype("float64")
    rows = rows[np.isfinite(rows).all(axis=1)]
    if len(rows) and (rows.min() < 0 or np.abs(rows.sum(axis=1) - 1).max() > 0.02):
        found = rows[0].round(3).tolist()[:10]
        raise ValueError(f"expected probabilities that sum to 1, got {found}: end with a softmax")


def _normalizations(model: keras.Model) -> list[layers.BatchNormalization]:
    """The batch normalizations that are not frozen."""
    inside = model._flatten_layers()
    return [one for one in inside if isinstance(one, layers.BatchNormalization) and one.trainable]


def steps_taken(model: keras.Model) -> int:
    """How many steps the network's own optimizer has taken; 0 without one."""
    optimizer = getattr(model, "optimizer", None)
    return int(ops.convert_to_numpy(optimizer.iterations)) if optimizer else 0

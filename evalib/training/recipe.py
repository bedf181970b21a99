"""The training recipe: one rate schedule, one augmentation, one seed, one score at the end."""

import dataclasses
import importlib
import inspect
import math
import operator
import platform
import sys
import time
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from evalib.networks.layers import RandomAffine, check_affine_bounds
from evalib.training.optimizers import SCHEDULES, ConvolutionMuon, WarmupDecay
from evalib.training.scoring import (
    check_fit,
    estimate_statistics,
    loss_and_accuracy,
    scale_images,
    score,
    steps_needed,
    steps_taken,
)

__all__ = ["OPTIMIZERS", "Recipe", "Run", "initialize", "score", "train"]
OPTIMIZERS = ("muon", "adamw", "sgd")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network is trained. The defaults are those of the S3 network.

    Attributes:
        optimizer: `"muon"` (see `ConvolutionMuon`), `"adamw"`, or `"sgd"`, stochastic gradient
            descent with Nesterov's momentum.
        epochs: passes over the training images.
        batch_size: images per step.
        peak_learning_rate: the optimizer's highest rate; see `WarmupDecay`.
        warmup_share: the share of all steps during which the rate rises, above 0 and below 1.
        schedule: how the rate falls after its peak: `"linear"`, `"cosine"` or `"constant"`.
        weight_decay: how much of each weight a step takes away, times the learning rate
            (Loshchilov and Hutter, *Decoupled Weight Decay Regularization*, 2019); at least 0.
            With `"muon"` of the kernels larger than 1x1 alone: all else keeps Keras's 0.004.
        momentum: how much of the last steps' direction the next one keeps, 0 to below 1.
        rotation: the largest angle of the augmentation, in degrees; see `RandomAffine`.
        scale: the largest relative change of width and of height.
        shear: the largest slant, in pixels per pixel of height.
        shift: the largest move along each axis, in pixels.
        moved_share: the share of the training images that are moved, above 0 to 1.
        label_smoothing: how much of the truth is spread evenly over all classes, 0 to below 1
            (Szegedy et al., 2016).
        averaging: how much of the weights' running average a step keeps, 0 to below 1; the network
            ends with that average (Polyak and Juditsky, 1992). 0 keeps the last weights.
        teacher_share: how much of the loss a teacher's probabilities have, 0 to 1; above 0, `train`
            needs a trainer that has one, as `scripts/distillation.py`.
        temperature: of the comparison with the teacher, above 0.

    Raises:
        ValueError: a value is of another type or out of its range.
    """

    optimizer: str = "muon"
    epochs: int = 26
    batch_size: int = 256
    peak_learning_rate: float = 0.03
    warmup_share: float = 0.25
    schedule: str = "linear"
    weight_decay: float = 0.05
    momentum: float = 0.9
    rotation: float = 8.0
    scale: float = 0.12
    shear: float = 0.12
    shift: float = 2.5
    moved_share: float = 1.0
    label_smoothing: float = 0.0
    averaging: float = 0.0
    teacher_share: float = 0.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if field.type is not str:
                number = _number(field.name, getattr(self, field.name), field.type)
                object.__setattr__(self, field.name, number)
        for name, fits, wanted in (
            ("optimizer", self.optimizer in OPTIMIZERS, f"one of {', '.join(OPTIMIZERS)}"),
            ("schedule", self.schedule in SCHEDULES, f"one of {', '.join(SCHEDULES)}"),
            ("epochs", self.epochs >= 1, "at least 1"),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("peak_learning_rate", 0 < self.peak_learning_rate < math.inf, "finite and above 0"),
            ("warmup_share", 0 < self.warmup_share < 1, "above 0 and below 1"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "finite and at least 0"),
            ("momentum", 0 <= self.momentum < 1, "from 0 to below 1"),
            ("label_smoothing", 0 <= self.label_smoothing < 1, "from 0 to below 1"),
            ("averaging", 0 <= self.averaging < 1, "from 0 to below 1"),
            ("teacher_share", 0 <= self.teacher_share <= 1, "from 0 to 1"),
            ("temperature", 0 < self.temperature < math.inf, "finite and above 0"),
        ):
            if not fits:
                words = name.replace("_", " ")
                raise ValueError(f"expected {words} {wanted}, got {getattr(self, name)!r}")
        check_affine_bounds(self.rotation, self.scale, self.shear, self.shift, self.moved_share)

    def build_optimizer(self, schedule: WarmupDecay) -> keras.optimizers.Optimizer:
        """A new optimizer that follows the schedule."""
        options: dict[str, Any] = {"weight_decay": self.weight_decay}
        if self.averaging:
            options |= {"use_ema": True, "ema_momentum": self.averaging}
        if self.optimizer == "adamw":
            return keras.optimizers.AdamW(schedule, beta_1=self.momentum, **options)
        if self.optimizer == "sgd":
            return keras.optimizers.SGD(schedule, self.momentum, nesterov=True, **options)
        return ConvolutionMuon(schedule, momentum=self.momentum, **options)

    def augmentation(self) -> RandomAffine:
        """The layer that moves the training images."""
        bounds = self.rotation, self.scale, self.shear, self.shift
        return RandomAffine(*bounds, share=self.moved_share)


@dataclasses.dataclass(frozen=True)
class Run:
    """What one training gave.

    Attributes:
        seed: what `train` was called with, as the recipe.
        parameters: `count_params()` of the network, moving statistics included.
        history: `loss` and `accuracy` of each epoch, on the augmented training images.
        test_accuracy: the share of held-out images named right after the last epoch, 0 to 1.
        test_loss: the mean cross-entropy of the held-out images, in nats.
        seconds: wall-clock time of the training, without the scoring.
        versions: of Python, Keras, its backend, NumPy and evalib.
        device: `"cpu"` or `"gpu"`.
        estimated_statistics: whether the averages of batch normalization were estimated anew.
    """

    seed: int
    recipe: Recipe
    parameters: int
    history: dict[str, list[float]]
    test_accuracy: float
    test_loss: float
    seconds: float
    versions: dict[str, str]
    device: str
    estimated_statistics: bool = False

    def record(self) -> dict[str, object]:
        """The run as plain values for a JSON file."""
        values = dataclasses.asdict(self)
        return values | {"epochs": len(self.history["loss"]), "seconds": round(self.seconds, 1)}


def train(
    model: keras.Model,
    recipe: Recipe,
    data: Sequence[tuple[Any, Any]],
    seed: int,
    verbose: bool = True,
    *,
    trainer: keras.Model | None = None,
    estimate: bool = True,
) -> Run:
    """Train a network from fresh weights and score it once, after the last epoch.

    Trainable weights are drawn anew from the seed (see `initialize`), so that no run continues
    another. The same seed on the same machine, with as many threads, gives the same bits.

    Args:
        model: images to class probabilities; any model of Keras with one input.
        recipe: how to train it.
        data: `(x_train, y_train), (x_test, y_test)` as `load_mnist` or `split_validation` gives
            them. The second pair is only scored.
        seed: of the initial weights, the order of the images and the augmentation.
        verbose: show the progress, in a terminal or a notebook.
        trainer: what is fitted instead of the network after its augmentation, such as a model that
            holds the network and a teacher.
        estimate: after a training so short that the moving averages of batch normalization still
            hold more than 1 % of what they began with (`steps_needed`), estimate them anew on
            training images before the score; see `estimate_statistics`. Longer trainings are
            scored with the averages that they have.

    Returns:
        The run's record. The model is left trained.

    Raises:
        ValueError: images or labels do not fit the network, it does not give probabilities, or the
            recipe wants a teacher and there is no trainer. All of it before the first epoch.
    """
    if recipe.teacher_share and trainer is None:
        raise ValueError(f"expected a trainer for a teacher share of {recipe.teacher_share:g}")
    parts = [check_fit(model, scale_images(images), labels) for images, labels in data]
    (x_train, y_train), (x_test, y_test) = parts
    initialize(model, seed)
    steps = -(-len(x_train) // recipe.batch_size) * recipe.epochs
    schedule = WarmupDecay(recipe.peak_learning_rate, steps, recipe.warmup_share, recipe.schedule)
    classes = model(x_train[:1], training=False).shape[-1]
    targets = smooth_labels(y_train, classes, recipe.label_smoothing)
    if trainer is None:
        trainer = _Augmented(recipe.augmentation(), model)
    kind = "categorical" if targets.ndim == 2 else "sparse_categorical"
    trainer.compile(recipe.build_optimizer(schedule), f"{kind}_crossentropy", metrics=["accuracy"])
    facts = {"versions": versions(), "device": device(), "parameters": model.count_params()}
    start = time.perf_counter()
    history = trainer.fit(
        x_train,
        targets,
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        verbose=0,
        callbacks=[EpochProgress()] if verbose else [],
    )
    seconds = time.perf_counter() - start
    estimate = estimate and steps_taken(trainer) < steps_needed(model)
    if estimate:
        estimate_statistics(model, x_train[:: -(-len(x_train) // 10_000)])
    loss, accuracy = loss_and_accuracy(model.predict(x_test, batch_size=1000, verbose=0), y_test)
    curves = {name: [float(one) for one in values] for name, values in history.history.items()}
    return Run(
        seed=operator.index(seed),
        recipe=recipe,
        history=curves,
        test_accuracy=accuracy,
        test_loss=loss,
        seconds=seconds,
        estimated_statistics=estimate,
        **facts,
    )


class _Augmented(keras.Model):
    """A network that sees moved images. Nothing is added to the network's own graph."""

    def __init__(self, augmentation: layers.Layer, network: keras.Model) -> None:
        super().__init__(name="augmented")
        self.augmentation, self.network = augmentation, network

    def call(self, images: Any, training: bool | None = None) -> Any:
        return self.network(self.augmentation(images, training=training), training=training)


def initialize(model: keras.Model, seed: int) -> None:
    """Seed every random generator and draw the model's trainable weights anew.

    Moving averages of batch normalization and random states of dropout begin anew as well. Frozen
    layers, frozen weights, and what `adapt` put into a layer stay.

    Args:
        model: built. A layer with weights has a `get_config`, or an `__init__` whose arguments
            Keras can keep.
        seed: a whole number from 0 to below 2**32.

    Raises:
        ValueError: the seed is none, all weights are frozen, or some cannot be drawn anew.
    """
    seed = _number("seed", seed, int)
    if not 0 <= seed < 2**32:  # what NumPy takes
        raise ValueError(f"expected a seed from 0 to {2**32 - 1}, got {seed}")
    if not model.trainable_variables:
        raise ValueError(f"expected weights to train, got none: {model.name!r} is frozen")
    keras.utils.set_random_seed(seed)
    owners = {id(one): layer for layer in model._flatten_layers() for one in _own_variables(layer)}
    weights = {id(variable) for variable in model.weights}
    for variable, new in _new_variables(model):
        owner = owners[id(variable)]
        normalizes = isinstance(owner, layers.BatchNormalization)
        learns = owner.trainable and (normalizes or any(v.trainable for v in _own_variables(owner)))
        # Random state, what learns, and what a layer that learns never meant to be trained.
        if id(variable) not in weights or (learns and (variable.trainable or not new.trainable)):
            variable.assign(new.value)


def _new_variables(layer: Any) -> list[tuple[Any, Any]]:
    """Each variable in a layer beside a new one, made as its class makes it."""
    own, inside = _own_variables(layer), layer._flatten_layers(include_self=False, recursive=False)
    leaf = own or not isinstance(layer, keras.Model)
    twin = _twin(layer) if leaf and layer.variables else None
    for mine, made in (
        (layer.variables, twin.variables if twin else []),
        (own, _own_variables(twin) if twin else []),
    ):
        if [one.shape for one in mine] == [one.shape for one in made]:
            pairs = list(zip(mine, made, strict=True))
            rest = [] if len(mine) == len(layer.variables) else inside
            return pairs + [pair for one in rest for pair in _new_variables(one)]
    if any(variable.trainable for variable in own):
        raise ValueError(
            f"expected a layer whose weights can be drawn anew, got {layer.name!r} of class "
            f"{type(layer).__name__}: give the class a get_config"
        )
    return [pair for one in inside for pair in _new_variables(one)]


def _twin(layer: layers.Layer) -> Any:
    """A layer built of the same configuration; None where it cannot be."""
    try:
        config = layer.get_config()
        try:
            twin = type(layer).from_config(config)
        except TypeError:  # without a `get_config` of its own: what its `__init__` was given
            names = inspect.signature(type(layer).__init__).parameters
            twin = type(layer)(**{name: config[name] for name in names if name in config})
        with warnings.catch_warnings(action="ignore"):  # of layers without a `build`
            twin.build_from_config(layer.get_build_config())
    except (TypeError, ValueError, NotImplementedError):
        return None
    return twin


def _own_variables(layer: layers.Layer) -> list[Any]:
    """A layer's variables, random states among them, without those of the layers inside it."""
    inside = layer._flatten_layers(include_self=False, recursive=False)
    of_others = {id(variable) for one in inside for variable in one.variables}
    return [variable for variable in layer.variables if id(variable) not in of_others]


def smooth_labels(labels: np.ndarray, classes: int, smoothing: float) -> np.ndarray:
    """Spread a share of the truth, 0 to below 1, evenly over all classes.

    Returns:
        Float32 of shape `(n, classes)`; if the share is 0, the integer labels `(n,)` as they are.
    """
    if not smoothing:
        return labels
    return ((1 - smoothing) * np.eye(classes)[labels] + smoothing / classes).astype("float32")


def device() -> str:
    """`"gpu"` where the backend sees one, otherwise `"cpu"`."""
    if keras.backend.backend() == "torch":  # for which Keras lists no devices
        torch = importlib.import_module("torch")
        return "gpu" if torch.cuda.is_available() or torch.backends.mps.is_available() else "cpu"
    try:
        return "gpu" if keras.distribution.list_devices("gpu") else "cpu"
    except RuntimeError:  # what JAX raises where it finds none
        return "cpu"


def versions() -> dict[str, str]:
    """The versions that a run's numbers depend on, under the names that Python imports."""
    backend = keras.backend.backend()
    found = {name: importlib.import_module(name) for name in {backend, "evalib", "keras", "numpy"}}
    numbers = {name: str(found[name].__version__) for name in sorted(found)}
    return {"python": platform.python_version(), "backend": backend, **numbers}


class EpochProgress(keras.callbacks.Callback):
    """One line that is written over after each epoch, in a notebook or a terminal; else nothing."""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.start, self.handle = time.perf_counter(), None
        if "IPython" in sys.modules:
            from IPython import display, get_ipython

            if hasattr(get_ipython(), "kernel"):
                self.pretty = display.Pretty
                self.handle = display.display(self.pretty("training …"), display_id=True)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        values = "  ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
        seconds, epochs = time.perf_counter() - self.start, self.params["epochs"]
        text = f"epoch {epoch + 1}/{epochs}  {values}  {seconds:.0f} s"
        if self.handle:
            self.handle.update(self.pretty(text))
        elif sys.stderr.isatty():
            print(f"\r{text}", end="\n" if epoch + 1 == epochs else "", file=sys.stderr)


def _number(name: str, value: Any, kind: Any) -> Any:
    """A value as Python's own int or float, NumPy's and the like too; no text and no boolean."""
    try:
        if isinstance(value, bool | np.bool_ | str):
            raise TypeError
        return operator.index(value) if kind is int else float(value)
    except (TypeError, ValueError):
        wanted = "a whole number" if kind is int else "a number"
        raise ValueError(
            f"expected {name.replace('_', ' ')} to be {wanted}, got {value!r}"
        ) from None

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
from evalib.training import scoring
from evalib.training.optimizers import SCHEDULES, ConvolutionMuon, WarmupDecay
from evalib.training.scoring import score as score

OPTIMIZERS = ("muon", "adamw", "sgd")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network is trained. The defaults are those of the S3 network.

    A value out of its range raises a ValueError. In a notebook `ev.Recipe??` explains each.
    """

    optimizer: str = "muon"  #: or `"adamw"`, or `"sgd"` with Nesterov's momentum
    epochs: int = 26  #: passes over the training images
    batch_size: int = 256  #: images per step
    peak_learning_rate: float = 0.03  #: the optimizer's highest rate; see `WarmupDecay`
    warmup_share: float = 0.25  #: the share of all steps in which it rises, above 0 and below 1
    schedule: str = "linear"  #: how it falls after its peak; or `"cosine"`, or `"constant"`
    #: How much of each weight a step takes away, times the rate; at least 0 (Loshchilov and Hutter,
    #: 2019). With `"muon"` of the kernels larger than 1x1 alone: all else keeps Keras's 0.004.
    weight_decay: float = 0.05
    momentum: float = 0.9  #: how much of the last steps' direction the next one keeps, 0 to below 1
    rotation: float = 8.0  #: the augmentation's largest angle, in degrees; see `RandomAffine`
    scale: float = 0.12  #: its largest relative change of width and of height
    shear: float = 0.12  #: its largest slant, in pixels per pixel of height
    shift: float = 2.5  #: its largest move along each axis, in pixels
    moved_share: float = 1.0  #: the share of the training images that are moved, above 0 to 1
    label_smoothing: float = 0.0  #: see `smooth_labels`, 0 to below 1 (Szegedy et al., 2016)
    #: How much of the weights' running average a step keeps, 0 to below 1; the network ends with
    #: that average (Polyak and Juditsky, 1992). 0 keeps the last weights.
    averaging: float = 0.0
    teacher_share: float = 0.0  #: a teacher's share of the loss, 0 to 1; above 0 `train` needs one
    temperature: float = 1.0  #: of the comparison with the teacher, above 0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if field.type is not str:
                value = _number(field.name, getattr(self, field.name), field.type)
                object.__setattr__(self, field.name, value)
        for names, wanted, fits in (
            ("optimizer", f"one of {', '.join(OPTIMIZERS)}", OPTIMIZERS.__contains__),
            ("schedule", f"one of {', '.join(SCHEDULES)}", SCHEDULES.__contains__),
            ("epochs batch_size", "at least 1", lambda v: v >= 1),
            ("peak_learning_rate temperature", "finite and above 0", lambda v: 0 < v < math.inf),
            ("warmup_share", "above 0 and below 1", lambda v: 0 < v < 1),
            ("weight_decay", "finite and at least 0", lambda v: 0 <= v < math.inf),
            ("momentum label_smoothing averaging", "from 0 to below 1", lambda v: 0 <= v < 1),
            ("teacher_share", "from 0 to 1", lambda v: 0 <= v <= 1),
        ):
            for name in names.split():
                if not fits(value := getattr(self, name)):
                    raise ValueError(f"expected {name.replace('_', ' ')} {wanted}, got {value!r}")
        check_affine_bounds(self.rotation, self.scale, self.shear, self.shift, self.moved_share)

    def build_optimizer(self, schedule: WarmupDecay) -> keras.optimizers.Optimizer:
        """A new optimizer that follows the schedule."""
        options: dict[str, Any] = {"weight_decay": self.weight_decay}
        options |= {"use_ema": self.averaging > 0, "ema_momentum": self.averaging}
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
    """What one training gave."""

    seed: int
    recipe: Recipe
    parameters: int  #: `count_params()` of the network, moving statistics included
    history: dict[str, list[float]]  #: `loss` and `accuracy` by epoch, on the moved training images
    test_accuracy: float  #: share of held-out images named right after the last epoch, 0 to 1
    test_loss: float  #: mean cross-entropy of the held-out images, in nats
    seconds: float  #: wall-clock time of the training, without the scoring
    versions: dict[str, str]
    device: str
    estimated_statistics: bool = False  #: batch normalization's averages were estimated anew

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
    another. The same seed on the same machine, with as many threads, gives the same bits. A
    ValueError is raised before the first epoch: images or labels do not fit the network, it does
    not give probabilities, or the recipe wants a teacher and there is no trainer.

    Args:
        model: images to class probabilities; any model of Keras with one input. It is left trained.
        data: `(x_train, y_train), (x_test, y_test)` as of `load_mnist`; the second is only scored.
        seed: of the initial weights, the order of the images and the augmentation.
        verbose: show the progress, in a terminal or a notebook.
        trainer: what is fitted instead of the augmented network, such as one with a teacher.
        estimate: after a training shorter than `steps_needed`, estimate the moving averages of
            batch normalization anew on training images before the score (`estimate_statistics`).
    """
    if recipe.teacher_share and trainer is None:
        raise ValueError(f"expected a trainer for a teacher share of {recipe.teacher_share:g}")
    parts = [scoring.check_fit(model, scoring.scale_images(x), y) for x, y in data]
    (x_train, y_train), (x_test, y_test) = parts
    seed = check_seed(seed)
    initialize(model, seed)
    steps = -(-len(x_train) // recipe.batch_size) * recipe.epochs
    schedule = WarmupDecay(recipe.peak_learning_rate, steps, recipe.warmup_share, recipe.schedule)
    classes = model(x_train[:1], training=False).shape[-1]
    targets = smooth_labels(y_train, classes, recipe.label_smoothing)
    trainer = trainer or _Augmented(recipe.augmentation(), model)
    kind = "categorical" if targets.ndim == 2 else "sparse_categorical"
    trainer.compile(recipe.build_optimizer(schedule), f"{kind}_crossentropy", metrics=["accuracy"])
    progress = [EpochProgress()] if verbose else []
    start = time.perf_counter()
    fitted = trainer.fit(x_train, targets, recipe.batch_size, recipe.epochs, 0, progress)
    seconds = time.perf_counter() - start
    estimate = estimate and scoring.steps_taken(trainer) < scoring.steps_needed(model)
    if estimate:
        scoring.estimate_statistics(model, x_train[:: -(-len(x_train) // 10_000)])
    probabilities = model.predict(x_test, batch_size=1000, verbose=0)
    loss, accuracy = scoring.loss_and_accuracy(probabilities, y_test)
    history = {name: [float(one) for one in values] for name, values in fitted.history.items()}
    measured = (model.count_params(), history, accuracy, loss, seconds)
    return Run(seed, recipe, *measured, versions(), device(), estimate)


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
    layers and weights, and what `adapt` put into a layer, stay. The seed is from 0 to below 2**32.
    A layer that Keras cannot make anew, or no weight to train, raises a ValueError.
    """
    seed = check_seed(seed)
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
    made, own_made = (twin.variables, _own_variables(twin)) if twin else ([], [])
    if [one.shape for one in layer.variables] == [one.shape for one in made]:
        return list(zip(layer.variables, made, strict=True))
    if [one.shape for one in own] != [one.shape for one in own_made]:
        if any(variable.trainable for variable in own):
            raise ValueError(
                f"expected a layer whose weights can be drawn anew, got {layer.name!r} of class "
                f"{type(layer).__name__}: give the class a get_config"
            )
        own = own_made = []
    pairs = list(zip(own, own_made, strict=True))
    return pairs + [pair for one in inside for pair in _new_variables(one)]


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
    """Spread a share of the truth over all classes: float32 `(n, classes)`; if 0, labels `(n,)`."""
    labels = scoring.check_labels(labels, classes, len(labels))
    if not smoothing:
        return labels
    return ((1 - smoothing) * np.eye(classes)[labels] + smoothing / classes).astype("float32")


def device() -> str:
    """`"gpu"` where the backend sees one, otherwise `"cpu"`."""
    if keras.backend.backend() == "torch":  # for which Keras lists no devices
        torch = importlib.import_module("torch")
        return "gpu" if torch.cuda.is_available() or torch.backends.mps.is_available() else "cpu"
    found = keras.distribution.list_devices()
    return "gpu" if any(name.startswith("gpu") for name in found) else "cpu"


def versions() -> dict[str, str]:
    """The versions that a run's numbers depend on, under the names that Python imports."""
    backend = keras.backend.backend()
    found = {name: importlib.import_module(name) for name in {backend, "evalib", "keras", "numpy"}}
    numbers = {name: str(found[name].__version__) for name in sorted(found)}
    return {"python": platform.python_version(), "backend": backend, **numbers}


class EpochProgress(keras.callbacks.Callback):
    """One line that is written over after each epoch, in a notebook or a terminal; else nothing."""

    def on_train_begin(self, logs: Any = None) -> None:
        self.start, self.handle = time.perf_counter(), None
        if "IPython" in sys.modules and hasattr(sys.modules["IPython"].get_ipython(), "kernel"):
            from IPython.display import display

            self.handle = display({"text/plain": "training …"}, raw=True, display_id=True)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        values = "  ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
        seconds, epochs = time.perf_counter() - self.start, self.params["epochs"]
        text = f"epoch {epoch + 1}/{epochs}  {values}  {seconds:.0f} s"
        if self.handle:
            self.handle.update({"text/plain": text}, raw=True)
        elif sys.stderr.isatty():
            print(f"\r{text}", end="\n" if epoch + 1 == epochs else "", file=sys.stderr)


def check_seed(seed: Any) -> int:
    """A seed as Python's own int."""
    whole = _number("seed", seed, int)
    if 0 <= whole < 2**32:  # what NumPy takes
        return int(whole)
    raise ValueError(f"expected a seed from 0 to {2**32 - 1:,}, got {whole}")


def _number(name: str, value: Any, kind: Any) -> Any:
    """A value as Python's own int or float, NumPy's and the like too; no text and no boolean."""
    try:
        if isinstance(value, bool | np.bool_ | str):
            raise TypeError
        return operator.index(value) if kind is int else float(value)
    except (TypeError, ValueError, OverflowError):
        wanted = f"{name.replace('_', ' ')} to be {'a whole number' if kind is int else 'a number'}"
        raise ValueError(f"expected {wanted}, got {value!r}") from None

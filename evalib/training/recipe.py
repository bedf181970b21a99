"""The training recipe: one rate schedule, one augmentation, one seed, one score at the end."""

import dataclasses
import importlib
import math
import platform
import sys
import time
from importlib import metadata
from typing import Any

import keras
import numpy as np
from keras import ops
from tqdm import tqdm

from evalib.data.mnist import Arrays, prepare_images
from evalib.networks.layers import RandomAffine, check_affine_bounds
from evalib.training.distillation import Distillation
from evalib.training.optimizers import ConvolutionMuon

OPTIMIZERS = ("muon", "adamw", "sgd")
SCHEDULES = ("linear", "cosine", "constant")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network is trained. The defaults are those of the S3 network.

    Attributes:
        optimizer: `"muon"` (see `ConvolutionMuon`), `"adamw"`, or `"sgd"`, stochastic gradient
            descent with Nesterov's momentum.
        epochs: passes over the training images.
        batch_size: images a step.
        peak_learning_rate: the optimizer's highest rate; see `WarmupDecay`.
        warmup_share: the share of all steps during which the rate rises, above 0 and below 1.
        schedule: how the rate falls after its peak: `"linear"`, `"cosine"` or `"constant"`.
        weight_decay: how much of each weight a step takes away, times the learning rate
            (Loshchilov and Hutter, *Decoupled Weight Decay Regularization*, 2019); at least 0.
            With `"muon"` of the kernels larger than 1x1 alone: all else keeps Keras's 0.004.
        momentum: how much of the last steps' direction the next one keeps, 0 to below 1.
        rotation: the largest angle of the augmentation, in degrees; see `RandomAffine`.
        scale: the largest relative change of width and of height.
        shear: the largest slant, in pixels a pixel.
        shift: the largest move along each axis, in pixels.
        moved_share: the share of the training images that are moved, above 0 to 1.
        label_smoothing: how much of the truth is spread evenly over all classes, 0 to below 1
            (Szegedy et al., 2016).
        averaging: how much of the weights' running average a step keeps, 0 to below 1; the network
            ends with that average (Polyak and Juditsky, 1992). 0 keeps the last weights.
        teacher_share: how much of the loss a teacher's probabilities have, 0 to 1; see
            `Distillation`. Above 0, `train` needs a teacher.
        temperature: of the comparison with the teacher, above 0.
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
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"expected one of {', '.join(OPTIMIZERS)}, got {self.optimizer!r}")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"expected one of {', '.join(SCHEDULES)}, got {self.schedule!r}")
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(
                f"expected at least 1 epoch and 1 image a batch, got {self.epochs} and "
                f"{self.batch_size}"
            )
        if not 0 < self.peak_learning_rate < math.inf:
            raise ValueError(f"expected a finite rate above 0, got {self.peak_learning_rate}")
        check_affine_bounds(self.rotation, self.scale, self.shear, self.shift, self.moved_share)
        if not 0 < self.warmup_share < 1:
            raise ValueError(f"expected a share between 0 and 1, got {self.warmup_share}")
        if not self.weight_decay >= 0:
            raise ValueError(f"expected a decay of at least 0, got {self.weight_decay}")
        for name in ("momentum", "label_smoothing", "averaging"):
            if not 0 <= getattr(self, name) < 1:
                words = name.replace("_", " ")
                raise ValueError(f"expected {words} from 0 to below 1, got {getattr(self, name)}")
        if not (0 <= self.teacher_share <= 1 and self.temperature > 0):
            raise ValueError(
                "expected a teacher share from 0 to 1 and a temperature above 0, got "
                f"{self.teacher_share} and {self.temperature}"
            )

    def build_optimizer(self, schedule: "WarmupDecay") -> keras.optimizers.Optimizer:
        """A new optimizer that follows the schedule."""
        options: dict[str, Any] = {"weight_decay": self.weight_decay}
        if self.averaging:
            options |= {"use_ema": True, "ema_momentum": self.averaging}
        if self.optimizer == "adamw":
            return keras.optimizers.AdamW(schedule, beta_1=self.momentum, **options)
        if self.optimizer == "sgd":
            return keras.optimizers.SGD(schedule, float(self.momentum), nesterov=True, **options)
        return ConvolutionMuon(schedule, momentum=self.momentum, **options)

    def augmentation(self) -> RandomAffine:
        """The layer that moves the training images."""
        bounds = self.rotation, self.scale, self.shear, self.shift
        return RandomAffine(*bounds, share=self.moved_share)


@dataclasses.dataclass(frozen=True)
class Run:
    """What one training gave.

    Attributes:
        seed: what `train` was called with.
        recipe: likewise.
        parameters: `count_params()` of the network, moving statistics included.
        history: `loss` and `accuracy` of each epoch, on the augmented training images.
        test_accuracy: the share of held-out images named right after the last epoch, 0 to 1.
        test_loss: the mean cross-entropy of the held-out images, in nats.
        seconds: wall-clock time of the training, without the scoring.
        versions: of Python, Keras, its backend, NumPy and evalib.
        device: `"cpu"` or `"gpu"`.
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

    def record(self) -> dict[str, object]:
        """The run as plain values for a JSON file."""
        return {
            "seed": self.seed,
            "test_accuracy": self.test_accuracy,
            "test_loss": self.test_loss,
            "parameters": self.parameters,
            "epochs": self.recipe.epochs,
            "seconds": round(self.seconds, 1),
            "device": self.device,
            "recipe": dataclasses.asdict(self.recipe),
            "history": self.history,
            "versions": self.versions,
        }


@keras.saving.register_keras_serializable("evalib")
class WarmupDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises in a straight line to its peak, then falls to zero.

    With a straight fall it is the triangle of the one-cycle policy (Smith, 2018,
    arXiv:1803.09820), without its momentum cycle. The cosine is that of Loshchilov and Hutter
    (*SGDR*, 2017): half a wave, from its top to its bottom.

    Args:
        peak: the highest rate.
        steps: the number of optimizer steps in all.
        warmup_share: the share of the steps before the peak.
        shape: of the fall: `"linear"`, `"cosine"`, or `"constant"`, which does not fall.
    """

    def __init__(self, peak: float, steps: int, warmup_share: float, shape: str = "linear") -> None:
        super().__init__()
        self.peak, self.steps, self.warmup_share, self.shape = peak, steps, warmup_share, shape

    def __call__(self, step: int) -> keras.KerasTensor:
        progress = (ops.cast(step, "float32") + 1.0) / self.steps
        rising, falling = progress / self.warmup_share, (1 - progress) / (1 - self.warmup_share)
        falling = ops.clip(falling, 0.0, 1.0)
        if self.shape == "cosine":
            falling = 0.5 - 0.5 * ops.cos(math.pi * falling)
        elif self.shape == "constant":
            falling = ops.ones_like(falling)
        return self.peak * ops.minimum(rising, falling)

    def get_config(self) -> dict[str, Any]:
        names = ("peak", "steps", "warmup_share", "shape")
        return {name: getattr(self, name) for name in names}


def train(
    model: keras.Model,
    recipe: Recipe,
    data: tuple[Arrays, Arrays],
    seed: int,
    verbose: bool = True,
    teacher: keras.Model | None = None,
) -> Run:
    """Train a network from fresh weights and score it once, after the last epoch.

    The weights are drawn anew from the seed, whatever the model held before, so that no run
    continues another. The same seed on the same machine, with as many threads, gives the same
    bits.

    Args:
        model: images of shape `(batch, 28, 28, 1)` in [0, 1] to class probabilities.
        recipe: how to train it.
        data: `(x_train, y_train), (x_test, y_test)` as `load_mnist` or `split_validation` gives
            them. The second pair is only scored.
        seed: of the initial weights, the order of the images and the augmentation.
        verbose: show the progress, in a terminal or a notebook.
        teacher: a trained network of the same input and classes, if the recipe learns from one.

    Returns:
        The run's record. The model is left trained.

    Raises:
        ValueError: the images do not fit the network, a label is out of its range, or the recipe
            wants a teacher and there is none, or the other way round.
    """
    if (teacher is None) == (recipe.teacher_share > 0):
        raise ValueError(
            f"a teacher share of {recipe.teacher_share:g} goes with "
            f"{'a' if recipe.teacher_share else 'no'} teacher"
        )
    (x_train, y_train), (x_test, y_test) = data
    x_train, x_test = prepare_images(x_train), prepare_images(x_test)
    check_fit(model, x_train, y_train)
    check_fit(model, x_test, y_test)
    initialize(model, seed)
    targets = smooth_labels(y_train, model.output_shape[-1], recipe.label_smoothing)
    trainer = build_trainer(model, recipe, teacher)
    steps = -(-len(x_train) // recipe.batch_size) * recipe.epochs
    schedule = WarmupDecay(recipe.peak_learning_rate, steps, recipe.warmup_share, recipe.schedule)
    trainer.compile(
        optimizer=recipe.build_optimizer(schedule),
        loss="sparse_categorical_crossentropy"
        if targets is y_train
        else "categorical_crossentropy",
        metrics=["accuracy"],
    )
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
    test_accuracy, test_loss = score(model, x_test, y_test)
    return Run(
        seed=seed,
        recipe=recipe,
        parameters=model.count_params(),
        history={
            key: [float(value) for value in values] for key, values in history.history.items()
        },
        test_accuracy=test_accuracy,
        test_loss=test_loss,
        seconds=seconds,
        versions=versions(),
        device=device(),
    )


def build_trainer(
    model: keras.Model, recipe: Recipe, teacher: keras.Model | None = None
) -> keras.Model:
    """The network behind its augmentation, beside its teacher if it has one."""
    if teacher is None:
        parts = [keras.Input(model.input_shape[1:]), recipe.augmentation(), model]
        return keras.Sequential(parts)
    return Distillation(
        recipe.augmentation(),
        model,
        teacher,
        share=recipe.teacher_share,
        temperature=recipe.temperature,
    )


def initialize(model: keras.Model, seed: int) -> None:
    """Seed every random generator and draw the model's weights anew."""
    keras.utils.set_random_seed(seed)
    fresh = keras.models.clone_model(model)
    # Not the weights alone: dropout's random numbers have a state as well.
    for variable, value in zip(model.variables, fresh.variables, strict=True):
        variable.assign(value)


def smooth_labels(labels: np.ndarray, classes: int, smoothing: float) -> np.ndarray:
    """Spread a share of the truth evenly over all classes.

    Args:
        labels: integers of shape `(n,)`.
        classes: how many there are.
        smoothing: the share, 0 to below 1.

    Returns:
        The labels as they are if the share is 0, otherwise float32 of shape `(n, classes)`.
    """
    if not smoothing:
        return labels
    return ((1 - smoothing) * np.eye(classes)[labels] + smoothing / classes).astype("float32")


def score(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Accuracy and loss of a network's answers.

    Args:
        model: gives class probabilities.
        images: uint8 of shape `(n, 28, 28)`, or float in [0, 1] of shape `(n, 28, 28, 1)`.
        labels: integers of shape `(n,)`.

    Returns:
        The share of images whose most probable class is their label, 0 to 1: a count over `n`,
        without the rounding of a running mean. And the mean cross-entropy, in nats, where no
        probability counts as less than 1e-7.
    """
    probabilities = model.predict(prepare_images(images), batch_size=1000, verbose=0)
    given_to_truth = probabilities[np.arange(len(labels)), labels].astype("float64")
    losses = -np.log(np.maximum(given_to_truth, 1e-7))
    return float(np.mean(probabilities.argmax(axis=1) == labels)), float(losses.mean())


def check_fit(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> None:
    """Raise a ValueError where images and labels do not fit the network."""
    if images.shape[1:] != model.input_shape[1:]:
        raise ValueError(f"expected images of shape {model.input_shape}, got {images.shape}")
    if labels.shape != (len(images),):
        raise ValueError(f"expected labels of shape ({len(images)},), got {labels.shape}")
    classes = model.output_shape[-1]
    if not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError(
            f"expected labels from 0 to {classes - 1}, got {labels.min()} to {labels.max()}"
        )


def device() -> str:
    """`"gpu"` where the backend sees one, otherwise `"cpu"`."""
    if keras.backend.backend() == "torch":  # for which Keras lists no devices
        torch = importlib.import_module("torch")
        return "gpu" if torch.cuda.is_available() or torch.backends.mps.is_available() else "cpu"
    try:
        return "gpu" if keras.distribution.list_devices("gpu") else "cpu"
    except RuntimeError:  # what JAX answers where it finds none
        return "cpu"


def versions() -> dict[str, str]:
    """The versions that a run's numbers depend on."""
    backend = keras.backend.backend()
    packages = {"keras", backend, "numpy", "evalib"}
    return {
        "python": platform.python_version(),
        "backend": backend,
        **{name: _version(name) for name in sorted(packages)},
    }


def _version(name: str) -> str:
    """The version of a package, under whatever name it was installed: tensorflow-cpu is one."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return str(getattr(importlib.import_module(name), "__version__", "unknown"))


class EpochProgress(keras.callbacks.Callback):
    """One line that is written over after each epoch: a bar in a terminal, a text in a notebook.

    A log file or a pipe gets nothing.
    """

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.start = time.perf_counter()
        self.handle = _notebook_display("training …") if _in_notebook() else None
        # disable=None: the bar shows in a terminal only.
        hidden = True if self.handle else None
        self.bar = tqdm(total=self.params["epochs"], unit="epoch", disable=hidden, leave=False)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        values = "  ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
        self.bar.set_postfix_str(values)
        self.bar.update()
        if self.handle:
            seconds = time.perf_counter() - self.start
            text = f"epoch {epoch + 1}/{self.params['epochs']}  {values}  {seconds:.0f} s"
            self.handle.update({"text/plain": text}, raw=True)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.bar.close()


def _in_notebook() -> bool:
    """Whether a Jupyter kernel runs this code."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return get_ipython() is not None and hasattr(get_ipython(), "kernel")


def _notebook_display(text: str):  # type: ignore[no-untyped-def]  # IPython has no types
    from IPython.display import display

    return display({"text/plain": text}, raw=True, display_id=True)

"""The training recipe: one rate schedule, one augmentation, one seed, one score at the end."""

import dataclasses
import platform
import sys
import time
from importlib import metadata

import keras
import numpy as np
from keras import ops
from tqdm import tqdm

from evalib.data import Arrays, prepare_images
from evalib.layers import RandomAffine
from evalib.optimizers import ConvolutionMuon

OPTIMIZERS = ("muon", "adamw")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network is trained. The defaults are those of the S3 network.

    Attributes:
        optimizer: `"muon"` or `"adamw"`; see `ConvolutionMuon`.
        epochs: passes over the training images.
        batch_size: images a step.
        peak_learning_rate: the optimizer's highest rate; see `WarmupThenDecay`.
        warmup_share: the share of all steps during which the rate rises, above 0 and below 1.
        weight_decay: how much of a kernel's weights a step takes away, times the learning rate
            (Loshchilov and Hutter, *Decoupled Weight Decay Regularization*, 2019); at least 0.
        momentum: how much of the last steps' direction the next one keeps, 0 to below 1.
        rotation: the largest angle of the augmentation, in degrees; see `RandomAffine`.
        scale: the largest relative change of width and of height.
        shear: the largest slant, in pixels a pixel.
        shift: the largest move along each axis, in pixels.
    """

    optimizer: str = "muon"
    epochs: int = 26
    batch_size: int = 256
    peak_learning_rate: float = 0.03
    warmup_share: float = 0.25
    weight_decay: float = 0.05
    momentum: float = 0.9
    rotation: float = 8.0
    scale: float = 0.12
    shear: float = 0.12
    shift: float = 2.5

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"expected one of {', '.join(OPTIMIZERS)}, got {self.optimizer!r}")
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(
                f"expected at least 1 epoch and 1 image a batch, got {self.epochs} and "
                f"{self.batch_size}"
            )
        if not self.peak_learning_rate > 0:
            raise ValueError(f"expected a rate above 0, got {self.peak_learning_rate}")
        if not 0 < self.warmup_share < 1:
            raise ValueError(f"expected a share between 0 and 1, got {self.warmup_share}")
        if not self.weight_decay >= 0:
            raise ValueError(f"expected a decay of at least 0, got {self.weight_decay}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"expected a momentum from 0 to below 1, got {self.momentum}")

    def build_optimizer(self, schedule: "WarmupThenDecay") -> keras.optimizers.Optimizer:
        """A new optimizer that follows the schedule."""
        if self.optimizer == "adamw":
            return keras.optimizers.AdamW(
                schedule, weight_decay=self.weight_decay, beta_1=self.momentum
            )
        return ConvolutionMuon(schedule, weight_decay=self.weight_decay, momentum=self.momentum)

    def augmentation(self) -> RandomAffine:
        """The layer that moves the training images."""
        return RandomAffine(self.rotation, self.scale, self.shear, self.shift)


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
class WarmupThenDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises in a straight line to its peak, then falls in one to zero.

    The triangle of the one-cycle policy (Smith, 2018, arXiv:1803.09820), without its momentum
    cycle.

    Args:
        peak: the highest rate.
        steps: the number of optimizer steps in all.
        warmup_share: the share of the steps before the peak.
    """

    def __init__(self, peak: float, steps: int, warmup_share: float) -> None:
        super().__init__()
        self.peak, self.steps, self.warmup_share = peak, steps, warmup_share

    def __call__(self, step: int) -> keras.KerasTensor:
        progress = (ops.cast(step, "float32") + 1.0) / self.steps
        rising, falling = progress / self.warmup_share, (1 - progress) / (1 - self.warmup_share)
        return self.peak * ops.maximum(ops.minimum(rising, falling), 0.0)

    def get_config(self) -> dict[str, float]:
        return {"peak": self.peak, "steps": self.steps, "warmup_share": self.warmup_share}


def train(
    model: keras.Model, recipe: Recipe, data: tuple[Arrays, Arrays], seed: int, verbose: bool = True
) -> Run:
    """Train a network from fresh weights and score it once, after the last epoch.

    The weights are drawn anew from the seed, whatever the model held before, so that no run
    continues another. The same seed on the same machine gives the same bits.

    Args:
        model: images of shape `(batch, 28, 28, 1)` in [0, 1] to class probabilities.
        recipe: how to train it.
        data: `(x_train, y_train), (x_test, y_test)` as `load_mnist` or `split_validation` gives
            them. The second pair is only scored.
        seed: of the initial weights, the order of the images and the augmentation.
        verbose: show the progress, in a terminal or a notebook.

    Returns:
        The run's record. The model is left trained.

    Raises:
        ValueError: the images do not fit the network, or a label is out of its range.
    """
    (x_train, y_train), (x_test, y_test) = data
    x_train, x_test = prepare_images(x_train), prepare_images(x_test)
    check_fit(model, x_train, y_train)
    check_fit(model, x_test, y_test)
    initialize(model, seed)
    trainer = keras.Sequential([keras.Input(model.input_shape[1:]), recipe.augmentation(), model])
    steps = -(-len(x_train) // recipe.batch_size) * recipe.epochs
    schedule = WarmupThenDecay(recipe.peak_learning_rate, steps, recipe.warmup_share)
    trainer.compile(
        optimizer=recipe.build_optimizer(schedule),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    start = time.perf_counter()
    history = trainer.fit(
        x_train,
        y_train,
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


def initialize(model: keras.Model, seed: int) -> None:
    """Seed every random generator and draw the model's weights anew."""
    keras.utils.set_random_seed(seed)
    model.set_weights(keras.models.clone_model(model).get_weights())


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
    """`"gpu"` where Keras sees one, otherwise `"cpu"`."""
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
        **{name: metadata.version(name) for name in sorted(packages)},
    }


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

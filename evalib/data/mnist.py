"""MNIST from a file inside the package, and a fair way to cut a validation part from it."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evalib.filters import as_array

Arrays = tuple[np.ndarray, np.ndarray]

MNIST_FILE = Path(__file__).with_name("mnist.npz")
MNIST_SHA256 = "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64"
_REPAIR = (
    "To repair it, run `git checkout -- evalib/data/mnist.npz` in a checkout, install evalib again "
    "elsewhere, or build the file with scripts/build_mnist.py."
)


def load_mnist(file: str | Path = MNIST_FILE) -> tuple[Arrays, Arrays]:
    """Load the 60,000 training and 10,000 test digits.

    The arrays are those of `keras.datasets.mnist.load_data()`, without the download.

    Args:
        file: where the data is; by default the copy inside the package.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images as uint8 of shape `(n, 28, 28)`, 0 for
        paper to 255 for ink; labels as uint8 of shape `(n,)`, 0 to 9.

    Raises:
        FileNotFoundError: the file is not there.
        ValueError: the file is not, byte for byte, the one that was built.
    """
    arrays = _read_checked(Path(file))
    return (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])


def split_validation(
    images: Any, labels: Any, count: int = 10_000, *, seed: int = 0
) -> tuple[Arrays, Arrays]:
    """Cut a stratified validation part from training data.

    Each class contributes the same share of its images. MNIST's file is in the order of its
    writers, so both parts hold digits of the same hands: its last 10,000 images are a stricter
    part (see notebook 06).

    Args:
        images: training images, shape `(n, ...)`. Pandas objects stay pandas objects.
        labels: their classes as whole numbers, shape `(n,)`.
        count: how many images the validation part gets, at least 1 and less than `n`.
        seed: which images these are.

    Returns:
        `(x_fit, y_fit), (x_validation, y_validation)`, each in the order of the whole.

    Raises:
        ValueError: the labels are not one whole number per image, or `count` is out of its range.
    """
    classes = as_array(labels, "labels")
    images = images if hasattr(images, "iloc") else as_array(images, "images")
    labels = labels if hasattr(labels, "iloc") else classes
    if classes.ndim != 1 or len(images) != len(classes):
        raise ValueError(f"expected {len(images)} labels, one per image, got {classes.shape}")
    if not (np.isfinite(classes) & (classes == np.rint(classes))).all():
        raise ValueError("expected labels that are whole numbers, got fractions or missing ones")
    if not hasattr(count, "__index__") or not 0 < count < len(classes):
        raise ValueError(f"expected a whole count from 1 to {len(classes) - 1}, got {count}")
    generator = np.random.default_rng(seed)
    chosen = np.zeros(len(classes), bool)
    for label, share in _class_shares(classes, count).items():
        chosen[generator.permutation(np.flatnonzero(classes == label))[:share]] = True
    return (images[~chosen], labels[~chosen]), (images[chosen], labels[chosen])


def prepare_images(images: Any) -> np.ndarray:
    """Bring digits into the form that the networks take.

    Args:
        images: uint8 from 0 to 255, or floats or booleans from 0 to 1, of shape
            `(n, height, width)` or `(n, height, width, 1)`.

    Returns:
        A new array, float32 from 0 to 1, shape `(n, height, width, 1)`.

    Raises:
        ValueError: the shape is another one, or the values are neither bytes nor in [0, 1].

    Example:
        >>> digit = prepare_images(np.full((1, 28, 28), 51, np.uint8))
        >>> digit.shape, round(float(digit[0, 0, 0, 0]), 2)
        ((1, 28, 28, 1), 0.2)
    """
    images = as_array(images, "images")
    if images.ndim not in (3, 4) or images.shape[3:] not in ((), (1,)) or images.size == 0:
        raise ValueError(
            "expected at least one image, shape (n, height, width) or (n, height, width, 1), "
            f"got {images.shape}"
        )
    scaled = images.astype("float32")
    if images.dtype == np.uint8:
        scaled /= 255
    # Integers of other types could be meant either way. NaN fails, too.
    elif images.dtype.kind in "iu" or not (scaled.min() >= 0 and scaled.max() <= 1):
        raise ValueError(
            f"expected uint8, or floats from 0 to 1, got {images.dtype} from {images.min()} to "
            f"{images.max()}: divide by 255 if these are bytes"
        )
    return scaled.reshape(*images.shape[:3], 1)


def _class_shares(labels: np.ndarray, count: int) -> dict[int, int]:
    """How many images each class contributes, by the method of largest remainders."""
    classes, sizes = np.unique(labels, return_counts=True)
    exact = sizes * count / len(labels)
    shares = np.floor(exact).astype(int)
    largest_remainders = np.argsort(shares - exact, kind="stable")[: count - shares.sum()]
    shares[largest_remainders] += 1
    return dict(zip(classes.tolist(), shares.tolist(), strict=True))


def _read_checked(file: Path) -> Mapping[str, np.ndarray]:
    """Read the arrays of a file whose SHA-256 is right."""
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing. {_REPAIR}")
    content = file.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != MNIST_SHA256:
        raise ValueError(
            f"{file} is truncated or altered: expected SHA-256 {MNIST_SHA256}, "
            f"found {found} ({len(content):,} bytes). {_REPAIR}"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}

"""MNIST from a file inside the package, and a fair way to cut a validation part from it."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

Arrays = tuple[np.ndarray, np.ndarray]

MNIST_FILE = Path(__file__).with_name("mnist.npz")
MNIST_SHA256 = "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64"


def load_mnist(file: Path = MNIST_FILE) -> tuple[Arrays, Arrays]:
    """Load the 60,000 training and 10,000 test digits.

    The arrays are those of `keras.datasets.mnist.load_data()`, without the download.

    Args:
        file: where the data lies; the copy inside the package unless told otherwise.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images as uint8 of shape `(n, 28, 28)`, 0 for
        paper to 255 for ink; labels as uint8 of shape `(n,)`, 0 to 9.

    Raises:
        FileNotFoundError: the file is not there.
        ValueError: the file is not, byte for byte, the one that was built.
    """
    arrays = _read_checked(file)
    return (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])


def split_validation(
    images: np.ndarray, labels: np.ndarray, count: int = 10_000, *, seed: int = 0
) -> tuple[Arrays, Arrays]:
    """Cut a stratified validation part from training data.

    Every class gives the same share of its images, so that the part has the class mixture of
    the whole. Choices of network and recipe are made on it; the test images stay unseen. MNIST's
    file is in the order of its writers, so both parts hold digits of the same hands: its last
    10,000 images are a stricter part (notebook 06 measures it).

    Args:
        images: training images, shape `(n, ...)`.
        labels: their classes as integers, shape `(n,)`.
        count: how many images the validation part gets, at least 1 and less than `n`.
        seed: which images these are.

    Returns:
        `(x_fit, y_fit), (x_validation, y_validation)`, each in the order of the whole.

    Raises:
        ValueError: the lengths differ, or `count` leaves one of the parts empty.
    """
    if len(images) != len(labels):
        raise ValueError(f"expected a label an image, got {len(images)} and {len(labels)}")
    if not 0 < count < len(labels):
        raise ValueError(f"expected a count from 1 to {len(labels) - 1}, got {count}")
    generator = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), bool)
    for label, share in _class_shares(labels, count).items():
        chosen[generator.permutation(np.flatnonzero(labels == label))[:share]] = True
    return (images[~chosen], labels[~chosen]), (images[chosen], labels[chosen])


def prepare_images(images: np.ndarray) -> np.ndarray:
    """Bring digits into the form that the networks take.

    Args:
        images: uint8 from 0 to 255, or float from 0 to 1, of shape `(n, height, width)` or
            `(n, height, width, 1)`.

    Returns:
        float32 from 0 to 1, shape `(n, height, width, 1)`.

    Raises:
        ValueError: the rank is neither 3 nor 4, there are no images, or floats leave [0, 1].

    Example:
        >>> digit = prepare_images(np.full((1, 28, 28), 51, np.uint8))
        >>> digit.shape, round(float(digit[0, 0, 0, 0]), 2)
        ((1, 28, 28, 1), 0.2)
    """
    if images.ndim not in (3, 4):
        raise ValueError(
            f"expected shape (n, height, width) or (n, height, width, 1), got {images.shape}"
        )
    if len(images) == 0:
        raise ValueError("expected at least one image, got none")
    if images.dtype == np.uint8:
        scaled = images.astype("float32") / 255
    else:
        scaled = images.astype("float32", copy=False)
        # Written so that NaN fails too.
        if not (scaled.min() >= 0 and scaled.max() <= 1):
            raise ValueError(
                f"expected floats from 0 to 1, got {scaled.min():g} to {scaled.max():g}: "
                "divide by 255 first"
            )
    return scaled if scaled.ndim == 4 else scaled[..., np.newaxis]


def _class_shares(labels: np.ndarray, count: int) -> dict[int, int]:
    """How many images each class gives, by the method of largest remainders."""
    classes, sizes = np.unique(labels, return_counts=True)
    exact = sizes * count / len(labels)
    shares = np.floor(exact).astype(int)
    most_left_over = np.argsort(shares - exact, kind="stable")[: count - shares.sum()]
    shares[most_left_over] += 1
    return dict(zip(classes.tolist(), shares.tolist(), strict=True))


def _read_checked(file: Path) -> Mapping[str, np.ndarray]:
    """Read the arrays of a file whose SHA-256 was found right."""
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing. {_MEND}")
    content = file.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != MNIST_SHA256:
        raise ValueError(
            f"{file} is truncated or altered: expected SHA-256 {MNIST_SHA256}, "
            f"found {found} ({len(content):,} bytes). {_MEND}"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


_MEND = (
    "To mend it, run `git checkout -- evalib/mnist.npz` in a checkout, install evalib again "
    "elsewhere, or build the file anew with scripts/build_mnist.py."
)

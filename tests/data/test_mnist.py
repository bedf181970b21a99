"""MNIST against published facts and the IDX checksums; the validation split against counting;
photographs against scikit-image's arrays.
"""

import hashlib
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
import skimage.data
import skimage.transform

from evalib.data.mnist import MNIST_FILE, load_mnist, prepare_images, split_validation
from evalib.data.photos import PHOTOS, sample_photo

# How many training and test images each digit has, as printed in many papers.
TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def idx_md5(array: np.ndarray) -> str:
    """The MD5 sum of the IDX file that would hold this array."""
    header = b"\x00\x00\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return hashlib.md5(header + array.tobytes(), usedforsecurity=False).hexdigest()


def test_arrays_are_the_idx_files_byte_for_byte(mnist):
    (x_train, y_train), (x_test, y_test) = mnist
    assert idx_md5(x_train) == "6bbc9ace898e44ae57da46a324031adb"
    assert idx_md5(y_train) == "a25bea736e30d166cdddb491f175f624"
    assert idx_md5(x_test) == "2646ac647ad5339dbf082846283269ea"
    assert idx_md5(y_test) == "27ae3e4e09519cfbb04c329615203637"


def test_shapes_types_and_published_statistics(mnist):
    (x_train, y_train), (x_test, y_test) = mnist
    assert x_train.shape == (60_000, 28, 28)
    assert x_test.shape == (10_000, 28, 28)
    assert {a.dtype for a in (x_train, y_train, x_test, y_test)} == {np.dtype("uint8")}
    assert np.bincount(y_train).tolist() == TRAIN_COUNTS
    assert np.bincount(y_test).tolist() == TEST_COUNTS
    # The two constants with which half the world normalizes MNIST.
    assert x_train.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert x_train.std() / 255 == pytest.approx(0.3081, abs=5e-5)


def test_loading_takes_less_than_a_second():
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        load_mnist()
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 1


@pytest.mark.parametrize("damage", ["truncated", "altered"])
def test_a_damaged_file_is_refused_with_both_sums_and_the_mend(tmp_path, damage):
    content = bytearray(MNIST_FILE.read_bytes())
    expected = hashlib.sha256(content).hexdigest()
    if damage == "truncated":
        content = content[:-1000]
    else:
        content[5_000_000] ^= 1
    file = tmp_path / "mnist.npz"
    file.write_bytes(content)
    with pytest.raises(ValueError, match="truncated or altered") as error:
        load_mnist(file)
    message = str(error.value)
    for part in (str(file), expected, hashlib.sha256(content).hexdigest(), "git checkout"):
        assert part in message


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npz is missing"):
        load_mnist(tmp_path / "nowhere.npz")


def test_the_build_script_checks_sums_and_builds_the_same_arrays(tmp_path, mnist, repository):
    (x_train, y_train), (x_test, y_test) = mnist
    names = {
        "train-images-idx3-ubyte": x_train,
        "train-labels-idx1-ubyte": y_train,
        "t10k-images-idx3-ubyte": x_test,
        "t10k-labels-idx1-ubyte": y_test,
    }
    for name, array in names.items():
        header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
        (tmp_path / name).write_bytes(header + array.tobytes())
    script = [sys.executable, str(repository / "scripts" / "build_mnist.py"), str(tmp_path)]
    target = tmp_path / "built.npz"
    subprocess.run([*script, "--target", str(target)], check=True, capture_output=True)
    with np.load(target, allow_pickle=False) as built:
        assert (built["x_test"] == x_test).all()
        assert (built["y_train"] == y_train).all()

    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(b"\x00" * 10_008)
    refused = subprocess.run(
        [*script, "--target", str(tmp_path / "no.npz")], capture_output=True, text=True
    )
    assert refused.returncode != 0
    assert "27ae3e4e09519cfbb04c329615203637" in refused.stderr
    assert not list(tmp_path.glob("no.npz*"))


def test_the_validation_part_is_stratified_and_apart_from_the_rest(mnist):
    (images, labels), _ = mnist
    (x_fit, y_fit), (x_validation, y_validation) = split_validation(images, labels, 10_000)
    assert x_fit.shape == (50_000, 28, 28)
    assert len(y_fit) == 50_000
    assert len(x_validation) == len(y_validation) == 10_000
    exact = np.array(TRAIN_COUNTS) / 6
    assert (np.abs(np.bincount(y_validation) - exact) < 1).all()
    assert int(x_fit.sum(dtype=np.int64) + x_validation.sum(dtype=np.int64)) == images.sum()


def test_the_split_follows_its_seed():
    images, labels = np.arange(100), np.repeat([0, 1], 50)
    first = split_validation(images, labels, 20, seed=1)[1][0]
    again = split_validation(images, labels, 20, seed=1)[1][0]
    other = split_validation(images, labels, 20, seed=2)[1][0]
    assert (first == again).all()
    assert (first != other).any()


def test_splits_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="from 1 to 9, got 10"):
        split_validation(np.zeros(10), np.zeros(10, int), 10)
    with pytest.raises(ValueError, match="got 10 and 9"):
        split_validation(np.zeros(10), np.zeros(9, int), 2)


def test_prepared_images_are_floats_between_0_and_1_with_a_channel():
    bytes_in = np.array([[[0, 51], [102, 255]]], "uint8")
    prepared = prepare_images(bytes_in)
    assert prepared.shape == (1, 2, 2, 1)
    assert prepared.dtype == np.float32
    np.testing.assert_allclose(prepared.ravel(), [0, 0.2, 0.4, 1], rtol=1e-6)
    assert (prepare_images(prepared) == prepared).all()


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((28, 28), "uint8"), r"got \(28, 28\)"),
        (np.full((1, 2, 2), 3.0), "divide by 255"),
        (np.full((1, 2, 2), np.nan), "got nan"),
        (np.zeros((0, 28, 28), "uint8"), "at least one image"),
    ],
)
def test_images_that_do_not_fit_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        prepare_images(images)


def test_a_photo_at_its_own_size_is_scikit_images_array():
    np.testing.assert_array_equal(sample_photo("astronaut", 512), skimage.data.astronaut())
    # 400 of 600 columns: the hundred on either side are cut off.
    np.testing.assert_array_equal(sample_photo("coffee", 400), skimage.data.coffee()[:, 100:500])


def test_a_gray_photo_has_three_equal_channels():
    photo = sample_photo("camera", 512)
    assert photo.shape == (512, 512, 3)
    for channel in range(3):
        np.testing.assert_array_equal(photo[..., channel], skimage.data.camera())


def test_half_the_size_is_scikit_images_own_resizing():
    floats = skimage.data.astronaut() / 255
    expected = 255 * skimage.transform.resize(floats, (256, 256), anti_aliasing=True)
    assert np.abs(sample_photo("astronaut", 256) - expected).max() <= 0.5001


@pytest.mark.parametrize("name", PHOTOS)
def test_every_photo_comes_from_the_wheel(name):
    # Pooch is no dependency of ours, and without it scikit-image looks in its wheel alone.
    photo = sample_photo(name, 32)
    assert photo.shape == (32, 32, 3)
    assert photo.dtype == np.uint8
    assert photo.max() > photo.min()


def test_a_photo_is_the_callers_own():
    sample_photo("camera", 512)[:] = 0
    sample_photo("astronaut", 512)[:] = 0
    assert sample_photo("camera", 512).any()
    assert sample_photo("astronaut", 512).any()


def test_sizes_of_one_pixel_and_of_more_than_the_photo_has_are_fine():
    assert sample_photo("astronaut", 1).shape == (1, 1, 3)
    assert sample_photo("text", 200).shape == (200, 200, 3)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("dog", 400, r"expected a photograph of astronaut, .* text, got 'dog'"),
        ("astronaut", 0, "at least 1 pixel, got 0"),
    ],
)
def test_photos_that_cannot_be_are_refused(name, size, message):
    with pytest.raises(ValueError, match=message):
        sample_photo(name, size)

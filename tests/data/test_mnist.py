"""MNIST against published facts and the IDX checksums; the validation split against counting."""

import hashlib
import struct
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from keras import ops

from evalib.data.mnist import MNIST_FILE, load_mnist, prepare_images, split_validation

# How many training images each digit has, as printed in many papers.
TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
# The files in which MNIST was published, each array's MD5 sum as such a file.
IDX = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
LABELS = np.arange(10) % 2


def idx(array: np.ndarray) -> bytes:
    """The IDX file that would hold this array."""
    header = b"\x00\x00\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def test_arrays_are_the_idx_files_byte_for_byte(mnist):
    arrays = [array for pair in mnist for array in pair]
    assert {array.dtype for array in arrays} == {np.dtype("uint8")}
    sums = [hashlib.md5(idx(array), usedforsecurity=False).hexdigest() for array in arrays]
    assert sums == list(IDX.values())
    assert np.bincount(mnist[0][1]).tolist() == TRAIN_COUNTS


def test_a_damaged_file_is_refused_with_both_sums_and_the_mend(tmp_path):
    content = bytearray(MNIST_FILE.read_bytes())
    expected = hashlib.sha256(content).hexdigest()
    content[5_000_000] ^= 1
    file = tmp_path / "mnist.npz"
    with pytest.raises(FileNotFoundError, match=r"mnist\.npz"):
        load_mnist(file)
    file.write_bytes(content)
    with pytest.raises(ValueError, match="truncated or altered") as error:
        load_mnist(str(file))
    for part in (str(file), expected, hashlib.sha256(content).hexdigest(), "git checkout"):
        assert part in str(error.value)


def test_the_build_script_checks_sums_and_builds_the_same_arrays(tmp_path, mnist, repository):
    arrays = [array for pair in mnist for array in pair]
    for name, array in zip(IDX, arrays, strict=True):
        (tmp_path / name).write_bytes(idx(array))
    script = [sys.executable, str(repository / "scripts" / "build_mnist.py"), str(tmp_path)]
    target = tmp_path / "built.npz"
    subprocess.run([*script, "--target", str(target)], check=True, capture_output=True)
    with np.load(target, allow_pickle=False) as built:
        assert (built["x_test"] == mnist[1][0]).all()
        assert (built["y_train"] == mnist[0][1]).all()

    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(b"\x00" * 10_008)
    command = [*script, "--target", str(tmp_path / "no.npz")]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode != 0
    assert IDX["t10k-labels-idx1-ubyte"] in refused.stderr
    assert not list(tmp_path.glob("no.npz*"))


def test_the_validation_part_is_stratified_and_apart_from_the_rest(mnist):
    (images, labels), _ = mnist
    (x_fit, y_fit), (x_validation, y_validation) = split_validation(images, labels, 10_000)
    assert x_fit.shape == (50_000, 28, 28)
    assert len(x_validation) == len(y_validation) == 10_000
    assert (np.bincount(y_fit) + np.bincount(y_validation) == TRAIN_COUNTS).all()
    assert (np.abs(np.bincount(y_validation) - np.array(TRAIN_COUNTS) / 6) < 1).all()
    assert int(x_fit.sum(dtype=np.int64) + x_validation.sum(dtype=np.int64)) == images.sum()
    places = np.arange(60_000)
    parts: Any = [split_validation(places, labels, 20, seed=seed)[1][0] for seed in (1, 1, 2)]
    assert (parts[0] == parts[1]).all()
    assert (parts[0] != parts[2]).any()


def test_pandas_objects_lists_and_tensors_are_split_with_their_rows():
    parts: Any = split_validation([[i, i] for i in range(6)], ops.arange(6) % 2, 2)
    assert [images.shape for images, _ in parts] == [(4, 2), (2, 2)]
    pd = pytest.importorskip("pandas")  # no dependency, but on Colab
    images = pd.DataFrame({"pixel": np.arange(60)}).sample(frac=1, random_state=0)
    labels = images["pixel"] % 3
    parts = split_validation(images, labels.astype(float), 9)
    for part, classes in parts:
        assert (part["pixel"] % 3 == classes).all()
        assert (part.index == classes.index).all()
    assert classes.value_counts().tolist() == [3, 3, 3]


@pytest.mark.parametrize(
    ("labels", "count", "message"),
    [
        (LABELS, 10, "from 1 to 9, got 10"),
        (LABELS, 0.2, "from 1 to 9, got 0.2"),
        (LABELS[:9], 2, r"expected 10 labels, one per image, got \(9,\)"),
        (np.where(LABELS, np.nan, 0), 2, "whole numbers, got fractions or missing"),
    ],
)
def test_splits_that_cannot_be_are_refused(labels, count, message):
    with pytest.raises(ValueError, match=message):
        split_validation(np.zeros(10), labels, count)


def test_prepared_images_are_new_floats_between_0_and_1_with_a_channel():
    bytes_in = np.array([[[0, 51], [102, 255]]], "uint8")
    prepared = prepare_images(bytes_in)
    assert (prepared.shape, prepared.dtype) == ((1, 2, 2, 1), np.float32)
    np.testing.assert_allclose(prepared.ravel(), [0, 0.2, 0.4, 1], rtol=1e-6)
    for same in (prepared, prepared.tolist(), ops.convert_to_tensor(bytes_in)):
        again = prepare_images(same)
        np.testing.assert_array_equal(again, prepared)
        again[:] = 0  # the caller's own stays as it is
        assert prepared.max() == 1


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((28, 28), "uint8"), r"got \(28, 28\)"),
        (np.zeros((2, 28, 28, 3), "uint8"), r"got \(2, 28, 28, 3\)"),
        (np.zeros((0, 28, 28), "uint8"), r"at least one image, .* got \(0, 28, 28\)"),
        (np.full((1, 2, 2), 1.0000001), "to 1.0000001: divide by 255"),
        (np.full((1, 2, 2), np.nan), "from nan"),
        (np.ones((1, 2, 2), int), "got int64 from 1 to 1: divide by 255"),
    ],
)
def test_images_that_do_not_fit_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        prepare_images(images)

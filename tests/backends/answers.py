"""What evalib answers on one backend: `python answers.py FILE` writes the arrays to FILE, an npz.

Nothing here is drawn by Keras: the backends' random numbers differ, their arithmetic should not.
"""

import sys
from operator import itemgetter
from pathlib import Path

import numpy as np

import evalib  # noqa: F401

# isort: split
import keras
from keras import ops

from evalib.data.mnist import load_mnist, prepare_images
from evalib.filters import gradient_magnitude, laplacian
from evalib.networks.activations import FAMILY, activation_layer
from evalib.networks.course import s3_network
from evalib.networks.gradients import input_gradient, weight_gradients
from evalib.networks.layers import RandomAffine, SubPixel
from evalib.receptive_fields.effective import effective_field
from evalib.receptive_fields.measurement import measure_receptive_field
from evalib.results import results_folder
from evalib.training.optimizers import WarmupDecay
from evalib.training.recipe import Recipe

IMAGES, STEPS = 256, 5


def with_weights(model: keras.Model) -> keras.Model:
    """A network whose weights come from NumPy: He's spread, and statistics of their own."""
    random = np.random.default_rng(0)
    for weight in model.weights:
        shape = tuple(weight.shape)
        kernel = random.normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1]))
        weight.assign(kernel if len(shape) > 1 else random.uniform(0.5, 1.5, shape))
    return model


def trained_networks(digits: np.ndarray) -> dict[str, np.ndarray]:
    """Probabilities of the committed record networks."""
    load, files = keras.saving.load_model, sorted((results_folder() / "study").glob("*.keras"))
    return {f"probabilities of {one.stem}": load(one).predict(digits, verbose=0) for one in files}


def derivatives(digits: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    network = with_weights(s3_network())
    by_weights = [part.ravel() for part in weight_gradients(network, digits, labels)]
    first = itemgetter((slice(None), 0))  # the sum of all classes would be 1 whatever pixels are
    return {
        "gradient by weights": np.concatenate(by_weights),
        "gradient by pixels": input_gradient(network, digits[:8], output=first),
        "effective field": effective_field(network, network.layers[6].name, digits[:8]),
    }


def training(digits: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    recipe = Recipe()
    schedule = WarmupDecay(recipe.peak_learning_rate, 4 * STEPS, recipe.warmup_share)
    network = with_weights(s3_network())
    network.compile(recipe.build_optimizer(schedule), "sparse_categorical_crossentropy")
    losses = [network.train_on_batch(digits, labels) for _ in range(STEPS)]
    return {
        "losses of training": np.array(losses),
        "probabilities after training": network.predict(digits, verbose=0),
    }


def pictures(digits: np.ndarray) -> dict[str, np.ndarray]:
    """Filters, moved images, channels that become pixels, activation functions."""
    random = np.random.default_rng(0)
    layer = RandomAffine(20.0, 0.2, 0.2, 3.0)
    amounts = random.uniform(-1, 1, (len(digits), 6)).astype("float32")
    moved = ops.image.affine_transform(
        ops.convert_to_tensor(digits), layer.transforms(amounts, 13.5, 13.5), fill_mode="constant"
    )
    x = np.linspace(-5, 5, 1001, dtype="float32").reshape(1, 1, 1001, 1)
    curves = {f"activation {name}": activation_layer(name)(x) for name in FAMILY}
    return {
        **{name: ops.convert_to_numpy(curve) for name, curve in curves.items()},
        "gradient magnitude": gradient_magnitude(digits[0, ..., 0]),
        "laplacian": laplacian(digits[0, ..., 0]),
        "moved images": ops.convert_to_numpy(moved),
        "channels as pixels": ops.convert_to_numpy(SubPixel(2)(np.tile(digits, (1, 1, 1, 4)))),
    }


def main(file: Path) -> None:
    images, labels = load_mnist()[1]
    digits, labels = prepare_images(images)[:IMAGES], labels[:IMAGES]
    answers = trained_networks(digits) | derivatives(digits, labels) | training(digits, labels)
    answers |= pictures(digits)
    if keras.backend.backend() != "tensorflow" and "tensorflow" in sys.modules:
        raise RuntimeError(f"expected {keras.backend.backend()} alone, got TensorFlow as well")
    found = measure_receptive_field(s3_network())  # last, for Keras imports TensorFlow itself here
    answers["receptive field"] = np.array([found.size, found.stride], dtype="float64")
    np.savez(file, **{name: np.asarray(values) for name, values in answers.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]))

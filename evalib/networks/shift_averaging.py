"""Test-time augmentation as layers without weights: the mean over shifts of the image."""

import itertools

import keras
from keras import layers, ops

from evalib.networks.graph import run_through_graph
from evalib.networks.layers import LAST, softmax_dtype, whole_numbers


def shift_average(network: keras.Model, reach: int = 1, cross: bool = False) -> keras.Model:
    """Build a network that averages what another one says of an image and of its shifted copies.

    The image is padded with zeros by `reach` pixels, and every view of the image's size is cropped
    from it: `(2 * reach + 1) ** 2` of them, or five with `cross`. The same network gives the
    probabilities of each. Their logarithms are averaged, and a softmax follows: a geometric mean.

    Args:
        network: a Sequential or functional model of images `(batch, height, width, channels)` that
            ends in a softmax. It is part of the result, with its weights. To fold its batch
            normalization, fold it first.
        reach: how far the image is shifted in each direction, in pixels, from 1 up.
        cross: take the image as it is and its four shifts by `reach` along one axis, only.

    Returns:
        A model with the inputs and outputs, the weights and `count_params()` of the network. It
        costs as many passes as there are views.

    Raises:
        ValueError: the network has no graph, takes something else than images, or does not end in
            a softmax; `reach` is not a whole number from 1 up.

    Example:
        >>> from evalib.networks.course import s3_network
        >>> shift_average(s3_network(), cross=True).count_params()
        18930
    """
    (reach,) = whole_numbers([reach], "reach")
    last = run_through_graph(network, [None], lambda call, _: [call.layer] * len(call.outputs))
    shape = network.inputs[0].shape
    if len(shape) != 4 or len(last) != 1 or not _is_softmax(last[0]):
        raise ValueError(
            f"expected a model from images to one softmax, got one from shape {shape} that ends in "
            f"{', '.join(getattr(one, 'name', 'its input') for one in last)}"
        )
    image = keras.Input(batch_shape=shape, dtype=network.inputs[0].dtype, name="image")
    padded = layers.ZeroPadding2D(reach, name="padded", **LAST)(image)
    steps = range(2 * reach + 1)
    views = list(itertools.product(steps, steps))
    if cross:
        views = [(reach, reach), (0, reach), (2 * reach, reach), (reach, 0), (reach, 2 * reach)]
    logarithms = []
    for top, left in views:
        margins = ((top, 2 * reach - top), (left, 2 * reach - left))
        view = layers.Cropping2D(margins, name=f"view_{top}_{left}", **LAST)(padded)
        probabilities = network(view)
        if probabilities.dtype != softmax_dtype():
            probabilities = ops.cast(probabilities, softmax_dtype())
        # A probability that was rounded to zero has no logarithm.
        logarithms.append(ops.log(ops.maximum(probabilities, 1e-37)))
    mean = layers.Average(name="mean_logarithm", dtype=softmax_dtype())(logarithms)
    softmax = layers.Softmax(name="probabilities", dtype=softmax_dtype())
    return keras.Model(image, softmax(mean), name=f"{network.name}_shifted")


def _is_softmax(layer: object) -> bool:
    activation = getattr(layer, "activation", None)
    return type(layer).__name__ == "Softmax" or activation is keras.activations.softmax

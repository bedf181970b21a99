"""Several networks that predict as one."""

from collections.abc import Iterable

import keras
from keras import layers


def ensemble(members: Iterable[keras.Model]) -> keras.Model:
    """Build the network that gives the mean of several trained networks' probabilities.

    Networks that were trained apart err in part on different images, so their mean tends to err
    less than each of them (Hansen and Salamon, *Neural Network Ensembles*, 1990; with networks that
    differ only in their seed: Lakshminarayanan, Pritzel and Blundell, 2017). It shares the weights
    of the members, functional or Sequential, and calls them `member1` and so on.
    """
    members = list(members)
    shapes = [(member.input_shape, member.output_shape) for member in members]
    if not members or shapes.count(shapes[0]) < len(shapes):
        raise ValueError(f"expected members of one input and one output shape, got {shapes}")
    images = keras.Input(members[0].input_shape[1:], name="images")
    # Networks of one name cannot be connected: each gets a name of its own.
    predictions = [
        keras.Model(member.inputs[0], member.outputs[0], name=f"member{number}")(images)
        for number, member in enumerate(members, start=1)
    ]
    mean = layers.Average(name="mean")(predictions) if len(members) > 1 else predictions[0]
    return keras.Model(images, mean, name=f"ensemble_of_{len(members)}")

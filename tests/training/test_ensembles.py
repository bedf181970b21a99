"""The mean of networks, in one file, and nothing that cannot be averaged."""

import keras
import numpy as np
import pytest

from evalib import networks
from evalib.training.ensembles import ensemble


def small() -> keras.Model:
    hidden = keras.layers.Conv2D(3, 3, activation="relu"), keras.layers.BatchNormalization()
    last = keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(4, activation="softmax")
    return keras.Sequential([keras.Input((12, 12, 1)), *hidden, *last], name="small")


@pytest.mark.parametrize("count", [1, 3])
def test_an_ensemble_is_the_mean_and_shares_its_members_weights(count, generator):
    members = [small() for _ in range(count)]
    images = generator.random((7, 12, 12, 1), dtype=np.float32)
    found = ensemble(iter(members))
    members[0].layers[0].bias.assign([1.0, 2.0, 3.0])
    expected = np.mean([np.asarray(member(images)) for member in members], axis=0)
    np.testing.assert_allclose(np.asarray(found(images)), expected, atol=1e-6)
    # By hand: 9 x 3 + 3, four numbers for each of 3 channels, 3 x 4 + 4.
    assert found.count_params() == count * (30 + 12 + 16)
    assert all(not member._outbound_nodes for member in members)


def test_an_ensemble_comes_back_from_its_file(tmp_path, generator):
    digits = generator.random((20, 28, 28, 1), dtype=np.float32)
    fold = networks.fold_normalization
    before = ensemble([fold(networks.bsconv_network(3, 6)) for _ in range(2)])
    before.save(tmp_path / "ensemble.keras")
    after = keras.saving.load_model(tmp_path / "ensemble.keras")
    np.testing.assert_allclose(np.asarray(after(digits)), np.asarray(before(digits)), atol=1e-6)


def test_what_cannot_be_averaged_is_refused():
    flat = keras.Sequential([keras.Input((12, 12, 1)), keras.layers.Flatten()])
    other = keras.Sequential([keras.Input((10, 10, 1)), keras.layers.Flatten()])
    for members in ([], [small(), flat], [flat, other]):
        with pytest.raises(ValueError, match="one input and one output shape, got"):
            ensemble(members)

"""Networks built to look at: everything about them but the memory of their weights."""

import subprocess
import sys

import keras
import pytest

from evalib.networks.applications import application_graph

# A layer that does not tell its output's shape is tried out; after such a try Keras gives values to
# all variables that wait for theirs.
_MEMORY = """
import evalib, keras, psutil
from evalib.networks.applications import application_graph

def try_out():
    keras.layers.Lambda(lambda inputs: 2 * inputs)(keras.Input((4,)))

try_out()
before = psutil.Process().memory_info().rss
network = application_graph("VGG19")
try_out()
after = psutil.Process().memory_info().rss
print(network.count_params(), (after - before) / 2**20)
"""


def test_weights_without_values_take_no_memory_later_either():
    parameters, mebibytes = subprocess.check_output([sys.executable, "-c", _MEMORY]).split()
    # The published size of VGG19 (Simonyan and Zisserman, 2015, table 2: 144 million).
    assert int(parameters) == 143_667_240
    assert float(mebibytes) < 100 < 4 * int(parameters) / 2**20


def test_variables_that_were_waiting_before_still_get_their_values():
    with keras.StatelessScope(initialize_variables=False):
        waiting = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    application_graph("MobileNet")
    keras.layers.Lambda(lambda inputs: inputs)(keras.Input((2,)))
    assert [weights.shape for weights in waiting.get_weights()] == [(2, 2), (2,)]


def test_names_that_keras_does_not_know_and_sizes_that_it_does_not_fit():
    with pytest.raises(ValueError, match="such as ResNet50"):
        application_graph("Resnet50")
    if keras.backend.backend() == "torch":
        pytest.skip("Keras has no NASNet on PyTorch")
    assert application_graph("NASNetLarge", include_top=False).output.shape == (None, 11, 11, 4032)

"""`evalib rf`: what it prints and writes, and one true line where it refuses."""

import csv
import importlib
import io
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from evalib.results import results_folder
from evalib.tools.cli import main

OWN_LAYER = """
import keras
from keras import ops

@keras.saving.register_keras_serializable("course")
class Doubled(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs

import evalib as ev
ev.register_layer(Doubled)
"""


@pytest.fixture
def saved(tmp_path):
    """A network whose branches do not align."""
    image = keras.Input((24, 24, 3))
    maps = layers.Conv2D(4, 3, padding="same", name="first")(image)
    aside = layers.ZeroPadding2D(((2, 0), (0, 0)))(layers.Cropping2D(((0, 2), (0, 0)))(maps))
    model = keras.Model(
        image, layers.Conv2D(1, 3, name="last")(layers.Add(name="sum")([maps, aside]))
    )
    model.save(tmp_path / "model.keras")
    return str(tmp_path / "model.keras")


def test_a_network_of_keras(capsys):
    assert main(["rf", "VGG16"]) == 0
    lines = capsys.readouterr().out.splitlines()
    pool = next(line for line in lines if line.startswith("block5_pool")).split()
    assert pool[-3:] == ["212x212", "32x32", "90x90"]
    assert len(lines) == 1 + 22
    assert max(map(len, lines)) <= 80
    options = ["--no-top", "--input-shape", "64,64,3", "--layer", "block5_pool"]
    assert main(["rf", "VGG16", *options, "--output-position", "0,1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "block5_pool: 212x212, stride 32x32, padding 90x90"
    # 32 x 0 - 90 to 32 x 0 + 121, and 32 x 1 - 90 to 32 x 1 + 121, cut off at the border.
    assert lines[1] == "output 0x1 sees pixels 0 to 63 x 0 to 63"


def test_a_saved_model(capsys):
    saved = str(results_folder() / "s3_assignment" / "model.keras")
    assert main(["rf", saved, "--layer", "class_maps"]) == 0
    assert capsys.readouterr().out == "class_maps: 20x20, stride 2x2, padding 0x0\n"
    assert main(["rf", saved, "--layer", "class_maps", "--measure"]) == 0
    assert capsys.readouterr().out.startswith("class_maps: 20x20")


def test_forms(capsys, saved):
    assert main(["rf", saved, "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["receptive_field_size"] for row in rows] == ["3x3"] * 3 + ["5x3", "7x5"]
    assert main(["rf", saved, "--json", "--layer", "last"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["receptive_field_size"], row["receptive_field_aligned"]) == ([7, 5], False)
    assert main(["rf", saved, "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 5
    assert {line.count("|") for line in lines} == {11}


def test_branches_that_do_not_align(capsys, saved):
    assert main(["rf", saved, "--layer", "last", "--allow-misaligned"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("last: 7x5")
    assert "'sum' joins branches that do not align, 'first' and 'zero_padding2d" in shown.err
    assert main(["rf", saved, "--layer", "last", "--strict"]) == 2
    assert "do not align" in capsys.readouterr().err


def test_a_picture(capsys, saved, tmp_path):
    photo = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)).save(photo)
    drawn = tmp_path / "drawn.png"
    options = ["--picture", str(photo), "--out", str(drawn)]
    assert main(["rf", saved, "--layer", "last", *options]) == 0
    assert capsys.readouterr().out.endswith("drawn.png\n")
    with Image.open(drawn) as picture:
        assert picture.format == "PNG"
    assert main(["rf", saved, *options]) == 2
    assert "--layer" in capsys.readouterr().err


def test_a_layer_of_ones_own(capsys, tmp_path, monkeypatch):
    (tmp_path / "own_layers.py").write_text(OWN_LAYER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Doubled = importlib.import_module("own_layers").Doubled

    keras.Sequential([keras.Input((8, 8, 1)), Doubled(), layers.Conv2D(1, 3)]).save("own.keras")
    keras.saving.get_custom_objects().pop("course>Doubled")
    assert main(["rf", "own.keras"]) == 2
    assert "import the module that registers its class Doubled" in capsys.readouterr().err
    del sys.modules["own_layers"]
    assert main(["rf", "own.keras", "--import", "own_layers"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[-3:] == ["3x3", "1x1", "0x0"]
    assert main(["rf", "own.keras", "--import", "not_there"]) == 2
    assert "cannot import not_there" in capsys.readouterr().err
    del sys.modules["own_layers"]


def test_refusals_are_one_true_line(capsys, saved, tmp_path):
    cut_off = tmp_path / "cut.keras"
    with open(saved, "rb") as file:
        cut_off.write_bytes(file.read()[:2000])
    for arguments, reason in [
        (["VGG61"], "such as VGG19, VGG16, got 'VGG61'"),
        (["none.keras"], "there is none at none.keras"),
        ([str(cut_off)], "cut off"),
        ([str(tmp_path)], "a folder"),
        (["VGG16", "--layer", "blok5_pool"], "such as block5_pool"),
        ([saved, "--source", "picture"], "expected one of the inputs"),
        ([saved, "--layer", "last", "--output-position", "0,99"], "got 99"),
        (["VGG16", "--input-shape", "8,8,3"], "at least 32x32"),
    ]:
        assert main(["rf", *arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("evalib: ")
        assert reason in line


def test_a_reader_that_stops_early_is_no_error(saved):
    command = [sys.executable, "-c", "from evalib.tools.cli import main; exit(main())", "rf", saved]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    _, shown = process.communicate()
    assert "Broken pipe" not in shown
    assert "Traceback" not in shown
    assert process.returncode == 0

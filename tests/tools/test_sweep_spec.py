"""Which experiments a file means, and how a bad one is refused."""

import itertools
from pathlib import Path

import pytest

from evalib.networks.config import NetworkConfig
from evalib.tools.cli import main
from evalib.tools.sweep_spec import Sweep, read_sweep
from evalib.training.experiments import Experiment, experiment_from
from evalib.training.recipe import Recipe

GOOD = """\
seeds = [3, 1]
data_share = 1
[network]
channels = [4, 4]
[recipe]
epochs = 2
[vary]
"network.kernel_sizes" = [[3], [5, 3]]
recipe.peak_learning_rate = [1, 0.5]
scored_on = ["validation", "test"]
"""


def read(folder: Path, text: str) -> Sweep:
    file = folder / "try.toml"
    file.write_text(text, encoding="utf-8-sig")
    return read_sweep(file)


def test_every_combination_runs_with_every_seed(tmp_path):
    sweep = read(tmp_path, GOOD)
    combinations = itertools.product([3, 1], [(3,), (5, 3)], [1.0, 0.5], ["validation", "test"])
    expected = []
    for seed, sizes, rate, part in combinations:
        network = NetworkConfig(channels=(4, 4), kernel_sizes=sizes)
        recipe = Recipe(epochs=2, peak_learning_rate=rate)
        expected.append(Experiment(network, recipe, seed=seed, scored_on=part))
    assert list(sweep.experiments) == [one.key() for one in expected]
    assert [experiment_from(values) for values in sweep.experiments.values()] == expected
    assert (sweep.name, sweep.notebook) == ("try", "")
    varied = {"kernel_sizes": [5, 3], "peak_learning_rate": 0.5, "scored_on": "test"}
    assert sweep.varied[expected[-1].key()] == varied
    assert list(read(tmp_path, "").experiments) == [Experiment().key()]


@pytest.mark.parametrize("file", sorted(Path(__file__).parents[2].glob("experiments/*.toml")))
def test_the_examples_are_good(file):
    assert len(read_sweep(file).experiments) > 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seeds = [0]\nname = try", r"Invalid value \(at line 2, column 8\)"),
        ('name = "a/b"', "a name for a folder"),
        ("seeds = [0, 1, 0]", "each experiment once"),
        ("seeds = [-1]", "seed"),
        ("seeds = 3", "a list of values for seed"),
        ("[vary]\nseed = [1]", "seed in one place"),
        ('runs_as = "both"', "runs_as plain or notebook, got 'both'"),
        ("network = 3", "expected network to be a table, got 3"),
        ("[network]\nchanels = [4]", "unknown network.chanels: expected one of channels, "),
        ("network = 3\n[vary]\nnetwork.dropout = [0.1]", "'int' object does not support"),
        ('[network]\nactivation = "rellu"', "Keras has no activation 'rellu'"),
        ("[vary]\nrecipe.epochs = 3", "a list of values for recipe.epochs, got 3"),
        ("[vary]\nrecipe.epochs = [1, 0]", "expected epochs at least 1, got 0"),
        ("[vary]\nrecipe.shift = [1, 1.0]", "each experiment once"),
        ("data_share = 1\n[vary]\ndata_share = [1]", "data_share in one place"),
        # 28 - 4 = 24, halved 12, - 4 = 8, halved 4: smaller than 5.
        ("[network]\nchannels = [4, 4, 4]\npool_after = [1, 2]\n[vary]\n"
         "network.kernel_sizes = [[3], [5]]",
         r"'network.kernel_sizes': \[5\]}: conv3 needs maps of at least 5x5 pixels"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_with_the_reason(tmp_path, text, expected):
    with pytest.raises(ValueError, match=rf"try\.toml: .*{expected}"):
        read(tmp_path, text)


def test_the_command_line_refuses_before_it_runs_anything(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "try.toml"
    file.write_bytes(b'name = "caf\xe9"\n')
    assert main(["sweep", str(file)]) == 2
    expected = "'utf-8' codec can't decode byte 0xe9 in position 11"
    assert capsys.readouterr().err.startswith(f"evalib: {file}: {expected}")
    for missing in ("none.toml", "/dev/null"):
        assert main(["sweep", missing]) == 2
        assert f"expected a TOML file, got {missing}" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["sweep", str(file), "--workers", "2", "--scheduler", "tcp://127.0.0.1:1"])
    assert [path.name for path in tmp_path.iterdir()] == ["try.toml"]

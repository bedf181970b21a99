"""Which experiments a file means, and how a bad one is refused."""

import itertools
import json
import time
from pathlib import Path

import pytest
from nbformat import v4, write

from evalib.networks.config import NetworkConfig
from evalib.tools.cli import main
from evalib.tools.sweep_records import Sweep
from evalib.tools.sweep_spec import read_sweep
from evalib.tools.toml_files import key_lines, read_toml
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
recipe.peak_learning_rate = [
    1,     # a whole number for a field of decimals
    0.5,
]
scored_on = ["validation", "test"]
"""


def read(folder: Path, text: str, name: str = "try.toml") -> Sweep:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return read_sweep(file)


def refusal(folder: Path, text: str) -> list[str]:
    """The lines of the error, without the path of the file."""
    with pytest.raises(ValueError, match=r"\.toml:") as refused:
        read(folder, text)
    lines = str(refused.value).splitlines()
    prefix = f"{folder / 'try.toml'}:"
    assert all(line.startswith(prefix) for line in lines), lines
    return [line.removeprefix(prefix) for line in lines]


def test_every_combination_runs_with_every_seed(tmp_path):
    sweep = read(tmp_path, GOOD)
    expected = [
        Experiment(
            network=NetworkConfig(channels=(4, 4), kernel_sizes=sizes),
            recipe=Recipe(epochs=2, peak_learning_rate=rate),
            seed=seed,
            scored_on=part,
        )
        for seed, sizes, rate, part in itertools.product(
            [3, 1], [(3,), (5, 3)], [1.0, 0.5], ["validation", "test"]
        )
    ]
    assert list(sweep.experiments) == [one.key() for one in expected]
    assert [experiment_from(values) for values in sweep.experiments.values()] == expected
    assert sweep.varied == ("network.kernel_sizes", "recipe.peak_learning_rate", "scored_on")
    assert (sweep.name, sweep.notebook) == ("try", None)
    last = list(sweep.experiments)[-1]
    assert sweep.label(last) == (
        "kernel_sizes [5, 3], peak_learning_rate 0.5, scored_on test, seed 1"
    )


def test_all_may_be_left_out(tmp_path):
    sweep = read(tmp_path, "")
    assert list(sweep.experiments) == [Experiment().key()]
    assert sweep.varied == ()


@pytest.mark.parametrize("file", sorted(Path(__file__).parents[2].glob("experiments/*.toml")))
def test_the_examples_are_good(file):
    assert len(read_sweep(file).experiments) > 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seeds = [0]\nname = try", "2: Invalid value (column 8)"),
        ("seeds = [0,\n1\n\n", "2: Unclosed array"),
        ("seeds = [0]\nseeds = [1]", "2: Cannot overwrite a value"),
        ('name = "a/b"', "1: expected name to be letters, digits, '.', '_' and '-'"),
        ('name = ".."', "1: expected name to be letters"),
        ("\nseeds = [0, 1, 0]", "2: seeds has 0 twice"),
        ("seeds = [-1]", "1: expected seeds to be a list of whole numbers from 0"),
        ("seeds = [4294967296]", "1: expected seeds to be a list of whole numbers from 0 to 42949"),
        ("seeds = 3", "1: expected seeds to be a list"),
        ("seeds = [true]", "1: expected seeds to be a list"),
        ("seeds = []", "1: expected seeds to be a list"),
        ("seed = 3", "1: unknown key 'seed': write seeds = [0, 1, 2]"),
        ('runs_as = "both"', "1: expected runs_as plain or notebook, got 'both'"),
        ('notebook = "a.ipynb"', '1: a notebook goes with runs_as = "notebook"'),
        ("data_shar = 1.0", "1: unknown key 'data_shar': did you mean 'data_share'"),
        ("data_share = 0.0", "1: data_share = 0.0: expected a data share above 0 to 1"),
        ("data_share = 1e-9", "1: data_share = 1e-09: a data share of 1e-09 leaves no image"),
        ("data_share = nan", "1: expected data_share to be a finite number, got nan"),
        ("data_share = 2026-01-01", "1: expected data_share to be a finite number"),
        ("network = 3", "1: expected network to be a table, got 3"),
        ("[network]\nchanels = [4]", "2: unknown key 'network.chanels': did you mean 'network.ch"),
        ("[recipe]\nchannels = [4]", "2: unknown key 'recipe.channels': did you mean 'network.ch"),
        ("[recipe]\nseeds = [1]", "2: unknown key 'recipe.seeds': seeds belongs above the first"),
        ("[network]\nzzz = 1", "2: unknown key 'network.zzz': expected one of data_share, "),
        ("[network]\nchannels = 4", "2: expected network.channels to be a list of whole numbers"),
        ("[network]\nchannels = [4.0]", "2: expected network.channels to be a list of whole"),
        ("[network]\nnormalize = 1", "2: expected network.normalize to be true or false, got 1"),
        ("[recipe]\nepochs = true", "2: expected recipe.epochs to be a whole number, got true"),
        ("[recipe]\nshift = " + "9" * 400, "2: expected recipe.shift to be a finite number"),
        ("[recipe]\nrotation = 200", "2: recipe.rotation = 200.0: expected a rotation"),
        ("[vary]\nrecipe.moved_share = [0, 1]", "2: recipe.moved_share = 0.0: expected a"),
        ("[recipe]\n\nepochs = 0", "3: recipe.epochs = 0: expected at least 1 epoch"),
        ("[recipe]\nteacher_share = 0.5", "2: recipe.teacher_share = 0.5: a sweep has no teacher"),
        ("recipe = { epochs = 0 }", "1: recipe.epochs = 0: expected at least 1 epoch"),
        ('[network]\nactivation = "rellu"', "2: network.activation = 'rellu': Keras has no"),
        ("[network]\npool_after = [1, 2, 3]", "2: network.pool_after = [1, 2, 3]: conv4 needs"),
        ("[vary]\nkernel_sizes = [[3]]", "2: unknown key 'kernel_sizes': did you mean 'network.k"),
        ('[vary]\n"recipe.epochs" = 3', "2: expected recipe.epochs to be a list of values, got 3"),
        ('[vary]\n"recipe.epochs" = []', "2: expected recipe.epochs to be a list of values"),
        ("[vary]\nrecipe.epochs = [1, 0]", "2: recipe.epochs = 0: expected at least 1 epoch"),
        ("[vary]\nrecipe.shift = [1, 1.0]", "2: recipe.shift has 1.0 twice"),
        ("[vary.recipe]\nshift = [1, 1.0]", "2: recipe.shift has 1.0 twice"),
        ("[vary]\nseed = [1]", "2: unknown key 'seed': write seeds = "),
        ("data_share = 1\n[vary]\ndata_share = [1]", "3: data_share also has a fixed value"),
    ],
)
def test_a_bad_file_is_refused_with_line_and_reason(tmp_path, text, expected):
    [line] = refusal(tmp_path, text)
    assert line.startswith(expected)


def test_an_impossible_network_is_told_with_what_makes_it_so(tmp_path):
    lines = refusal(
        tmp_path,
        "[network]\nchannels = [4, 4, 4]\n[vary]\n"
        '"network.kernel_sizes" = [[3], [5], [3, 3]]\n"network.pool_after" = [[1], [1, 2]]\n',
    )
    assert lines == [
        "4: network.kernel_sizes = [3, 3]: expected one positive kernel size, or 3, got [3, 3]",
        # 28 - 4 = 24, halved 12, - 4 = 8, halved 4: smaller than 5.
        "5: network.pool_after = [1, 2] with network.kernel_sizes = [5]: conv3 needs maps of at "
        "least 5x5 pixels, and gets 4x4: take smaller kernels, fewer poolings, or padding 'same'",
    ]


def test_all_mistakes_are_told_at_once(tmp_path):
    text = "dat = 1\nscored_on = 3\n[network]\ndropout = 2.0\n[recipe]\nepochs = 0\n"
    assert [line[0] for line in refusal(tmp_path, text)] == ["1", "2", "4", "6"]


def test_the_command_line_refuses_before_it_runs_anything(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "try.toml"
    for text, expected in (
        ("seeds = [", ":1: Invalid value"),
        ("seeds = [0]\n[recipe]\nepochs = 0\n", ":3: recipe.epochs = 0: expected at least 1"),
    ):
        file.write_text(text)
        assert main(["sweep", str(file)]) == 2
        assert capsys.readouterr().err.startswith(f"evalib: {file}{expected}")
    assert main(["sweep", "none.toml"]) == 2
    assert "No such file or directory: 'none.toml'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["sweep", str(file), "--workers", "2", "--scheduler", "tcp://127.0.0.1:1"])
    assert [path.name for path in tmp_path.iterdir()] == ["try.toml"]


def test_too_many_runs_are_refused_before_any_is_thought_of(tmp_path):
    many = list(range(1, 200))
    text = f"seeds = {many}\n[vary]\nrecipe.epochs = {many}\nrecipe.batch_size = {many}\n"
    assert refusal(tmp_path, text) == ["2: expected at most 10,000 runs, got 7,880,599"]


def test_other_encodings(tmp_path):
    (tmp_path / "try.toml").write_bytes(b'seeds = [0]\nname = "caf\xe9"\n')
    with pytest.raises(ValueError, match=r"try\.toml:2: expected UTF-8 text"):
        read_toml(tmp_path / "try.toml")
    (tmp_path / "try.toml").write_bytes(b"\xef\xbb\xbfseeds = [7]\r\n[recipe]\r\nepochs = 1\r\n")
    assert read_toml(tmp_path / "try.toml")[1] == {"seeds": [7], "recipe": {"epochs": 1}}


def test_lines_of_keys():
    lines = key_lines(GOOD)
    assert lines == {
        ("seeds",): 1,
        ("data_share",): 2,
        ("network",): 3,
        ("network", "channels"): 4,
        ("recipe",): 5,
        ("recipe", "epochs"): 6,
        ("vary",): 7,
        ("vary", "network", "kernel_sizes"): 8,
        ("vary", "recipe", "peak_learning_rate"): 9,
        ("vary", "scored_on"): 13,
    }
    nested = 'a."b.c" = 1\n[ d . "e" ] # f = 3\n  g= [\n  [1],\n  [2]\n]\nh =1\n'
    assert key_lines(nested) == {
        ("a", "b", "c"): 1,
        ("d", "e"): 2,
        ("d", "e", "g"): 3,
        ("d", "e", "h"): 7,
    }


def test_a_long_word_is_read_at_once():
    """Each more letter used to take twice the time: thirty of them took minutes."""
    start = time.perf_counter()
    assert key_lines("a" * 30 + "\n" + "b" * 60 + " = 1") == {("b" * 60,): 2}
    assert time.perf_counter() - start < 1


def test_a_notebook_must_have_what_is_set(tmp_path):
    cell = v4.new_code_cell("seed = 0\nepochs = 1\nrecord_path = None")
    cell.metadata["tags"] = ["parameters"]
    output = v4.new_output("stream", text="old")
    other = v4.new_code_cell("print('new')", outputs=[output], execution_count=4)
    write(v4.new_notebook(cells=[cell, other]), tmp_path / "mine.ipynb")
    head = 'runs_as = "notebook"\nnotebook = "mine.ipynb"\n'
    sweep = read(tmp_path, head + "[recipe]\nepochs = 1\n")
    assert sweep.notebook is not None
    assert sweep.notebook["name"] == "mine"
    assert sorted(sweep.notebook["parameters"]) == ["epochs", "record_path", "seed"]
    cells = json.loads(sweep.notebook["text"])["cells"]
    assert (cells[1]["outputs"], cells[1]["execution_count"]) == ([], None)

    assert refusal(tmp_path, head + "[vary]\nrecipe.shift = [1, 2]\nnetwork.dropout = [0]\n") == [
        f"2: {tmp_path / 'mine.ipynb'} has no parameter dropout, shift"
    ]
    cell.source = "seed = 0"
    write(v4.new_notebook(cells=[cell]), tmp_path / "mine.ipynb")
    [line] = refusal(tmp_path, head)
    assert line.endswith("has no variable record_path in a cell tagged parameters")
    (tmp_path / "mine.ipynb").unlink()
    [line] = refusal(tmp_path, head)
    assert line.startswith(f"2: {tmp_path / 'mine.ipynb'} is no notebook that papermill can read")

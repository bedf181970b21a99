"""Reading sources and outputs that are odd, old or hostile: soon done, and nothing of it is run."""

import time
from pathlib import Path

import pytest

import tests.tools.grade.made as made
from evalib.tools.grade.rules import WARN, format_grade, grade_notebook
from tests.tools.grade.made import assert_only, changed, good, write


def seconds(path: Path) -> float:
    """The processor's time for one grade."""
    start = time.process_time()
    grade_notebook(path)
    return time.process_time() - start


def test_no_python_3(path: Path) -> None:
    for broken in ("# so close\nmodel.compile(metrics=['accuracy']", 'print "loss"  # Python 2'):
        grade = grade_notebook(write(path, [*good(), (broken, None)]))
        assert assert_only(grade, WARN, "readable").found == "is not valid Python 3"


@pytest.mark.parametrize(
    "source",
    [
        "# deep\n" + "(" * 5000 + ")" * 5000,
        "# deep\nx = " + "-" * 5000 + "1",
        "# long\nx = y" + "+ y" * 20_000,
        "# long\nmodel" + ".fit(x)" * 10_000,
        "# nul\nx = '\x00'",
        "# big\nx = " + "9" * 10_000,
        "# big\nmodel.fit(X_train, steps_per_epoch=9" + "9" * 400 + ", epochs=1)",
        "# escape\nx = '\\d'",
        "# huge\n" + "x = 1\n" * 70_000,
        "# half a character \ud800\nx = 1",
    ],
    ids=lambda source: source[2:6] + str(len(source)),
)
def test_sources_that_would_break_a_parser(path: Path, source: str) -> None:
    grade = grade_notebook(write(path, [*good()[:4], (source, None), *good()[4:]]))
    assert grade.score.value == 0.9945
    format_grade(grade).encode()


def test_long_outputs(path: Path) -> None:
    log = "".join(f"{n}/60000 [=>....] - ETA: 1s - acc: 0.5\b\b\b\b\r" for n in range(200_000))
    cells = changed(fit=(made.FIT, log), print=(made.PRINT, "0.1 " * 2_000_000 + "\n0.9946\n"))
    assert grade_notebook(write(path, cells)).score.value == 0.9946


@pytest.mark.parametrize(
    "part",
    ["[", "1,", "acc", " ", "9", "9.", "\n", "Total params: ", "Total params: 9\n", "-", "\x1b[",
     "accuracy: ", "np.float(", "Epoch 1/2", "[0.1, ", " \n", "acc 9/", "param ", "val_acc: 0.9"],
)  # fmt: skip
@pytest.mark.parametrize("shown_by", ["model", "fit", "print"])
def test_hostile_outputs_take_no_time(path: Path, part: str, shown_by: str) -> None:
    source = dict(zip(("model", "fit", "print"), (made.MODEL, made.FIT, made.PRINT), strict=True))
    if shown_by == "model":
        source["model"] = made.MODEL.replace("summary()", "count_params()")
    hostile = part * (180_000 // len(part)) + "!"
    assert seconds(write(path, changed(**{shown_by: (source[shown_by], hostile)}))) < 5


@pytest.mark.parametrize(
    "source",
    [
        "score = model.evaluate(x_test)\nprint(score)\n",
        "x = x\nprint(x)\n",
        "while x:\n  model = f()\n  model.fit(x, epochs=1)\n  model.evaluate(x_test)\n",
        "model.fit(x, epochs=1)\n",
        "# x = f()\n",
        "# # # x\n",
        "print     x    y    \n",
        "x = [" * 50 + "]" * 50 + "\n",
        "max(v['val_acc'])\n",
        "model.set_weights(model.get_weights())\nmodel.fit(x, epochs=1)\n",
    ],
)
def test_hostile_sources_take_little_time(path: Path, source: str) -> None:
    cell = source * (15_000 // len(source))
    assert seconds(write(path, [(cell, "0.9\n")] * 10)) < 20


def sums(name: str, levels: int) -> str:
    """A sum of 2**levels times the same."""
    return name if levels == 0 else f"({sums(name, levels - 1)} + {sums(name, levels - 1)})"


@pytest.mark.parametrize(
    ("first", "line"),
    [
        ("x = [" + "0, " * 25_000 + "]\nscore = evaluate(x)", "print(x)"),
        ("x = [" + "0, " * 25_000 + "]", "max(x)"),
        ("x = [" + "0, " * 25_000 + "]", "m.fit(x, epochs=1, steps_per_epoch=9, callbacks=x)"),
        ("x = [" + "0, " * 25_000 + "]\nn = m.count_params()", "print(x, n)"),
        ("a = " * 8_000 + "[" + "0, " * 8_000 + "]", "print(a)"),
        (f"a = {sums('1', 9)}\nb = {sums('a', 9)}", "m.fit(g, steps_per_epoch=b)"),
    ],
    ids=["print", "max", "fit", "count", "names", "sum"],
)
def test_one_long_value_that_is_used_often(path: Path, first: str, line: str) -> None:
    cells: made.Cells = [(first, None), *[(f"{line}\n" * 1_000, "0.9\n")] * 3]
    assert seconds(write(path, cells)) < 15


def test_nothing_of_a_submission_is_run(path: Path, tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    (tmp_path / "trap.py").write_text(f"open({str(trap)!r}, 'w')")
    cells = [*good(), (f"# a trap\nopen({str(trap)!r}, 'w')\nimport trap\n!touch {trap}", None)]
    before = write(path, cells).read_bytes()
    grade_notebook(path)
    assert not trap.exists()
    assert path.read_bytes() == before
    assert sorted(item.name for item in tmp_path.iterdir()) == ["submission.ipynb", "trap.py"]

"""Reading sources and outputs that are odd, old or hostile: soon done, and nothing of it is run."""

import time
from pathlib import Path

import pytest

import tests.tools.grade.made as made
from evalib.tools.grade.rules import WARN, format_grade, grade_notebook
from tests.tools.grade.made import assert_only, changed, good, write


def test_what_is_no_python_3(path: Path) -> None:
    for broken, found in (
        ("# so close\nmodel.compile(metrics=['accuracy']", "is not valid Python 3"),
        ('print "loss"  # Python 2', "is not valid Python 3"),
        ("%%writefile a.py\n# train\nmodel.fit(X_test)", "hands its text to another program"),
    ):
        grade = grade_notebook(write(path, [*good(), (broken, None)]))
        assert assert_only(grade, WARN, "readable").found == found


@pytest.mark.parametrize(
    "source",
    [
        "# deep\n" + "(" * 5000 + ")" * 5000, "# deep\nx = " + "-" * 5000 + "1",
        "# deep\nmodel.fit(x" + ".map(f)" * 300 + ", epochs=1)", "# nul\nx = '\x00'",
        "# long\nx = y" + "+ y" * 20_000, "# long\nmodel" + ".fit(x)" * 10_000,
        "# big\nx = " + "9" * 10_000, "# escape\nx = '\\d'",
        "# huge\n" + "x = 1\n" * 70_000, "# half a character \ud800\nx = 1",
    ],
    ids=lambda source: source[2:6] + str(len(source)),
)  # fmt: skip
def test_sources_that_would_break_a_parser(path: Path, source: str) -> None:
    grade = grade_notebook(write(path, [*good()[:4], (source, None), *good()[4:]]))
    assert grade.score.value == 0.9945
    format_grade(grade).encode()


@pytest.mark.parametrize(
    "part",
    ["[", "1,", "acc", " ", "9", "9.", "\n", "Total params: ", "Total params: 9\n", "-", "\x1b[",
     "accuracy: ", "np.float(", "Epoch 1/2", "[0.1, ", " \n", "acc 9/", "param ", "val_acc: 0.9"],
)  # fmt: skip
def test_hostile_outputs_take_no_time(path: Path, part: str) -> None:
    hostile = part * (180_000 // len(part)) + "!"
    model = (made.MODEL.replace("summary()", "count_params()"), hostile)
    cells = changed(model=model, fit=(made.FIT, hostile), print=(made.PRINT, hostile))
    start = time.process_time()
    grade_notebook(write(path, cells))
    assert time.process_time() - start < 10


LONG = "x = [" + "0, " * 25_000 + "]"


@pytest.mark.parametrize(
    ("first", "line"),
    [
        ("", "score = model.evaluate(x_test)\nprint(score)"), ("", "x = x\nprint(x)"),
        ("", "while x:\n  model = f()\n  model.fit(x, epochs=1)\n  model.evaluate(x_test)"),
        ("", "model.fit(x, epochs=1)"), ("", "# x = f()"), ("", "# # # x"),
        ("", "max(v['val_acc'])"), (LONG, "max(x)"), (LONG, "m.fit(x, epochs=1, callbacks=x)"),
        ("", "model.set_weights(model.get_weights())\nmodel.fit(x, epochs=1)"),
        (f"{LONG}\nscore = evaluate(x)", "print(x)"),
        (f"{LONG}\nn = m.count_params()", "print(x, n)"),
        ("a = " * 8_000 + "[" + "0, " * 8_000 + "]", "print(a)"),
    ],
    ids=lambda text: text[-20:].replace("\n", " "),
)  # fmt: skip
def test_hostile_sources_take_little_time(path: Path, first: str, line: str) -> None:
    repeated = f"{line}\n" * (15_000 // len(line))
    start = time.process_time()
    grade_notebook(write(path, [(first, None), *[(repeated, "0.9\n")] * 5]))
    assert time.process_time() - start < 20


def test_nothing_of_a_submission_is_run(path: Path, tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    (tmp_path / "trap.py").write_text(f"open({str(trap)!r}, 'w')")
    cells = [*good(), (f"# a trap\nopen({str(trap)!r}, 'w')\nimport trap\n!touch {trap}", None)]
    before = write(path, cells).read_bytes()
    grade_notebook(path)
    assert not trap.exists()
    assert path.read_bytes() == before
    assert sorted(item.name for item in tmp_path.iterdir()) == ["submission.ipynb", "trap.py"]

"""evalib.tools.grade.rules: each rule broken one by one, and what is refused."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import pytest

import tests.tools.grade.submissions_made as made
from evalib.tools.cli import main
from evalib.tools.grade.rules import FAIL, PASS, WARN, format_grade, grade_notebook
from evalib.tools.grade.source import comment_kind
from tests.tools.grade.submissions_made import (
    assert_only,
    changed,
    checks,
    error,
    good,
    result,
    summary_of,
    write,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "submission.ipynb"


def test_a_good_submission_passes(path: Path) -> None:
    grade = grade_notebook(write(path, good()))
    assert grade.passed
    assert not grade.warnings
    assert [check.status for check in grade.checks] == [PASS] * len(grade.checks)
    assert (grade.parameters.count, grade.parameters.cell) == (12_345, 3)
    assert grade.parameters.model == grade.score.model == "model"
    assert grade.parameters.source == "the stored summary"
    assert (grade.score.value, grade.score.cell) == (0.9945, 7)
    text = format_grade(grade)
    assert text.startswith("submission.ipynb: read, not executed\npass  comments ")
    assert "\npass  parameters    cell 3: 12,345 of `model`, from the stored summary" in text
    assert text.endswith("\npassed, 0 warnings")


def test_the_repository_s_own_notebook_passes(repository: Path) -> None:
    grade = grade_notebook(repository / "notebooks" / "05_s3_assignment.ipynb")
    assert grade.passed, format_grade(grade)
    assert not grade.warnings, format_grade(grade)
    from evalib.networks.course import s3_network

    assert grade.parameters.count == s3_network().count_params()
    assert grade.parameters.model == "model"  # and not the course's network, which is scored first


# ---------------------------------------------------------------- comments


@pytest.mark.parametrize(
    ("compile_cell", "found"),
    [
        ("model.compile(loss='mse', metrics=['acc'])", "no comment"),
        ("#\nmodel.compile(metrics=['acc'])  # --- 26", "a comment without words"),
        ("# model.add(Flatten())\nmodel.compile(metrics=['acc'])",
         "nothing but commented-out code"),
        ("'''the loss'''\nmodel.compile(metrics=['acc'])", "a string, which is no comment"),
        ("model.compile(metrics=['acc'], loss='# none')", "no comment"),
    ],
)  # fmt: skip
def test_a_cell_without_a_comment(path: Path, compile_cell: str, found: str) -> None:
    check = assert_only(
        grade_notebook(write(path, changed(compile=compile_cell))), FAIL, "comments"
    )
    assert check.found == found
    assert check.cells == (4,)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("# load it\nx = 1", "real"),
        ("x = 1  # the count", "real"),
        ("!pip install keras  # the library", "real"),
        ("%%time\n# how long?\nx = 1", "real"),
        ("%%bash\n# list the files\nls", "real"),
        ("%%bash\nls", "none"),
        ("%%javascript\n// hide the output\nx()", "real"),
        ("#@title Load the images\nx = 1", "real"),
        ('#@param {type:"number"}', "empty"),
        ("# import libraries\nimport os", "real"),
        ("# import numpy as np\nx = 1", "code"),
        ("# note: this is slow\nx = 1", "real"),
        ("# Größe der Bilder\nx = 1", "real"),
        ("# खोज परिणाम\nx = 1", "real"),
        ("# noqa\nx = 1", "empty"),
        ("# !pip3 install keras\nx = 1", "empty"),
        ("#!/usr/bin/env python3\nx = 1", "empty"),
        ("# ruff: noqa\nx = 1", "empty"),
        ("# !important: the images are 28x28\nx = 1", "real"),
        ("# !!! run this once only\nx = 1", "real"),
        ("# ruffle the images\nx = 1", "real"),
        ("# -*- coding: utf-8 -*-\nx = 1", "empty"),
        ("# for i in range(3):\n#     print(i)\nx = 1", "code"),
        ("# model.add(Conv2D(\n#     32, 3))\nx = 1", "code"),
        ("# two kernels are enough here\n# model.add(Conv2D(2, 3))\nx = 1", "real"),
        ("def f():\n    '''A docstring.'''\n    return '# no'", "none"),
        ('"""unclosed\n# a comment?', "real"),
        ('print "x"  # of Python 2', "real"),
        ("x = 'a#b'", "none"),
        ("if x:\n    !ls  # the files", "real"),
    ],
)
def test_kinds_of_comments(source: str, kind: str) -> None:
    assert comment_kind(source) == kind


def test_empty_cells_need_no_comment(path: Path) -> None:
    cells = [*good()[:3], ("  \n", None), *good()[3:]]
    grade = grade_notebook(write(path, cells, counts=[1, 2, 3, None, 4, 5, 6, 7]))
    assert grade.passed
    assert checks(grade, "comments")[0].found == "7 of 7 code cells"
    assert grade.score.cell == 8  # cells are counted as `evalib run` does


def test_cells_are_listed_by_what_they_lack(path: Path) -> None:
    cells = changed(
        compile="model.compile(metrics=['acc'])", print="print(score) #", fit="#\nx = 1"
    )
    check = assert_only(grade_notebook(write(path, cells)), FAIL, "comments")
    assert check.found == "no comment (4), a comment without words (5, 7)"
    assert check.cells == (4, 5, 7)


def test_one_comment_for_all_cells_is_noticed(path: Path) -> None:
    cells = good()
    for place in (1, 2, 3, 5):
        source, shown = cells[place]
        cells[place] = ("# Some  code\n" + source.split("\n", 1)[1], shown)
    check = assert_only(grade_notebook(write(path, cells)), WARN, "same comment")
    assert check.cells == (2, 3, 4, 6)
    assert "some code" in check.found


# ---------------------------------------------------------------- parameters


@pytest.mark.parametrize(("count", "status"), [(19_999, PASS), (20_000, FAIL), (68_260, FAIL)])
def test_the_bound_on_parameters(path: Path, count: int, status: str) -> None:
    grade = grade_notebook(write(path, changed(model=(made.MODEL, summary_of(count)))))
    assert checks(grade, "parameters")[0].status == status
    assert grade.parameters.count == count
    if status == FAIL:
        assert_only(grade, FAIL, "parameters")


def test_no_summary(path: Path) -> None:
    check = assert_only(
        grade_notebook(write(path, changed(model=(made.MODEL, None)))), FAIL, "parameters"
    )
    assert "no cell shows a summary" in check.found
    assert "model.summary()" in check.repair


def real_summary(trained: bool) -> tuple[str, int]:
    """What the installed Keras prints of a small model, and how many parameters it has."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(300)])
    model.compile(loss="mse", optimizer="adam")
    if trained:
        model.optimizer.build(model.trainable_variables)
    text = io.StringIO()
    model.summary(print_fn=lambda line, **_: text.write(line + "\n"))
    return text.getvalue(), model.count_params()


@pytest.mark.parametrize("trained", [False, True])
def test_summaries_of_keras_3(path: Path, trained: bool) -> None:
    text, count = real_summary(trained)
    assert ("Optimizer params" in text) == trained  # which "Total params" includes
    grade = grade_notebook(write(path, changed(model=(made.MODEL, text))))
    assert grade.parameters.count == count == 1500
    # As a notebook stores it: a display for each part, with colors.
    colored = "\x1b[1m Total params: \x1b[0m\x1b[38;5;34m71,000\x1b[0m (288.00 KB)\n"
    parts = [colored, colored.replace("Total", "Trainable").replace("71", "15")]
    parts += [" Non-trainable params: \x1b[38;5;34m60\x1b[0m (1 B)", " Optimizer params: 55,940"]
    write(path, changed())
    notebook = json.loads(path.read_text())
    notebook["cells"][3]["outputs"] = [result(part) for part in parts]
    path.write_text(json.dumps(notebook))
    assert grade_notebook(path).parameters.count == 15_060


def test_of_several_summaries_the_scored_model_s_is_taken(path: Path) -> None:
    small = made.MODEL.replace("model", "small")
    cells = good()
    cells[3:3] = [("# the course's own\n" + small.split("\n", 1)[1], summary_of(68_260))]
    cells.append(("# once more\nsmall.summary()", summary_of(68_260)))
    grade = grade_notebook(write(path, cells))
    assert grade.passed, format_grade(grade)
    assert (grade.parameters.count, grade.parameters.cell) == (12_345, 3)
    assert grade.parameters.reason == "`model` is the model that was scored; also shown: cell 4, 9"


def test_a_model_of_the_same_name_that_was_replaced_does_not_count(path: Path) -> None:
    first = (made.MODEL.replace("16,", "64,"), summary_of(68_260))
    grade = grade_notebook(write(path, [*good()[:2], first, *good()[2:]]))
    assert (grade.parameters.count, grade.parameters.cell) == (12_345, 4)
    later = [*good(), ("# a larger one\n" + made.MODEL.split("\n", 1)[1], summary_of(90_000))]
    grade = grade_notebook(write(path, later))
    assert (grade.parameters.count, grade.parameters.cell) == (12_345, 3)


def test_a_later_model_of_the_scored_one_s_name_does_not_count(path: Path) -> None:
    """As for looking at kernels: `model` is then a piece of the network."""
    large = (made.MODEL, summary_of(68_260))
    piece = "# the first layer\nmodel = Model(inputs, first)\nmodel.summary()"
    cells = [*changed(model=large), (piece, summary_of(160))]
    check = assert_only(grade_notebook(write(path, cells)), FAIL, "parameters")
    assert check.found.startswith("68,260 of `model`")
    # Where the network itself was never shown, its size is not known.
    cells = [*changed(model=(made.MODEL, None)), (piece, summary_of(160))]
    check = assert_only(grade_notebook(write(path, cells)), FAIL, "parameters")
    assert check.found.startswith("unknown")


def test_a_summary_of_the_model_before_is_named_as_such(path: Path) -> None:
    unseen = "# a larger one\n" + made.MODEL.split("\n", 1)[1].replace("model.summary()", "")
    cells = [*good()[:3], (unseen, None), *good()[3:]]
    grade = grade_notebook(write(path, cells))
    assert "no summary is known to be of the scored model `model`" in grade.parameters.reason


def test_two_summaries_in_one_cell(path: Path) -> None:
    both = made.MODEL + "\nother = Sequential()\nother.summary()"
    shown = made.OLD_SUMMARY + summary_of(50_000)
    assert grade_notebook(write(path, changed(model=(both, shown)))).parameters.count == 12_345


def test_a_summary_within_a_function(path: Path) -> None:
    source = (
        "# builds it\ndef build():\n    net = Sequential()\n    net.summary()\n    return net\n"
    )
    source += "model = build()"
    grade = grade_notebook(write(path, changed(model=(source, made.OLD_SUMMARY))))
    assert grade.parameters.count == 12_345
    assert "last one before the score" in grade.parameters.reason


def test_a_printed_count(path: Path) -> None:
    source = made.MODEL.replace("model.summary()", "print(f'{model.count_params():,} parameters')")
    grade = grade_notebook(write(path, changed(model=(source, "19,999 parameters\n"))))
    assert (grade.parameters.count, grade.parameters.source) == (19_999, "the printed count")


COUNT = "print('Model 2 has', model.count_params(), 'parameters')"


@pytest.mark.parametrize(
    ("source", "shown", "count"),
    [
        (COUNT, "Model 2 has 68260 parameters\n", 68_260),
        ("print(f'Parameters of model 2: {model.count_params()}')",
         "Parameters of model 2: 68260\n", 68_260),
        ("n = model.count_params()\nprint('{:,} of 20,000'.format(n))",
         "68,260 of 20,000\n", 68_260),
        ("print(small.count_params())\nprint(model.count_params())", "12345\n68260\n", 68_260),
        ("print('small', small.count_params())\nprint('model', model.count_params())",
         "small 12345\nmodel 68260\n", 68_260),
        ("print(X_train.shape)\nprint('Size:', model.count_params())",
         "(60000, 28, 28, 1)\nSize: 68260\n", 68_260),
        ("print(model.count_params())\nmodel.fit(x, epochs=1, verbose=2)",
         "68260\nEpoch 1/1\n10/10 - 3s - 2ms/step - loss: 1\n", 68_260),
        ("model.count_params()", result("68260"), 68_260),
        # Two numbers, and no word that says which is meant.
        ("print(model.count_params(), epochs)", "68260 20\n", None),
    ],
)  # fmt: skip
def test_which_number_is_the_printed_count(
    path: Path, source: str, shown: made.Shown, count: int | None
) -> None:
    cells = changed(model=(made.MODEL.replace("model.summary()", source), shown))
    grade = grade_notebook(write(path, cells))
    assert grade.parameters.count == count
    assert checks(grade, "parameters")[0].status == FAIL


# ---------------------------------------------------------------- score


@pytest.mark.parametrize(
    ("source", "shown", "value"),
    [
        (made.PRINT, "[0.02134, 0.9945]\n", 0.9945),
        (made.PRINT, "0.9945\n", 0.9945),
        (made.PRINT, "[np.float64(0.02), np.float64(0.9951)]\n", 0.9951),
        ("score[1] # accuracy", result("np.float64(0.9951)"), 0.9951),
        ("score # both of them", result("[0.02134000133, 0.99450000524520874]"), 0.9945),
        ("print('Test loss:', score[0])\nprint('Test accuracy:', score[1]) # both",
         "Test loss: 0.9999\nTest accuracy: 0.9947\n", 0.9947),
        ("print('%.2f%%' % (100 * score[1])) # in percent", "99.46%\n", 0.9946),
        ("print(f'accuracy = {100 * score[1]}') # of the test", "accuracy = 99.46\n", 0.9946),
        ("loss, acc = model.evaluate(X_test, Y_test) # once more\nprint(loss, acc)",
         "10000/10000 [==============================] - 1s 60us/step\n0.0213 0.9948\n", 0.9948),
        ("model.evaluate(X_test, Y_test) # once more",
         "313/313 ━━━━━━━━━━━━━━━━━━━━ 1s 2ms/step - accuracy: 0.9933 - loss: 0.0301\n", 0.9933),
        ("print(model.evaluate(X_test, Y_test, return_dict=True)) # once more",
         "{'accuracy': 0.9949, 'loss': 0.0213}\n", 0.9949),
        ("print('Test score: %.4f.' % score[1]) # in words", "Test score: 0.9945.\n", 0.9945),
        ("print('Score: %.2f' % (100 * score[1])) # in percent", "Score: 99.45\n", 0.9945),
        ("%matplotlib inline\nprint('Test accuracy: %.4f' # both lines\n      % score[1])",
         "Test accuracy: 0.9945\n", 0.9945),
        ("print(score) # and other numbers\nprint('image', [28, 28])",
         "[0.02, 0.91]\nimage [28, 28]\n", 0.91),
    ],
)  # fmt: skip
def test_ways_to_show_a_score(path: Path, source: str, shown: made.Shown, value: float) -> None:
    grade = grade_notebook(write(path, changed(print=(source, shown))))
    assert grade.score.value == pytest.approx(value, abs=1e-6)
    assert grade.score.model == "model"
    assert checks(grade, "score")[0].status == (PASS if value > 0.994 else FAIL)


@pytest.mark.parametrize(("shown", "status"), [("0.994\n", FAIL), ("0.9941\n", PASS)])
def test_the_bound_on_the_score(path: Path, shown: str, status: str) -> None:
    grade = grade_notebook(write(path, changed(print=(made.PRINT, shown))))
    assert checks(grade, "score")[0].status == status
    if status == FAIL:
        assert assert_only(grade, FAIL, "score").cells == (7,)


def test_a_score_beside_a_training_log(path: Path) -> None:
    source = f"{made.FIT}\n{made.EVALUATE}\n{made.PRINT}"
    log = made.LOG + "Epoch 3/20\n - 7s - loss: 0.0100 - acc: 0.9999 - val_acc: 0.9990\n"
    cells = [*good()[:4], (source, log + "\r" + made.SCORE)]
    assert grade_notebook(write(path, cells)).score.value == 0.9945


SCORED = "score = model.evaluate(X_test, Y_test, verbose=0)"
RATE = "# of errors\nrate = 100 - 100 * score[1]\n"


@pytest.mark.parametrize(
    ("source", "shown", "value"),
    [
        # The training's accuracy beside the test's.
        ("print('Test accuracy:', score[1]) # both\nprint('Train accuracy:', h['accuracy'][-1])",
         "Test accuracy: 0.9731\nTrain accuracy: 0.9999\n", 0.9731),
        ("print('accuracy:', score[1]) # both\nprint('Train accuracy:', h['accuracy'][-1])",
         "accuracy: 0.9731\nTrain accuracy: 0.9999\n", 0.9731),
        ("print(score[1]) # both\nprint(f'Train accuracy: {h[-1]:.4f}')",
         "0.9731\nTrain accuracy: 0.9999\n", 0.9731),
        ("print('Test:\\n', score[1]) # both\nprint('Training:\\n', h[-1])",
         "Test:\n 0.9731\nTraining:\n 0.9999\n", 0.9731),
        (f"model.fit(x, epochs=1, verbose=2) # both\n{SCORED}\nprint(score[1])",
         "Epoch 1/1\n9/9 - 3s - 2ms/step - accuracy: 0.9999 - loss: 0.0001\n0.9731\n", 0.9731),
        (f"model.fit(x, epochs=1, verbose=2) # both\n{SCORED}\nprint(score[1])",
         "Epoch 1/1\n9/9 - 3s - loss: 0.0001 - accuracy: 0.9999\n0.9731\n", 0.9731),
        # The loss behind the accuracy.
        ("print('Accuracy: %.4f' % score[1]) # both\nprint('Loss: %.4f' % score[0])",
         "Accuracy: 0.9731\nLoss: 0.9999\n", 0.9731),
        ("loss, acc = model.evaluate(X_test, Y_test) # both\nprint('Right:', acc)\n"
         "print('Loss:', loss)", "Right: 0.9731\nLoss: 0.9999\n", 0.9731),
        ("a = score[1] # both\nb = score[0]\nprint('Right:', a)\nprint('Loss:', b)",
         "Right: 0.9731\nLoss: 0.9999\n", 0.9731),
        ("score, acc = model.evaluate(X_test, Y_test) # both\nprint('Test accuracy:', acc)\n"
         "print('Test score:', score)", "Test accuracy: 0.9731\nTest score: 0.9999\n", 0.9731),
        ("print('Right:', score[1]) # both\n"
         "print('Loss:', model.evaluate(X_test, Y_test, verbose=0)[0])",
         "Right: 0.9731\nLoss: 0.9999\n", 0.9731),
        # The errors, which are no accuracy.
        ("print('CNN Error: %.2f%%' % (100 - score[1] * 100)) # errors",
         "CNN Error: 0.55%\n", None),
        (RATE + "print('Error: %.2f%%' % rate)", "Error: 0.55%\n", None),
        (RATE + "print(score[1])\nprint('Error: %.2f%%' % rate)", "0.9731\nError: 2.69%\n", 0.9731),
    ],
)  # fmt: skip
def test_numbers_that_are_not_the_score(
    path: Path, source: str, shown: str, value: float | None
) -> None:
    grade = grade_notebook(write(path, changed(print=(source, shown))))
    assert grade.score.value == value
    assert checks(grade, "score")[0].status == FAIL


def test_a_score_of_images_that_were_inverted(path: Path) -> None:
    cells = changed(evaluate="# white on black\nX_test = 1 - X_test\n" + SCORED)
    assert grade_notebook(write(path, cells)).score.value == 0.9945


def test_the_accuracy_is_found_among_several_metrics(path: Path) -> None:
    source = made.COMPILE.replace("['accuracy']", "['mse', 'accuracy']")
    cells = changed(compile=source, print=(made.PRINT, "[0.02, 0.0001, 0.9953]\n"))
    assert grade_notebook(write(path, cells)).score.value == 0.9953


def test_a_loss_is_no_score(path: Path) -> None:
    source = made.COMPILE.replace(", metrics=['accuracy']", "")
    cells = changed(compile=source, print=(made.PRINT, "0.9999\n"))
    check = assert_only(grade_notebook(write(path, cells)), FAIL, "score")
    assert "metrics=['accuracy']" in check.repair


def test_the_last_score_counts(path: Path) -> None:
    cells = [*good(), (f"# a second look\n{made.EVALUATE}\n{made.PRINT}", "[0.1, 0.9712]\n")]
    assert grade_notebook(write(path, cells)).score.value == 0.9712


def test_no_score_at_all(path: Path) -> None:
    check = assert_only(grade_notebook(write(path, good()[:5])), FAIL, "score")
    assert check.found == "no cell shows a score"


# ---------------------------------------------------------------- order and errors


@pytest.mark.parametrize(
    ("counts", "found", "cells"),
    [
        ([None] * 7, "none ran", (1, 2, 3, 4, 5, 6, 7)),
        ([1, 2, 3, None, 4, 5, 6], "not all ran", (4,)),
        ([1, 2, 4, 3, 5, 6, 7], "execution count 3 after 4: in another order", (4,)),
        ([1, 2, 3, 4, 5, 6, 9], "execution count 9 after 6: some ran again", (7,)),
        ([3, 4, 5, 6, 7, 8, 9], "execution count 3: some ran again", (1,)),
    ],
)
def test_order(path: Path, counts: list[int | None], found: str, cells: tuple[int, ...]) -> None:
    grade = grade_notebook(write(path, good(), counts=counts))
    check = assert_only(grade, FAIL, "order")
    assert check.found.startswith(found)
    assert check.cells == cells


def test_an_unexecuted_submission(path: Path) -> None:
    cells: list[tuple[str, made.Shown]] = [(source, None) for source, _ in good()]
    grade = grade_notebook(write(path, cells, counts=[None] * 7))
    failed = [check.rule for check in grade.checks if check.status == FAIL]
    assert failed == ["parameters", "score", "order"]


def test_an_error_output(path: Path) -> None:
    cells = [
        *good(),
        ("vis_image(0)  # what does it look for?", error("NameError", "no \x1b[31mvis")),
    ]
    check = assert_only(grade_notebook(write(path, cells)), FAIL, "errors")
    assert (check.cells, check.found) == ((8,), "NameError: no vis")


def test_an_error_that_a_tag_expects_is_named(path: Path) -> None:
    cells = [*good(), ("1 / 0  # breaks", error("ZeroDivisionError", "division by zero"))]
    notebook = json.loads(write(path, cells).read_text())
    notebook["cells"][-1]["metadata"] = {"tags": ["raises-exception"]}
    path.write_text(json.dumps(notebook))
    check = assert_only(grade_notebook(path), WARN, "errors")
    assert (check.cells, check.found) == ((8,), "ZeroDivisionError: division by zero")


@pytest.mark.parametrize("magic", ["%%writefile train.py", "%%bash", "%%script python"])
def test_a_program_in_a_cell_is_not_read(path: Path, magic: str) -> None:
    cells = [*good(), (f"{magic}\n# train on all\nmodel.fit(X_test, Y_test, epochs=9)", None)]
    check = assert_only(grade_notebook(write(path, cells)), WARN, "readable")
    assert (check.cells, check.found) == ((8,), "hands its text to another program")


# ---------------------------------------------------------------- what is refused, and the command


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not JSON", "no JSON"),
        (b"", "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        (b'{"cells": [', "no JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b"9" * 5000, "no JSON"),
        (b"[]", "has no cells"),
        (b"{}", "has no cells"),
        (b'{"cells": 3}', "are no list"),
        (b'{"cells": [3]}', "item 1 is no cell"),
        (b'{"cells": [{"cell_type": "code", "source": 3}]}', "item 1 is no cell"),
        (b'{"worksheets": []}', "format 4"),
        (None, "found no file at"),
    ],
)
def test_what_is_no_notebook_is_refused(
    path: Path, content: bytes | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        path.write_bytes(content)
    assert main(["grade", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("evalib: expected ")
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_files_that_are_too_large_or_no_files(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with path.open("wb") as file:
        file.truncate(50 * 2**20 + 1)
    assert main(["grade", str(path)]) == 2
    assert "at most 50 MB, it has more" in capsys.readouterr().err
    write(path, [("x = 1\n" * 10_000, None)] * 20)
    assert main(["grade", str(path)]) == 2
    assert "at most 500,000 characters of code" in capsys.readouterr().err
    assert main(["grade", str(tmp_path)]) == 2
    assert "found no plain file at" in capsys.readouterr().err


@pytest.mark.parametrize(
    "cell",
    [
        {"cell_type": "code", "source": []},
        {"cell_type": "code", "source": "# why\n", "outputs": 3, "execution_count": "x"},
        {"cell_type": "code", "source": ["# why"], "outputs": [3, {}, {"output_type": "stream"}]},
        {"cell_type": "code", "source": "x", "metadata": [], "outputs": [{"output_type": "error"}]},
        {"cell_type": "code", "source": "x", "outputs": [{"output_type": "display_data"}]},
        {"cell_type": "code", "source": "x", "metadata": {"tags": [3]}, "execution_count": True},
        {"cell_type": "raw", "source": "x"},
    ],
)  # fmt: skip
def test_odd_cells_are_marked_not_refused(path: Path, cell: dict[str, Any]) -> None:
    path.write_text(json.dumps({"cells": [cell]}))
    grade = grade_notebook(path)
    assert not grade.passed
    assert grade.score.value is None


def test_the_command(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(path, good())
    assert main(["grade", str(path)]) == 0
    assert capsys.readouterr().out.endswith("passed, 0 warnings\n")
    assert main(["grade", str(path), "--json"]) == 0
    marks = json.loads(capsys.readouterr().out)
    assert marks["passed"] is True
    assert marks["executed"] is False
    assert (marks["parameters"]["count"], marks["score"]["value"]) == (12_345, 0.9945)
    assert {"rule", "status", "cells", "expected", "found", "repair"} == set(marks["checks"][0])

    write(path, changed(fit=made.FIT + "\n" + made.FIT.split("\n", 1)[1]))
    assert main(["grade", str(path)]) == 0
    assert capsys.readouterr().out.endswith("passed, 1 warning\n")
    assert main(["grade", str(path), "--strict"]) == 1

    write(path, good()[:5])
    capsys.readouterr()
    assert main(["grade", str(path), "--json"]) == 1
    marks = json.loads(capsys.readouterr().out)
    assert (marks["passed"], marks["score"]["value"], marks["score"]["cell"]) == (False, None, None)


def test_reading_needs_no_keras_and_the_help_warns() -> None:
    code = (
        "import sys, evalib.tools.cli, evalib.tools.grade.rules\n"
        "print(sorted({'keras', 'tensorflow', 'nbclient', 'IPython'} & set(sys.modules)))\n"
        "evalib.tools.cli.main(['grade', '--help'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("[]\nusage: evalib grade")
    assert "is no sandbox" in " ".join(done.stdout.split())
    assert done.stderr == ""

"""evalib.tools.grade.outputs: which of the shown numbers is the score, which the parameters."""

import io
import json
from pathlib import Path

import keras
import pytest

import tests.tools.grade.made as made
from evalib.tools.grade.rules import CANNOT_TELL, FAIL, PASS, grade_notebook
from tests.tools.grade.made import assert_only, changed, checks, good, result, summary_of, write


@pytest.mark.parametrize(
    ("source", "shown", "value"),
    [
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
        (made.PRINT, "[2.3026, 0.1135]\n", 0.1135),
        (made.PRINT, "0.994\n", 0.994),
        (made.PRINT, "0.9941\n", 0.9941),
    ],
)  # fmt: skip
def test_ways_to_show_a_score(path: Path, source: str, shown: made.Shown, value: float) -> None:
    grade = grade_notebook(write(path, changed(print=(source, shown))))
    assert grade.score.value == pytest.approx(value, abs=1e-6)
    assert grade.score.model == "model"
    assert checks(grade, "score")[0].status == (PASS if value > 0.994 else FAIL)


SCORED = "score = model.evaluate(X_test, Y_test, verbose=0)"
RATE = "# of errors\nrate = 100 - 100 * score[1]\n"


@pytest.mark.parametrize(
    ("source", "shown", "value"),
    [
        # The training's accuracy beside the test's.
        ("print('Test accuracy:', score[1]) # both\nprint('Train accuracy:', h['accuracy'][-1])",
         "Test accuracy: 0.9731\nTrain accuracy: 0.9999\n", 0.9731),
        ("print(score[1]) # both\nprint(f'Train accuracy: {h[-1]:.4f}')",
         "0.9731\nTrain accuracy: 0.9999\n", 0.9731),
        ("print('Test:\\n', score[1]) # both\nprint('Training:\\n', h[-1])",
         "Test:\n 0.9731\nTraining:\n 0.9999\n", 0.9731),
        (f"model.fit(x, epochs=1, verbose=2) # both\n{SCORED}\nprint(score[1])",
         "Epoch 1/1\n9/9 - 3s - 2ms/step - accuracy: 0.9999 - loss: 0.0001\n0.9731\n", 0.9731),
        # The loss after the accuracy.
        ("print('Accuracy: %.4f' % score[1]) # both\nprint('Loss: %.4f' % score[0])",
         "Accuracy: 0.9731\nLoss: 0.9999\n", 0.9731),
        ("loss, acc = model.evaluate(X_test, Y_test) # both\nprint('Right:', acc)\n"
         "print('Loss:', loss)", "Right: 0.9731\nLoss: 0.9999\n", 0.9731),
        ("score, acc = model.evaluate(X_test, Y_test) # both\nprint('Test accuracy:', acc)\n"
         "print('Test score:', score)", "Test accuracy: 0.9731\nTest score: 0.9999\n", 0.9731),
        # The errors, which are no accuracy.
        ("print('CNN Error: %.2f%%' % (100 - score[1] * 100)) # no", "CNN Error: 0.55%\n", None),
        (RATE + "print(score[1])\nprint('Error: %.2f%%' % rate)", "0.9731\nError: 2.69%\n", 0.9731),
        (RATE + "print(rate)", "0.55\n", None),
    ],
)  # fmt: skip
def test_numbers_that_are_not_the_score(
    path: Path, source: str, shown: str, value: float | None
) -> None:
    grade = grade_notebook(write(path, changed(print=(source, shown))))
    assert grade.score.value == value
    assert checks(grade, "score")[0].status == (FAIL if value else CANNOT_TELL)


def test_several_metrics_and_none(path: Path) -> None:
    for metrics in ("['mse', 'accuracy']", "['accuracy', 'top_k']"):
        values = "[0.02, 0.9953, 0.9999]\n" if metrics[2] == "a" else "[0.02, 0.7, 0.9953]\n"
        source = made.COMPILE.replace("['accuracy']", metrics)
        cells = changed(compile=source, print=(made.PRINT, values))
        assert grade_notebook(write(path, cells)).score.value == 0.9953
    source = made.COMPILE.replace(", metrics=['accuracy']", "")
    cells = changed(compile=source, print=(made.PRINT, "0.9999\n"))
    check = assert_only(grade_notebook(write(path, cells)), CANNOT_TELL, "score")
    assert "compile has no metrics" in check.found


def test_the_last_score_counts(path: Path) -> None:
    cells = [*good(), (f"# a second look\n{made.EVALUATE}\n{made.PRINT}", "[0.1, 0.9712]\n")]
    assert grade_notebook(write(path, cells)).score.value == 0.9712


# ---------------------------------------------------------------- parameters


@pytest.mark.parametrize(("count", "status"), [(19_999, PASS), (20_000, FAIL), (68_260, FAIL)])
def test_the_bound_on_parameters(path: Path, count: int, status: str) -> None:
    grade = grade_notebook(write(path, changed(model=(made.MODEL, summary_of(count)))))
    assert checks(grade, "parameters")[0].status == status
    assert grade.parameters.count == count
    assert grade.status == ("failed" if status == FAIL else "passed")
    other = grade_notebook(path, parameters_below=count + 1, score_above=0.9945)
    assert [checks(other, rule)[0].status for rule in ("parameters", "score")] == [PASS, FAIL]


@pytest.mark.parametrize("trained", [False, True])
def test_summaries_of_keras_3(path: Path, trained: bool) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(300)])
    model.compile(loss="mse", optimizer="adam")
    if trained:
        model.optimizer.build(model.trainable_variables)
    text = io.StringIO()
    model.summary(print_fn=lambda line, **_: text.write(line + "\n"))
    assert ("Optimizer params" in text.getvalue()) == trained  # which "Total params" includes
    grade = grade_notebook(write(path, changed(model=(made.MODEL, text.getvalue()))))
    assert grade.parameters.count == model.count_params() == 1500
    # As a notebook stores it: a display for each part, with colors.
    colored = "\x1b[1m Total params: \x1b[0m\x1b[38;5;34m71,000\x1b[0m (288.00 KB)\n"
    parts = [colored, colored.replace("Total", "Trainable").replace("71", "15")]
    parts += [" Non-trainable params: \x1b[38;5;34m60\x1b[0m (1 B)", " Optimizer params: 55,940"]
    write(path, changed())
    notebook = json.loads(path.read_text())
    notebook["cells"][2]["outputs"] = [result(part) for part in parts]
    path.write_text(json.dumps(notebook))
    assert grade_notebook(path).parameters.count == 15_060


def test_of_several_summaries_the_scored_model_s_is_taken(path: Path) -> None:
    small = made.MODEL.replace("model", "small")
    cells = good()
    cells[3:3] = [("# the course's own\n" + small.split("\n", 1)[1], summary_of(68_260))]
    cells.append(("# once more\nsmall.summary()", summary_of(68_260)))
    grade = grade_notebook(write(path, cells))
    assert grade.status == "passed"
    assert (grade.parameters.count, grade.parameters.cell) == (12_345, 3)
    assert grade.parameters.reason == "`model` is the model that was scored; also shown: cell 4, 9"
    both = made.MODEL + "\nother = Sequential()\nother.summary()"
    shown = summary_of(12_345) + summary_of(50_000)
    assert grade_notebook(write(path, changed(model=(both, shown)))).parameters.count == 12_345


def test_models_of_the_same_name(path: Path) -> None:
    first = (made.MODEL.replace("16,", "64,"), summary_of(68_260))
    grade = grade_notebook(write(path, [*good()[:2], first, *good()[2:]]))
    assert (grade.parameters.count, grade.parameters.cell) == (12_345, 4)
    later = [*good(), ("# a larger one\n" + made.MODEL.split("\n", 1)[1], summary_of(90_000))]
    grade = grade_notebook(write(path, later))
    assert (grade.parameters.count, grade.parameters.cell) == (12_345, 3)
    # As for looking at kernels: `model` is then a piece of a network that was never shown.
    piece = "# the first layer\nmodel = Model(inputs, first)\nmodel.summary()"
    cells = [*changed(model=(made.MODEL, None)), (piece, summary_of(160))]
    assert_only(grade_notebook(write(path, cells)), CANNOT_TELL, "parameters")
    unseen = "# a larger one\n" + made.MODEL.split("\n", 1)[1].replace("model.summary()", "")
    grade = grade_notebook(write(path, [*good()[:3], (unseen, None), *good()[3:]]))
    assert "no summary is known to be of the scored model `model`" in grade.parameters.reason


COUNT = "print('Model 2 has', model.count_params(), 'parameters')"


@pytest.mark.parametrize(
    ("source", "shown", "count"),
    [
        ("print(f'{model.count_params():,} parameters')", "19,999 parameters\n", 19_999),
        (COUNT, "Model 2 has 68260 parameters\n", 68_260),
        ("print(f'Parameters of model 2: {model.count_params()}')",
         "Parameters of model 2: 68260\n", 68_260),
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
        ("", None, None),
    ],
)  # fmt: skip
def test_which_number_is_the_printed_count(
    path: Path, source: str, shown: made.Shown, count: int | None
) -> None:
    cells = changed(model=(made.MODEL.replace("model.summary()", source), shown))
    grade = grade_notebook(write(path, cells))
    assert grade.parameters.count == count
    assert (checks(grade, "parameters")[0].status == CANNOT_TELL) == (count is None)


def test_a_number_in_an_emptied_cell_counts_only_where_there_is_no_other(path: Path) -> None:
    cells = [*good(), ("", summary_of(99_999))]
    assert grade_notebook(write(path, cells)).parameters.count == 12_345
    cells = [*changed(model=(made.MODEL, None)), ("", summary_of(9_999))]
    assert grade_notebook(write(path, cells)).parameters.count == 9_999

"""evalib.tools.grade.outputs: which of the shown numbers is the score, which the parameters."""

import io
import json
from pathlib import Path

import keras
import pytest

import tests.tools.grade.made as made
from evalib.tools.grade.rules import CANNOT_TELL, FAIL, PASS, grade_notebook
from tests.tools.grade.made import assert_only, changed, checks, good, result, summary_of, write

BOTH = "print('Test accuracy:', score[1]) # and more\n"
ERRORS = "# of errors\nrate = 100 - 100 * score[1]\n"


@pytest.mark.parametrize(
    ("source", "shown", "value"),
    [
        (made.PRINT, "[2.3026, 0.1135]\n", 0.1135),
        (made.PRINT, "[np.float64(0.02), np.float64(0.9951)]\n", 0.9951),
        ("score # both of them", result("[0.02134000133, 0.99450000524520874]"), 0.9945),
        ("print('%.2f%%' % (100 * score[1])) # in percent", "99.46%\n", 0.9946),
        ("loss, acc = model.evaluate(X_test, Y_test) # once more\nprint(loss, acc)",
         "10000/10000 [==============================] - 1s 60us/step\n0.0213 0.9948\n", 0.9948),
        ("model.evaluate(X_test, Y_test) # once more",
         "313/313 ━━━━━━━━━━━━━━━━━━━━ 1s 2ms/step - accuracy: 0.9933 - loss: 0.0301\n", 0.9933),
        ("print(model.evaluate(X_test, Y_test, return_dict=True)) # once more",
         "{'accuracy': 0.9949, 'loss': 0.0213}\n", 0.9949),
        ("print(score) # and other numbers\nprint('image', [28, 28])",
         "[0.02, 0.91]\nimage [28, 28]\n", 0.91),
        # The training's accuracy, or the loss, beside the test's accuracy.
        ("print('Test loss:', score[0]) # first\n" + BOTH,
         "Test loss: 0.9999\nTest accuracy: 0.9731\n", 0.9731),
        ("print('Test:\\n', score[1]) # both\nprint('Training:\\n', h[-1])",
         "Test:\n 0.9731\nTraining:\n 0.9999\n", 0.9731),
        (f"model.fit(x, epochs=1, verbose=2) # both\n{made.EVALUATE}\nprint(score[1])",
         "Epoch 1/1\n9/9 - 3s - 2ms/step - accuracy: 0.9999 - loss: 0.0001\n0.9731\n", 0.9731),
        ("score, acc = model.evaluate(X_test, Y_test) # both\nprint('Test accuracy:', acc)\n"
         "print('Test score:', score)", "Test accuracy: 0.9731\nTest score: 0.9999\n", 0.9731),
        # The errors, which are no accuracy.
        ("print('CNN Error: %.2f%%' % (100 - score[1] * 100)) # no", "CNN Error: 0.55%\n", None),
        (ERRORS + "print(score[1])\nprint('Error: %.2f%%' % rate)", "0.97\nError: 2.69%\n", 0.97),
        (ERRORS + "print(rate)", "0.55\n", None),
    ],
)  # fmt: skip
def test_ways_to_show_a_score(path, source, shown, value):
    grade = grade_notebook(write(path, changed(print=(source, shown))))
    assert grade.score.value == (value and pytest.approx(value, abs=1e-6))
    assert grade.score.model == "model"
    verdict = PASS if value and value > 0.994 else FAIL if value else CANNOT_TELL
    assert checks(grade, "score")[0].status == verdict


def test_several_metrics_and_none(path: Path) -> None:
    for metrics, shown in (("['mse', 'accuracy']", "0.7, 0.9953"), ("['acc', 'k']", "0.9953, 1.0")):
        source = made.COMPILE.replace("['accuracy']", metrics)
        cells = changed(compile=source, print=(made.PRINT, f"[0.02, {shown}]\n"))
        assert grade_notebook(write(path, cells)).score.value == 0.9953
    source = made.COMPILE.replace(", metrics=['accuracy']", "")
    cells = changed(compile=source, print=(made.PRINT, "0.9999\n"))
    check = assert_only(grade_notebook(write(path, cells)), CANNOT_TELL, "score")
    assert "compile has no metrics" in check.found


def test_the_bounds(path: Path) -> None:
    for count, status in ((19_999, PASS), (20_000, FAIL)):
        grade = grade_notebook(write(path, changed(model=(made.MODEL, summary_of(count)))))
        assert checks(grade, "parameters")[0].status == status
    other = grade_notebook(path, parameters_below=20_001, score_above=0.9945)
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
    notebook = json.loads(write(path, good()).read_text())
    notebook["cells"][2]["outputs"] = [result(part) for part in parts]
    path.write_text(json.dumps(notebook))
    assert grade_notebook(path).parameters.count == 15_060


def test_of_several_models_the_scored_one_s_is_taken(path: Path) -> None:
    def counted(cells: made.Cells) -> tuple[int | None, int | None]:
        found = grade_notebook(write(path, cells)).parameters
        return found.count, found.cell

    small = ("# the course's own\n" + made.MODEL.replace("model", "small"), summary_of(68_260))
    again = ("# once more\nsmall.summary()", summary_of(68_260))
    assert counted([*good()[:3], small, *good()[3:], again]) == (12_345, 3)
    both = made.MODEL + "\nother = Sequential()\nother.summary()"
    shown = summary_of(12_345) + summary_of(50_000)
    assert counted(changed(model=(both, shown))) == (12_345, 3)
    # Models of the same name, before and after.
    other = ("# another\n" + made.MODEL, summary_of(68_260))
    assert counted([*good()[:2], other, *good()[2:]]) == (12_345, 4)
    assert counted([*good(), other]) == (12_345, 3)
    # As for looking at kernels: `model` is then a piece of a network that was never shown.
    piece = ("# the first layer\nmodel = Model(inputs, first)\nmodel.summary()", summary_of(160))
    assert counted([*changed(model=(made.MODEL, None)), piece]) == (None, None)
    unseen = ("# a larger one\n" + made.MODEL.replace("model.summary()", ""), None)
    write(path, [*good()[:3], unseen, *good()[3:]])
    reason = grade_notebook(path).parameters.reason
    assert "no summary is known to be of the scored model `model`" in reason
    # What an emptied cell still shows counts only where there is nothing else.
    assert counted([*good(), ("", summary_of(9_999))]) == (12_345, 3)
    assert counted([*changed(model=(made.MODEL, None)), ("", summary_of(9_999))]) == (9_999, 8)


@pytest.mark.parametrize(
    ("source", "shown", "count"),
    [
        ("print('Model 2 has', model.count_params(), 'parameters')",
         "Model 2 has 68260 parameters\n", 68_260),
        ("print(f'Parameters of model 2: {model.count_params()}')",
         "Parameters of model 2: 68260\n", 68_260),
        ("print(X_train.shape)\nprint('Size:', model.count_params())",
         "(60000, 28, 28, 1)\nSize: 68260\n", 68_260),
        # Two numbers, and no word that says which is meant.
        ("print(model.count_params(), epochs)", "68260 20\n", None),
        ("", None, None),
    ],
)  # fmt: skip
def test_which_number_is_the_printed_count(path, source, shown, count):
    cells = changed(model=(made.MODEL.replace("model.summary()", source), shown))
    grade = grade_notebook(write(path, cells))
    assert grade.parameters.count == count
    assert (checks(grade, "parameters")[0].status == CANNOT_TELL) == (count is None)

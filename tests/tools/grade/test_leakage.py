"""evalib.tools.grade.leakage: what makes a score say less than it seems, and what does not."""

from pathlib import Path

import pytest

import tests.tools.grade.made as made
from evalib.tools.grade.rules import WARN, grade_notebook
from tests.tools.grade.made import assert_only, changed, good, write

CHECKED = "validation_data=(X_test, Y_test)"
FIT_ON = "# train\nmodel.fit(X_train, Y_train, epochs=20, {})"
STOP = (
    "class Stop(Callback):\n  def on_epoch_end(self, epoch, logs):\n    if logs['val_acc'] > 0.9:\n"
)


def fit_with(options: str, before: str = "", after: str = "") -> str:
    return f"{before}\n{FIT_ON.format(options)}\n{after}"


@pytest.mark.parametrize(
    ("fit", "word"),
    [
        (fit_with(f"{CHECKED}, callbacks=c", "c = []\nc.append(EarlyStopping())"), "ends"),
        (fit_with(f"{CHECKED}, callbacks=[c]", "c = ModelCheckpoint('w', 'val_acc')",
                  "model.load_weights('w')"), "takes weights back"),
        (fit_with("validation_data=(images, labels), callbacks=[EarlyStopping()]",
                  "images, labels = X_test[:5000], Y_test[:5000]"), "test images"),
        (fit_with(f"{CHECKED}, callbacks=[Stop()]", f"{STOP}      self.model.stop_training = True"),
         "of its own"),
        (fit_with(f"{CHECKED}, callbacks=stop()", "def stop():\n    return [EarlyStopping()]"),
         "ends the training"),  # by a way that is not seen
        ("# many\nbest = 0\nfor i in range(20):\n  model = build()\n  while best < 0.994:\n"
         "    model.fit(X_train, Y_train, batch_size=32)\n"
         "    best = model.evaluate(X_test, Y_test)[1]", "again and again"),
    ],
)  # fmt: skip
def test_choices_on_test_images(path: Path, fit: str, word: str) -> None:
    grade = grade_notebook(write(path, changed(fit=fit)))
    (check,) = [check for check in grade.warnings if check.rule == "choice"]
    assert word in check.found
    assert check.cells == (5,)
    assert {check.rule for check in grade.warnings} <= {"choice", "passes"}


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("# the best\nprint(max(history.history.get('val_accuracy')))", "val_accuracy"),
        ("# the best\nv = np.array(history.history['val_acc'])\nv.max()", "val_acc"),
        ("# of the training\nprint(max(history.history['accuracy']))", ""),
    ],
)
def test_the_best_of_all_epochs(path: Path, source: str, word: str) -> None:
    fit = f"# train\nhistory = model.fit(X_train, Y_train, epochs=9, {CHECKED})"
    grade = grade_notebook(write(path, [*changed(fit=fit)[:5], (source, None), *good()[5:]]))
    if not word:
        assert not grade.warnings
        return
    check = assert_only(grade, WARN, "best epoch")
    assert word in check.found
    assert check.cells == (6,)


def test_the_callbacks_of_another_fit(path: Path) -> None:
    """One fit has test images and a plain schedule, another is stopped by its own part."""
    scheduled = fit_with(f"{CHECKED}, callbacks=[LearningRateScheduler(rate)]")
    other = "\nother.compile()\nother.fit(X_train, Y_train, validation_split=0.1, callbacks={})"
    stopped = scheduled + other.format("[EarlyStopping()]")
    assert not grade_notebook(write(path, changed(fit=stopped))).warnings
    both = "both = [EarlyStopping()]\n" + fit_with(f"{CHECKED}, callbacks=both")
    grade = grade_notebook(write(path, changed(fit=both + other.format("both"))))
    assert {check.rule for check in grade.warnings} == {"choice"}


@pytest.mark.parametrize(
    ("fit", "rule", "word"),
    [
        (FIT_ON.format("") + "\ndef other(model):\n  pass\nmodel.fit(X_train, Y_train, epochs=9)",
         "one training", "2 times"),
        ("# train\nmodel.load_weights('w.h5')\nmodel.fit(X_train, Y_train, epochs=9)",
         "one training", "weights from a file"),
        ("# train\nmodel = load_model('m.h5')\nmodel.fit(X_train, Y_train, epochs=9)",
         "one training", "model from a file"),
        ("# train\nfor i in range(9):\n    model.fit(X_train, Y_train, epochs=1)",
         "passes", "in a loop"),
        ("# train\nmodel.fit(X_test, Y_test, epochs=9)", "test images", "trained on test images"),
        ("# train\nX = np.concatenate([X_train, X_test])\nmodel.fit(X, Y, epochs=9)",
         "test images", "on test images"),
    ],
)  # fmt: skip
def test_more_than_it_seems(path: Path, fit: str, rule: str, word: str) -> None:
    grade = grade_notebook(write(path, changed(fit=fit)))
    # Training on test images is noticed at the training and at the score; the rest once.
    assert {check.rule for check in grade.warnings} == {rule}
    assert word in grade.warnings[0].found
    assert grade.warnings[0].cells == (5,)


@pytest.mark.parametrize(
    "fit",
    [
        fit_with("validation_split=0.1, callbacks=[EarlyStopping(), ModelCheckpoint('w',"
                 "save_best_only=True)]", after="model.load_weights('w')"),
        fit_with("validation_data=(X_val, Y_val), callbacks=[EarlyStopping()]",
                 "X_val, X_train = X_train[:9000], X_train[9000:]\n"
                 "Y_val, Y_train = Y_train[:9000], Y_train[9000:]"),
        fit_with("validation_data=(X_test, y_val), callbacks=[EarlyStopping()]",
                 "X_train, X_test, a, y_val = train_test_split(X_train, Y_train)"),
        fit_with(f"{CHECKED}, callbacks=[LearningRateScheduler(lambda e: 0.1 / (1 + e))]"),
        fit_with("", "model.save_weights('0.h5')\nmodel.fit(X_train, Y_train, epochs=1)\n"
                 "model.load_weights('0.h5')"),
        fit_with("", "for seed in range(3):\n    model = build()\n    model.fit(X, epochs=9)\n"
                 "model = build()"),
        fit_with("", "plt.ylim(0, max(h.history['val_loss']))"),
        fit_with("", "a, b = X_train[:10], X_train[10:]\nX_train = np.concatenate([a, b])"),
        fit_with("", "X = np.concatenate([X_train, X_test])\nX = X - X.mean()\n"
                 "X_train, X_test = X[:60000], X[60000:]"),
        "# a function\ndef run(model, x_train, x_test):\n"
        "    model.fit(x_train, epochs=3, validation_data=x_test)\nrun(model, X_train, X_test)",
    ],
)  # fmt: skip
def test_what_is_right_gives_no_warning(path: Path, fit: str) -> None:
    grade = grade_notebook(write(path, changed(fit=(fit, None))))
    assert not grade.warnings, grade.warnings


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (made.EVALUATE.replace("_test", "_train"), "images that the model was trained on"),
        ("# the accuracy\nscore = [0.02134, 0.9945]", "a number in the source"),
    ],
)
def test_a_score_of_something_else(path: Path, source: str, found: str) -> None:
    grade = grade_notebook(write(path, changed(evaluate=source)))
    assert found in assert_only(grade, WARN, "test images").found

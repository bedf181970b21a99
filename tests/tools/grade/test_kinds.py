"""Kinds of real submissions, one notebook each, and the right verdict of each."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

import tests.tools.grade.made as made
from evalib.tools.grade.rules import CANNOT_TELL, FAIL, PASS, WARN, format_grade, grade_notebook
from tests.tools.grade.made import TEXT, Cells, changed, good, summary_of, torch, write

Counts = list[int | None] | None
UNKNOWN = CANNOT_TELL


@dataclass
class Kind:
    """A submission, and what is right: by default all rules pass and nothing warns."""

    name: str
    cells: Cells = field(default_factory=good)
    counts: Counts = None
    order: str = PASS
    comments: str = PASS
    score: float | str | None = 0.9945
    parameters: int | None = 12_345
    warns: set[str] = field(default_factory=set)
    says: str = ""
    never_says: str = "\0"


def epochs(*accuracies: float, training: float = 0.95) -> str:
    """The log of a training that was watched on the test images."""
    lines = (
        f"Epoch {n}/{len(accuracies)}\n469/469 - 3s - loss: 0.1 - accuracy: {training} - "
        f"val_loss: 0.03 - val_accuracy: {value:.4f}\n"
        for n, value in enumerate(accuracies, start=1)
    )
    return "".join(lines)


WATCHED = "# learn\nh = model.fit(X_train, Y_train, epochs=3, validation_data=(X_test, Y_test){})"
LOGGED = (WATCHED.format(""), epochs(0.98, 0.99, 0.9945))
KEEPER = "# keep\nkeep = ModelCheckpoint('w.h5', monitor='val_acc', save_best_only=True)\n"
EXPLAINED = [pair for cell in good() for pair in (("Why this is done", TEXT), cell)]


def without_comments(cells: Cells) -> Cells:
    """The cells without their comment lines."""
    kept = []
    for source, shown in cells:
        lines = [line for line in source.split("\n") if not line.startswith("# ")]
        kept.append((source if shown is TEXT else "\n".join(lines).split(" # ")[0], shown))
    return kept


def second(shown: str | None) -> Cells:
    """The good submission, then another model under another name that is trained last."""
    model = made.MODEL.replace("model.", "wide.").replace("model =", "wide =")
    low = changed(model=(made.MODEL, summary_of(4_321)), print=(made.PRINT, "[0.03, 0.9911]\n"))
    compiled = made.COMPILE.replace("model.", "wide.")
    fit = WATCHED.format("").replace("model.", "wide.").replace("# learn", "# once more")
    return [*low, (model, summary_of(12_345)), (compiled, None), (fit, shown)]


KINDS = [
    # ------------------------------------------------------------ execution counts
    Kind("zeros beside kept counts", counts=[0, 0, 3, 0, 5, 0, 7]),
    Kind("nulls beside kept counts", counts=[None, None, 3, None, 5, None, 7]),
    Kind("the last cells' counts are not kept", counts=[0, 0, 3, 0, 5, 0, 0]),
    Kind("all zero", counts=[0] * 7, order=UNKNOWN, says="--execute"),
    Kind("all null, with outputs", counts=[None] * 7, order=UNKNOWN, says="--execute"),
    Kind("zero and null", counts=[0, None, 0, None, 0, None, 0], order=UNKNOWN),
    Kind("going back", counts=[1, 2, 3, 4, 9, 8, 10], order=FAIL, warns={"one training"},
         says="cell 5 has count 9 and cell 6 after it 8"),
    Kind("going back behind zeros", counts=[0, 0, 12, 0, 5, 0, 0], order=FAIL, says="cells 3, 5"),
    Kind("one count twice", counts=[1, 2, 3, 4, 5, 5, 6], order=FAIL, says="cells 5, 6"),
    Kind("an old kernel", counts=list(range(40, 47)), order=FAIL, never_says="ran again",
         says="without a gap, but from a kernel that was not fresh (first count 40)"),
    Kind("an old kernel, zeros", counts=[0, 0, 42, 0, 44, 0, 46], order=FAIL, says="not fresh"),
    Kind("cells ran again", counts=[1, 2, 3, 4, 5, 6, 9], order=FAIL,
         says="the kernel was not fresh, or cells ran again: cell 6 has count 6"),
    Kind("a jump behind a zero at the training", counts=[0, 0, 3, 0, 12, 0, 14], order=FAIL,
         warns={"one training"}, says="jump from 3 to 12"),
    Kind("a cell did not run", counts=[1, 2, 3, None, 4, 5, 6], order=FAIL, says="4: did not run"),
    Kind("the last cell did not run", [*good(), ("# more\nx = 1", None)],
         [1, 2, 3, 4, 5, 6, 7, None], order=FAIL, says="cell 8: did not run"),
    Kind("comments alone take no count", [*good()[:3], ("# next: the loss", None), *good()[3:]],
         [1, 2, 3, None, 4, 5, 6, 7]),
    Kind("comments alone take a count", [*good()[:3], ("# next: the loss", None), *good()[3:]]),
    Kind("an emptied cell that ran", [*good()[:3], ("", "12\n"), *good()[3:]],
         says="cell 4 ran, and is empty now"),
    Kind("an empty cell", [*good()[:3], (" \n", None), *good()[3:]], [1, 2, 3, None, 4, 5, 6, 7]),
    Kind("cleared outputs", [(source, None) for source, _ in good()], [None] * 7, order=UNKNOWN,
         score=None, parameters=None, says="outputs were cleared"),
    Kind("a jump at a cell that builds its model",
         [*good()[:2], ("\n".join(s for s, _ in changed(fit=made.FIT[7:])[2:]),
                        "".join(str(shown or "") for _, shown in good()[2:]))],
         [1, 2, 9], order=FAIL, says="cells ran again"),
    # ------------------------------------------------------------ PyTorch
    Kind("a fraction and a rounded percentage",
         torch("Accuracy: 9850/10000 (98%)\nAccuracy: 9945/10000 (99%)\n")),
    Kind("a fraction that rounds to 100 %", torch("Accuracy: 9960/10000 (100%)\n"), score=0.996),
    Kind("training accuracy in the same line",
         torch("Train: accuracy 59990/60000 | Test: accuracy 9945/10000 (99.45%)\n")),
    Kind("bars of tqdm", torch("Loss=0.01 Accuracy=99.90: 100%|████| 938/938 [00:20<00:00, 46it/s]"
                               "\nTest set: Average loss: 0.02, Accuracy: 9945/10000 (99.45%)\n")),
    Kind("decimals", torch("Epoch 1: Train Accuracy: 99.91%, Test Accuracy: 99.45%\n")),
    Kind("accuracy of each class afterwards",
         torch("Accuracy: 9945/10000 (99%)\nAccuracy of     5 : 99.9 %\n")),
    Kind("rounded only", torch("Accuracy of the network on the 10000 test images: 99 %\n"),
         score=UNKNOWN, says="rounded"),
    Kind("no score", torch("done\n"), score=None, never_says="metrics"),
    Kind("parameters counted by hand",
         torch("Accuracy: 9945/10000 (99%)\n", "12345\n", model="# count\nnet = Net()\n"
               "print(sum(p.numel() for p in net.parameters() if p.requires_grad))")),
    Kind("parameters in words",
         torch("Accuracy: 9945/10000\n", "Total Trainable Params: 12345\n",
               model="# count\nnet = Net()\ncount_parameters(net)")),
    Kind("trained on test images", torch("Accuracy: 9945/10000\n",
         fit="# the wrong ones\ntrain(net, judge, optimizer)\ntest(net, judge)"),
         warns={"test images"}),
    Kind("the best of a list", torch("Accuracy: 9945/10000\n", fit="# best\ntest(net, judge)\n"
         "print(max(test_accuracies))"), warns={"best epoch"}),
    # ------------------------------------------------------------ where the score stands
    Kind("only in the log of fit", [*good()[:4], LOGGED]),
    Kind("in a printed history", [*good()[:4], (LOGGED[0], None),
         ("# all\nprint(h.history)", "{'loss': [0.1, 0.1], 'val_accuracy': [0.99, 0.9945]}\n")]),
    Kind("the last of a history", [*good()[:4], (LOGGED[0], None),
         ("# last\nprint(h.history['val_acc'][-1])", "0.9945\n")]),
    Kind("the best of a history", [*good()[:4], (LOGGED[0], epochs(0.98, 0.9945, 0.99)),
         ("# best\nprint('Best:', max(h.history['val_acc']))", "Best: 0.9945\n")],
         warns={"best epoch"}),
    Kind("the final model's is in its log", second(epochs(0.98, 0.99, 0.9945))),
    Kind("the final model has none", second(None), score=None, says="no score of `wide` is shown"),
    Kind("beside the bar of evaluate", [*good()[:5], ("# judge\ns = model.evaluate(X_test, Y_test)",
         "10000/10000 [====================] - 1s 60us/step - loss: 0.02 - acc: 0.9945\n")]),
    Kind("the last branch that printed", changed(print=(
         "# which?\nif score[1] > 0.994:\n  print('fine:', score)\nelse:\n  print('low', score[1])",
         "low 0.9911\nfine: [0.02, 0.9945]\n"))),
    Kind("the last branch that printed is written first", changed(print=(
         "# which?\nif score[1] > 0.99:\n  print('ok:', score[1])\nelse:\n  print('low', score)",
         "low [0.03, 0.9911]\nok: 0.9945\n"))),
    Kind("in a function that is called elsewhere", [*good()[:5], (
         "# judge\ndef judge(m):\n  print('Accuracy: %.4f' % m.evaluate(X_test, Y_test)[1])", None),
         ("# now\njudge(model)", "Accuracy: 0.9945\n")]),
    # ------------------------------------------------------------ comments
    Kind("text cells explain all", without_comments(EXPLAINED), comments=WARN, warns={"comments"},
         says="text cells stand beside 7 of 7 bare code cells"),
    Kind("text cells after their cells",
         without_comments([pair for cell in good() for pair in (cell, ("What came out", TEXT))]),
         comments=WARN, warns={"comments"}, says="7 of 7"),
    Kind("text cells explain some", without_comments([*EXPLAINED[2:], ("x = 1", None)]),
         comments=FAIL, says="text cells stand beside 6 of 7 bare code cells"),
    Kind("text cells of the course", [("### Load pre-shuffled MNIST data into train and test sets",
         TEXT), *changed(data=made.DATA.split("\n", 1)[1])], comments=FAIL, never_says="beside"),
    Kind("a link of the course", changed(imports=made.IMPORTS.replace(
         "Keras and its layers; NumPy holds the images", "https://keras.io/")), comments=FAIL,
         says="the course's own comment"),
    Kind("a comment of the course", changed(data=made.DATA.replace(
         "digits to learn from, and others to judge by",
         "Convert 1-dimensional class arrays to 10-dimensional class matrices")), comments=FAIL),
    Kind("commented out twice", changed(compile="# # model.compile('sgd')\n## x = f(2)\n"
         + made.COMPILE.split("\n", 1)[1]), comments=FAIL, says="commented-out code"),
    Kind("a commented-out command", changed(imports=made.IMPORTS.replace(
         "Keras and its layers; NumPy holds the images", "!pip install keras==2.0")),
         comments=FAIL, says="commented-out code"),
    Kind("a docstring", [*good(), ("def f(x):\n    '''Brighter.'''\n    return 2 * x", None)]),
    Kind("an indented magic", changed(imports=" %tensorflow_version 1.x\n" + made.IMPORTS)),
    # ------------------------------------------------------------ warnings
    Kind("a checkpoint that is never read back", changed(fit=KEEPER + WATCHED.format(
         ", callbacks=[keep]"))),
    Kind("a checkpoint that is read back", changed(fit=KEEPER + WATCHED.format(
         ", callbacks=[keep]") + "\nmodel.load_weights('w.h5')"), warns={"choice"}),
    Kind("a checkpoint that fit does not get", changed(fit=KEEPER + WATCHED.format(
         ", callbacks=[slow]") + "\nmodel.load_weights('w.h5')")),
    Kind("weights are set back in a loop", changed(fit="# rates\nw = model.get_weights()\n"
         "for r in (1, 2):\n  model.set_weights(w)\n  model.fit(X_train, Y_train, epochs=1)")),
    Kind("another model than the scored one is fitted repeatedly", [
         ("# a trial\nfor i in range(3):\n  t.fit(X_train, Y_train, epochs=1)", None), *good()]),
    Kind("trained before, hidden by dropout", changed(fit=(
         WATCHED.format(""), epochs(0.993, 0.994, 0.9945, training=0.8))), warns={"one training"}),
    Kind("a good first epoch", changed(fit=(LOGGED[0], epochs(0.989, 0.99, 0.9945)))),
    Kind("a score that the training shown did not give", changed(fit=(
         LOGGED[0], epochs(0.97, 0.98, 0.985))), warns={"one training"}, says="of two runs"),
    Kind("a score of weights taken back", changed(fit=(
         WATCHED.format(", callbacks=[EarlyStopping(restore_best_weights=True)]"),
         epochs(0.98, 0.9945, 0.985))), warns={"choice"}),
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_verdict(path: Path, kind: Kind) -> None:
    grade = grade_notebook(write(path, kind.cells, kind.counts))
    text = format_grade(grade)
    status = {check.rule: check.status for check in grade.checks}
    expected = PASS if kind.score not in (None, UNKNOWN) else UNKNOWN
    assert status["score"] == expected, text
    if kind.score != UNKNOWN:
        assert grade.score.value == kind.score, text
    assert grade.parameters.count == kind.parameters, text
    assert status["parameters"] == (PASS if kind.parameters else UNKNOWN)
    assert (status["order"], status["comments"]) == (kind.order, kind.comments), text
    assert status["errors"] == PASS
    assert {check.rule for check in grade.warnings} == kind.warns, text
    assert kind.says in text
    assert kind.never_says not in text
    statuses = set(status.values())
    unknown = "needs a look" if UNKNOWN in statuses else "passed"
    assert grade.status == ("failed" if FAIL in statuses else unknown)

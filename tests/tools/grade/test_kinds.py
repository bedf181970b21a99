"""Kinds of real submissions, one notebook each, and the right verdict of each."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

import tests.tools.grade.made as made
from evalib.tools.grade.rules import CANNOT_TELL, FAIL, PASS, WARN, format_grade, grade_notebook
from tests.tools.grade.made import TEXT, Cells, changed, good, summary_of, torch, write

UNKNOWN = CANNOT_TELL


@dataclass
class Kind:
    """A submission, and what is right: by default all rules pass and nothing warns."""

    name: str
    cells: Cells = field(default_factory=good)
    counts: list[int | None] | None = None
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
    Kind("zeros beside kept counts", counts=[0, 0, 3, 0, 5, 0, 7]),
    Kind("all zero", counts=[0] * 7, order=UNKNOWN, says="--execute"),
    Kind("all null, with outputs", counts=[None] * 7, order=UNKNOWN, says="--execute"),
    Kind("going back", counts=[1, 2, 3, 4, 9, 8, 10], order=FAIL, warns={"one training"},
         says="cell 5 has count 9 and cell 6 after it 8"),
    Kind("an old kernel", counts=list(range(40, 47)), order=FAIL, never_says="ran again",
         says="without a gap, but from a kernel that was not fresh (first count 40)"),
    Kind("cells ran again", counts=[1, 2, 3, 4, 5, 6, 9], order=FAIL,
         says="the kernel was not fresh, or cells ran again: cell 6 has count 6"),
    Kind("a jump behind a zero at the training", counts=[0, 0, 3, 0, 12, 0, 14], order=FAIL,
         warns={"one training"}, says="jump from 3 to 12"),
    Kind("the last cell did not run", [*good(), ("# more\nx = 1", None)],
         [1, 2, 3, 4, 5, 6, 7, None], order=FAIL, says="cell 8: did not run"),
    Kind("comments alone take no count", [*good()[:3], ("# next: the loss", None), *good()[3:]],
         [1, 2, 3, None, 4, 5, 6, 7]),
    Kind("an emptied cell that ran", [*good()[:3], ("", "12\n"), *good()[3:]],
         says="cell 4 ran, and is empty now"),
    Kind("cleared outputs", [(source, None) for source, _ in good()], [None] * 7, order=UNKNOWN,
         score=None, parameters=None, says="outputs were cleared"),
    Kind("a jump at a cell that builds its model",
         [*good()[:2], ("\n".join(s for s, _ in changed(fit=made.FIT[7:])[2:]),
                        "".join(str(shown or "") for _, shown in good()[2:]))],
         [1, 2, 9], order=FAIL, says="cells ran again"),
    Kind("a fraction and a rounded percentage",
         torch("Accuracy: 9850/10000 (98%)\nAccuracy: 9945/10000 (99%)\n")),
    Kind("bars of tqdm", torch("Loss=0.01 Accuracy=99.90: 100%|████| 938/938 [00:20<00:00, 46it/s]"
                               "\nTest set: Average loss: 0.02, Accuracy: 9945/10000 (99.45%)\n")),
    Kind("accuracy of each class afterwards",
         torch("Accuracy: 9945/10000 (99%)\nAccuracy of     5 : 99.9 %\n")),
    Kind("no score", torch("done\n"), score=None, never_says="metrics"),
    Kind("parameters counted by hand",
         torch("Accuracy: 9945/10000 (99%)\n", "12345\n", model="# count\nnet = Net()\n"
               "print(sum(p.numel() for p in net.parameters() if p.requires_grad))")),
    Kind("trained on test images", torch("Accuracy: 9945/10000\n",
         fit="# the wrong ones\ntrain(net, judge, optimizer)\ntest(net, judge)"),
         warns={"test images"}),
    Kind("the best of a list", torch("Accuracy: 9945/10000\n", fit="# best\ntest(net, judge)\n"
         "print(max(test_accuracies))"), warns={"best epoch"}),
    Kind("rounded only", torch("Accuracy of the network on the 10000 test images: 99 %\n"),
         score=UNKNOWN, says="rounded"),
    Kind("only in the log of fit", [*good()[:4], LOGGED]),
    Kind("in a printed history", [*good()[:4], (LOGGED[0], None),
         ("# all\nprint(h.history)", "{'loss': [0.1, 0.1], 'val_accuracy': [0.99, 0.9945]}\n")]),
    Kind("the best of a history", [*good()[:4], (LOGGED[0], epochs(0.98, 0.9945, 0.99)),
         ("# best\nprint('Best:', max(h.history['val_acc']))", "Best: 0.9945\n")],
         warns={"best epoch"}),
    Kind("the final model's is in its log", second(epochs(0.98, 0.99, 0.9945))),
    Kind("the final model has none", second(None), score=None, says="no score of `wide` is shown"),
    Kind("text cells explain all", without_comments(EXPLAINED), comments=WARN, warns={"comments"},
         says="text cells stand beside 7 of 7 bare code cells"),
    Kind("an indented magic", changed(imports=" %tensorflow_version 1.x\n" + made.IMPORTS)),
    Kind("a checkpoint that is never read back", changed(fit=KEEPER + WATCHED.format(
         ", callbacks=[keep]"))),
    Kind("a checkpoint that fit does not get", changed(fit=KEEPER + WATCHED.format(
         ", callbacks=[slow]") + "\nmodel.load_weights('w.h5')")),
    Kind("weights are set back in a loop", changed(fit="# rates\nw = model.get_weights()\n"
         "for r in (1, 2):\n  model.set_weights(w)\n  model.fit(X_train, Y_train, epochs=1)")),
    Kind("another model than the scored one is fitted repeatedly", [
         ("# a trial\nfor i in range(3):\n  t.fit(X_train, Y_train, epochs=1)", None), *good()]),
    Kind("trained before, hidden by dropout", changed(fit=(
         WATCHED.format(""), epochs(0.993, 0.994, 0.9945, training=0.8))), warns={"one training"}),
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
    assert status["score"] == (UNKNOWN if kind.score in (None, UNKNOWN) else PASS), text
    assert kind.score in (UNKNOWN, grade.score.value), text
    assert grade.parameters.count == kind.parameters, text
    assert status["parameters"] == (PASS if kind.parameters else UNKNOWN)
    assert (status["order"], status["comments"], status["errors"]) == (
        kind.order, kind.comments, PASS
    ), text  # fmt: skip
    assert {check.rule for check in grade.warnings} == kind.warns, text
    assert kind.says in text
    assert kind.never_says not in text
    unknown = "needs a look" if UNKNOWN in status.values() else "passed"
    assert grade.status == ("failed" if FAIL in status.values() else unknown)

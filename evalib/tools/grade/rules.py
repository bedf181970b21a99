"""Grade a notebook by the rules of the S3 assignment.

What makes a score say less than it seems is a warning. What a file does not show is neither passed
nor failed: it "cannot tell", and the submission needs a look.
"""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

from evalib.tools.grade.dataflow import Flow
from evalib.tools.grade.execute import Execution, run_submission
from evalib.tools.grade.leakage import find_leakage
from evalib.tools.grade.order import judge_counts
from evalib.tools.grade.outputs import Parameters, Score, choose_model, find_parameters, find_score
from evalib.tools.grade.read import Submission, printable, read_submission
from evalib.tools.grade.source import comment_kind, comment_texts, explains, parse

PASS, WARN, FAIL, CANNOT_TELL = "pass", "warn", "fail", "cannot tell"
# What each rule asks for, and what to do where it is broken, in the order of the report. Those
# after "errors" warn, and those after "readable" appear only where they do.
RULES = {
    "comments": ("a comment in words in every code cell",
                 "Say in each what it is for: # 1x1 convolution: mixes 32 channels down to 10"),
    "parameters": ("fewer than {:,} parameters",
                   "Use fewer kernels, 1x1 convolutions, and average pooling at the end"),
    "score": ("a score above {:g}",
              "Train longer, or with batch normalization, a falling learning rate or moved images"),
    "order": ("cells run in their order from a fresh kernel",
              "Restart the kernel, run all cells once, and save"),
    "errors": ("no error outputs", "Repair it and run all again"),
    "choice": ("nothing is chosen by how the test images are recognized",
               "Choose by training images that are held back: validation_split=0.1"),
    "best epoch": ("no best epoch is picked",
                   "Report the score after the last epoch: the best of many is partly luck"),
    "one training": ("each model is trained once, from fresh weights",
                     "Build the model anew before each fit, and run all cells in a fresh kernel"),
    "passes": ("an epoch shows each training image once", "Say how many images were shown"),
    "test images": ("test images are for the score, and for nothing else",
                    "Train on training images alone; score = model.evaluate(x_test, y_test)"),
    "readable": ("cells of Python 3, as the checks above can read them",
                 "Look at these cells yourself: the checks may have missed what they do"),
    "same comment": ("a comment of its own in each cell", "Say what is particular to each cell"),
    "installation": ("nothing to install", "The run used the packages of this Python"),
    "old calls": ("calls that mean today what they meant",
                  "This run's network is another than the one that was written"),
}  # fmt: skip
_COMMENTLESS = {
    "none": "no comment",
    "template": "only the course's own comment, or a link",
    "empty": "a comment without words",
    "code": "nothing but commented-out code",
    "string": "a string, which is no comment",
}
# What code for Keras 2 calls, and what to call today.
_TODAY = {
    "np_utils": "keras.utils.to_categorical",
    r"Convolution2D\([^,()]+, ?\d+, ?\d+": "Conv2D(filters, (3, 3)), for a second 3 is a stride",
    "nb_epoch": "epochs",
    "_generator": "fit, evaluate and predict, which take generators",
    r"layers\.[a-z]+ import": "from keras.layers import",
    r"\blr ?=": "learning_rate=",
    "predict_classes": "model.predict(x).argmax(axis=1)",
    "border_mode|subsample": "padding and strides",
    r"K\.(?:gradients|function)": "keras.Model(inputs, outputs) and a gradient tape",
}


@dataclasses.dataclass(frozen=True)
class Check:
    """What became of one rule."""

    rule: str
    status: str  # "pass", "warn", "fail" or "cannot tell"
    found: str
    cells: tuple[int, ...] = ()  # where it is, counting code cells from 1
    number: float | None = None  # the parameters, the score, or how many cells or findings
    repair: str | None = None  # what to do; by default what `RULES` says
    expected: str = ""


@dataclasses.dataclass(frozen=True)
class Grade:
    """What became of a submission."""

    notebook: str  # the file's name
    executed: bool
    parameters: Parameters
    score: Score
    checks: tuple[Check, ...]

    @property
    def status(self) -> str:
        """Whether it "passed", "failed", or "needs a look" as a rule cannot be told."""
        statuses = {check.status for check in self.checks}
        unknown = "needs a look" if CANNOT_TELL in statuses else "passed"
        return "failed" if FAIL in statuses else unknown

    @property
    def warnings(self) -> tuple[Check, ...]:
        """The checks that warn."""
        return tuple(check for check in self.checks if check.status == WARN)

    def as_dict(self) -> dict[str, Any]:
        """The same in dictionaries, lists, texts and numbers, as JSON can hold them."""
        return {
            "notebook": self.notebook,
            "executed": self.executed,
            "status": self.status,
            "passed": self.status == "passed",
            "warnings": len(self.warnings),
            "parameters": dataclasses.asdict(self.parameters),
            "score": {n: getattr(self.score, n) for n in ("value", "cell", "model", "source")},
            "checks": [dataclasses.asdict(check) for check in self.checks],
        }


def grade_notebook(
    path: str | Path,
    *,
    execute: bool = False,
    timeout: float = 1800.0,
    parameters_below: int = 20_000,
    score_above: float = 0.994,
) -> Grade:
    """Grade a notebook, which is never written; options are those of `evalib grade`.

    Raises:
        ValueError: It is not a notebook, or the timeout is not above 0.
        OSError: It cannot be read.
        RuntimeError: It is to be run, and no kernel could be started.
    """
    stored = read_submission(path)
    flow = Flow(stored.cells)
    run = run_submission(stored, timeout=timeout) if execute else None
    submission = run.submission if run else stored
    score = find_score(submission, flow)
    parameters = find_parameters(submission, flow, score)
    if run:
        parameters = choose_model(run.models, flow, score, parameters)
    checks = [
        _check_comments(stored),
        _check_parameters(parameters, parameters_below),
        _check_score(score, score_above, stored),
        _check_order(stored, run, timeout),
        _check_errors(submission, run),
        *_check_leakage(submission, flow, score),
        _check_source(stored, flow),
        *_check_repeated_comments(stored),
        *_check_surroundings(stored, run),
    ]
    if run and run.end != "finished":
        shown = find_score(stored, flow)
        values = {"score": shown.value, "parameters": find_parameters(stored, flow, shown).count}
        checks = [_not_reached(check, run, values) for check in checks]
    limits = {"parameters": parameters_below, "score": score_above}
    done = []
    for check in checks:
        expected, repair = RULES[check.rule]
        repair = (repair if check.status != PASS else "") if check.repair is None else check.repair
        expected = expected.format(limits.get(check.rule))
        done.append(dataclasses.replace(check, expected=expected, repair=repair))
    return Grade(printable(stored.path.name), run is not None, parameters, score, tuple(done))


def format_grade(grade: Grade) -> str:
    """Lay out a grade as text: a heading, a line for each rule, and what it comes to."""
    how = "executed in a fresh kernel" if grade.executed else "read, not executed"
    lines = [f"{grade.notebook}: {how}"]
    for check in grade.checks:
        place = f"cell {_listed(check.cells)}: " if check.cells else ""
        place = place.replace("cell", "cells") if len(check.cells) > 1 else place
        mark = {FAIL: "FAIL", CANNOT_TELL: "?"}.get(check.status, check.status)
        line = f"{mark:<4}  {check.rule:<12}  {place}{check.found}"
        line += f"; expected: {check.expected}" if check.status != PASS else ""
        lines.append(line + (f". {check.repair}" if check.repair else ""))
    failed, unknown, warned = (
        sum(check.status == status for check in grade.checks)
        for status in (FAIL, CANNOT_TELL, WARN)
    )
    parts = [f"{grade.status}: {failed} of {len(lines) - 1} rules" if failed else grade.status]
    parts += [f"{unknown} cannot be told"] if unknown else []
    return "\n".join([*lines, ", ".join([*parts, f"{warned} warning{'s' * (warned != 1)}"])])


def _not_reached(check: Check, run: Execution, values: dict[str, float | None]) -> Check:
    """Say of what a run has not reached that it was not reached, and what the file shows."""
    if check.rule not in values or check.status != CANNOT_TELL:
        return check
    ended = "time was up" if run.end == "timeout" else "the run ended"
    value = values[check.rule]
    stored = f"; the stored outputs show {value:,.6g}" if value is not None else ""
    found = f"not reached, {ended} in cell {run.cell}{stored}"
    return dataclasses.replace(check, found=found, cells=(), repair="")


def _check_comments(submission: Submission) -> Check:
    cells = submission.written
    kinds = {cell.number: comment_kind(cell.source) for cell in cells}
    wrong = {number: kind for number, kind in kinds.items() if kind != "real"}
    if not wrong:
        found = f"{len(cells)} of {len(cells)} code cells" if cells else "there is no code"
        return Check("comments", PASS if cells else FAIL, found, number=0)
    places = {kind: [n for n, k in wrong.items() if k == kind] for kind in wrong.values()}
    several = len(places) > 1
    texts = (_COMMENTLESS[k] + f" ({_listed(ns)})" * several for k, ns in places.items())
    found = ", ".join(texts)
    # A text cell explains the code cell after it, or before it where it is not used yet.
    above = [*(cell.before for cell in submission.cells), submission.after]
    beside, free = 0, True
    for number, (before, after) in enumerate(pairwise(above), start=1):
        by_before = number in wrong and free and explains(before)
        by_after = number in wrong and not by_before and explains(after)
        beside, free = beside + (by_before or by_after), not by_after
    if beside:
        found += f"; text cells stand beside {beside} of {len(wrong)} bare code cells"
    return Check(
        "comments", WARN if beside == len(wrong) else FAIL, found, tuple(wrong), len(wrong)
    )


def _check_parameters(parameters: Parameters, below: int) -> Check:
    cells = (parameters.cell,) if parameters.cell else ()
    count, reason = parameters.count, parameters.reason
    if count is None:
        repair = "Call model.summary() in a cell of its own, and run it"
        return Check("parameters", CANNOT_TELL, f"unknown: {reason}", cells, repair=repair)
    of = f" of `{printable(parameters.model, 40)}`" if parameters.model else ""
    found = f"{count:,}{of}, from {parameters.source} ({reason})"
    return Check("parameters", PASS if count < below else FAIL, found, cells, count)


def _check_score(score: Score, above: float, submission: Submission) -> Check:
    cells = (score.cell,) if score.cell else ()
    if score.value is None:
        repair = "Print the accuracy on the test images after the last epoch"
        if not any(re.search(r"(?:import|from) torch", cell.source) for cell in submission.cells):
            repair = "Compile with metrics=['accuracy'], print(model.evaluate(x_test, y_test))"
        return Check("score", CANNOT_TELL, score.reason, cells, repair=repair)
    found = f"{score.value:.6g}, from {score.source}"
    least, most = score.value - score.step / 2, score.value + score.step
    if score.step > 0.0005 and least <= above < most:
        found += ", which is rounded"
        return Check("score", CANNOT_TELL, found, cells, score.value, "Print more digits")
    return Check("score", PASS if score.value > above else FAIL, found, cells, score.value)


def _check_order(submission: Submission, run: Execution | None, timeout: float) -> Check:
    if run is None:
        status, found, cells = judge_counts(submission)
        repair = "Use --execute to find out" if status == CANNOT_TELL else None
        return Check("order", status, found, cells, repair=repair)
    if run.end == "finished":
        return Check("order", PASS, f"all ran in their order, in {run.seconds:.0f} s")
    if run.end == "timeout":
        found = f"time was up, {timeout:g} s, in cell {run.cell}"
        return Check("order", CANNOT_TELL, found, repair="Give it more time with --timeout")
    return Check("order", CANNOT_TELL, f"the run ended in cell {run.cell}", repair="")


def _check_errors(submission: Submission, run: Execution | None) -> Check:
    if run and run.end == "kernel died":
        hint = "See whether its memory suffices"
        return Check("errors", FAIL, "the kernel died", (run.cell,), 1, hint)
    shown = [(cell, o) for cell in submission.written for o in cell.outputs if o.kind == "error"]
    wrong = [(cell, error) for cell, error in shown if "raises-exception" not in cell.tags]
    if not shown:
        return Check("errors", PASS, "none", number=0)
    first = (wrong or shown)[0][1]
    cells = tuple(dict.fromkeys(cell.number for cell, _ in wrong or shown))
    found = f"{first.error}: {printable(first.text)}"
    found += f" (the first of {len(cells)})" if len(cells) > 1 else ""
    lacks = re.match(r"No module named '(?:google\.(?=colab))?(\w+)", first.text)
    offline = re.search("URL fetch failure|urlopen error|name resolution", first.text)
    if not wrong:
        status, repair = WARN, "Look whether it belongs there: the tag raises-exception says so"
    elif run and (offline or (lacks and find_spec(lacks[1]) is None)):
        status, repair = CANNOT_TELL, "Grade it where that is to be had: nothing is installed here"
    else:
        today = "; ".join(_old_calls(submission)[:5])
        repair = f"This is code for Keras 2; today: {today}" if today else RULES["errors"][1]
        status = FAIL
    return Check("errors", status, found, cells, len(cells), repair)


def _old_calls(submission: Submission) -> list[str]:
    """What a submission calls as Keras 2 did, and what to call today."""
    sources = "\n".join(cell.source for cell in submission.cells)
    hits = ((re.search(old, sources), new) for old, new in _TODAY.items())
    return [f"{new} in place of {printable(hit[0], 40)}" for hit, new in hits if hit]


def _check_leakage(submission: Submission, flow: Flow, score: Score) -> Iterator[Check]:
    """A check for each rule that nothing was found about, and one for each finding."""
    findings = list(dict.fromkeys(find_leakage(submission, flow, score)))
    for rule in ("choice", "best epoch", "one training", "passes", "test images"):
        own = [finding for finding in findings if finding.rule == rule]
        yield from (Check(rule, WARN, f.what, f.cells, len(own)) for f in own)
        if not own:
            yield Check(rule, PASS, RULES[rule][0], number=0)


def _check_source(submission: Submission, flow: Flow) -> Check:
    notes = {cell.number: parse(cell.source).note for cell in submission.written}
    wrong = {number: note for number, note in notes.items() if note}
    wrong |= dict.fromkeys(flow.too_deep, "is nested too deeply")
    if not wrong:
        return Check("readable", PASS, "every cell could be read", number=0)
    found = next(iter(wrong.values())) + f" (the first of {len(wrong)})" * (len(wrong) > 1)
    return Check("readable", WARN, found, tuple(sorted(wrong)), len(wrong))


def _check_repeated_comments(submission: Submission) -> Iterator[Check]:
    """A warning where one comment stands in three cells or more."""
    places: dict[str, list[int]] = {}
    for cell in submission.written:
        for text in dict.fromkeys(comment_texts(cell.source)):
            places.setdefault(" ".join(text.split()), []).append(cell.number)
    text, cells = max(places.items(), key=lambda item: len(item[1]), default=("", []))
    if len(cells) > 2:
        found = f"the same comment in {len(cells)} cells: {printable(text, 40)}"
        yield Check("same comment", WARN, found, tuple(cells), len(cells))


def _check_surroundings(submission: Submission, run: Execution | None) -> Iterator[Check]:
    """Warnings about a run that could not be what its author had."""
    if run and run.refused:
        found = f"refused: {'; '.join(run.refused[:3])}"
        yield Check("installation", WARN, found, number=len(run.refused))
    old = [call for call in _old_calls(submission) if "stride" in call]
    if run and old and run.end == "finished":
        yield Check("old calls", WARN, old[0], number=len(old))


def _listed(numbers: Sequence[int], most: int = 12) -> str:
    shown = ", ".join(map(str, numbers[:most]))
    return shown if len(numbers) <= most else f"{shown} and {len(numbers) - most} more"

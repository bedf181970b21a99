"""Grade a notebook by the rules of the S3 assignment.

The rules: a comment in every code cell, a network of fewer than 20,000 parameters, a score above
0.994, cells that ran in their order from a fresh kernel, no errors. What makes a score less than it
seems is a warning: test images that chose something, the best of many epochs, a model that was
trained before, more images than the epochs say.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evalib.tools.grade.dataflow import Flow
from evalib.tools.grade.execution import Execution, run_submission
from evalib.tools.grade.leakage import Finding, find_leakage
from evalib.tools.grade.parameters import Parameters, find_parameters, live_parameters
from evalib.tools.grade.scores import Score, accuracy_of, find_score
from evalib.tools.grade.source import comment_kind, comment_texts, parse
from evalib.tools.grade.submissions import Submission, printable, read_submission

MOST_PARAMETERS = 20_000  # the first number that is too many
LEAST_SCORE = 0.994  # the last one that is too low
TIMEOUT = 1800  # seconds for a whole notebook

PASS, WARN, FAIL = "pass", "warn", "fail"

_COMMENTLESS = {
    "none": "no comment",
    "empty": "a comment without words",
    "code": "nothing but commented-out code",
    "string": "a string, which is no comment",
}
_HONEST = {
    "choice": "nothing is chosen by how the test images are recognized",
    "best epoch": "no best epoch is picked",
    "one training": "each model is trained once, from fresh weights",
    "passes": "an epoch shows each training image once",
    "test images": "test images are for the score, and for nothing else",
}


@dataclasses.dataclass(frozen=True)
class Check:
    """What became of one rule.

    Attributes:
        rule: Its name.
        status: "pass", "warn" or "fail".
        expected: What the rule asks for.
        found: What the notebook has.
        cells: The cells where it is, counting code cells from 1.
        repair: What to do; empty where nothing is to be done.
    """

    rule: str
    status: str
    expected: str
    found: str
    cells: tuple[int, ...] = ()
    repair: str = ""


@dataclasses.dataclass(frozen=True)
class Grade:
    """What became of a submission.

    Attributes:
        notebook: The file's name.
        executed: Whether the notebook was run, or only read.
        parameters: The network's parameters, and how their number was found.
        score: The accuracy on the test images, and how it was found.
        checks: What became of each rule.
    """

    notebook: str
    executed: bool
    parameters: Parameters
    score: Score
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether no rule failed; warnings do not count."""
        return all(check.status != FAIL for check in self.checks)

    @property
    def warnings(self) -> tuple[Check, ...]:
        """The checks that warn."""
        return tuple(check for check in self.checks if check.status == WARN)

    def as_dict(self) -> dict[str, Any]:
        """The same in dictionaries, lists, texts and numbers, as JSON can hold them."""
        parts = ("value", "cell", "model", "source")
        return {
            "notebook": self.notebook,
            "executed": self.executed,
            "passed": self.passed,
            "warnings": len(self.warnings),
            "parameters": dataclasses.asdict(self.parameters),
            "score": {name: getattr(self.score, name) for name in parts},
            "checks": [dataclasses.asdict(check) for check in self.checks],
        }


def grade_notebook(path: str | Path, *, execute: bool = False, timeout: float = TIMEOUT) -> Grade:
    """Grade a notebook by the rules of the S3 assignment.

    Args:
        path: The notebook. It is read, and never written.
        execute: Also run a copy of it, and judge that run instead of the stored outputs. This
            runs somebody else's code with your rights: `evalib grade --help` says more.
        timeout: Seconds for the whole run.

    Returns:
        What became of each rule.

    Raises:
        ValueError: It is not a notebook, or the timeout is not above 0.
        OSError: It cannot be read.
        RuntimeError: It is to be run, and no kernel could be started.
    """
    stored = read_submission(path)
    flow = Flow(stored.cells)
    score = find_score(stored, flow)
    run = run_submission(stored, score.names, timeout=timeout) if execute else None
    submission = run.submission if run else stored
    parameters = find_parameters(submission, flow, score)
    if run:
        score = _live_score(run, flow, score)
        parameters = _live_parameters(run, flow, score, parameters)
    findings = find_leakage(submission, flow, score)
    checks = (
        _check_comments(stored),
        _check_parameters(parameters),
        _check_score(score),
        _check_run(run, timeout) if run else _check_counts(stored),
        _check_errors(submission),
        *_check_honesty(findings),
        _check_repeated_comments(stored),
        _check_source(stored, flow),
    )
    name = printable(stored.path.name)
    return Grade(name, run is not None, parameters, score, tuple(filter(None, checks)))


def format_grade(grade: Grade) -> str:
    """Lay out a grade as text: a heading, a line for each rule, and what it comes to."""
    how = "executed in a fresh kernel" if grade.executed else "read, not executed"
    lines = [f"{grade.notebook}: {how}"]
    width = max(len(check.rule) for check in grade.checks)
    for check in grade.checks:
        place = f"{_named_cells(check.cells)}: " if check.cells else ""
        mark = check.status.upper() if check.status == FAIL else check.status
        line = f"{mark}  {check.rule:<{width}}  {place}{check.found}"
        if check.status != PASS:
            line += f"; expected: {check.expected}"
        lines.append(line + (f". {check.repair}" if check.repair else ""))
    failed = sum(check.status == FAIL for check in grade.checks)
    verdict = f"failed: {failed} of {len(grade.checks)} rules" if failed else "passed"
    count = len(grade.warnings)
    return "\n".join([*lines, f"{verdict}, {count} warning{'s' * (count != 1)}"])


def _live_score(run: Execution, flow: Flow, score: Score) -> Score:
    """The score that the run gave: from the kernel where a name holds it, else as it was shown."""
    for name in score.names if run.end == "finished" and score.index is not None else ():
        held = run.values.get(name)
        # Of several names that hold one number each, take none that may be a loss.
        named = len(score.names) == 1 or any(word in name.lower() for word in ("acc", "score"))
        value = accuracy_of(held, score.index or 1)
        if value is not None and 0 <= value <= 1 and (named or isinstance(held, list)):
            source = f"`{printable(name, 40)}` in the executed kernel"
            return dataclasses.replace(score, value=value, source=source)
    return dataclasses.replace(find_score(run.submission, flow), source="the output of this run")


def _live_parameters(run: Execution, flow: Flow, score: Score, shown: Parameters) -> Parameters:
    """The parameters that the run gave: those of the kernel's model, else as they were shown."""
    source = shown.source.replace("the stored", "this run's")
    shown = dataclasses.replace(shown, source=source)
    if not run.models:
        return shown
    held = live_parameters(run.models, flow, score)
    is_shown = shown.count is not None and shown.model == score.model
    return shown if held.count is None and is_shown else held


def _check_comments(submission: Submission) -> Check:
    cells = submission.written
    kinds = {cell.number: comment_kind(cell.source) for cell in cells}
    wrong = {number: kind for number, kind in kinds.items() if kind != "real"}
    expected = "a comment in words in every code cell"
    if not cells:
        return Check("comments", FAIL, expected, "there is no code", (), "Submit the code, too")
    if not wrong:
        return Check("comments", PASS, expected, f"{len(cells)} of {len(cells)} code cells")
    places = {kind: [n for n, k in wrong.items() if k == kind] for kind in wrong.values()}
    listed = ", ".join(
        _COMMENTLESS[kind] + (f" ({_numbers(numbers)})" if len(places) > 1 else "")
        for kind, numbers in places.items()
    )
    repair = "Say in each what it is for: # 1x1 convolution: mixes 32 channels down to 10"
    return Check("comments", FAIL, expected, listed, tuple(wrong), repair)


def _check_parameters(parameters: Parameters) -> Check:
    expected = f"fewer than {MOST_PARAMETERS:,} parameters"
    cells = (parameters.cell,) if parameters.cell else ()
    if parameters.count is None:
        repair = "Call model.summary() in a cell of its own, and run it"
        return Check("parameters", FAIL, expected, f"unknown: {parameters.reason}", cells, repair)
    of = f" of `{printable(parameters.model, 40)}`" if parameters.model else ""
    found = f"{parameters.count:,}{of}, from {parameters.source} ({parameters.reason})"
    if parameters.count < MOST_PARAMETERS:
        return Check("parameters", PASS, expected, found, cells)
    repair = (
        "Use fewer kernels, 1x1 convolutions, and average pooling in place of a last large layer"
    )
    return Check("parameters", FAIL, expected, found, cells, repair)


def _check_score(score: Score) -> Check:
    expected = f"a score above {LEAST_SCORE}"
    cells = (score.cell,) if score.cell else ()
    if score.value is None:
        found = "no score is shown" if score.cell else "no cell shows a score"
        repair = (
            "Compile with metrics=['accuracy'], end in score = model.evaluate(x_test, y_test) and "
            "print(score), and run it"
        )
        return Check("score", FAIL, expected, found, cells, repair)
    found = f"{score.value:.6g}, from {score.source}"
    if score.value > LEAST_SCORE:
        return Check("score", PASS, expected, found, cells)
    repair = "Train longer, or with batch normalization, a falling learning rate or moved images"
    return Check("score", FAIL, expected, found, cells, repair)


def _check_run(run: Execution, timeout: float) -> Check:
    expected = "cells run in their order from a fresh kernel"
    if run.end == "finished":
        found = f"all ran in their order, in {run.seconds:.0f} s"
        return Check("order", PASS, expected, found)
    reasons = {
        "timeout": f"the time was up, {timeout:g} s",
        "error": "an error ended the run",
        "kernel died": "the kernel died",
    }
    repair = "Restart the kernel, run all cells, and repair the first that fails"
    if run.end == "timeout":
        repair = "Give it more time with --timeout, or train for fewer epochs"
    cells = (run.cell,) if run.cell else ()
    return Check("order", FAIL, expected, reasons[run.end], cells, repair)


def _check_counts(submission: Submission) -> Check:
    cells = submission.written
    counts = [cell.count for cell in cells]
    expected = f"execution counts 1 to {len(counts)}: cells run in their order from a fresh kernel"
    repair = "Restart the kernel, run all cells once, and save"
    wanted = list(range(1, len(counts) + 1))
    if counts == wanted:
        return Check("order", PASS, expected, f"execution counts 1 to {len(counts)}")
    missing = [cell.number for cell in cells if cell.count is None]
    if missing:
        found = "none ran" if len(missing) == len(cells) else "not all ran"
        return Check("order", FAIL, expected, found, tuple(missing), repair)
    known = [count for count in counts if count is not None]
    backward = [i for i in range(1, len(known)) if known[i] <= known[i - 1]]
    first = backward[0] if backward else next(i for i, n in enumerate(known) if n != wanted[i])
    before = f" after {known[first - 1]}" if first else ""
    what = "in another order" if backward else "some ran again, or others were deleted"
    found = f"execution count {known[first]}{before}: {what}"
    return Check("order", FAIL, expected, found, (cells[first].number,), repair)


def _check_errors(submission: Submission) -> Check:
    expected = "no error outputs"
    errors = {
        cell.number: output
        for cell in submission.written
        for output in cell.outputs[::-1]  # so that the first one stays
        if output.kind == "error"
    }
    tags = {cell.number: cell.tags for cell in submission.cells}
    wrong = {n: error for n, error in errors.items() if "raises-exception" not in tags[n]}
    if not errors:
        return Check("errors", PASS, expected, "none")
    first = next(iter((wrong or errors).values()))
    found = f"{first.error}: {printable(first.text)}"
    if len(wrong or errors) > 1:
        found = f"{found} (the first of {len(wrong or errors)})"
    if wrong:
        return Check("errors", FAIL, expected, found, tuple(wrong), "Repair it and run all again")
    repair = "Look whether it belongs there: the tag raises-exception says so"
    return Check("errors", WARN, expected, found, tuple(errors), repair)


def _check_honesty(findings: Sequence[Finding]) -> list[Check]:
    """A check for each rule that nothing was found about, and one for each finding."""
    checks = []
    for rule, honest in _HONEST.items():
        found = dict.fromkeys(finding for finding in findings if finding.rule == rule)
        checks += [
            Check(rule, WARN, honest, f.what, f.cells, f.repair[:1].upper() + f.repair[1:])
            for f in found
        ] or [Check(rule, PASS, honest, honest)]
    return checks


def _check_repeated_comments(submission: Submission) -> Check | None:
    """A warning where one comment stands in three cells or more."""
    places: dict[str, list[int]] = {}
    for cell in submission.written:
        for text in dict.fromkeys(comment_texts(cell.source)):
            places.setdefault(" ".join(text.split()), []).append(cell.number)
    text, cells = max(places.items(), key=lambda item: len(item[1]), default=("", []))
    if len(cells) < 3:
        return None
    found = f"the same comment in {len(cells)} cells: {printable(text, 40)}"
    repair = "Say what is particular to each cell"
    return Check(
        "same comment", WARN, "a comment of its own in each cell", found, tuple(cells), repair
    )


def _check_source(submission: Submission, flow: Flow) -> Check:
    expected = "cells of Python 3, as the checks above can read them"
    notes = {cell.number: parse(cell.source).note for cell in submission.written}
    wrong = {number: note for number, note in notes.items() if note}
    wrong |= dict.fromkeys(flow.too_deep, "is nested too deeply")
    if not wrong:
        return Check("readable", PASS, expected, "every cell could be read")
    found = next(iter(wrong.values())) + f" (the first of {len(wrong)})" * (len(wrong) > 1)
    repair = "Look at these cells yourself: the checks may have missed what they do"
    return Check("readable", WARN, expected, found, tuple(sorted(wrong)), repair)


def _named_cells(numbers: Sequence[int]) -> str:
    return f"cell{'s' * (len(numbers) > 1)} {_numbers(numbers)}"


def _numbers(numbers: Sequence[int], most: int = 12) -> str:
    shown = ", ".join(map(str, numbers[:most]))
    return shown if len(numbers) <= most else f"{shown} and {len(numbers) - most} more"

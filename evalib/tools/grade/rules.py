"""Grade a notebook by the rules of the S3 assignment; what it does not show "cannot tell"."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from evalib.tools.grade.dataflow import Flow
from evalib.tools.grade.execute import Execution, run_submission
from evalib.tools.grade.leakage import Finding, find_leakage
from evalib.tools.grade.outputs import Parameters, Score, choose_model, find_parameters, find_score
from evalib.tools.grade.read import Submission, comment_kind, explains, parse, printable, read_file

PASS, WARN, FAIL, CANNOT_TELL = "pass", "warn", "fail", "cannot tell"
# What each rule asks for, and what to do where it is broken, in the order of the report. Those
# after "errors" warn, and those after "readable" appear only where they do.
RULES = {
    "comments": ("a comment in words in every code cell",
                 "Say in each what it is for: # 1x1 convolution: mixes 32 channels down to 10"),
    "parameters": ("fewer than {:,} parameters", "Use fewer kernels, or 1x1 convolutions"),
    "score": ("a score above {:g}", "Train longer, or with batch normalization or moved images"),
    "order": ("cells run in their order from a fresh kernel", "Restart, run all once, and save"),
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
    "readable": ("cells of Python 3, as the checks above can read them", "Look at them yourself"),
    "installation": ("nothing to install", "The run used the packages of this Python"),
    "old calls": ("calls that mean today what they meant", "This is not the network of the author"),
}  # fmt: skip
_COMMENTLESS = {
    "none": "no comment", "template": "only the course's own comment, or a link",
    "empty": "a comment without words", "code": "nothing but commented-out code",
    "string": "a string, which is no comment",
}  # fmt: skip
# What code for Keras 2 calls, and what to call today.
_TODAY = {
    "np_utils": "keras.utils.to_categorical", "nb_epoch": "epochs", r"\blr ?=": "learning_rate=",
    r"Convolution2D\([^,()]+, ?\d+, ?\d+": "Conv2D(filters, (3, 3)), for a second 3 is a stride",
    "_generator": "fit, evaluate and predict, which take generators",
    r"layers\.[a-z]+ import": "from keras.layers import",
    "predict_classes": "model.predict(x).argmax(axis=1)",
    "border_mode|subsample": "padding and strides",
}  # fmt: skip


class Check(NamedTuple):
    rule: str
    status: str  # "pass", "warn", "fail" or "cannot tell"
    found: str
    cells: tuple[int, ...] = ()  # where it is, counting code cells from 1
    number: float | None = None  # the parameters, the score, or how many cells or findings
    repair: str | None = None  # what to do; by default what `RULES` says
    expected: str = ""


class Grade(NamedTuple):
    notebook: str  # the file's name
    executed: bool
    parameters: Parameters
    score: Score
    checks: tuple[Check, ...]

    @property
    def status(self) -> str:
        statuses = {check.status for check in self.checks}
        unknown = "needs a look" if CANNOT_TELL in statuses else "passed"
        return "failed" if FAIL in statuses else unknown

    @property
    def warnings(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.status == WARN)

    def as_dict(self) -> dict[str, Any]:
        return {
            **{"notebook": self.notebook, "executed": self.executed, "status": self.status},
            **{"passed": self.status == "passed", "warnings": len(self.warnings)},
            "parameters": self.parameters._asdict(),
            "score": {n: getattr(self.score, n) for n in ("value", "cell", "model", "source")},
            "checks": [check._asdict() for check in self.checks],
        }


def grade_notebook(
    path: str | Path, *, execute: bool = False, timeout: float = 1800.0,
    parameters_below: int = 20_000, score_above: float = 0.994,
) -> Grade:  # fmt: skip
    """Grade a notebook, which is never written; options are those of `evalib grade`."""
    stored = read_file(path)
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
        *_warnings(stored, run, find_leakage(submission, flow, score)),
    ]
    shown = find_score(stored, flow)
    values = {"score": shown.value, "parameters": find_parameters(stored, flow, shown).count}
    limits, done = {"parameters": parameters_below, "score": score_above}, []
    for check in checks:
        if run and run.end != "finished" and check.rule in values and check.status == CANNOT_TELL:
            ended = "time was up" if run.end == "timeout" else "the run ended"
            value, found = values[check.rule], f"not reached, {ended} in cell {run.cell}"
            found += f"; the stored outputs show {value:,.6g}" if value is not None else ""
            check = check._replace(found=found, cells=(), repair="")
        expected, repair = RULES[check.rule]
        repair = (repair if check.status != PASS else "") if check.repair is None else check.repair
        expected = expected.format(limits.get(check.rule))
        done.append(check._replace(expected=expected, repair=repair))
    return Grade(printable(stored.path.name), run is not None, parameters, score, tuple(done))


def format_grade(grade: Grade) -> str:
    how = "executed in a fresh kernel" if grade.executed else "read, not executed"
    lines = [f"{grade.notebook}: {how}"]
    for check in grade.checks:
        several = "s" * (len(check.cells) > 1)
        place = f"cell{several} {_listed(check.cells)}: " if check.cells else ""
        mark = {FAIL: "FAIL", CANNOT_TELL: "?"}.get(check.status, check.status)
        line = f"{mark:<4}  {check.rule:<12}  {place}{check.found}"
        line += f"; expected: {check.expected}" if check.status != PASS else ""
        lines.append(line + (f". {check.repair}" if check.repair else ""))
    count = Counter(check.status for check in grade.checks)
    end = grade.status + f": {count[FAIL]} of {len(grade.checks)} rules" * bool(count[FAIL])
    end += f", {count[CANNOT_TELL]} cannot be told" * bool(count[CANNOT_TELL])
    end += f", {count[WARN]} warning{'s' * (count[WARN] != 1)}"
    return "\n".join([*lines, end])


def _check_comments(submission: Submission) -> Check:
    cells = submission.written
    kinds = {cell.number: comment_kind(cell.source) for cell in cells}
    wrong = {number: kind for number, kind in kinds.items() if kind != "real"}
    if not wrong:
        found = f"{len(cells)} of {len(cells)} code cells" if cells else "there is no code"
        return Check("comments", PASS if cells else FAIL, found, number=0)
    places = {kind: [n for n, k in wrong.items() if k == kind] for kind in wrong.values()}
    several = len(places) > 1
    found = ", ".join(_COMMENTLESS[k] + f" ({_listed(n)})" * several for k, n in places.items())
    # A text cell explains the code cell after it, or before it where it is not used yet.
    above = [*(cell.before for cell in submission.cells), submission.after]
    beside, free = 0, True
    for number, (before, after) in enumerate(pairwise(above), start=1):
        by_before = number in wrong and free and explains(before)
        by_after = number in wrong and not by_before and explains(after)
        beside, free = beside + (by_before or by_after), not by_after
    if beside:
        found += f"; text cells stand beside {beside} of {len(wrong)} bare code cells"
    status = WARN if beside == len(wrong) else FAIL
    return Check("comments", status, found, tuple(wrong), len(wrong))


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
        return _judge_counts(submission)
    if run.end == "finished":
        return Check("order", PASS, f"all ran in their order, in {run.seconds:.0f} s")
    up = run.end == "timeout"
    found = f"time was up, {timeout:g} s, in" if up else "the run ended in"
    repair = "Give it more time with --timeout" if up else ""
    return Check("order", CANNOT_TELL, f"{found} cell {run.cell}", repair=repair)


def _judge_counts(submission: Submission) -> Check:
    """Judge the order by execution counts. Colab writes 0 or null where a cell has no output."""
    cells = [cell for cell in submission.cells if cell.source.strip() or cell.count]
    known = [(cell.number, cell.count) for cell in cells if cell.count]
    back, missing, jumps, waiting = [], list[int](), [], list[int]()
    last, free, drops = (0, 0), 0, False
    for cell in cells:
        if not cell.count:
            drops |= cell.count == 0 or bool(cell.outputs)
            # A cell of comments alone takes a count in Jupyter, and none on Colab.
            alone = all(line.strip()[:1] in ("", "#") for line in cell.source.split("\n"))
            free, waiting = free + alone, waiting + [cell.number] * (not alone)
            continue
        between = cell.count - last[1] - 1
        if between < 0:
            back.append((*last, cell.number, cell.count))
        elif between < len(waiting):
            missing += waiting
        elif between > len(waiting) + free:
            jumps.append((*last, cell.number, cell.count))
        else:
            drops |= bool(waiting)  # null where a cell has run: counts are not kept here
        last, waiting, free = (cell.number, cell.count), [], 0
    missing += [] if drops else waiting
    if known and not back and missing:
        late = "" if missing[0] > last[0] else ": the next count is too low"
        return Check("order", FAIL, f"did not run{late}", tuple(missing))
    for numbers in (back or [jump for jump in jumps if jump[0]])[:1]:
        found = "cell {} has count {} and cell {} after it {}".format(*numbers)
        again = f"the kernel was not fresh, or cells ran again: {found}"
        found = f"{found}: they ran in another order" if back else again
        return Check("order", FAIL, found, numbers[::2])
    if not known:
        found = "no execution count was kept"
        if not any(cell.outputs or cell.count == 0 for cell in cells):
            found = "no cell has a count or an output: it did not run, or its outputs were cleared"
        return Check("order", CANNOT_TELL, found, repair="Use --execute to find out")
    emptied = ", ".join(str(cell.number) for cell in cells if not cell.source.strip())
    note = f"; cell {emptied} ran, and is empty now" if emptied else ""
    if jumps:
        found = "in their order, without a gap, but from a kernel that was not fresh (first count "
        return Check("order", FAIL, f"{found}{known[0][1]}){note}", known[0][:1])
    kept = f"the {len(known)} execution counts that were kept are the cells' places"
    every = f"execution counts 1 to {len(cells)}"
    return Check("order", PASS, (every if len(known) == len(cells) else kept) + note)


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
    found = printable(first.text) + f" (the first of {len(cells)})" * (len(cells) > 1)
    lacks = re.search(r": No module named '(?:google\.(?=colab))?(\w+)", first.text)
    offline = re.search("URL fetch failure|urlopen error|name resolution", first.text)
    status, today = FAIL, "; ".join(_old_calls(submission)[:5])
    repair = f"This is code for Keras 2; today: {today}" if today else None
    if not wrong:
        status, repair = WARN, "Look whether it belongs there: the tag raises-exception says so"
    elif run and (offline or (lacks and find_spec(lacks[1]) is None)):
        status, repair = CANNOT_TELL, "Grade it where that is to be had: nothing is installed here"
    return Check("errors", status, found, cells, len(cells), repair)


def _old_calls(submission: Submission) -> list[str]:
    sources = "\n".join(cell.source for cell in submission.cells)
    hits = ((re.search(old, sources), new) for old, new in _TODAY.items())
    return [f"{new} in place of {printable(hit[0], 40)}" for hit, new in hits if hit]


def _warnings(
    submission: Submission, run: Execution | None, findings: Sequence[Finding]
) -> Iterator[Check]:
    for rule in ("choice", "best epoch", "one training", "passes", "test images"):
        own = [(what, cells) for broken, what, cells in findings if broken == rule]
        yield from (Check(rule, WARN, *finding, len(own)) for finding in own)
        if not own:
            yield Check(rule, PASS, RULES[rule][0], number=0)
    notes = {cell.number: parse(cell.source).note for cell in submission.written}
    wrong = {number: note for number, note in notes.items() if note}
    found = [*wrong.values(), "every cell could be read"][0]
    found += f" (the first of {len(wrong)})" * (len(wrong) > 1)
    yield Check("readable", WARN if wrong else PASS, found, tuple(wrong), len(wrong))
    if run and run.refused:
        found = f"refused: {'; '.join(run.refused[:3])}"
        yield Check("installation", WARN, found, number=len(run.refused))
    old = [call for call in _old_calls(submission) if "stride" in call]
    if run and old and run.end == "finished":
        yield Check("old calls", WARN, old[0], number=len(old))


def _listed(numbers: Sequence[int], most: int = 12) -> str:
    shown = ", ".join(map(str, numbers[:most]))
    return shown if len(numbers) <= most else f"{shown} and {len(numbers) - most} more"

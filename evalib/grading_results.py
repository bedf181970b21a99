"""A submission's score and its number of parameters, from what its cells have shown.

Which number is meant is read from the source: the last printed score, the model that it is the
score of, and that model's summary.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evalib.grading_flow import Call, Flow, Place, call_name, dotted_names
from evalib.submissions import Cell, Submission

# Every repetition has a bound: a hostile output must not keep an expression busy.
_FLOAT = r"(?:np\.)?(?:float\d{0,3}\()?(-?\d{1,20}(?:\.\d{0,40})?(?:e[-+]?\d{1,3})?)\)?"
_LIST = re.compile(r"\[([^\[\]\n]{1,200})\]")
_ITEM = re.compile(rf"\s{{0,9}}{_FLOAT}\s{{0,9}}")
_MOST_VALUES = 6  # of an evaluation: a longer list is something else
_LABELED = re.compile(
    rf"acc\w{{0,20}}[^\w\n]{{0,6}}(?:is|of)?[ \t:=]{{0,4}}{_FLOAT}[ \t]{{0,4}}(%?)", re.IGNORECASE
)
_ALONE = re.compile(rf"(?m)^[ \t]{{0,20}}{_FLOAT}[ \t]{{0,4}}(%?)[ \t]{{0,20}}$")
_PERCENT = re.compile(rf"(?<![\w.]){_FLOAT}[ \t]{{0,4}}(%)")
_ANY = re.compile(r"(?<![\w.])([01]\.\d{1,40})()(?![\w.])")
_INTEGER = re.compile(r"(?<![\w.,])\d[\d,]{0,15}(?!\w|[.,]\d)")
# Progress bars and logs of epochs: their numbers are not the score.
_PROGRESS = re.compile(
    r"━|\[[=>.]{4}|\d/step|us/sample|ETA:|^\s{0,9}- \d{1,6}m?s\b|^Epoch \d|\bval_\w"
)
_TOTAL = re.compile(r"Total params:\s{0,20}([\d,]{1,20})", re.IGNORECASE)
_PART = re.compile(
    r"(?m)^[^\w\n]{0,20}(Trainable|Non-trainable|Optimizer) params:\s{0,20}([\d,]{1,20})",
    re.IGNORECASE,
)
_SUMMARY_END = 600  # characters behind the total
_ACCURACIES = {"acc", "accuracy", "categorical_accuracy", "sparse_categorical_accuracy",
               "CategoricalAccuracy", "SparseCategoricalAccuracy", "Accuracy"}  # fmt: skip


@dataclass(frozen=True)
class Score:
    """A score as it was shown.

    Attributes:
        value: The accuracy, between 0 and 1; None where no number is found.
        cell: The cell that shows it; None where no cell does.
        model: The name of the model that it is the score of; None where that is not seen.
        source: Where the value was read.
        evaluated: The call of `evaluate` that it comes from, where that is seen.
        typed: Whether the shown value was typed by hand.
        place: Where it is shown.
        names: The names in what is shown.
        index: Where the accuracy stands in what `evaluate` gives; None where it gives only a loss.
    """

    value: float | None
    cell: int | None
    model: str | None = None
    source: str = "the stored output"
    evaluated: Call | None = None
    typed: bool = False
    place: Place | None = None
    names: tuple[str, ...] = ()
    index: int | None = 1


@dataclass(frozen=True)
class Parameters:
    """A number of parameters, moving statistics included: whose it is, and how it was found."""

    count: int | None
    model: str | None
    cell: int | None
    source: str
    reason: str


def find_score(submission: Submission, flow: Flow) -> Score:
    """Find the score that a submission ends in.

    The last cell that prints or shows a name with "score" in it is taken, else the last that
    shows anything from `evaluate`.
    """
    cells = {cell.number: cell for cell in submission.cells}
    candidates = list(_candidates(flow))
    named = [item for item in candidates if item[3]]
    calls = {id(call.call): call for call in flow.named("evaluate", "evaluate_generator")}
    for place, expression, names, _ in (named or candidates)[-1:]:
        origins = list(flow.origins(expression, place))
        nodes = [node for origin, _ in origins for node in ast.walk(origin)]
        evaluated = next((calls[id(node)] for node in nodes if id(node) in calls), None)
        index = _accuracy_index(flow, evaluated)
        return Score(
            _shown_value(cells[place.cell], index, expression),
            place.cell,
            evaluated.receiver if evaluated else _model_among(flow, origins),
            evaluated=evaluated,
            typed=_is_typed(origins),
            place=place,
            names=tuple(names),
            index=index,
        )
    return Score(None, None)


def accuracy_of(value: object, index: int = 1) -> float | None:
    """The accuracy in what `evaluate` gave: one of a list's values, or the value itself."""
    if isinstance(value, list):
        value = value[index] if len(value) > index else None
    return float(value) if isinstance(value, (int, float)) else None


def find_parameters(submission: Submission, flow: Flow, score: Score) -> Parameters:
    """Find the parameters of the scored model in stored summaries and printed counts."""
    found = [item for cell in submission.cells for item in _counts(cell, flow)]
    if not found:
        reason = "no cell shows a summary or a count"
        return Parameters(None, score.model, None, "nothing", reason)
    if score.model is not None and score.place is not None:
        bound = flow.last_binding(score.model, score.place)
        since = bound[0].cell if bound else 0
        own = [item for item in found if item.model == score.model and (item.cell or 0) >= since]
        if own:
            among = _among(found, own[-1], f"`{score.model}` is the model that was scored")
            return Parameters(own[-1].count, score.model, own[-1].cell, own[-1].source, among)
    before = [item for item in found if score.cell is None or (item.cell or 0) <= score.cell]
    last = (before or found)[-1]
    which = "the last one before the score" if before and score.cell else "the last one"
    why = "which model was scored is not seen"
    if score.model is not None:
        why = f"no summary is known to be of the scored model `{score.model}`"
    return Parameters(last.count, last.model, last.cell, last.source, f"{which}, for {why}")


def live_parameters(models: Mapping[str, int | None], flow: Flow, score: Score) -> Parameters:
    """Choose among the models that a kernel held after the last cell.

    Args:
        models: The parameters of each by its name; None for one that has no weights yet.
        flow: The notebook's source.
        score: The score, whose model is wanted.
    """
    source = "the executed model"
    if score.model is not None and score.model in models:
        reason = f"`{score.model}` is the model that was scored"
        return Parameters(models[score.model], score.model, None, source, reason)
    built = [name for name, count in models.items() if count is not None]
    if not built:
        return Parameters(None, None, None, source, "the kernel held no model with weights")
    reason = "it is the only model"
    if len(built) > 1:
        reason = f"it is the last of {len(built)} models; which was scored is not seen"
    return Parameters(models[built[-1]], built[-1], None, source, reason)


def _candidates(flow: Flow) -> Iterator[tuple[Place, ast.expr, list[str], bool]]:
    """What is shown and comes from `evaluate` or is called a score.

    Yields:
        The place, the expression, its names, and whether it is called a score or is a call of
        `evaluate` itself.
    """
    for place, expression in sorted(flow.prints, key=lambda item: item[0].order):
        names = [name for name in dotted_names(expression) if name not in flow.models]
        called = {call_name(node) for node in ast.walk(expression) if isinstance(node, ast.Call)}
        if called & {"fit", "fit_generator", "predict", "print", "summary", "compile"}:
            continue
        if isinstance(expression, ast.Subscript) and _is_zero(expression.slice):
            continue  # `score[0]`, the loss
        evaluated = any(
            call_name(node) in ("evaluate", "evaluate_generator")
            for origin, _ in flow.origins(expression, place)
            for node in ast.walk(origin)
            if isinstance(node, ast.Call)
        )
        direct = bool(called & {"evaluate", "evaluate_generator"})
        called_score = any(name in ("score", "scores") for name in names)
        if evaluated or called_score:
            like_score = any("score" in name.lower() for name in names)
            yield place, expression, names, direct or called_score or like_score


def _is_zero(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == 0


def _model_among(flow: Flow, origins: Sequence[tuple[ast.expr, Place]]) -> str | None:
    named = (name for origin, _ in origins for name in dotted_names(origin))
    return next((name for name in named if name in flow.models), None)


def _is_typed(origins: Sequence[tuple[ast.expr, Place]]) -> bool:
    """Whether a value comes from numbers in the source alone."""
    nodes = [node for origin, _ in origins for node in ast.walk(origin)]
    if any(isinstance(node, ast.Call) for node in nodes):
        return False
    bound = len(origins) > 1 or not any(isinstance(node, ast.Name) for node in nodes)
    number = any(isinstance(n, ast.Constant) and isinstance(n.value, float) for n in nodes)
    return bound and number


def _accuracy_index(flow: Flow, evaluated: Call | None) -> int | None:
    """Where the accuracy stands in what `evaluate` gives; None where it gives the loss alone."""
    compiled = flow.named("compile")
    own = [call for call in compiled if evaluated and call.receiver == evaluated.receiver]
    if not compiled:
        return 1
    call = (own or compiled)[-1]
    metrics = call.argument("metrics") or (call.call.args[2] if len(call.call.args) > 2 else None)
    if metrics is None:
        return None
    for index, metric in enumerate(getattr(metrics, "elts", []), start=1):
        last = metric.func if isinstance(metric, ast.Call) else metric
        value = last.value if isinstance(last, ast.Constant) else getattr(last, "attr", None)
        if (value or getattr(last, "id", None)) in _ACCURACIES:
            return index
    return 1


def _shown_value(cell: Cell, index: int | None, expression: ast.expr) -> float | None:
    if index is None:
        return None
    lines = cell.text("stdout", "result").split("\n")
    text = "\n".join(line for line in lines if not _PROGRESS.search(line))
    lists = list(filter(None, (_numbers(match[1]) for match in _LIST.finditer(text))))
    values = [values[index] for values in lists if index < len(values) <= _MOST_VALUES]
    if values:
        return values[-1]
    for pattern in (_LABELED, _ALONE, _PERCENT, _ANY):
        values = [_share(match[1], match[2]) for match in pattern.finditer(text)]
        values = [value for value in values if 0 <= value <= 1]
        if values:
            return values[-1]
    called = [call_name(node) for node in ast.walk(expression) if isinstance(node, ast.Call)]
    if "evaluate" in called:
        drawn = [m for line in lines if _PROGRESS.search(line) for m in _LABELED.finditer(line)]
        return float(drawn[-1][1]) if drawn else None
    return None


def _numbers(listed: str) -> list[float]:
    """The numbers of a printed list; none where it holds anything else."""
    items = [_ITEM.fullmatch(item) for item in listed.split(",")]
    return [float(item[1]) for item in items if item] if all(items) else []


def _share(number: str, percent: str) -> float:
    value = float(number)
    return value / 100 if percent or 1 < value <= 100 else value


def _counts(cell: Cell, flow: Flow) -> Iterator[Parameters]:
    """The summaries and counts that a cell shows."""
    text = cell.text()
    totals = list(_TOTAL.finditer(text))
    described = [call.receiver for call in flow.named("summary") if call.cell == cell.number]
    for number, total in enumerate(totals):
        following = totals[number + 1].start() if number + 1 < len(totals) else len(text)
        end = min(following, total.end() + _SUMMARY_END)
        parts = {m[1].lower(): _integer(m[2]) for m in _PART.finditer(text[total.end() : end])}
        count = _integer(total[1]) - parts.get("optimizer", 0)
        model = described[number] if len(described) == len(totals) else None
        if len(set(described)) == 1:
            model = described[0]
        yield Parameters(count, model or None, cell.number, "the stored summary", "")
    if not totals:
        yield from _printed_counts(cell, flow)


def _printed_counts(cell: Cell, flow: Flow) -> Iterator[Parameters]:
    """What a cell prints of `model.count_params()`."""
    counts = {id(call.call): call.receiver for call in flow.named("count_params")}
    text = cell.text("stdout", "result")
    lines = [line for line in text.split("\n") if "param" in line.lower()]
    shown = _INTEGER.findall("\n".join(lines) or text)
    for place, expression in flow.prints if shown else ():
        if place.cell == cell.number:
            origins = flow.origins(expression, place)
            nodes = (node for origin, _ in origins for node in ast.walk(origin))
            model = next((counts[id(node)] for node in nodes if id(node) in counts), None)
            if model:
                source = "the printed count"
                yield Parameters(_integer(shown[0]), model, cell.number, source, "")
                return


def _among(found: Sequence[Parameters], taken: Parameters, reason: str) -> str:
    others = sorted({item.cell for item in found if item.cell not in (None, taken.cell)} - {None})
    if not others:
        return reason
    return f"{reason}; also shown: cell {', '.join(map(str, others))}"


def _integer(digits: str) -> int:
    return int(digits.replace(",", "")[:18] or 0)

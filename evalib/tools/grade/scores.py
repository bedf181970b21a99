"""A submission's score, from what its cells have shown.

Which number is meant is read from the source: the last printed score, and the model that it is the
score of.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from evalib.tools.grade.dataflow import MOST_TARGETS, Call, Flow, Place
from evalib.tools.grade.source import (
    EVALUATES,
    call_name,
    called_names,
    dotted,
    dotted_names,
    first_words,
    is_first,
    is_percent,
    outside_evaluate,
    takes_from_one,
)
from evalib.tools.grade.submissions import Cell, Submission

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
_ANY = re.compile(r"(?<![\w.])([01]\.\d{1,40})()(?!\w|\.\d)")
_HUNDREDTHS = re.compile(r"(?<![\w.])(\d{1,3}(?:\.\d{1,40})?)()(?!\w|\.\d)")
# Progress bars and logs of epochs: their numbers are not the score.
PROGRESS = re.compile(
    r"━|\[[=>.]{4}|s/(?:step|sample|epoch)|ETA:|^Epoch \d|\bval_\w|"
    r"^\s{0,9}(?:\d{1,9}/\d{1,9} )?- \d{1,6}m?s\b"
)
_NO_SCORES = {"fit", "fit_generator", "predict", "print", "summary", "compile"}
MOST_TEXTS = 50  # of a cell's source that are looked for in its output
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


def find_score(submission: Submission, flow: Flow) -> Score:
    """Find the score that a submission ends in.

    The last cell that prints or shows a name with "score" in it is taken, else the last that
    shows anything from `evaluate`.
    """
    cells = {cell.number: cell for cell in submission.cells}
    candidates = list(_candidates(flow))
    named = [item for item in candidates if item[3]]
    calls = {id(call.call): call for call in flow.named(*EVALUATES)}
    for place, expression, names, _ in (named or candidates)[-1:]:
        origins = list(flow.origins(expression, place))
        nodes = [node for origin, _ in origins for node in ast.walk(origin)]
        evaluated = next((calls[id(node)] for node in nodes if id(node) in calls), None)
        index = _accuracy_index(flow, evaluated)
        return Score(
            _shown_value(flow, cells[place.cell], index, expression, place),
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


def _candidates(flow: Flow) -> Iterator[tuple[Place, ast.expr, list[str], bool]]:
    """What is shown and comes from `evaluate` or is called a score.

    Yields:
        The place, the expression, the names in it that may hold the score, and whether it is called
        a score or is a call of `evaluate` itself.
    """
    for place, expression in sorted(flow.prints, key=lambda item: item[0].order):
        if called_names(expression) & _NO_SCORES or _is_error_rate(flow, expression, place):
            continue
        names = [name for name in _value_names(flow, expression, place) if name not in flow.models]
        calls = (node for node in outside_evaluate(expression) if isinstance(node, ast.Call))
        direct = any(call_name(call) in EVALUATES for call in calls)
        evaluated = direct or any(_is_evaluated(flow, name, place) for name in names)
        called_score = any(name in ("score", "scores") for name in names)
        if evaluated or called_score:
            like_score = any("score" in name.lower() for name in names)
            yield place, expression, names, direct or called_score or like_score


def _is_evaluated(flow: Flow, name: str, here: Place) -> bool:
    """Whether the value that a name has at a place comes from `evaluate`."""
    bound = flow.last_binding(name, here)
    if bound is None or bound[1] is None:
        return False
    origins = flow.origins(bound[1], bound[0])
    return any(called_names(origin) & EVALUATES for origin, _ in origins)


def _value_names(flow: Flow, expression: ast.expr, place: Place) -> list[str]:
    """The names whose values are shown, without those that hold the loss alone."""
    nodes = outside_evaluate(expression)
    names = dict.fromkeys(filter(None, map(dotted, nodes)))
    return [name for name in names if not _holds_loss(flow, name, place)]


def _holds_loss(flow: Flow, name: str, here: Place) -> bool:
    """Whether a name is `loss` of `loss, accuracy = model.evaluate(...)` or `loss = score[0]`."""
    place, value = flow.last_binding(name, here) or (here, None)
    if isinstance(value, ast.Subscript):
        return is_first(value.slice) and _is_evaluation(flow, value.value, place)
    targets = place.node.targets[:MOST_TARGETS] if isinstance(place.node, ast.Assign) else []
    tuples = [target.elts for target in targets if isinstance(target, (ast.Tuple, ast.List))]
    leads = any(dotted(parts[0]) == name for parts in tuples if parts)
    return leads and value is not None and _is_evaluation(flow, value, place)


def _is_evaluation(flow: Flow, node: ast.expr, here: Place) -> bool:
    """Whether a value is all that a call of `evaluate` gave."""
    if isinstance(node, ast.Name):
        bound = flow.last_binding(node.id, here)
        node = (bound and bound[1]) or node
    return isinstance(node, ast.Call) and call_name(node) in EVALUATES


def _is_error_rate(flow: Flow, expression: ast.expr, place: Place) -> bool:
    """Whether a value is `1 - accuracy` or `100 - 100 * accuracy`, or a name of such a one."""
    names = (node for node in outside_evaluate(expression) if isinstance(node, ast.Name))
    bound = (flow.last_binding(name.id, place) for name in names)
    values = [b[1] for b in bound if b is not None and isinstance(b[1], ast.BinOp)]
    return any(map(takes_from_one, [expression, *values]))


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


def _shown_value(
    flow: Flow, cell: Cell, index: int | None, expression: ast.expr, place: Place
) -> float | None:
    """The accuracy as it stands in a cell's output; None where none is seen."""
    if index is None:
        return None
    lines = cell.text("stdout", "result").split("\n")
    logs = [line for line in lines if PROGRESS.search(line)]
    shown = [line for line in lines if not PROGRESS.search(line)]
    nodes = [other.node for other, _ in flow.prints if other.cell == place.cell]
    for passage in passages(shown, place.node, nodes):
        value = _accuracy_in("\n".join(passage), index, in_percent=is_percent(expression))
        if value is not None:
            return value
    if "evaluate" in called_names(expression):
        drawn = [match for line in logs for match in _LABELED.finditer(line)]
        return float(drawn[-1][1]) if drawn else None
    return None


def _accuracy_in(text: str, index: int, *, in_percent: bool) -> float | None:
    """The last accuracy in a text: of a list, beside the word, alone in its line, or any."""
    lists = (_numbers(match[1]) for match in _LIST.finditer(text))
    values = [listed[index] for listed in lists if index < len(listed) <= _MOST_VALUES]
    values = [value for value in values if 0 <= value <= 1]
    if values:
        return values[-1]
    for pattern in (_LABELED, _ALONE, _PERCENT, _HUNDREDTHS if in_percent else _ANY):
        values = [_share(match[1], match[2]) for match in pattern.finditer(text)]
        values = [value for value in values if 0 <= value <= 1]
        if values:
            return values[-1]
    return None


def passages(
    lines: Sequence[str], shown: ast.AST, nodes: Sequence[ast.AST]
) -> Iterator[Sequence[str]]:
    """The lines of a cell's output that one call of `print` may have written, the likeliest first.

    Args:
        lines: What the cell shows.
        shown: The call, or another node that shows its value.
        nodes: All such nodes of the cell.
    """
    own = first_words(shown)
    others = tuple(islice(dict.fromkeys(map(first_words, nodes)), MOST_TEXTS))
    others = tuple(words for words in others if words and words != own)
    places = [n for n, line in enumerate(lines) if own and line.lstrip().startswith(own)]
    places = places or [n for n, line in enumerate(lines) if own and own in line]
    if not places:
        yield [line for line in lines if not line.lstrip().startswith(others)]
        return
    yield [lines[n] for n in places]
    following = range(places[-1] + 1, len(lines))
    end = next((n for n in following if lines[n].lstrip().startswith(others)), len(lines))
    yield lines[places[-1] : end]


def _numbers(listed: str) -> list[float]:
    """The numbers of a printed list; none where it holds anything else."""
    items = [_ITEM.fullmatch(item) for item in listed.split(",")]
    return [float(item[1]) for item in items if item] if all(items) else []


def _share(number: str, percent: str) -> float:
    value = float(number)
    return value / 100 if percent or 1 < value <= 100 else value

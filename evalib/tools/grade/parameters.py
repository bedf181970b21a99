"""The number of parameters that a submission shows, and of which model.

Read from stored summaries and printed counts; `grading_score` says which model is wanted.
"""

import ast
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from evalib.tools.grade.dataflow import Flow, Place
from evalib.tools.grade.scores import MOST_TEXTS, PROGRESS, Score, passages
from evalib.tools.grade.source import call_name, called_names, dotted, first_words
from evalib.tools.grade.submissions import Cell, Submission

_INTEGER = re.compile(r"(?<![\w.,])\d[\d,]{0,15}(?!\w|[.,]\d)")
_DIGIT = re.compile(r"\d")
_FIELD = re.compile(r"%[-+ #0-9.,]*[A-Za-z%]|\{[^{}]*\}")  # where a format puts a value
_TOTAL = re.compile(r"Total params:\s{0,20}([\d,]{1,20})", re.IGNORECASE)
_PART = re.compile(
    r"(?m)^[^\w\n]{0,20}(Trainable|Non-trainable|Optimizer) params:\s{0,20}([\d,]{1,20})",
    re.IGNORECASE,
)
_MOST_CALLS = 10  # of `count_params` in one value
_SUMMARY_END = 600  # characters behind the total


@dataclass(frozen=True)
class Parameters:
    """A number of parameters, moving statistics included: whose it is, and how it was found."""

    count: int | None
    model: str | None
    cell: int | None
    source: str
    reason: str


def find_parameters(submission: Submission, flow: Flow, score: Score) -> Parameters:
    """Find the parameters of the scored model in stored summaries and printed counts."""
    since, until = _cells_of_model(flow, score)
    found = [
        item
        for cell in submission.cells
        for item in _counts(cell, flow)
        if item.model != score.model or cell.number < until
    ]
    if not found:
        reason = "no cell shows a summary or a count"
        return Parameters(None, score.model, None, "nothing", reason)
    if score.model is not None and score.place is not None:
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


def _cells_of_model(flow: Flow, score: Score) -> tuple[int, float]:
    """The cell from which the scored model has its name, and that from which another has it."""
    if score.model is None or score.place is None:
        return 0, math.inf
    bound = flow.last_binding(score.model, score.place)
    since = bound[0].cell if bound else 0
    later = flow.next_binding(score.model, score.place)
    return since, max(later.cell, since + 1) if later else math.inf


def live_parameters(models: Mapping[str, int | None], flow: Flow, score: Score) -> Parameters:
    """Choose among the models that a kernel held after the last cell.

    Args:
        models: The parameters of each by its name; None for one that has no weights yet.
        flow: The notebook's source.
        score: The score, whose model is wanted.
    """
    source = "the executed model"
    if score.model is not None and score.place and flow.next_binding(score.model, score.place):
        reason = f"another model is called `{score.model}` by then"
        return Parameters(None, score.model, None, source, reason)
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
    """What a cell prints of `model.count_params()`.

    Numbers are told from each other by the words in front of them; those of the source's own texts
    do not count. Where there are more or fewer than were counted, none is taken.
    """
    shown = [item for item in flow.prints if item[0].cell == cell.number]
    lines = cell.text("stdout", "result").split("\n")
    lines = [line for line in lines if not PROGRESS.search(line)]
    alike: dict[str, list[tuple[Place, ast.expr]]] = {}
    for place, expression in shown:
        alike.setdefault(first_words(place.node), []).append((place, expression))
    for printed in islice(alike.values(), MOST_TEXTS):
        models = [model for place, value in printed for model in _counted(flow, value, place)]
        parts = passages(lines, printed[0][0].node, [place.node for place, _ in shown])
        named = [line for line in lines if "param" in line.lower()]
        texts = (_without_texts(part, printed) for part in (*parts, named) if models)
        found = (numbers for numbers in map(_INTEGER.findall, texts) if len(numbers) == len(models))
        for model, number in zip(models, next(found, []), strict=False):
            yield Parameters(_integer(number), model, cell.number, "the printed count", "")


def _counted(flow: Flow, expression: ast.expr, place: Place) -> list[str]:
    """The models whose `count_params()` a shown value comes from."""
    if "print" in called_names(expression):
        return []  # a cell's last value: what is printed there is listed by itself
    origins = flow.origins(expression, place)
    calls = dict.fromkeys(call for origin, _ in origins for call in _count_calls(origin))
    receivers = (call.func.value for call in calls if isinstance(call.func, ast.Attribute))
    return list(filter(None, map(dotted, receivers)))


@lru_cache(maxsize=4096)
def _count_calls(expression: ast.expr) -> tuple[ast.Call, ...]:
    calls = (node for node in ast.walk(expression) if isinstance(node, ast.Call))
    return tuple(islice((c for c in calls if call_name(c) == "count_params"), _MOST_CALLS))


def _without_texts(lines: Sequence[str], printed: Sequence[tuple[Place, ast.expr]]) -> str:
    """The lines without what the source itself says in digits, such as "Model 2 has"."""
    calls = {id(place.node): place.node for place, _ in printed}
    nodes = (node for call in calls.values() for node in ast.walk(call))
    texts = (node.value for node in nodes if isinstance(node, ast.Constant))
    pieces = (p.strip() for text in texts if isinstance(text, str) for p in _FIELD.split(text))
    shown = "\n".join(lines)
    for piece in islice((piece for piece in pieces if _DIGIT.search(piece)), MOST_TEXTS):
        before = r"(?<![\w.,])" if piece[0].isalnum() else ""
        after = r"(?!\w|[.,]\d)" if piece[-1].isalnum() else ""
        shown = re.sub(before + re.escape(piece) + after, " ", shown)
    return shown


def _among(found: Sequence[Parameters], taken: Parameters, reason: str) -> str:
    others = sorted({item.cell for item in found if item.cell not in (None, taken.cell)} - {None})
    if not others:
        return reason
    return f"{reason}; also shown: cell {', '.join(map(str, others))}"


def _integer(digits: str) -> int:
    return int(digits.replace(",", "")[:18] or 0)

"""Whether a notebook's cells ran in their order from a fresh kernel, from its execution counts.

Colab keeps the count of a cell only where it keeps outputs, and writes 0 or null elsewhere. A cell
that holds comments alone takes a count in Jupyter, and none on Colab.
"""

from itertools import pairwise

from evalib.tools.grade.read import Cell, Submission
from evalib.tools.grade.source import is_comment_only


def judge_counts(submission: Submission) -> tuple[str, str, tuple[int, ...]]:
    """Judge the order: "pass", "fail" or "cannot tell", what was found, the cells where it is."""
    cells = [cell for cell in submission.cells if not cell.is_empty or cell.count]
    known = [cell for cell in cells if cell.count]
    for first, second in pairwise(known):
        if (second.count or 0) <= (first.count or 0):
            what = f"cell {first.number} has count {first.count} and cell {second.number} after it "
            what += f"{second.count}: they ran in another order"
            return "fail", what, (first.number, second.number)
    if not known:
        ran = any(cell.outputs or cell.count == 0 for cell in cells)
        never = "no cell has a count or an output: it did not run, or its outputs were cleared"
        return "cannot tell", "no execution count was kept" if ran else never, ()
    missing, jumps = _compare(cells)
    if missing:
        late = missing[0] > known[-1].number
        return "fail", "did not run" if late else "did not run: the next count is too low", missing
    for first, second in [jump for jump in jumps if jump[0].number][:1]:
        what = f"the kernel was not fresh, or cells ran again: cell {first.number} has count "
        what += f"{first.count} and cell {second.number} after it {second.count}"
        return "fail", what, (first.number, second.number)
    emptied = [str(cell.number) for cell in cells if cell.is_empty]
    note = f"; cell {', '.join(emptied)} ran, and is empty now" if emptied else ""
    if jumps:
        what = "in their order, without a gap, but from a kernel that was not fresh (first count "
        return "fail", f"{what}{known[0].count}){note}", (known[0].number,)
    kept = f"the {len(known)} execution counts that were kept are the cells' places"
    every = f"execution counts 1 to {len(cells)}"
    return "pass", (every if len(known) == len(cells) else kept) + note, ()


def _compare(cells: list[Cell]) -> tuple[tuple[int, ...], list[tuple[Cell, Cell]]]:
    """Compare counts with the cells' places.

    Returns:
        The cells that did not run; the pairs of cells whose counts lie further apart than they do,
        where the first of a pair may be one of number 0, for the kernel's start.
    """
    missing: list[int] = []
    waiting: list[int] = []
    jumps = []
    last, free, drops = Cell(0, "", 0), 0, False
    for cell in cells:
        if not cell.count:
            drops |= cell.count == 0 or bool(cell.outputs)
            alone = is_comment_only(cell.source)
            free, waiting = free + alone, [*waiting, *([] if alone else [cell.number])]
            continue
        between = cell.count - (last.count or 0) - 1
        if between < len(waiting):
            missing += waiting
        elif between > len(waiting) + free:
            jumps.append((last, cell))
        else:
            drops |= bool(waiting)  # null where a cell has run: counts are not kept here
        last, waiting, free = cell, [], 0
    return (*missing, *([] if drops else waiting)), jumps

"""A cell's source: what its comments are worth, and what its expressions name and show.

Nothing is run: the source goes through Python's own parser and tokenizer. IPython's magics are
taken out before, line by line, so that line numbers stay.
"""

import ast
import io
import re
import sys
import textwrap
import tokenize
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

MAX_SOURCE = 100_000  # characters of a cell that are analyzed

_MIN_LETTERS = 3  # of a comment: "# CNN" says something, "# --" and "# 26" do not
_LONGEST_STATEMENT = 12  # lines of commented-out code that are parsed together
_PYTHON_MAGICS = {"capture", "prun", "py", "pypy", "python", "python3", "time", "timeit"}
_PROGRAM_MAGICS = {"bash", "file", "perl", "ruby", "script", "sh", "writefile"}
_LIBRARIES = {"cv2", "keras", "matplotlib", "np", "numpy", "pandas", "PIL", "plt", "pylab", "scipy",
              "skimage", "sklearn", "tensorflow", "tf", "torch", "torchvision", "vis",
              *sys.stdlib_module_names}  # fmt: skip
# Comments and titles of the course's own notebook: they are not the student's.
_TEMPLATE = {
    "import libraries and modules", "load pre-shuffled mnist data into train and test sets",
    "convert 1-dimensional class arrays to 10-dimensional class matrices",
    "util function to convert a tensor into a valid image", "clip to [0, 1]",
    "normalize tensor: center on 0., ensure std is 0.1", "convert to rgb array",
    "build a loss function that maximizes the activation",
    "of the nth filter of the layer considered", "normalization trick: we normalize the gradient",
    "compute the gradient of the input picture wrt this loss", "run gradient ascent for 20 steps",
    "this function returns the loss and grads given the input picture",
    "step size for gradient ascent",
}  # fmt: skip
_MAGIC = re.compile(r"%{1,2}[A-Za-z]|[!?]")  # a line of `% score[1])` goes on with the one above
_LINK = re.compile(r"\bhttps?://\S+")
# "# !pip install keras" is a command, "# !important: 28x28 images" is not.
_COMMAND = re.compile(
    r"!\s?(?:pip|apt|conda|curl|wget|git|ls|cd|cp|mv|mkdir|unzip|tar|python|nvidia)\d?\b|"
    r"%{1,2}[A-Za-z_]|(?:python\d? -m )?(?:pip\d?|conda|apt(?:-get)?) (?:un)?install\b"
)
_DIRECTIVE = re.compile(
    r"!/|-\*-|coding[:=]|noqa|type: ?ignore|pylint|fmt:|ruff:|@param|In ?\[|Out ?\["
)


@dataclass(frozen=True)
class Parsed:
    """A cell's source without magics, and its syntax tree where it is Python."""

    text: str
    tree: ast.Module | None
    note: str | None = None  # what kept it from being read as Python 3
    is_python: bool = True  # False where a cell magic hands it to another language


@lru_cache(maxsize=1024)
def parse(source: str) -> Parsed:
    """Read a cell's source as Python 3, with IPython's magics taken out."""
    if len(source) > MAX_SOURCE:
        return Parsed("", None, f"has more than {MAX_SOURCE:,} characters")
    lines = source.split("\n")
    first = next((line for line in lines if line.strip()), "")
    indent = first[: len(first) - len(first.lstrip())]  # IPython takes it from all lines
    source = "\n".join(line.removeprefix(indent) for line in lines)
    first, _, rest = source.lstrip().partition("\n")
    if first.startswith("%%"):
        magic = re.match(r"%%\s*(\w*)", first)
        if magic is None or magic[1] not in _PYTHON_MAGICS:
            of_program = magic is not None and magic[1] in _PROGRAM_MAGICS
            note = "hands its text to another program" if of_program else None
            return Parsed(source, None, note, is_python=False)
        source = "\n" + rest
    blanked = "\n".join(_without_magics(source.split("\n")))
    for text in (source, blanked, textwrap.dedent(blanked)):
        tree = _tree(text)
        if tree is not None:
            return Parsed(text, tree)
    return Parsed(blanked, None, "is not valid Python 3")


def comment_kind(source: str) -> str:
    """Tell what a cell's comments are worth.

    Returns:
        "real" where a comment, or a function's docstring, says something in words; else "template"
        where all words are the course's, "code" where there is nothing but commented-out code,
        "empty" where there is no word, "string" where the cell begins with a text in quotes, or
        "none".
    """
    kinds = {_kind(block) for block in _comments(source)}
    tree = parse(source).tree
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            says = _says_something(ast.get_docstring(node) or "")
            kinds |= {"string" if node is tree else "real"} if says else set()
    worth = ("real", "template", "code", "empty", "string")
    return next((kind for kind in worth if kind in kinds), "none")


def comment_texts(source: str) -> list[str]:
    """The comments that say something in words, a text each, in lower case."""
    return [" ".join(block).lower() for block in _comments(source) if _kind(block) == "real"]


def explains(text: str) -> bool:
    """Whether a text cell says something in words that are not the course's."""
    lines = (re.sub(r"<[^<>\n]{0,300}>|[#*_`>]", "", line).strip() for line in text.split("\n"))
    return any(_says_something(line) and line.lower() not in _TEMPLATE for line in lines)


def is_comment_only(source: str) -> bool:
    """Whether a cell holds comments alone."""
    return all(line.strip().startswith("#") or not line.strip() for line in source.split("\n"))


def _comments(source: str) -> Iterator[list[str]]:
    """The texts of the comments, without their hashes; those on adjacent lines come together."""
    block: list[str] = []
    last = -1
    for line, text, alone in _comment_lines(source):
        if block and not (alone and line == last + 1):
            yield block
            block = []
        block.append(re.sub(r"^[\s#]*#", "", text))
        last = line if alone else -1
    if block:
        yield block


def _comment_lines(source: str) -> list[tuple[int, str, bool]]:
    """Each comment's line, its text, and whether it has the line for itself."""
    parsed = parse(source)
    if not parsed.is_python:
        # In another language: a line that begins as comments do in shells, JavaScript or HTML.
        found = re.finditer(r"(?m)^[ \t]*(?:#|//|<!--)([^\n]*)$", parsed.text)
        return [(0, match[1], False) for match in found]
    # Comments after a command of the shell: `!pip install keras  # why`.
    after = re.finditer(r"(?m)^[ \t]*![^\n#'\"]*[ \t]#([^\n]*)$", source[:MAX_SOURCE])
    lines = [(0, match[1], False) for match in after]
    try:
        for token in tokenize.generate_tokens(io.StringIO(parsed.text).readline):
            if token.type == tokenize.COMMENT:
                alone = not token.line[: token.start[1]].strip()
                lines.append((token.start[0], token.string, alone))
    except (tokenize.TokenError, SyntaxError):
        found = re.finditer(r"(?m)^[ \t]*#+([^\n]*)$", parsed.text)
        lines += [(parsed.text.count("\n", 0, hit.start()) + 1, hit[1], True) for hit in found]
    return lines


def _kind(block: Sequence[str]) -> str:
    """Whether a block says something in words, "real", or only "template", "code" or nothing."""
    lines = [re.sub(r"^\s*@(?:title|markdown)\b", "", line) for line in block]
    kinds = {"empty"}
    start = 0
    while start < len(lines):
        line, end = lines[start].strip(), start + 1
        link_alone = _LINK.search(line) and not _says_something(line)
        if link_alone or line.lower().rstrip(".") in _TEMPLATE:
            kinds.add("template")  # the course has a link to keras.io
        elif _COMMAND.match(line):
            kinds.add("code")
        elif _says_something(line) and not _DIRECTIVE.match(line):
            ends = range(end, min(start + _LONGEST_STATEMENT, len(lines)) + 1)
            end = next((end for end in ends if _is_code(lines[start:end])), 0)
            if not end:
                return "real"
            kinds.add("code")
        start = end
    return next(kind for kind in ("template", "code", "empty") if kind in kinds)


def _says_something(text: str) -> bool:
    return sum(letter.isalpha() for letter in _LINK.sub("", text)) >= _MIN_LETTERS


def _is_code(lines: Sequence[str]) -> bool:
    """Whether lines without their hashes are code: a call, an assignment, an import, a loop."""
    tree = _tree(textwrap.dedent("\n".join(lines)).strip())
    kinds = (ast.Call, ast.Assign, ast.AugAssign, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    for node in ast.walk(tree) if tree else ():
        imported = node.names if isinstance(node, ast.Import) else []
        # "import libraries" is a comment in words; "import numpy as np" is not.
        if any(part.asname or part.name.split(".")[0] in _LIBRARIES for part in imported):
            return True
        noted = isinstance(node, ast.AnnAssign) and node.value is not None
        if noted or isinstance(node, (*kinds, ast.For, ast.While, ast.With)):
            return True
    return False


def _tree(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in strings that Python does not know
            return ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def _without_magics(lines: Sequence[str]) -> Iterator[str]:
    """The lines with `pass` in place of magics, shell commands and questions for help."""
    goes_on = False
    for line in lines:
        content = line.strip()
        indent = line[: len(line) - len(line.lstrip())]
        assigned = re.match(r"([\w., ]{1,80}?) {0,4}= {0,4}[!%]", content)
        if goes_on:
            yield ""
        elif re.match(_MAGIC, content) or re.fullmatch(r"[\w.]+\?\??", content):
            goes_on = content.endswith("\\")
            yield f"{indent}pass"
            continue
        elif assigned:
            yield f"{indent}{assigned[1]} = None"
        else:
            yield line
        goes_on = (goes_on or bool(assigned)) and content.endswith("\\")


def call_name(node: ast.Call) -> str:
    """The last part of a called name: "fit" of `model.fit(...)`."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


@lru_cache(maxsize=4096)
def calls_in(expression: ast.AST) -> tuple[ast.Call, ...]:
    """All calls in an expression."""
    return tuple(node for node in ast.walk(expression) if isinstance(node, ast.Call))


@lru_cache(maxsize=4096)
def called_names(expression: ast.AST) -> frozenset[str]:
    """The last parts of all names that are called in an expression."""
    return frozenset(map(call_name, calls_in(expression)))


@lru_cache(maxsize=4096)
def dotted_names(expression: ast.AST) -> tuple[str, ...]:
    """The names in an expression, and those with attributes, as `self.model`."""
    nodes = (node for node in ast.walk(expression) if isinstance(node, (ast.Name, ast.Attribute)))
    return tuple(dict.fromkeys(filter(None, map(dotted, nodes))))


def dotted(node: ast.AST | None) -> str:
    """A name with its attributes, as `self.model`; empty for any other expression."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def first_words(shown: ast.AST) -> str:
    """The words that a call of `print` begins its line with; empty where it begins with a value."""
    first = shown.args[:1] if isinstance(shown, ast.Call) else []
    constants = (n.value for a in first for n in ast.walk(a) if isinstance(n, ast.Constant))
    text = next((value for value in constants if isinstance(value, str)), "")
    words = re.split("[%{]", text)[0].strip().split("\n")[-1].strip()
    return words if len(words) > 2 else ""

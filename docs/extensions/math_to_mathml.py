"""Formulas as MathML, which browsers draw by themselves: no script, and nothing from a network."""

from docutils import nodes
from math_core import LatexToMathML
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

CONVERTER = LatexToMathML()


def visit_math(translator: HTML5Translator, node: nodes.math) -> None:
    formula = CONVERTER.convert_with_local_state(node.astext(), displaystyle=False)
    translator.body.append(formula)
    raise nodes.SkipNode


def visit_math_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    formula = CONVERTER.convert_with_local_state(node.astext(), displaystyle=True)
    # A region that scrolls must be reachable by keyboard.
    translator.body.append(f'<div class="formula" tabindex="0">{formula}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}

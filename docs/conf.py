"""How Sphinx builds the course as pages: `make site`.

Everything that could drift is taken from where it stands: the notebooks with the outputs they
have stored, the results from README.md, the rooms of evalib from its folders, and the repository's
address from pyproject.toml.
"""

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path[:0] = [str(DOCS / "extensions"), str(ROOT)]

from evalib.tools.colab import read_repository  # noqa: E402

REPOSITORY = read_repository(ROOT)

project = "A vision course, answered"
author = "the authors of evalib"
language = "en"
highlight_language = "none"  # what has no language is a command or a formula; notebooks say theirs
html_title = project
html_show_copyright = False

extensions = [
    "myst_nb",
    "sphinx_design",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    # From docs/extensions:
    "course_pages",
    "docstrings",
    "figure_captions",
    "math_to_mathml",
]
exclude_patterns = ["_build", "_static", "extensions"]

# The notebooks are shown as they were stored; nothing is executed here.
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["attrs_inline", "colon_fence", "dollarmath"]
myst_heading_anchors = 4
myst_update_mathjax = False
html_math_renderer = "mathml"

# Signatures stay short; types stand beside each argument's description.
autodoc_typehints = "description"
autodoc_typehints_format = "short"
autodoc_typehints_description_target = "documented_params"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
add_module_names = False
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"

html_theme = "sphinx_book_theme"
html_static_path = ["_static"]
html_css_files = ["course.css"]
html_logo = "_static/logo.svg"
html_favicon = "_static/logo.svg"
html_sourcelink_suffix = ""
html_use_index = html_domain_indices = False  # search finds more
html_theme_options = {
    "repository_url": REPOSITORY,
    "repository_branch": "main",
    "path_to_docs": "",
    "use_repository_button": True,
    "use_download_button": True,
    "use_fullscreen_button": False,
    "launch_buttons": {"colab_url": "https://colab.research.google.com"},
    "logo": {"text": project, "alt_text": ""},
    "navbar_persistent": [],  # search stands in the sidebar
    "home_page_in_toc": False,
    "pygments_dark_style": "github-dark",
    "show_toc_level": 1,
    "show_navbar_depth": 1,
}
# Without it the theme's script reports an empty mode as an error.
html_context = {"default_mode": "auto"}

course_root = str(ROOT)
# The figure that stands for a notebook on the front page, by its number there; else the first.
course_covers = {"01": 6, "02": 13, "03": 3, "04": 1, "05": 10, "06": 4}

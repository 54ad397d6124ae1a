# SPDX-License-Identifier: Apache-2.0
"""How Sphinx builds the docs. `make docs` builds English and Chinese; see `tools/publish.py`."""

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS / "_ext"), str(DOCS.parent / "analyzer")]

from vnetkb import __version__  # noqa: E402 - the tree's own package, only now on the path
from vnetkb_docs import stubs  # noqa: E402

stubs.write(DOCS)

project = "vnetkb"
author = "The vnetkb authors"
version = release = __version__
language = "en"  # tools/publish.py sets the other
project_copyright = "the vnetkb authors"

extensions = [
    "myst_parser",
    "sphinx_design",
    "sphinx_copybutton",
    "sphinxcontrib.typer",
    "vnetkb_docs",
]
primary_domain = "kb"
exclude_patterns = ["_ext", "locale", "README.md"]
nitpicky = True
smartquotes = False  # options begin with two hyphens
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist", "attrs_inline"]
myst_heading_anchors = 3
locale_dirs = ["locale"]
gettext_compact = False
gettext_uuid = False
figure_language_filename = "{root}.{language}{ext}"
highlight_language = "text"  # a block without a language is a drawing or a formula
pygments_style = "friendly"
pygments_dark_style = "monokai"

# Where a line of kernel source is shown to the public; {version}, {file} and {line} are filled in. Empty:
# no links.
vnetkb_source_link = (
    "https://git.kernel.org/pub/scm/linux/kernel/git/stable/linux.git/tree/{file}?h=v{version}#n{line}"
)

templates_path = ["_templates"]
html_theme = "furo"
html_title = "vnetkb"
html_static_path = ["_static"]
html_favicon = "_static/favicon.svg"
html_css_files = ["vnetkb.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
html_additional_pages = {"search": "search.html"}
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/language.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
html_theme_options = {"top_of_page_buttons": [], "navigation_with_keys": True}
copybutton_prompt_text = r"[$#] "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True
copybutton_line_continuation_character = "\\"

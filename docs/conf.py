"""The site: python -m sphinx docs build/site"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import autograd_bn

project = "autograd_bn"
author = "The autograd_bn developers"
version = release = autograd_bn.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "reference"]
exclude_patterns = ["build"]

# Pages are read on other sites too, where links lead to the slugs of headings.
myst_heading_anchors = 4
# An attribute in a docstring is looked up as if it were a reference, and several classes have a name.
suppress_warnings = ["misc.highlighting_failure", "ref.python"]

# Types are in the signatures of the sources; most of what is taken is "an array, a tensor or a number".
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "autograd_bn"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#b3261e", "color-brand-content": "#b3261e"},
    "dark_css_variables": {"color-brand-primary": "#ff8a80", "color-brand-content": "#ff8a80"},
}

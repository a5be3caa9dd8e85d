"""Settings of Sphinx for `make docs`."""

project = "sct_opt"
author = "sct_opt developers"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "sct_opt"
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]  # links to sources, which are right in the repository

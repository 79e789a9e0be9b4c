"""How the documentation is built: ``sphinx-build -W -n --keep-going docs docs/_build/html``."""

import sys
from importlib.metadata import version as _version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "openqrmi"
author = "the openqrmi authors"
project_copyright = "2026, the openqrmi authors"
release = _version("openqrmi")
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "generated",  # docs/_ext/generated.py
]
exclude_patterns = ["_build", "_ext", "examples"]

html_theme = "furo"
html_title = "openqrmi"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_show_sourcelink = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

default_role = "py:obj"  # `name` in a docstring is a link where it can be one
add_module_names = False
python_use_unqualified_type_names = True

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
autodoc_inherit_docstrings = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

nitpick_ignore_regex = [
    # The default role links what it can: docstrings also quote commands and calls.
    (r"py:obj", r".*"),
    # Names of the standard library and of other packages, which are documented elsewhere.
    (
        r"py:.*",
        r"(abc|argparse|asyncio|attrs?|collections|concurrent|datetime|enum|importlib|numbers|os"
        r"|contextlib|pathlib|threading|types|typing|uuid)\b.*",
    ),
    (r"py:.*", r"(cudaq|numpy|np|pulser|qiskit|qiskit_aer|transpiler)\b.*"),
    # What public names inherit or take that is not part of their interface.
    (r"py:class", r"qrmi\.(bookkeeping\.TaskBook|waiting\.Deadline|lifetime\.owners\.OwnerState)"),
    (r"py:class", r"Clock|qrmi\.journal\.files\.Files|qrmi\.recording\.(replaying|matching)\..*"),
    (r"py:class", r"Transport|qrmi\.(tasks\._UpstreamEnum|codecs\.interface\.GateCodec)"),
    (r"py:class", r"qrmi\.qiskit\.(records\.PubRecord|run\.Header|jobs\.GateJob)"),
    (r"py:class", r"qrmi\.qiskit\.(options\._Options|jobs\.TaskJob)|records\..*|run\..*"),
    (r"py:class", r"qrmi\.qiskit\.primitive\.(_Options|Primitive)"),
    # Bare names that other packages' annotations use, and our type variables.
    (r"py:class", r"(optional|Device|Self|T|P|_P|Any|Path|ModuleType|Literal\[.*)"),
]

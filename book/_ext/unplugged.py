"""The built site needs no network: formulas come from the site, and no script calls home."""

import importlib.metadata
import shutil
from pathlib import Path

MATHJAX = "tex-svg-full.js"


def copy_mathjax(app):
    """Put MathJax, taken from its installed package, where ``mathjax_path`` points."""
    files = importlib.metadata.files("sphinx-mathjax-offline") or []
    source = next(file.locate() for file in files if file.name == MATHJAX)
    target = Path(app.outdir, "_static", app.config.mathjax_path)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def drop_thebe(app, pagename, templatename, context, doctree):
    """Leave out the launcher script that the theme adds and that loads from elsewhere."""
    context["script_files"] = [
        script
        for script in context.get("script_files", [])
        if "thebe" not in str(getattr(script, "filename", script))
        and "thebe" not in getattr(script, "attributes", {}).get("body", "")
    ]


def setup(app):
    """Connect the two steps."""
    app.connect("builder-inited", copy_mathjax)
    app.connect("html-page-context", drop_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

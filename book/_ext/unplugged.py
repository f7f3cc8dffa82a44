"""The built site needs no network: no script calls home."""


def drop_thebe(app, pagename, templatename, context, doctree):
    """Leave out the launcher script that the theme adds and that loads from elsewhere."""
    context["script_files"] = [
        script
        for script in context.get("script_files", [])
        if "thebe" not in str(getattr(script, "filename", script))
        and "thebe" not in getattr(script, "attributes", {}).get("body", "")
    ]


def setup(app):
    """Connect the step."""
    app.connect("html-page-context", drop_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

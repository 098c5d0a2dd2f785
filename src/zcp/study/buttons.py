"""A Sphinx extension: the book's buttons exist only where they lead somewhere."""

from typing import Any


def setup(app: Any) -> dict[str, bool]:
    """Register the extension."""
    app.connect("config-inited", follow_address)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def follow_address(app: Any, config: Any) -> None:
    """Show buttons to the repository, its issues and the launchers where `repository: url:` has an address.

    Args:
        app: Sphinx; unused.
        config: its configuration; the theme's options are changed in place.
    """
    options = config.html_theme_options
    known = bool(options.get("repository_url"))
    options.update(use_repository_button=known, use_issues_button=known)
    if not known:
        options["launch_buttons"] = {}

"""How every HTML page of this project is rendered: escaped, and with an error for a missing value."""

from pathlib import Path

import jinja2


def page_environment(*folders: Path) -> jinja2.Environment:
    """A template environment over these folders and this one, whose style sheet all pages share.

    An undefined name in a template raises jinja2.UndefinedError.
    """
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, Path(__file__).parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

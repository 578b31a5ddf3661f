"""`inspector keys` and `inspector sign`: make a line's keys, and sign the engines it trusts."""

from pathlib import Path

from inspector.engine import signature
from inspector.errors import InputError


def keys(kind: str, out: Path, name: str | None) -> int:
    """Make the keys of a kind; returns the exit code. Raises InputError."""
    from inspector.wire import curve

    if name is not None and kind != "viewer":
        raise InputError(f"--name is a viewer's: `inspector keys {kind}` takes none")
    if kind == "line":
        curve.make_line_keys(out)
        print(f'{out}: give it to the service (chown -R inspector-decide: {out}), then `view.keys = "{out}"`')
    elif kind == "viewer":
        if name is None:
            raise InputError("a viewer needs a --name")
        secret = curve.make_viewer_keys(out, name)
        print(f"{secret}: carry it to the viewer, with {out / curve.LINE_NAME}.key, and remove it here")
    else:
        public = signature.make_key(out)
        print(f'{out}: keep it where engines are made, not on the line; there: trusted_keys = ["{public}"]')
    return 0


def sign(engine: Path, key: Path) -> int:
    """Sign an engine folder; returns the exit code. Raises InputError."""
    public = signature.sign(engine, key)
    print(f'{engine}: signed; a line that takes signed engines only: trusted_keys = ["{public}"]')
    return 0

"""Signatures: an engine is opened only when somebody this line trusts has made it."""

import base64
import json
import shutil
from pathlib import Path

import pytest

from inspector.backends.instant import write_engine
from inspector.engine.manifest import open_folder, read_manifest_bytes
from inspector.engine.signature import SIGNATURE_NAME, make_key, open_trusted, sign
from inspector.errors import EngineError, InputError

pytest.importorskip("cryptography")


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    return write_engine(tmp_path / "engine", height=32, width=64).path


def test_a_signed_engine_opens_where_its_maker_is_trusted(engine: Path, tmp_path: Path) -> None:
    """Among other trusted keys, and on a line that trusts none."""
    maker, other = make_key(tmp_path / "maker"), make_key(tmp_path / "other")
    assert sign(engine, tmp_path / "maker") == maker
    assert open_trusted(engine, (other, maker)).manifest.name == "instant"
    assert open_trusted(engine, ()).manifest.name == "instant"


def test_an_engine_of_somebody_else_is_refused(engine: Path, tmp_path: Path) -> None:
    """An intact engine that no trusted key has signed is refused."""
    trusted, _ = make_key(tmp_path / "trusted"), make_key(tmp_path / "stranger")
    sign(engine, tmp_path / "stranger")
    with pytest.raises(EngineError, match="no trusted key has signed"):
        open_trusted(engine, (trusted,))


def test_an_unsigned_engine_is_refused(engine: Path, tmp_path: Path) -> None:
    """The line names the command that signs it."""
    with pytest.raises(EngineError, match="accepts only signed engines: `inspector sign"):
        open_trusted(engine, (make_key(tmp_path / "key"),))


@pytest.mark.parametrize(
    "text", [b"", b"!!", base64.b64encode(bytes(64)), base64.b64encode(bytes(7)), bytes(5000)]
)
def test_a_damaged_signature_is_refused(engine: Path, tmp_path: Path, text: bytes) -> None:
    """Any other content in its place is refused."""
    (engine / SIGNATURE_NAME).write_bytes(text)
    with pytest.raises(EngineError, match="no trusted key has signed"):
        open_trusted(engine, (make_key(tmp_path / "key"),))


def test_a_manifest_changed_after_it_was_signed_is_refused(engine: Path, tmp_path: Path) -> None:
    """Through the manifest, every threshold and every file's hash is signed."""
    trusted = make_key(tmp_path / "key")
    sign(engine, tmp_path / "key")
    manifest = json.loads((engine / "manifest.json").read_text())
    manifest["thresholds"]["bright"] = 0.99
    (engine / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(EngineError, match="no trusted key has signed"):
        open_trusted(engine, (trusted,))


def test_the_manifest_that_was_checked_is_the_one_that_opens(engine: Path) -> None:
    """A manifest that is swapped after the check is not read."""
    raw = read_manifest_bytes(engine)
    (engine / "manifest.json").write_bytes(raw.replace(b"instant", b"another"))
    assert open_folder(engine, raw).manifest.name == "instant"
    assert open_folder(engine).manifest.name == "another"


def test_a_damaged_engine_is_not_signed(engine: Path, tmp_path: Path) -> None:
    """A signature must not approve an engine that would not open."""
    make_key(tmp_path / "key")
    (engine / "golden.npz").write_bytes(b"other")
    with pytest.raises(EngineError, match="does not match"):
        sign(engine, tmp_path / "key")
    assert not (engine / SIGNATURE_NAME).exists()


def test_a_signature_travels_with_its_folder(engine: Path, tmp_path: Path) -> None:
    """A copy is as good as the original."""
    trusted = make_key(tmp_path / "key")
    sign(engine, tmp_path / "key")
    shutil.copytree(engine, tmp_path / "copy")
    assert open_trusted(tmp_path / "copy", (trusted,)).path == tmp_path / "copy"


def test_a_signing_key_is_its_owners_alone_and_is_not_overwritten(tmp_path: Path) -> None:
    """Mode 0600, and a second call refuses."""
    make_key(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(InputError, match="cannot be made"):
        make_key(tmp_path / "key")


@pytest.mark.parametrize(
    "content", [b"", b"not a key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_no_signing_key_is_one_clear_line(engine: Path, tmp_path: Path, content: bytes) -> None:
    """It names the command that makes one."""
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(InputError, match="inspector keys signing"):
        sign(engine, tmp_path / "key")

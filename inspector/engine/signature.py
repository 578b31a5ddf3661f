"""Signed engines: an ed25519 signature over the manifest, whose hashes cover every file.

Hashes show that an engine is undamaged; only a signature shows who made it. A line whose config trusts no key
accepts any engine with correct hashes.
"""

import base64
import binascii
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from inspector.engine.manifest import MANIFEST_NAME, EngineFolder, open_folder, read_manifest_bytes
from inspector.errors import EngineError, InputError
from inspector.extras import needs_extra
from inspector.files import write_new, write_whole

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SIGNATURE_NAME: Final = "manifest.sig"
"""Base64 of the 64 bytes, in a file beside the manifest."""

_MAX_SIGNATURE_BYTES: Final = 1024


def open_trusted(path: Path, trusted: tuple[str, ...]) -> EngineFolder:
    """Open an engine folder; when keys are trusted, one of them must have signed it.

    The signature is checked before the manifest is parsed. Raises EngineError.
    """
    raw = read_manifest_bytes(path)
    if trusted:
        _check(path, raw, trusted)
    return open_folder(path, raw)


def make_key(path: Path) -> str:
    """Write a new signing key that only its owner may read; returns the public key. Raises InputError."""
    serialization, ed25519 = _cryptography("a signing key")
    key = ed25519.Ed25519PrivateKey.generate()
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        write_new(path, text, 0o600)
    except OSError as error:
        raise InputError(f"{path}: cannot be made: {error.strerror}") from None
    return public_key(key)


def sign(path: Path, key_path: Path) -> str:
    """Sign an engine folder with correct hashes; returns the public key to trust. Raises InputError."""
    key = _read_key(key_path)
    raw = read_manifest_bytes(path)
    open_folder(path, raw)
    signature = base64.b64encode(key.sign(raw))
    try:
        write_whole(path / SIGNATURE_NAME, signature + b"\n")
    except OSError as error:
        raise InputError(f"{path / SIGNATURE_NAME}: cannot be written: {error.strerror}") from None
    return public_key(key)


def sign_file(path: Path, key_path: Path) -> str:
    """Sign any file; the signature lies beside it. Returns the public key to trust. Raises InputError."""
    key = _read_key(key_path)
    try:
        write_whole(_signature_of(path), base64.b64encode(key.sign(path.read_bytes())) + b"\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be signed: {error.strerror}") from None
    return public_key(key)


def check_file(path: Path, trusted: tuple[str, ...]) -> str:
    """Return which of the keys has signed a file. Raises InputError if none has."""
    if not trusted:
        raise InputError(f"{path}: which key is trusted? name its maker's public key")
    try:
        content, signature = path.read_bytes(), _read_signature(_signature_of(path))
    except OSError as error:
        raise InputError(
            f"{error.filename}: {error.strerror}: a signed file has its signature beside it"
        ) from None
    signer = _signer(signature, content, trusted)
    if signer is None:
        raise InputError(f"{path}: was changed after it was signed, or another key has signed it")
    return signer


def _signature_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sig")


def _read_signature(path: Path) -> bytes:
    """The decoded signature, empty if it is none. Raises OSError."""
    try:
        with path.open("rb") as file:
            return base64.b64decode(file.read(_MAX_SIGNATURE_BYTES), validate=False)
    except binascii.Error:
        return b""


def _signer(signature: bytes, signed: bytes, trusted: tuple[str, ...]) -> str | None:
    """The first key that has signed these bytes."""
    _, ed25519 = _cryptography("trusted_keys")
    from cryptography.exceptions import InvalidSignature

    for key in trusted:
        try:
            ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(signature, signed)
        except (InvalidSignature, ValueError):
            continue
        return key
    return None


def public_key(key: "Ed25519PrivateKey") -> str:
    """The key as the config's `trusted_keys` lists it, hex."""
    return key.public_key().public_bytes_raw().hex()


def _read_key(path: Path) -> "Ed25519PrivateKey":
    serialization, ed25519 = _cryptography("signing")
    try:
        key: Ed25519PrivateKey | None = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError):
        key = None
    if key is None or not isinstance(key, ed25519.Ed25519PrivateKey):
        raise InputError(f"{path}: not a signing key: make one with `inspector keys signing --out FILE`")
    return key


def _check(path: Path, signed: bytes, trusted: tuple[str, ...]) -> None:
    """Raise EngineError unless one of the keys has signed these bytes of the manifest."""
    signature_path = path / SIGNATURE_NAME
    try:
        signature = _read_signature(signature_path)
    except OSError as error:
        raise EngineError(
            f"{signature_path}: {error.strerror}: this line accepts only signed engines: "
            f"`inspector sign {path} --key FILE`"
        ) from None
    if _signer(signature, signed, trusted) is not None:
        return
    raise EngineError(
        f"{signature_path}: no trusted key has signed this {MANIFEST_NAME}: copy the engine again, or have its "
        "maker sign it"
    )


def _cryptography(what: str) -> tuple[Any, Any]:
    with needs_extra(what):
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    return serialization, ed25519

"""Files that a person wrote, or that a disk has damaged: configs, recipes, manifests, golden frames."""

import contextlib
import json
import os
import random
import struct
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.backends.instant import write_engine
from inspector.config.line import load_config
from inspector.config.recipe import load_recipe
from inspector.engine import golden
from inspector.engine.manifest import open_folder
from inspector.errors import InputError
from tests.fuzz.bounds import EXAMPLES, FEW, fuzz

PLANT = Path(__file__).parents[2] / "configs" / "plant"

Read = Callable[[Path], object]
SETTINGS: dict[str, Read] = {"line.toml": load_config, "recipe.toml": load_recipe}

DEEP = 10_000


def must_be_read_or_refused_in_one_line(read: Read, path: Path) -> None:
    before = path.read_bytes()
    try:
        read(path)
    except InputError as refusal:
        said = str(refusal)
        assert said.startswith(str(path.parent))
        assert len(said) < 4_000
    assert path.read_bytes() == before


@fuzz
@given(name=st.sampled_from(sorted(SETTINGS)), data=st.data())
def test_damaged_settings(tmp_path: Path, name: str, data: st.DataObject) -> None:
    """A few bytes of the plant's own files changed, lost or added."""
    text = bytearray((PLANT / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(text) - 1))
        text[place : place + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=6))
    path = tmp_path / name
    path.write_bytes(text)
    must_be_read_or_refused_in_one_line(SETTINGS[name], path)


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@fuzz
@given(name=st.sampled_from(sorted(SETTINGS)), value=VALUE, data=st.data())
def test_any_value_for_any_key(tmp_path: Path, name: str, value: Any, data: st.DataObject) -> None:
    """Of any type, however deep: read, or refused with the key."""
    values = tomllib.loads((PLANT / name).read_text())
    table = values
    while True:
        key = data.draw(st.sampled_from(sorted(table)))
        if not isinstance(table[key], dict) or not table[key] or data.draw(st.booleans()):
            break
        table = table[key]
    table[key] = value
    path = tmp_path / Path(name).with_suffix(".json")
    path.write_text(json.dumps(values))
    must_be_read_or_refused_in_one_line(SETTINGS[name], path)


@pytest.mark.parametrize("name", sorted(SETTINGS))
@pytest.mark.parametrize(
    ("ending", "content"),
    [
        (".toml", b"a=" + b"[" * DEEP),
        (".toml", b"a=" + b"{b=" * DEEP),
        (".toml", b".".join([b"a"] * DEEP) + b"=1"),
        (".toml", b"a=" + b"9" * DEEP),
        (".toml", b'name = "\\ud800"'),
        (".toml", b"#" * 2_000_000),
        (".json", b"[" * DEEP),
        (".json", b'{"a":' * DEEP),
        (".json", b"9" * DEEP),
        (".json", b"[]"),
    ],
)
def test_settings_that_exhaust_a_reader(tmp_path: Path, name: str, ending: str, content: bytes) -> None:
    """Depth, length and size: one line, whatever the reader's own limits are."""
    path = tmp_path / Path(name).with_suffix(ending)
    path.write_bytes(content)
    with pytest.raises(InputError):
        SETTINGS[name](path)


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_settings_that_are_no_file(tmp_path: Path, name: str) -> None:
    """A folder, or a pipe that nobody writes to: nobody waits for it."""
    path = tmp_path / name
    os.mkfifo(path)
    with pytest.raises(InputError, match="is not a file"):
        SETTINGS[name](path)
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match="is not a file"):
        SETTINGS[name](path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_engine(tmp_path / "engine", height=8, width=8).path


@fuzz
@given(value=VALUE, data=st.data())
def test_any_value_in_a_manifest(folder: Path, value: Any, data: st.DataObject) -> None:
    """Of an engine that is there: opened, or refused with the key; never another file than the folder's."""
    path = folder / "manifest.json"
    whole = path.read_bytes()
    values = json.loads(whole)
    values[data.draw(st.sampled_from(sorted(values)))] = value
    path.write_text(json.dumps(values))
    try:
        must_be_read_or_refused_in_one_line(lambda manifest: open_folder(manifest.parent), path)
    finally:
        path.write_bytes(whole)


def test_damaged_golden_frames(tmp_path: Path) -> None:
    """Bytes changed or cut off: refused, or read as something valid."""
    path = tmp_path / "golden.npz"
    folder = write_engine(tmp_path / "engine", height=8, width=8)
    whole, chance = folder.read("golden.npz"), random.Random(0)  # noqa: S311  # no secret
    for _ in range(10 * (EXAMPLES or FEW)):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged[: chance.choice([len(damaged), chance.randrange(len(damaged))])])
        with contextlib.suppress(InputError):
            golden.load(path)


@pytest.mark.parametrize(
    ("shape", "dtype", "data"),
    [
        ((10**7, 10**4, 10), "|u1", b""),
        ((2**40,), "|u1", b""),
        ((1, 2, 2), "|O", b"x"),
        ((1, 2, 2), "<f8", bytes(32)),
        ((), "|u1", b"x"),
        ((1, 2, 2), "|u1", bytes(3)),
        ((2, 4096, 65_537), "|u1", bytes(1)),
    ],
)
def test_golden_frames_of_another_kind(tmp_path: Path, shape: tuple[int, ...], dtype: str, data: bytes) -> None:
    """A claim costs no memory, and an object is never unpickled."""
    head = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    path = tmp_path / "golden.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("frames", "kind", "score"):
            archive.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data)
    with pytest.raises(InputError, match="not a golden-frames file"):
        golden.load(path)

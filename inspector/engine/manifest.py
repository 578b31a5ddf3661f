"""manifest.json: describes an engine, with hashes that prove that its files are the ones that were built."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from inspector.core.rules import EngineClasses
from inspector.errors import EngineError

SCHEMA_VERSION: Final = 1
MANIFEST_NAME: Final = "manifest.json"
GOLDEN_NAME: Final = "golden.npz"

MAX_MANIFEST_BYTES: Final = 1_000_000
"""Largest manifest that is read: fifty times the largest in use."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Unit = Annotated[float, Field(ge=0.0, le=1.0)]


class GoldenTolerance(BaseModel):
    """How far an engine's maps may differ from its golden maps on another PC or CPU."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mask_agreement: Unit = 0.995
    """Least share of pixels with the same thresholded class."""
    mean_score_difference: Annotated[float, Field(ge=0.0, le=255.0)] = 2.0
    """Largest mean absolute difference of the score maps, in steps of 1/255."""
    frame_score_difference: Annotated[float, Field(ge=0.0, le=255.0)] = 8.0
    """Largest difference of a frame score, in steps of 1/254."""


class Manifest(BaseModel):
    """What the line needs to know about an engine before it opens it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    backend: str
    classes: Annotated[tuple[str, ...], Field(min_length=2, max_length=256)]
    """Class names, normal first."""
    height: Annotated[int, Field(ge=1)]
    width: Annotated[int, Field(ge=1)]
    """Frame size in px."""
    min_batch: Annotated[int, Field(ge=1)] = 1
    max_batch: Annotated[int, Field(ge=1)] = 1
    precision: Literal["fp32", "bf16", "fp16", "int8"]
    map_stride: Literal[1, 2, 4]
    files: dict[str, Sha256]
    """Every file of the folder except the manifest, with its hash."""
    onnx_sha256: Sha256 | None = None
    """Hash of the ONNX model that it was built from."""
    calibration_sha256: Sha256 | None = None
    thresholds: dict[str, Unit]
    """Per defect class, 0..1, chosen on validation: a pixel is that defect where score ≥ threshold."""
    min_area_px: dict[str, Annotated[int, Field(ge=0)]] = {}
    """Per defect class, chosen on validation."""
    frame_threshold: Unit | None = None
    """Frame score chosen on validation; None for an engine without the output `frame`."""
    golden: GoldenTolerance = GoldenTolerance()
    versions: dict[str, str] = {}
    """Library, driver and device versions of the build."""
    quality: dict[str, Any] = {}
    """Measured on labelled frames: the output of `trainer evaluate --json`."""
    speed: dict[str, Any] = {}
    """Measured at build time, with the machine."""
    options: dict[str, Any] = {}
    """Options that only the backend understands."""

    @model_validator(mode="after")
    def _consistent(self) -> "Manifest":
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"class names repeat: {', '.join(self.classes)}")
        if set(self.thresholds) != set(self.classes[1:]):
            raise ValueError(f"thresholds must name exactly the classes {', '.join(self.classes[1:])}")
        if self.height % self.map_stride or self.width % self.map_stride:
            raise ValueError(f"{self.height}×{self.width} is not divisible by map_stride {self.map_stride}")
        if self.min_batch > self.max_batch:
            raise ValueError(f"min_batch {self.min_batch} is over max_batch {self.max_batch}")
        for name in self.files:
            if Path(name).name != name or name == MANIFEST_NAME:
                raise ValueError(f"files must be plain names inside the folder, got {name!r}")
        return self

    @property
    def scores_frames(self) -> bool:
        """Whether the engine has the output `frame`."""
        return self.frame_threshold is not None

    @property
    def map_height(self) -> int:
        """Rows of the engine's maps."""
        return self.height // self.map_stride

    @property
    def map_width(self) -> int:
        """Columns of the engine's maps."""
        return self.width // self.map_stride


def check_successor(engine: Manifest, line: Manifest) -> None:
    """Raise EngineError unless a running line can switch to this engine.

    The gate, the pictures and the records identify classes by number, and the cameras' frames have one size.
    """
    size, line_size = (f"{each.height}×{each.width}" for each in (engine, line))
    if size != line_size:
        raise EngineError(
            f"{engine.name} takes frames of {size}, the line's cameras give {line_size} px: "
            "it needs another config and a new start"
        )
    if engine.classes != line.classes:
        raise EngineError(
            f"{engine.name} tells apart {', '.join(engine.classes)}; the line {', '.join(line.classes)}: "
            "it needs another config and a new start"
        )


class EngineFolder:
    """An engine folder with a valid manifest, whose files were checked against its hashes."""

    def __init__(self, path: Path, manifest: Manifest, digest: str, sizes: Mapping[str, int]) -> None:
        self.path = path
        self.manifest = manifest
        self._sizes = sizes
        self.digest = digest
        """SHA-256 of manifest.json, which covers the whole folder through its hashes."""

    @property
    def identity(self) -> str:
        """Name and content hash, as in verdicts."""
        return f"{self.manifest.name}@{self.digest[:12]}"

    @property
    def classes(self) -> EngineClasses:
        """The classes and defaults that a recipe is bound to."""
        manifest = self.manifest
        kinds = manifest.classes[1:]
        return EngineClasses(
            self.identity,
            manifest.classes,
            (1.0, *(manifest.thresholds[name] for name in kinds)),
            (0, *(manifest.min_area_px.get(name, 0) for name in kinds)),
            manifest.frame_threshold,
        )

    def path_of(self, name: str) -> Path:
        """Path of one of the engine's files, for messages; raises EngineError when the manifest does not list
        it."""
        if name not in self.manifest.files:
            raise EngineError(f"{self.path}: the manifest lists no {name}: build the engine again")
        return self.path / name

    def read(self, name: str) -> bytes:
        """Content of one of the engine's files; raises EngineError unless it has the manifest's hash.

        A file can be replaced between a check and a later open by name. So an engine library loads the bytes
        returned here, never a path.
        """
        path = self.path_of(name)
        try:
            with path.open("rb") as file:
                content = file.read(self._sizes[name] + 1)  # one byte more shows a longer, changed file
        except OSError as error:
            raise EngineError(f"{path}: {error.strerror}: build the engine again") from None
        _check_hash(path, hashlib.sha256(content).hexdigest(), self.manifest.files[name])
        return content


def read_manifest(path: Path) -> Manifest:
    """The manifest of an engine folder whose files are not checked, for example for the frame size.

    Raises EngineError.
    """
    return _parsed(path, read_manifest_bytes(path))


def read_manifest_bytes(path: Path) -> bytes:
    """The raw manifest of an engine folder; raises EngineError when it is missing or too large."""
    try:
        with (path / MANIFEST_NAME).open("rb") as file:
            raw = file.read(MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise EngineError(
            f"{path}: not an engine folder ({MANIFEST_NAME}: {error.strerror}): "
            f"make one with `trainer build-engine MODEL --out {path}`"
        ) from None
    if len(raw) > MAX_MANIFEST_BYTES:
        raise EngineError(f"{path / MANIFEST_NAME}: over {MAX_MANIFEST_BYTES / 1e6:g} MB: build the engine again")
    return raw


def _parsed(path: Path, raw: bytes) -> Manifest:
    try:
        return Manifest.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise EngineError(f"{path / MANIFEST_NAME}: {where}: {first['msg']}: build the engine again") from None


def open_folder(path: Path, raw: bytes | None = None) -> EngineFolder:
    """Check every hash of an engine folder; raises EngineError with the difference and what to do.

    `raw` is the manifest when the caller has read it already: the bytes that were checked must be the bytes in
    use.
    """
    if raw is None:
        raw = read_manifest_bytes(path)
    manifest = _parsed(path, raw)
    sizes = {}
    for name, expected in sorted(manifest.files.items()):
        try:
            with (path / name).open("rb") as file:
                actual = hashlib.file_digest(file, "sha256").hexdigest()
                sizes[name] = file.tell()
        except OSError as error:
            raise EngineError(f"{path / name}: {error.strerror}: build the engine again") from None
        _check_hash(path / name, actual, expected)
    return EngineFolder(path, manifest, hashlib.sha256(raw).hexdigest(), sizes)


def _check_hash(path: Path, actual: str, expected: str) -> None:
    if actual != expected:
        raise EngineError(
            f"{path}: content does not match the manifest (sha256 {actual[:12]}… instead of {expected[:12]}…): "
            "the file was changed or damaged; copy the engine again, or build it with `trainer build-engine`"
        )


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write manifest.json into the folder. Write it last, so that an incomplete folder has no manifest."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False)
    (path / MANIFEST_NAME).write_text(text + "\n", encoding="utf-8")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

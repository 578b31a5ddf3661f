"""The formats that `trainer import` reads, one line each."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from inspector.errors import InputError
from trainer.data.importing.cvat import read_cvat
from trainer.data.importing.labelme import read_labelme
from trainer.data.importing.labelstudio import read_labelstudio
from trainer.data.importing.library_masks import read_mvtec, read_voc
from trainer.data.importing.listed import read_coco, read_severstal
from trainer.data.importing.masks import read_masks
from trainer.data.importing.source import Options, Source, SourceFrame, written_by
from trainer.data.importing.supervisely import read_supervisely
from trainer.data.importing.via import read_via
from trainer.data.importing.yolo import read_yolo

READERS: Final[dict[str, Callable[[Path, Options], Source]]] = {
    "masks": read_masks,
    "coco": read_coco,
    "labelme": read_labelme,
    "yolo": read_yolo,
    "cvat": read_cvat,
    "via": read_via,
    "voc": read_voc,
    "labelstudio": read_labelstudio,
    "supervisely": read_supervisely,
    "mvtec": read_mvtec,
    "severstal": read_severstal,
}
"""Name → reader."""


def read_source(name: str, root: Path, options: Options) -> Source:
    """Read the labels of a folder, or of one label file beside its images; raises InputError."""
    if not root.exists():
        raise InputError(f"{root}: no such file or folder")
    with written_by(name, root):
        source = READERS[name](root, options)
    _check_labelled_once(source.frames)
    return source


def _check_labelled_once(frames: Sequence[SourceFrame]) -> None:
    """Raise InputError for an image with two frames: one of its labels would be lost."""
    owner: dict[Path, Path] = {}
    for frame in frames:
        if first := owner.get(frame.image):
            files = f"twice in {first}" if first == frame.file else f"in {first} and in {frame.file}"
            raise InputError(
                f"{frame.image}: labelled {files}: remove one of its labels, or name one label file as SRC"
            )
        owner[frame.image] = frame.file

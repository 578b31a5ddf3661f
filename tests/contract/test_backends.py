"""One semantic check of the backend interface, run against every backend that can run here."""

import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inspector.backends import BACKENDS, open_backend
from inspector.backends.instant import write_engine
from inspector.engine.manifest import EngineFolder, file_sha256, open_folder, write_manifest
from inspector.errors import EngineError
from tests.support.engines import OPENVINO_SIZE, write_gpu_engine, write_openvino_engine
from tests.support.gpu_pcs import stand_in_gpu


def make(name: str, path: Path) -> EngineFolder:
    if name == "openvino":
        return write_openvino_engine(path)
    if name in ("tensorrt", "torch"):
        return write_gpu_engine(path, name)
    return write_engine(path, height=OPENVINO_SIZE[0], width=OPENVINO_SIZE[1], max_batch=4)


@pytest.fixture(scope="module", params=sorted(BACKENDS))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineFolder]:
    """TensorRT's runs on the stand-in GPU, all others for real."""
    with stand_in_gpu() if request.param == "tensorrt" else nullcontext():
        yield make(request.param, tmp_path_factory.mktemp("engines") / request.param)


@pytest.fixture
def folder(made: EngineFolder, tmp_path: Path) -> EngineFolder:
    """A copy that a test may damage."""
    return open_folder(shutil.copytree(made.path, tmp_path / "engine"))


def frames(count: int) -> np.ndarray:
    images = np.random.default_rng(count).integers(0, 200, (count, *OPENVINO_SIZE), dtype=np.uint8)
    images[:, 16:32, 16:48] = 255
    return images


def test_golden_frames_pass(folder: EngineFolder) -> None:
    """An engine agrees with its own golden frames."""
    with open_backend(folder) as backend:
        assert backend.verify_golden().mask_agreement == pytest.approx(1.0, abs=0.005)


def swap_files(folder: EngineFolder) -> None:
    for name in folder.manifest.files:
        swapped = folder.path / f".{name}"
        swapped.write_bytes((folder.path / name).read_bytes()[:-1] + b"!")
        swapped.replace(folder.path / name)


def test_a_file_swapped_after_its_hash_was_checked_is_not_used(folder: EngineFolder) -> None:
    """A user who may write to the folder changes a file between check and use: only checked bytes are loaded."""
    backend = open_backend(folder)
    swap_files(folder)
    with pytest.raises(EngineError, match="content does not match the manifest"), backend:
        backend.verify_golden()


def test_golden_frames_swapped_after_the_engine_was_opened_are_not_used(folder: EngineFolder) -> None:
    """They would approve the wrong engine."""
    with open_backend(folder) as backend:
        swap_files(folder)
        with pytest.raises(EngineError, match=r"golden.npz: content does not match the manifest"):
            backend.verify_golden()


def test_maps_have_the_contracts_shape_and_range(folder: EngineFolder) -> None:
    """Kind is 1..K everywhere, score is uint8, both at the map stride."""
    manifest = folder.manifest
    with open_backend(folder) as backend:
        kind, score = backend.infer(frames(7))
    assert kind.shape == score.shape == (7, manifest.map_height, manifest.map_width)
    assert kind.dtype == score.dtype == np.uint8
    assert kind.min() >= 1
    assert kind.max() < len(manifest.classes)


def test_the_bright_block_is_found_where_it_is(folder: EngineFolder) -> None:
    """The maps lie over the frame: no shift, no transposition."""
    stride = folder.manifest.map_stride
    with open_backend(folder) as backend:
        _, score = backend.infer(frames(1))
    found = score[0] >= 128
    wanted = np.zeros_like(found)
    wanted[16 // stride : 32 // stride, 16 // stride : 48 // stride] = True
    assert (found == wanted).mean() > 0.95


def test_answers_belong_to_their_tickets(folder: EngineFolder) -> None:
    """Several batches in flight: each answer has the maps of its own frames."""
    images = frames(1)
    empty = np.full_like(images, 90)
    with open_backend(folder, slots=3) as backend:
        wanted = {ticket: (images if ticket % 2 else empty) for ticket in range(30)}
        answers: dict[int, Any] = {}
        for ticket, batch in wanted.items():
            while backend.in_flight == backend.slots:
                answers |= {answer.ticket: answer for answer in backend.wait()}
            backend.submit(ticket, batch)
        while backend.in_flight:
            answers |= {answer.ticket: answer for answer in backend.wait()}
    assert sorted(answers) == sorted(wanted)
    for ticket, answer in answers.items():
        assert answer.error is None
        assert (answer.score.max() >= 128) == bool(ticket % 2), ticket


def test_a_batch_alone_and_one_among_others_get_the_same_maps(folder: EngineFolder) -> None:
    """A backend may compute a batch that finds it idle in another way: a replay must not depend on the load."""
    shown = frames(6)
    with open_backend(folder) as backend:
        at_once = backend.infer(shown)
        alone = [backend.infer(frame[np.newaxis]) for frame in shown]
    for together, each in zip(at_once, zip(*alone, strict=True), strict=True):
        np.testing.assert_array_equal(together, np.concatenate(each))


def test_the_descriptor_polls_readable_while_answers_wait(folder: EngineFolder) -> None:
    """A loop can sleep on it; it is not readable once everything is collected."""
    with open_backend(folder) as backend:
        assert select.select([backend], [], [], 0)[0] == []
        backend.submit(1, frames(1))
        assert select.select([backend], [], [], 10)[0] == [backend]
        assert [answer.ticket for answer in backend.collect()] == [1]
        assert select.select([backend], [], [], 0)[0] == []
        assert backend.collect() == []


def test_wrong_batches_are_refused(folder: EngineFolder) -> None:
    """Wrong size, type or number, and more than the slots hold, raise and leave the engine working."""
    image = frames(1)
    with open_backend(folder, slots=2) as backend:
        for wrong in (image[:, :-1], image.astype(np.float32), image[0], frames(5), image[:0]):
            with pytest.raises(ValueError, match="engine takes"):
                backend.submit(1, wrong)  # type: ignore[arg-type]
        backend.submit(1, image)
        backend.submit(2, image)
        with pytest.raises(RuntimeError, match="slots"):
            backend.submit(3, image)
        while backend.in_flight:
            backend.wait()
        assert backend.infer(image)[0].shape[0] == 1


def test_read_only_frames_are_taken(folder: EngineFolder) -> None:
    """Frames from a decoder or a socket need not be writable."""
    image = frames(1)
    image.flags.writeable = False
    with open_backend(folder) as backend:
        assert backend.infer(image)[0].shape[0] == 1


def test_closing_waits_for_what_is_in_flight(folder: EngineFolder) -> None:
    """Leaving with batches in the engine neither hangs nor crashes."""
    with open_backend(folder) as backend:
        backend.submit(1, frames(1))


def test_a_failed_batch_is_an_answer_with_an_error(tmp_path: Path) -> None:
    """The engine continues with the next batch."""
    options = {"fail_on_grey": 13}
    folder = write_engine(tmp_path / "engine", height=OPENVINO_SIZE[0], width=OPENVINO_SIZE[1], options=options)  # type: ignore[arg-type]
    poison = frames(1)
    poison[0, 0, 0] = 13
    with open_backend(folder) as backend:
        backend.submit(1, poison)
        (answer,) = backend.wait()
        assert (answer.kind, answer.error) == (None, "a frame begins with grey level 13")
        backend.submit(2, frames(1) // 2)
        assert backend.wait()[0].error is None
        with pytest.raises(EngineError, match="failed on a batch"):
            backend.infer(poison)


def test_an_unknown_backend_is_named(folder: EngineFolder) -> None:
    """There is no silent fallback: the error names the available backends and the command to run."""
    folder.manifest = folder.manifest.model_copy(update={"backend": "abacus"})
    with pytest.raises(EngineError, match=r"its backend is 'abacus', this inspector has .*build-engine"):
        open_backend(folder)


def test_a_damaged_openvino_model_is_one_clear_line(tmp_path: Path) -> None:
    """OpenVINO's message about an unreadable file becomes an EngineError."""
    folder = write_openvino_engine(tmp_path / "engine")
    (folder.path / "model.xml").write_text("<net")
    hashes = {**folder.manifest.files, "model.xml": file_sha256(folder.path / "model.xml")}
    write_manifest(folder.path, folder.manifest.model_copy(update={"files": hashes}))
    folder = open_folder(folder.path)
    with pytest.raises(EngineError, match=r"model.xml: OpenVINO .* cannot compile it"), open_backend(folder):
        pass


def test_golden_frames_that_differ_are_refused(tmp_path: Path) -> None:
    """An engine whose maps differ from its golden ones is not used."""
    folder = write_engine(tmp_path / "engine", height=64, width=64, options={"defect_grey": 256 - 1})
    folder.manifest = folder.manifest.model_copy(update={"options": {"defect_grey": 50}})
    with open_backend(folder) as backend, pytest.raises(EngineError, match="golden frames differ on this PC"):
        backend.verify_golden()


def test_a_signal_arrives_whatever_engines_were_opened_and_closed(tmp_path: Path) -> None:
    """OpenVINO changes the signal stack: opening and closing several engines must leave a valid one."""
    folders = [write_openvino_engine(tmp_path / name) for name in ("old", "new", "next")]
    program = """
import os, signal, sys
from pathlib import Path
from inspector.backends import open_backend
from inspector.engine.manifest import open_folder

heard = []
signal.signal(signal.SIGTERM, lambda *_: heard.append(True))
old, new, following = (open_backend(open_folder(Path(path))) for path in sys.argv[1:])
for backend in (old, new, following):
    backend.__enter__()
for backend in (old, new, following):
    backend.__exit__(None, None, None)
del old, new, following, backend
os.kill(os.getpid(), signal.SIGTERM)
print(len(heard))
"""
    paths = [str(folder.path) for folder in folders]
    done = subprocess.run([sys.executable, "-c", program, *paths], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def spoiled(how: str, cache: Path, blob: Path) -> None:
    match how:
        case "another's":
            if os.geteuid() != 0:
                pytest.skip("needs root to give a folder away")
            os.chown(cache, 65534, 65534)
        case "file":
            blob.chmod(0o666)
        case "above":
            cache.parent.chmod(0o777)
        case _:
            cache.chmod(int(how, 8))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("0777", "mode 0777"),
        ("0770", "mode 0770"),
        ("file", "mode 0666"),
        ("above", "mode 0777"),
        ("another's", "user 65534"),
    ],
)
def test_a_compile_cache_that_others_can_write_to_is_not_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str, said: str
) -> None:
    """A cached network would run instead of the checked engine, so such a cache is neither read nor written."""
    folder = write_openvino_engine(tmp_path / "engine")
    cache = tmp_path / "above" / "cache"
    with open_backend(folder, cache_dir=cache):
        pass
    (blob,) = cache.glob("*.blob")
    blob.write_bytes(b"theirs")
    spoiled(how, cache, blob)
    with open_backend(folder, cache_dir=cache) as backend:
        backend.verify_golden()
    assert blob.read_bytes() == b"theirs"
    printed = capsys.readouterr()
    assert said in printed.out + printed.err

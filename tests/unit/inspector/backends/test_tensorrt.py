"""The TensorRT backend on the stand-in: nothing is deserialised that does not fit its manifest; errors tell."""

import json
import re
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inspector.backends import open_backend
from inspector.engine.manifest import EngineFolder, file_sha256, open_folder
from inspector.errors import EngineError
from tests.support.engines import write_gpu_engine
from tests.support.gpu_pcs import stand_in_gpu


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> EngineFolder:
    with stand_in_gpu():
        return write_gpu_engine(tmp_path_factory.mktemp("engines") / "bright", "tensorrt")


def refusal(folder: EngineFolder, **settings: str) -> str:
    """The one line with which such a PC refuses the engine; nothing may be left on its GPU."""
    with stand_in_gpu(**settings) as runtime:
        with pytest.raises(EngineError) as caught, open_backend(folder):
            pass
        assert runtime.stand_in_held() == {"allocations": 0, "handles": 0}
    assert "\n" not in str(caught.value)
    return str(caught.value)


def changed(folder: EngineFolder, path: Path, *, plan: bytes | None = None, **manifest: Any) -> EngineFolder:
    """A copy with another plan or manifest, hashes and all."""
    path.mkdir()
    for each in folder.path.iterdir():
        (path / each.name).write_bytes(each.read_bytes())
    content = json.loads((path / "manifest.json").read_text())
    if plan is not None:
        (path / "model.plan").write_bytes(plan)
        content["files"]["model.plan"] = file_sha256(path / "model.plan")
    (path / "manifest.json").write_text(json.dumps(content | manifest))
    return open_folder(path)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"TENSORRT_VERSION": "11.3.0.99"}, r"built with TensorRT 11\.4\.0\.106, here is 11\.3\.0\.99"),
        ({"TENSORRT_VERSION": "10.16.1.11"}, r"here is 10\.16\.1\.11.*build-engine MODEL --backend tensorrt"),
        ({"TENSORRT_VERSION": "12.0.0.1"}, r"TensorRT here is 12\.0\.0\.1, this inspector knows 10 or 11"),
        (
            {"CUDA_GPU": "Other GPU,8.9"},
            r"built for Stand-in GPU \(compute capability 9\.0\), this GPU is Other GPU \(8\.9\): build it on",
        ),
        (
            {"CUDA_GPU": "Other GPU,9.0"},
            r"built for Stand-in GPU \(compute capability 9\.0\), this GPU is Other GPU \(9\.0\): build it on",
        ),
        ({"CUDA_GPU": ""}, "needs an NVIDIA GPU.*nvidia-smi"),
    ],
)
def test_another_pc_refuses_before_it_deserialises(
    folder: EngineFolder, settings: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest alone shows another version or GPU, so the plan is not read."""
    real = Path.read_bytes

    def read(path: Path) -> bytes:
        assert path.name != "model.plan"
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    assert re.search(said, refusal(folder, **settings))


def test_a_missing_library_names_the_install_command(
    folder: EngineFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message also names the backends that need no such library."""
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(EngineError, match=r"pip install .*pypi.nvidia.com.*tensorrt.*--backend torch"):
        open_backend(folder).__enter__()


def test_a_changed_plan_is_refused_with_the_command(folder: EngineFolder, tmp_path: Path) -> None:
    """One byte is enough, and it is found by its hash: no library sees it."""
    path = changed(folder, tmp_path / "changed").path
    plan = (path / "model.plan").read_bytes()
    (path / "model.plan").write_bytes(plan[:-1] + bytes([plan[-1] ^ 1]))
    with pytest.raises(EngineError, match=r"model\.plan: content does not match.*`trainer build-engine`"):
        open_folder(path)


def test_a_plan_that_does_not_open_tells_what_tensorrt_said(folder: EngineFolder, tmp_path: Path) -> None:
    """For a torn or invalid plan: one line with the reason from the error recorder."""
    plan = (folder.path / "model.plan").read_bytes()
    torn = changed(folder, tmp_path / "torn", plan=plan[:-9] + b"x" * 9)
    assert "cannot open it (INVALID_ARGUMENT: serialized engine is corrupted)" in refusal(torn)
    none = changed(folder, tmp_path / "none", plan=b"x" * 100)
    assert "kMAGIC_TAG failed): build the engine again" in refusal(none)


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ({"max_batch": 9}, "it takes 1 to 4 frames, not 1 to 9"),
        ({"map_stride": 4}, r"kind is UINT8 \(-1, 32, 64\), not UINT8 \(-1, 16, 32\)"),
        ({"versions": {}}, "the manifest does not state tensorrt"),
    ],
)
def test_a_plan_must_keep_its_manifest(
    folder: EngineFolder, tmp_path: Path, manifest: dict[str, Any], said: str
) -> None:
    """A plan of another model under this manifest is refused when it is opened."""
    assert re.search(said, refusal(changed(folder, tmp_path / "other", **manifest)))


def test_ampere_plus_engines_run_on_newer_gpus(tmp_path: Path) -> None:
    """An `ampere_plus` engine opens on a newer GPU, and not on an older one."""
    with stand_in_gpu():
        folder = write_gpu_engine(tmp_path / "bright", "tensorrt", hardware_compatible="ampere_plus")
    with stand_in_gpu(CUDA_GPU="Newer GPU,12.0"), open_backend(folder) as backend:
        assert backend.verify_golden().mask_agreement == 1
        assert backend.device() == "Newer GPU, fp32, TensorRT 11.4.0.106"
    assert "(compute capability 9.0, ampere_plus), this GPU is Old GPU (7.5)" in refusal(
        folder, CUDA_GPU="Old GPU,7.5"
    )


def test_same_compute_capability_engines_run_on_other_models(tmp_path: Path) -> None:
    """Another model of the same compute capability opens it, a newer one does not."""
    with stand_in_gpu():
        folder = write_gpu_engine(tmp_path / "bright", "tensorrt", hardware_compatible="same_compute_capability")
    with stand_in_gpu(CUDA_GPU="Other GPU,9.0"), open_backend(folder) as backend:
        assert backend.verify_golden().mask_agreement == 1
    assert "this GPU is Newer GPU (12.0)" in refusal(folder, CUDA_GPU="Newer GPU,12.0")


def test_version_compatible_engines_run_on_later_versions_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They run through the lean runtime of the version that built them, which needs none; no host code."""
    with stand_in_gpu():
        folder = write_gpu_engine(tmp_path / "bright", "tensorrt", version_compatible=True)
        with open_backend(folder) as backend:
            assert backend.verify_golden().mask_agreement == 1
    said = refusal(folder, TENSORRT_VERSION="11.5.0.1")
    assert "`pip install tensorrt-lean-cu13-libs==11.4.0.106`" in said
    assert "here is the older 11.3.0.99" in refusal(folder, TENSORRT_VERSION="11.3.0.99")
    lean = installed_lean(tmp_path / "site", monkeypatch)
    for version in ("11.4.0.106", "11.5.0.1"):
        with stand_in_gpu(TENSORRT_VERSION=version), open_backend(folder) as backend:
            assert backend.verify_golden().mask_agreement == 1
            assert backend._network._lean.loaded_from == str(lean)  # type: ignore[attr-defined]


def installed_lean(site: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of `tensorrt-lean-cu13-libs` where Python finds them; returns its library's path."""
    (site / "tensorrt_lean_libs").mkdir(parents=True)
    (site / "tensorrt_lean_libs" / "__init__.py").touch()
    library = site / "tensorrt_lean_libs" / "libnvinfer_lean.so.11"
    library.touch()
    about = site / "tensorrt_lean_cu13_libs-11.4.0.106.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tensorrt-lean-cu13-libs\nVersion: 11.4.0.106\n")
    monkeypatch.syspath_prepend(str(site))
    return library


def test_an_engine_is_freed_before_what_it_lives_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contexts, engine, the lean runtime, the runtime that loaded it; also while an `enqueue` is still held."""
    freed: list[str] = []
    installed_lean(tmp_path / "site", monkeypatch)
    with stand_in_gpu():
        folder = write_gpu_engine(tmp_path / "bright", "tensorrt", version_compatible=True)
        with open_backend(folder) as backend:
            network = backend._network  # type: ignore[attr-defined]
            held = network.bind(backend._free[0].device, 1, 0)  # type: ignore[attr-defined]
            parts = [("context", each) for each in network._contexts]
            parts += [("engine", network._engine), ("lean", network._lean), ("runtime", network._runtime)]
            for name, part in parts:
                weakref.finalize(part, freed.append, name)
            contexts = len(network._contexts)
            del parts, part
            network.close()
            assert freed == ["context"] * contexts + ["engine", "lean", "runtime"]
            assert held


def test_tensorrt_10_is_served_like_11(tmp_path: Path) -> None:
    """The stand-in of 10 refuses a network that is not strongly typed."""
    with stand_in_gpu(TENSORRT_VERSION="10.16.1.11"):
        folder = write_gpu_engine(tmp_path / "bright", "tensorrt")
        with open_backend(folder) as backend:
            assert backend.verify_golden().mask_agreement == 1
    assert folder.manifest.versions["tensorrt"] == "10.16.1.11"


def test_scratch_memory_is_taken_once_for_all_contexts(folder: EngineFolder) -> None:
    """All contexts share one scratch memory, because they run on one stream."""
    with stand_in_gpu() as runtime, open_backend(folder, slots=3) as backend:
        frames = np.zeros((4, folder.manifest.height, folder.manifest.width), np.uint8)
        held = runtime.stand_in_held()
        assert held["allocations"] == 3 * 6 + 1
        for _ in range(5):
            backend.infer(np.repeat(frames, 5, axis=0))
        assert runtime.stand_in_held() == held

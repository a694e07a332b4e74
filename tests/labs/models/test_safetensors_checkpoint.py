from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import safetensors.torch
import torch

from labs import memory_budget
from labs.models.checkpoint import checked_tensors
from labs.models.config import tensor_shapes
from labs.models.loading import load_model
from labs.models.safetensors_checkpoint import SafetensorsCheckpoint
from labs.spec import LabError
from tests.labs.models.small_checkpoints import (
    HEAD_DIM,
    HEADS,
    HIDDEN,
    INTERMEDIATE,
    KV_HEADS,
    LAYERS,
    VOCAB,
    save_tokenizer,
)

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = {
    "model_type": "llama",
    "num_hidden_layers": LAYERS,
    "hidden_size": HIDDEN,
    "intermediate_size": INTERMEDIATE,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD_DIM,
    "vocab_size": VOCAB,
    "tie_word_embeddings": True,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "model.safetensors").touch()
    save_tokenizer(tmp_path)
    return tmp_path


def weights(folder: Path, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    shapes = tensor_shapes(SafetensorsCheckpoint(write(folder, {})).config)
    return {
        f"model.{name}": torch.randn(shape, generator=generator).to(dtype) for name, shape in shapes.items()
    }


def write(folder: Path, tensors: dict[str, torch.Tensor], name: str = "model.safetensors") -> Path:
    safetensors.torch.save_file(tensors, folder / name)
    return folder


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_each_float_type_is_read_exactly(folder: Path, dtype: torch.dtype) -> None:
    stored = weights(folder, dtype)
    loaded = load_model(write(folder, stored)).model.state_dict()
    for name, tensor in stored.items():
        assert torch.equal(loaded[name.removeprefix("model.")], tensor.float()), name
    assert torch.equal(loaded["lm_head.weight"], loaded["embed_tokens.weight"])


def test_weights_can_be_loaded_in_another_type(folder: Path) -> None:
    loaded = load_model(write(folder, weights(folder)), dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.bfloat16}
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())


def test_progress_is_reported_and_can_stop_the_loading(folder: Path) -> None:
    write(folder, weights(folder))
    seen: list[float] = []
    load_model(folder, on_progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0

    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_model(folder, on_progress=stop)


def test_several_files_with_an_index(folder: Path) -> None:
    stored = weights(folder)
    (folder / "model.safetensors").unlink()
    names = sorted(stored)
    halves = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, part in halves.items():
        write(folder, {name: stored[name] for name in part}, file)
    # Not in the index, so not part of the model.
    write(folder, {"model.norm.weight": torch.zeros(1)}, "other.safetensors")
    index = {name: file for file, part in halves.items() for name in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    loaded = dict(checked_tensors(SafetensorsCheckpoint(folder)))
    assert loaded.keys() == {name.removeprefix("model.") for name in stored}
    assert torch.equal(loaded["norm.weight"], stored["model.norm.weight"])


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ('{"weight_map": {"model.norm.weight": "gone.safetensors"}}', "gone.safetensors"),
        ('{"weight_map": {"model.norm.weight": "../secret.safetensors"}}', "secret.safetensors"),
        ('{"weight_map": 3}', "cannot be read"),
        ("{", "cannot be read"),
        ('{"a":' * 100_000, "cannot be read"),
    ],
)
def test_bad_index_is_refused(folder: Path, index: str, reason: str) -> None:
    write(folder.parent, {"model.norm.weight": torch.zeros(1)}, "secret.safetensors")
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(LabError, match=rf"index\.json.*{reason}"):
        SafetensorsCheckpoint(folder)


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_truncated_file_is_refused(folder: Path, kept: int) -> None:
    file = write(folder, weights(folder)) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(LabError, match=r"model\.safetensors.*not a complete safetensors file"):
        SafetensorsCheckpoint(folder)


def test_missing_and_unexpected_tensors_are_named(folder: Path) -> None:
    stored = weights(folder)
    norm = stored.pop("model.norm.weight")
    with pytest.raises(LabError, match=r"missing tensor: norm\.weight \(1 in all\)"):
        load_model(write(folder, stored))
    stored |= {"model.norm.weight": norm, "model.layers.0.self_attn.q_proj.bias": torch.zeros(1)}
    with pytest.raises(LabError, match=r"does not explain: layers\.0\.self_attn\.q_proj\.bias"):
        load_model(write(folder, stored))


def test_redundant_tensors_are_ignored(folder: Path) -> None:
    stored = weights(folder)
    head = stored["model.embed_tokens.weight"].clone()
    extra = {"lm_head.weight": head, "model.layers.0.self_attn.rotary_emb.inv_freq": torch.zeros(1)}
    load_model(write(folder, stored | extra))


@pytest.mark.parametrize("shape", [(1,), (VOCAB, HIDDEN)])
def test_a_tied_head_of_other_values_is_refused(folder: Path, shape: tuple[int, ...]) -> None:
    write(folder, weights(folder) | {"lm_head.weight": torch.zeros(shape)})
    with pytest.raises(LabError, match=r"ties lm_head\.weight to embed_tokens\.weight, but .* differ"):
        load_model(folder)


def test_a_tensor_that_is_there_twice_is_refused(folder: Path) -> None:
    stored = weights(folder)
    write(folder, stored | {"norm.weight": torch.zeros(HIDDEN)})
    with pytest.raises(LabError, match=r"model\.safetensors.*norm\.weight is also in model\.safetensors"):
        SafetensorsCheckpoint(folder)
    write(folder, stored)
    write(folder, {"model.norm.weight": torch.zeros(HIDDEN)}, "other.safetensors")
    with pytest.raises(LabError, match=r"other\.safetensors.*norm\.weight is also in model\.safetensors"):
        SafetensorsCheckpoint(folder)


def test_weights_that_do_not_fit_into_memory_are_not_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, weights(folder))
    monkeypatch.setattr(memory_budget, "free_bytes", lambda device: 600 * 2**20)
    load_model(folder)
    monkeypatch.setattr(memory_budget, "free_bytes", lambda device: memory_budget.HEADROOM_BYTES)
    with pytest.raises(LabError, match=f"the weights of {folder.name}"):
        load_model(folder, on_progress=lambda share: pytest.fail("a tensor was read"))


def test_a_tokenizer_of_another_model_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps(CONFIG | {"vocab_size": VOCAB - 8}))
    write(folder, weights(folder))
    with pytest.raises(LabError, match="ids reach 94, and the embedding has 88 rows"):
        load_model(folder)


def test_wrong_shape_and_type_are_named(folder: Path) -> None:
    stored = weights(folder)
    wrong = stored | {"model.norm.weight": torch.zeros(HIDDEN + 1)}
    with pytest.raises(LabError, match=r"norm\.weight has shape \(33,\), expected \(32,\)"):
        load_model(write(folder, wrong))
    wrong = stored | {"model.norm.weight": torch.zeros(HIDDEN, dtype=torch.int8)}
    with pytest.raises(LabError, match=r"norm\.weight is I8, expected F32, F16, BF16"):
        load_model(write(folder, wrong))

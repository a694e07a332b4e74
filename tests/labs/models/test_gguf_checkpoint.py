from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labs.models.checkpoint import checked_tensors
from labs.models.config import tensor_shapes
from labs.models.config_file import read_config
from labs.models.gguf_checkpoint import GGUFCheckpoint, canonical_name, unpermute
from labs.models.gguf_header import read_header
from labs.models.loading import load_model
from labs.spec import LabError
from tests.labs.models.small_checkpoints import HEADS, HIDDEN, VOCAB, SmallGGUF, random_tensors

if TYPE_CHECKING:
    from pathlib import Path

Q8_0 = gguf.GGMLQuantizationType.Q8_0


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SmallGGUF(quantization=Q8_0).write(tmp_path_factory.mktemp("gguf") / "small.gguf")


def load(path: Path) -> dict[str, torch.Tensor]:
    return dict(checked_tensors(GGUFCheckpoint(path)))


def test_header_agrees_with_the_gguf_library(tmp_path: Path) -> None:
    path = SmallGGUF(quantization=Q8_0, alignment=64).write(tmp_path / "small.gguf")
    header, reader = read_header(path), gguf.GGUFReader(path)
    assert header.strings("tokenizer.ggml.tokens") == reader.fields["tokenizer.ggml.tokens"].contents()
    assert (
        header.numbers("tokenizer.ggml.token_type") == reader.fields["tokenizer.ggml.token_type"].contents()
    )
    assert header.values["llama.rope.freq_base"] == reader.fields["llama.rope.freq_base"].contents()
    assert [(entry.name, entry.shape, entry.type_id, entry.offset) for entry in header.tensors.values()] == [
        (tensor.name, tuple(reversed(tensor.shape.tolist())), tensor.tensor_type, tensor.data_offset)
        for tensor in reader.tensors
    ]


def test_tensors_have_canonical_names_shapes_and_values(tmp_path: Path) -> None:
    path = SmallGGUF().write(tmp_path / "small.gguf")
    tensors, written = load(path), random_tensors()
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == tensor_shapes(read_config(path))
    for name, values in written.items():
        if "attn_q" not in name and "attn_k" not in name:
            assert torch.equal(tensors[canonical_name(name)], torch.from_numpy(values)), name


def test_quantised_blocks_are_within_half_a_step(tmp_path: Path) -> None:
    tensors = load(SmallGGUF(quantization=Q8_0).write(tmp_path / "small.gguf"))
    written = torch.from_numpy(random_tensors()["blk.1.ffn_down.weight"])
    blocks = written.view(-1, 32)
    half_step = blocks.abs().amax(dim=1, keepdim=True) / 127 / 2
    error = (tensors["layers.1.mlp.down_proj.weight"].view(-1, 32) - blocks).abs()
    # The scale itself is rounded to FP16, whose relative error of 2^-11 counts up to 127 times.
    assert (error <= half_step * (1 + 127 * 2**-10)).all()


def test_tensors_can_be_written_to(tmp_path: Path) -> None:
    for name, tensor in load(SmallGGUF().write(tmp_path / "small.gguf")).items():
        tensor.zero_()
        assert not tensor.any(), name


@given(heads=st.integers(1, 5), half=st.integers(1, 6), columns=st.integers(1, 4))
def test_unpermute_undoes_the_interleaving(heads: int, half: int, columns: int) -> None:
    rows = torch.arange(heads * 2 * half * columns).view(-1, columns)
    interleaved = torch.empty_like(rows)
    for head in range(heads):
        for pair in range(half):
            for part in range(2):
                source = head * 2 * half + part * half + pair
                interleaved[head * 2 * half + 2 * pair + part] = rows[source]
    assert torch.equal(unpermute(interleaved, heads), rows)


def test_rotary_factors_and_linear_scaling_are_read(tmp_path: Path) -> None:
    factors = np.array([1, 1, 2, 4], dtype=np.float32)
    by_tensor = SmallGGUF(tensors={"rope_freqs.weight": factors}).write(tmp_path / "tensor.gguf")
    assert read_config(by_tensor).rope_factors == (1, 1, 2, 4)
    assert load(by_tensor).keys() == tensor_shapes(read_config(by_tensor)).keys()
    keys: dict[str, Any] = {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 2.0}
    assert read_config(SmallGGUF(keys=keys).write(tmp_path / "keys.gguf")).rope_factors == (2, 2, 2, 2)


def test_source_text_names_the_file_and_its_type(tmp_path: Path) -> None:
    text = GGUFCheckpoint(SmallGGUF(quantization=Q8_0).write(tmp_path / "small.gguf")).source_text
    assert "small.gguf" in text.en and "Q8_0" in text.en
    assert "small.gguf" in text.zh and "Q8_0" in text.zh


WRONG_SHAPE = np.zeros((HIDDEN + 1,), dtype=np.float32)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (SmallGGUF(architecture="gptneox"), "architecture gptneox.*llama"),
        (SmallGGUF(keys={"llama.expert_count": 8}), "mixture of experts"),
        (SmallGGUF(keys={"llama.rope.dimension_count": 4}), "partial rotary"),
        (SmallGGUF(keys={"llama.rope.scaling.type": "yarn"}), "yarn"),
        (SmallGGUF(keys={"llama.rope.scale_linear": 2.0}), "scale_linear"),
        (SmallGGUF(keys={"split.count": 3}), "one of 3 parts"),
        (SmallGGUF(keys={"llama.block_count": "two"}), "llama.block_count = 'two', expected an integer"),
        (
            SmallGGUF(keys={"llama.rope.freq_base": "fast"}),
            "freq_base = 'fast', expected a number",
        ),
        (SmallGGUF(keys={"llama.attention.head_count": 0}), "heads = 0"),
        (SmallGGUF(keys={"llama.block_count": 2**32 - 1}), "layers = 4294967295"),
        (SmallGGUF(keys={"llama.block_count": 3}), r"missing tensor: layers\.2\..*9 in all"),
        (SmallGGUF(keys={"llama.block_count": 1}), r"does not explain: layers\.1\."),
        (SmallGGUF(tensors={"token_embd.weight": None}), "token_embd.weight"),
        (
            SmallGGUF(tensors={"blk.1.ffn_down.weight": None}),
            r"missing tensor: layers\.1\.mlp\.down_proj",
        ),
        (SmallGGUF(tensors={"blk.0.attn_q.bias": np.zeros(HEADS, np.float32)}), "q_proj.bias"),
        (SmallGGUF(tensors={"output_norm.weight": WRONG_SHAPE}), r"shape \(33,\), expected \(32,\)"),
        # Fewer rows than heads: nothing that could be put back into the order of the original weights.
        (
            SmallGGUF(tensors={"blk.0.attn_q.weight": WRONG_SHAPE[None, 1:]}),
            r"q_proj\.weight has shape \(1, 32\)",
        ),
        (
            SmallGGUF(tensors={"output_norm.weight": WRONG_SHAPE[1:] + np.nan}),
            r"norm\.weight holds inf.* or NaN",
        ),
        (SmallGGUF(tensors={"rope_freqs.weight": WRONG_SHAPE}), "33 rotary factors, expected 4"),
        (SmallGGUF(tensors={"rope_freqs.weight": np.zeros(4, np.float16)}), "one-dimensional F32"),
    ],
)
def test_wrong_files_are_refused_with_their_name(tmp_path: Path, wrong: SmallGGUF, reason: str) -> None:
    path = wrong.write(tmp_path / "wrong.gguf")
    with pytest.raises(LabError, match=rf"wrong\.gguf.*{reason}") as caught:
        load(path)
    assert "wrong.gguf" in caught.value.text.zh


def test_missing_key_is_named(tmp_path: Path) -> None:
    data = SmallGGUF().write(tmp_path / "small.gguf").read_bytes()
    path = tmp_path / "wrong.gguf"
    path.write_bytes(data.replace(b"llama.context_length", b"llama.context_lengtX"))
    with pytest.raises(LabError, match=r"wrong\.gguf.*no llama\.context_length"):
        read_config(path)


def test_a_key_or_a_tensor_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    data = SmallGGUF().write(tmp_path / "small.gguf").read_bytes()
    for first, second, reason in (
        (b"llama.block_count", b"general.alignment", "the key general.alignment twice"),
        (b"blk.0.attn_q", b"blk.1.attn_q", "two tensors of one name"),
    ):
        path = tmp_path / "wrong.gguf"
        path.unlink(missing_ok=True)
        path.write_bytes(data.replace(first, second))
        with pytest.raises(LabError, match=rf"wrong\.gguf.*{reason}"):
            read_config(path)


@pytest.mark.parametrize("step", [-32, 1, 32, 2**40])
def test_a_tensor_in_the_place_of_another_is_refused(sound: Path, tmp_path: Path, step: int) -> None:
    """The weights would be of the right shape, and another tensor's."""
    header, data = read_header(sound), sound.read_bytes()
    start = min(entry.offset for entry in header.tensors.values())
    offset = header.tensors["blk.0.ffn_up.weight"].offset - start
    name = data.index(b"blk.0.ffn_up.weight")
    place = data.index(struct.pack("<Q", offset), name)
    path = tmp_path / "wrong.gguf"
    path.write_bytes(data[:place] + struct.pack("<Q", offset + step) + data[place + 8 :])
    with pytest.raises(LabError, match=r"wrong\.gguf.*(begins at .*, within blk|ends at|no multiple of 32)"):
        GGUFCheckpoint(path)


def test_type_without_a_dequantiser_is_named(tmp_path: Path) -> None:
    """A tensor that says it is I8, which stores no scale and has no dequantiser."""
    path = tmp_path / "wrong.gguf"
    values = np.zeros((VOCAB, HIDDEN), dtype=np.int8)
    SmallGGUF(tensors={"token_embd.weight": values}).write(path)
    with pytest.raises(LabError, match=r"embed_tokens\.weight: no dequantiser for I8"):
        load(path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "GGUF"),
        (b"PK\x03\x04 not a model", "must begin with"),
        (b"GGUF\x09\x00\x00\x00", "version 9"),
        (b"GGUF\x00\x00\x00\x03", "little-endian"),
        (b"GGUF\x03\x00\x00\x00", "truncated"),
    ],
)
def test_other_bytes_are_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "other.gguf"
    path.write_bytes(data)
    with pytest.raises(LabError, match=rf"other\.gguf.*{reason}"):
        read_config(path)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    data = SmallGGUF().write(tmp_path / "small.gguf").read_bytes()
    # The file ends with padding, and its last tensor with data, so every shorter file lacks something.
    for kept in [*range(0, len(data) - 64, 997), len(data) - 64]:
        path = tmp_path / f"cut-{kept}.gguf"
        path.write_bytes(data[:kept])
        with pytest.raises(LabError, match=rf"cut-{kept}\.gguf"):
            load(path)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_header_loads_or_is_refused_but_raises_nothing_else(sound: Path, data: st.DataObject) -> None:
    damaged = bytearray(sound.read_bytes())
    header_end = min(entry.offset for entry in read_header(sound).tensors.values())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, header_end - 1))] = data.draw(st.integers(0, 255))
    path = sound.with_name("damaged.gguf")
    path.unlink(missing_ok=True)
    path.write_bytes(damaged)
    try:
        load_model(path)
    except LabError as error:
        assert "damaged.gguf" in error.text.en

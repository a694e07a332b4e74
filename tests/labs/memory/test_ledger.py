"""The ledger against published sizes, and what must hold of every model and load."""

from __future__ import annotations

import msgspec
import pytest

from labs.memory.fit import fewest_devices, largest_batch, longest_context
from labs.memory.ledger import (
    PARTS,
    Setting,
    ledger,
    sequence_bytes,
    token_bytes,
    total_bytes,
    weight_bytes,
    weight_parts,
)
from labs.memory.workspace import layer_lifetimes, workspace_elements
from labs.simulator.model_shape import parameters
from labs.simulator.models import model, models
from labs.spec import LabError

ROOM = 0.9 * 80 * 2**30


def setting(name: str = "llama-3.1-8b", **values: object) -> Setting:
    return Setting(shape=model(name), **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", models())
def test_sixteen_bit_weights_are_two_bytes_a_parameter(name: str) -> None:
    assert weight_bytes(setting(name)) == 2 * parameters(model(name))
    assert weight_bytes(setting(name, weights="fp32")) == 4 * parameters(model(name))
    parts = weight_parts(setting(name))
    assert all(size > 0 for size in parts.values())


def test_kv_of_one_token() -> None:
    assert token_bytes(setting()) == 131_072
    assert token_bytes(setting("llama-2-7b")) == 524_288
    assert token_bytes(setting(kv="fp8")) == 65_536
    assert token_bytes(setting(kv="int8")) == 65_536 * (1 + 4 / 128)
    assert token_bytes(setting("deepseek-v3")) == 61 * 576 * 2


def test_kv_heads_are_divided_until_they_are_repeated_and_a_latent_never_is() -> None:
    assert token_bytes(setting(tensor_parallel=8)) == 131_072 / 8
    assert token_bytes(setting(tensor_parallel=16)) == 131_072 / 8
    assert token_bytes(setting("deepseek-v3", tensor_parallel=8)) == token_bytes(setting("deepseek-v3"))


def test_a_window_keeps_no_more_than_itself() -> None:
    shape = model("gpt-oss-20b")
    long = setting("gpt-oss-20b", context=8192)
    half = token_bytes(long, shape.layers // 2)
    assert sequence_bytes(long) == half * (8192 + 128)
    assert sequence_bytes(msgspec.structs.replace(long, free_window=False)) == half * 2 * 8192


def test_weights_and_kv_scale_as_they_must() -> None:
    one, many = ledger(setting(batch=1)), ledger(setting(batch=8))
    assert many["kv"] == 8 * one["kv"]
    assert all(many[part] == one[part] for part in ("embeddings", "attention", "ffn", "runtime"))
    assert set(one) == set(PARTS)
    # 15 of 16 slots may be empty in a last block, 7.5 on average.
    assert one["fragmentation"] == 7.5 * 131_072


def test_the_workspace_does_not_depend_on_depth() -> None:
    deep = model("llama-3-8b")
    shallow = msgspec.structs.replace(deep, windows=(None,) * 2)
    assert workspace_elements(deep) == workspace_elements(shallow) == 4096 + 3 * 14336
    assert max(one.death for one in layer_lifetimes(deep)) == 7


@pytest.mark.parametrize("name", ["llama-3.1-8b", "deepseek-v3", "gpt-oss-20b", "smollm2-135m"])
def test_the_largest_that_fits_is_the_last_that_does(name: str) -> None:
    one = setting(name, weights="int4", context=2048, batch=4, runtime_bytes=2**30)
    room = ROOM if name != "deepseek-v3" else 8 * ROOM
    batch, context = largest_batch(one, room), longest_context(one, room)
    assert batch > 0 and context > 0
    for field, value in (("batch", batch), ("context", context)):
        assert total_bytes(msgspec.structs.replace(one, **{field: value})) <= room
        assert total_bytes(msgspec.structs.replace(one, **{field: value + 1})) > room


def test_what_does_not_fit_says_so() -> None:
    large = setting("llama-3.1-405b")
    assert largest_batch(large, ROOM) == longest_context(large, ROOM) == 0
    assert fewest_devices(large, ROOM) == 16
    assert fewest_devices(setting(), ROOM) == 1
    assert fewest_devices(large, 2**30) is None


def test_heads_that_cannot_be_divided_are_refused() -> None:
    with pytest.raises(LabError, match="9 heads"):
        setting("smollm2-135m", tensor_parallel=2)

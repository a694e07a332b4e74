"""Every packed kernel equals its naive product, and the check can tell when one does not."""

import pytest
import torch

from labs.quantization.linear import (
    dense,
    int4_weight,
    int8_dynamic,
    int8_weight,
    kernel_error,
)
from labs.spec import LabError

BUILDERS = {
    "fp32": dense(torch.float32),
    "bf16": dense(torch.bfloat16),
    "int8": int8_weight,
    "int4": int4_weight,
    "w8a8": int8_dynamic,
}


def weight(rows: int, columns: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(8)
    values = 0.1 * torch.randn(rows, columns, generator=generator)
    values[3, 7] = 3.0
    return values


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("shape", [(64, 96), (192, 576)])
@pytest.mark.parametrize("rows", [1, 3, 63])
def test_kernel_equals_the_naive_product(name, shape, rows):
    layer = BUILDERS[name](weight(*shape), "cpu")
    x = torch.randn(rows, shape[1], generator=torch.Generator().manual_seed(9)).to(layer.activations)
    assert kernel_error(layer, x) <= layer.tolerance
    assert torch.equal(layer.cloned()(x), layer(x))


@pytest.mark.parametrize(("name", "bits"), [("fp32", 32), ("bf16", 16), ("int4", 5)])
def test_bytes_are_those_of_codes_and_scales(name, bits):
    assert BUILDERS[name](weight(64, 96), "cpu").weight_bytes == 64 * 96 * bits // 8


def test_a_wrong_kernel_fails_the_check():
    layer = int8_weight(weight(64, 96), "cpu")
    x = torch.randn(5, 96, generator=torch.Generator().manual_seed(10)).bfloat16()
    layer.forward = lambda x: 1.02 * type(layer).forward(layer, x)
    assert kernel_error(layer, x) > layer.tolerance


def test_batches_keep_their_shape():
    layer = int4_weight(weight(64, 96), "cpu")
    assert layer(torch.randn(2, 3, 96)).shape == (2, 3, 64)


def test_int4_says_what_it_cannot_take():
    with pytest.raises(LabError, match="multiples"):
        int4_weight(weight(64, 100), "cpu")
    with pytest.raises(LabError, match="cuda"):
        int4_weight(weight(64, 96), "cuda")


def test_the_extreme_product_is_right_on_any_cpu():
    # 255 * 127 twice overflows 16 bits where the processor lacks VNNI: `fbgemm_saturates` must then say so.
    layer = int8_dynamic(torch.ones(64, 64), "cpu")
    assert torch.allclose(layer(torch.ones(1, 64)), torch.full((1, 64), 64.0), rtol=1e-2)

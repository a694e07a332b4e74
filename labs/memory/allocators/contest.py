"""The allocators that compete, each with the way in which memory is put into it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from labs.formulas.allocation import MIB
from labs.memory.allocators.buddy import Buddy
from labs.memory.allocators.caching import Caching
from labs.memory.allocators.fit import Fit
from labs.memory.allocators.paged import Pages
from labs.memory.allocators.slab import Slab
from labs.memory.allocators.stores import OnePiece, Paged
from labs.text import Text

if TYPE_CHECKING:
    from labs.memory.allocators.allocator import Allocator
    from labs.memory.allocators.stores import Growth, Store

Name = Literal["first_fit", "best_fit", "buddy", "slab", "caching", "paged"]

TITLES: dict[Name, Text] = {
    "first_fit": Text(zh="首次适应", en="first fit"),
    "best_fit": Text(zh="最佳适应", en="best fit"),
    "buddy": Text(zh="伙伴系统", en="buddy system"),
    "slab": Text(zh="slab（大小类）", en="slab (size classes)"),
    "caching": Text(zh="缓存分配器", en="caching allocator"),
    "paged": Text(zh="分页", en="pages"),
}
SLAB_BYTES = 2 * MIB


def make_allocator(name: Name, capacity: int, page_bytes: int) -> Allocator:
    match name:
        case "first_fit":
            return Fit(capacity, "first")
        case "best_fit":
            return Fit(capacity, "best")
        case "buddy":
            return Buddy(capacity)
        case "slab":
            return Slab(capacity, SLAB_BYTES)
        case "caching":
            return Caching(capacity)
        case "paged":
            return Pages(capacity, page_bytes)


def make_store(name: Name, capacity: int, page_bytes: int, growth: Growth) -> Store:
    allocator = make_allocator(name, capacity, page_bytes)
    return Paged(allocator) if isinstance(allocator, Pages) else OnePiece(allocator, growth)

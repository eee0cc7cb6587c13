from typing import Any

SCRATCH_BUDGET: int
NEAR_TILES: int
TILE: int
PRODUCTS: int
MOST: int
NEAR: int
FEW_BLOCKS: int
MANY_PRODUCTS: int

class Costs:
    def __init__(self, problem: Any, packed: bool) -> None: ...
    def fewest(
        self, axes: Any, height: int, splits: int, chunks: tuple[int, ...], threads: int
    ) -> list[tuple[float, tuple[int, int, int]]]: ...

def whole_lines(columns: float, size: int) -> bool: ...
def filled(positions: float, height: int, lanes: int) -> float: ...
def by_rows(columns: float, pitch: float, taps: float, height: int, lanes: int) -> bool: ...
def block_bytes(reduction: int, size: int) -> int: ...
def winograd(
    problem: Any,
    reduction: int,
    tiles: list[int],
    dilation: list[int],
    splits: int,
    chunks: tuple[int, ...],
    threads: int,
) -> list[tuple[float, float, tuple[int, int]]]: ...

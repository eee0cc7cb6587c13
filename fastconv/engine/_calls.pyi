from typing import Any

from numpy.typing import NDArray

def key_of(
    describe: Any,
    method: Any,
    threads: int,
    packed: bool,
    parameters: tuple[Any, ...],
    strides: tuple[int, ...] | None,
    operands: tuple[Any, ...],
) -> tuple[Any, ...] | None: ...
def largest_of(array: NDArray[Any]) -> int: ...
def is_apart(out: Any, operands: tuple[Any, ...]) -> bool: ...

class Known:
    def __init__(self, threads: Any, recorded: Any) -> None: ...
    def again(
        self,
        name: str,
        input: Any,
        output: Any,
        arguments: tuple[Any, ...],
        weights: Any = None,
    ) -> tuple[tuple[Any, ...] | None, NDArray[Any] | None]: ...
    def keep(
        self, key: tuple[Any, ...] | None, work: Any, shape: tuple[int, ...] | None = None
    ) -> None: ...
    def calls_before(self, key: tuple[Any, ...]) -> int: ...
    def clear(self) -> None: ...

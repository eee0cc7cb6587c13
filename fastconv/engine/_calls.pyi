from typing import Any

def key_of(
    describe: Any,
    method: Any,
    threads: int,
    packed: bool,
    parameters: tuple[Any, ...],
    strides: tuple[int, ...] | None,
    operands: tuple[Any, ...],
) -> tuple[Any, ...] | None: ...
def filter_key(
    name: str, input: Any, output: Any, arguments: tuple[Any, ...], weights: Any = None
) -> tuple[Any, ...] | None: ...
def is_apart(out: Any, operands: tuple[Any, ...]) -> bool: ...

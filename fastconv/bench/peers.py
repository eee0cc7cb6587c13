"""All peers, those that are installed, and fastconv's own methods if they are asked for."""

from __future__ import annotations

from collections.abc import Iterable

from fastconv.bench.filters import OpenCV, SciPyNdimage, SciPySignal
from fastconv.bench.frameworks import Jax, Ncnn, OnnxRuntime, OpenVino, Torch
from fastconv.bench.methods import KEYS, Method
from fastconv.bench.peer import Peer

PEERS: tuple[type[Peer], ...] = (
    *(Torch, OnnxRuntime, OpenVino, Ncnn, Jax, OpenCV, SciPySignal, SciPyNdimage),
)


def found(keys: Iterable[str] | None = None) -> list[Peer]:
    """Give the peers that are installed, or those of them and of the methods with the keys.

    Raises
    ------
    ValueError
        If a key is unknown, or the peer is not installed.
    """
    kinds = {kind.key: kind for kind in PEERS}
    peers: list[Peer] = []
    for key in kinds if keys is None else keys:
        if key in KEYS:
            peers += [Method(key, packs) for packs in (False, True)]
            continue
        if key not in kinds:
            names = ", ".join((*kinds, *KEYS))
            raise ValueError(f"unknown peer {key!r}, expected some of {names}")
        try:
            peers.append(kinds[key]())
        except ImportError as error:
            if keys is not None:
                raise ValueError(f"{kinds[key].label} is not installed ({error})") from None
    return peers

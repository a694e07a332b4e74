"""What a window asks of a worker: the messages of the protocol, checked as they are read."""

from __future__ import annotations

from typing import Any

import msgspec


class Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Common to all requests: ``type`` says which."""


class Describe(Request, frozen=True, kw_only=True, tag="describe"):
    """All labs, please."""


class Run(Request, frozen=True, kw_only=True, tag="run"):
    """Run a lab instead of whatever runs now. ``preview`` asks for a coarse picture, fast."""

    run: int
    lab: str
    params: dict[str, Any] = {}
    seed: int = 0
    preview: bool = False


class Stop(Request, frozen=True, kw_only=True, tag="stop"):
    run: int


class Credit(Request, frozen=True, kw_only=True, tag="credit"):
    """``frames`` more results of ``run`` may be sent."""

    run: int
    frames: int


_decoder: msgspec.msgpack.Decoder[Describe | Run | Stop | Credit] = msgspec.msgpack.Decoder(
    Describe | Run | Stop | Credit
)


def parse_request(body: bytes) -> Describe | Run | Stop | Credit:
    """The request in a frame's body; msgspec.DecodeError says what is wrong with it."""
    return _decoder.decode(body)

"""External data: where the weights of a model lie beside it, and that nothing else is read.

A location is data of the file: it is judged as text first, then by the attributes of what lies
there. Nothing is opened.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vampnet_models.errors import InputError
from vampnet_models.text import one_line

_IN_MEMORY = "_ORT_MEM_ADDR_"
"""ONNX Runtime's mark for a location that is an address in its own memory, never one of a file."""

_MAX_DIGITS = 19
"""Of an offset or a length: below 2 ** 63 with room."""


@dataclass(frozen=True)
class External:
    """A tensor's data outside the message: `length_bytes` None where only its shape tells."""

    tensor: str
    location: str
    offset_bytes: int
    length_bytes: int | None
    needed_bytes: int

    @property
    def end_bytes(self) -> int:
        """Where it ends in its file."""
        return self.offset_bytes + self.needed_bytes


def external_of(tensor: str, entries: dict[str, str], needed_bytes: int) -> External:
    """What the entries of a tensor say. Raises ValueError where they leave the folder or lie."""
    location = entries.get("location", "")
    reason = _outside(location)
    if reason is not None:
        raise ValueError(
            f"{tensor} has its data in {shown(location)!r}: {reason}; external data must lie in "
            "the model's folder"
        )
    offset, length = (_number(tensor, key, entries.get(key)) for key in ("offset", "length"))
    # Writers put 0 for a length that is left to the shape.
    if length and length != needed_bytes:
        raise ValueError(
            f"{tensor} has {length} bytes of external data, and a shape of {needed_bytes} bytes"
        )
    return External(tensor, location, offset or 0, length, needed_bytes)


def _outside(location: str) -> str | None:
    """Why a location is no plain path below the model's folder on any system, None if it is."""
    parts = re.split(r"[/\\]", location)
    if not location or not location.isprintable():
        return "no name of a file"
    if _IN_MEMORY in location:
        return "an address in memory"
    if parts[0] == "" or re.match("[A-Za-z]:", location):
        return "an absolute path"
    if ".." in parts:
        return "a path that leaves the folder"
    return None


def check_files(model: Path, externals: Iterable[External]) -> None:
    """Raise InputError unless each tensor's data lies in a regular file below the model's folder.

    A link, at the file or at a folder on the way to it, is refused: it may lead anywhere.
    """
    ends: dict[str, int] = {}
    for each in externals:
        ends[each.location] = max(ends.get(each.location, 0), each.end_bytes)
    for location, needed_bytes in ends.items():
        data, found = model.parent, None
        for part in Path(location).parts:
            data = data / part
            try:
                found = data.lstat()
            except (OSError, ValueError):
                raise InputError(
                    f"{model}: its external data {location} is missing; copy it beside the model"
                ) from None
            if stat.S_ISLNK(found.st_mode):
                break
        is_itself = data == model
        if found is None or stat.S_ISDIR(found.st_mode):
            raise InputError(f"{model}: its external data {location} is a folder; export it again")
        if not is_itself and (stat.S_ISLNK(found.st_mode) or found.st_nlink > 1):
            raise InputError(
                f"{data}: is a link, which external data must not be; copy the file itself there"
            )
        size = model.stat().st_size if is_itself else found.st_size
        if not is_itself and not stat.S_ISREG(found.st_mode):
            raise InputError(f"{data}: is no regular file, which external data must be")
        if size < needed_bytes:
            raise InputError(f"{data}: truncated: {size} bytes of {needed_bytes}; copy it again")


def shown(text: str, limit: int = 80) -> str:
    """Text from a file, for a part of one line of a message."""
    line = one_line(text)
    return line if len(line) <= limit else f"{line[: limit - 3]}..."


def _number(tensor: str, key: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(f"[0-9]{{1,{_MAX_DIGITS}}}", text) or int(text) >= 2**62:
        raise ValueError(f"{tensor} has an external data {key} of {shown(text)!r}: no size")
    return int(text)

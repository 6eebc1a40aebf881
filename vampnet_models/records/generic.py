"""One reader and one writer for every record: dataclasses to JSON and back, by their type hints.

A record is a frozen dataclass of scalars, enumerations, tuples, dictionaries, unions with None and
other records; `Any` keeps what JSON holds. The file's version stands first in it, as `schema`, and
in `VERSIONS` here, nowhere else.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from vampnet_models.errors import InputError

_T = TypeVar("_T")
_SCHEMA = "schema"
_LONGEST_SHOWN = 60


@dataclass(frozen=True)
class Version:
    """A kind of file: what it is called, the version written, those read, and what else to do."""

    name: str
    written: int
    read: tuple[int | None, ...]
    remedy: str


VARIANT = Version("variant record", 2, (1, 2), "build it again")
"""Version 1 has no `runtime`: its variants count as not checked."""

RESULTS = Version("results.json", 1, (1,), "run again, or use the version that wrote it")

DECIDED = Version("decision", 1, (1,), "install the project again")

TUNING = Version("tune.json", 1, (1,), "tune again")

PROFILE = Version("profile", 1, (1,), "give what `vampbench profile -o` or `run` has written")

IMPORTED = Version("file of imported profiles", 1, (1, None), "import anew, to another output")
"""None: files from before it had a version."""

IMPORT = Version("record of an import", 1, (1,), "import the checkpoints again")

COMPILED = Version("qnn.json", 1, (1, None), "remove it, or write it again: vampbench qnn")

ARM64 = Version("arm64.json", 1, (1, None), "remove it, or write it again: make test-arm64")
"""None, of both: files from before they had a version."""

MANIFEST = Version("manifest", 1, (1,), "make the bundle again")

ANSWER = Version("answer", 1, (1,), "give the command again")
"""What a command prints with `--json`."""


class _Wrong(Exception):
    """What is wrong with a value, and at which path below it."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason


def as_json(record: Any) -> Any:
    """A record as JSON values: tuples are lists, enumerations their values."""
    if is_dataclass(record):
        return {field.name: as_json(getattr(record, field.name)) for field in fields(record)}
    if isinstance(record, Mapping):
        return {str(key): as_json(value) for key, value in record.items()}
    if isinstance(record, tuple | list):
        return [as_json(value) for value in record]
    return record.value if isinstance(record, Enum) else record


def versioned(record: Any, version: Version) -> dict[str, Any]:
    """The contents of a file: the version, then the record."""
    return {_SCHEMA: version.written, **as_json(record)}


def record_of(kind: type[_T], values: object, version: Version, where: str) -> _T:
    """The record that a file's values are, after its version was looked at.

    Raises InputError, naming `where` and the field, when it is another version, or when a field
    is missing, unknown or of another type.
    """
    if not isinstance(values, dict):
        raise InputError(f"{where}: is no {version.name}; {version.remedy}")
    if values.get(_SCHEMA) not in version.read:
        known = " or ".join("none" if each is None else str(each) for each in version.read)
        given = f"schema {_shown(values[_SCHEMA])}" if values.get(_SCHEMA) is not None else None
        told = given or f"is no {version.name}: it names no schema"
        raise InputError(f"{where}: {told}; this version reads {known}; {version.remedy}")
    return read(kind, values, where, version.remedy)


def read(kind: type[_T], values: object, where: str, remedy: str) -> _T:
    """The record of its JSON values. Raises InputError, naming `where` and the field's path."""
    try:
        found: _T = _value(kind, values)
    except _Wrong as wrong:
        path = wrong.path.removeprefix(".")
        told = f"{path}: {wrong.reason}" if path else wrong.reason
        raise InputError(f"{where}: {told}; {remedy}") from None
    return found


@cache
def _hints(kind: type) -> tuple[tuple[str, Any, bool], ...]:
    """(name, type, whether it must be there) of each field."""
    hints = get_type_hints(kind)
    return tuple(
        (f.name, hints[f.name], f.default is MISSING and f.default_factory is MISSING)
        for f in fields(kind)
    )


def _record(kind: type, value: object) -> Any:
    if not isinstance(value, dict):
        raise _Wrong("", f"must be an object, is {_shown(value)}")
    hints = _hints(kind)
    unknown = value.keys() - _names(kind) - {_SCHEMA}
    if unknown:
        raise _Wrong(f".{min(unknown)}", "no such field")
    found: dict[str, Any] = {}
    for name, hint, needed in hints:
        if name in value and (needed or value[name] is not None or _takes_none(hint)):
            found[name] = _below(f".{name}", hint, value[name])
        elif needed:
            raise _Wrong(f".{name}", "is missing")
    return kind(**found)


def _value(hint: Any, value: object) -> Any:
    """The value as the type asks for it. Raises _Wrong."""
    if hint is Any or hint is object:
        return value
    if is_dataclass(hint):
        return _record(hint, value)  # type: ignore[arg-type]
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        options = get_args(hint)
        if value is None and type(None) in options:
            return None
        options = tuple(option for option in options if option is not type(None))
        return _one_of(options, value)
    if origin is Literal:
        if value not in get_args(hint):
            raise _Wrong("", f"must be one of {', '.join(get_args(hint))}, is {_shown(value)}")
        return value
    if origin is tuple:
        return _tuple(get_args(hint), value)
    if origin in (dict, Mapping) and isinstance(value, dict):
        return {k: _below(f".{k}", get_args(hint)[1], v) for k, v in value.items()}
    if isinstance(hint, type) and issubclass(hint, Enum):
        known = [each.value for each in hint]
        if value not in known:
            raise _Wrong("", f"must be one of {', '.join(known)}, is {_shown(value)}")
        return hint(value)
    told, is_one, made = _SCALARS.get(hint, ("an object", _never, hint))
    if not is_one(value):
        raise _Wrong("", f"must be {told}, is {_shown(value)}")
    return made(value)


def _takes_none(hint: Any) -> bool:
    return hint is Any or type(None) in get_args(hint)


def _one_of(options: tuple[Any, ...], value: object) -> Any:
    """The first of the types that takes the value; what is wrong is the last one's word.

    Of records that say their `kind`, the one whose it is.
    """
    if len(options) > 1 and all("kind" in _names(option) for option in options):
        return _of_kind(options, value)
    for option in options[:-1]:
        try:
            return _value(option, value)
        except _Wrong:
            continue
    return _value(options[-1], value)


def _of_kind(options: tuple[Any, ...], value: object) -> Any:
    if not isinstance(value, dict):
        raise _Wrong("", f"must be an object, is {_shown(value)}")
    kinds = {get_args(get_type_hints(option)["kind"])[0]: option for option in options}
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in kinds:
        raise _Wrong(".kind", f"must be one of {', '.join(kinds)}, is {_shown(kind)}")
    own = _names(kinds[kind])
    # Earlier versions had one type for all kinds, and wrote the others' fields without a value.
    empty = set().union(*map(_names, options)) - own
    return _record(kinds[kind], {k: v for k, v in value.items() if v or k not in empty})


def _names(kind: Any) -> set[str]:
    """Of the fields of a record; none of another type."""
    if not (isinstance(kind, type) and is_dataclass(kind)):
        return set()
    return {name for name, _, _ in _hints(kind)}


def _tuple(items: tuple[Any, ...], value: object) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _Wrong("", f"must be a list, is {_shown(value)}")
    if items[-1] is Ellipsis:
        return tuple(_below(f"[{i}]", items[0], each) for i, each in enumerate(value))
    if len(value) != len(items):
        raise _Wrong("", f"must hold {len(items)} values, is {_shown(value)}")
    pairs = zip(items, value, strict=True)
    return tuple(_below(f"[{i}]", item, each) for i, (item, each) in enumerate(pairs))


def _below(step: str, hint: Any, value: object) -> Any:
    try:
        return _value(hint, value)
    except _Wrong as wrong:
        raise _Wrong(step + wrong.path, wrong.reason) from None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return _is_number(value) and value == value and float(value).is_integer()  # type: ignore[arg-type]


def _never(_value: object) -> bool:
    return False


_SCALARS: dict[Any, tuple[str, Callable[[object], bool], Callable[[Any], Any]]] = {
    str: ("a text", lambda value: isinstance(value, str), str),
    bool: ("true or false", lambda value: isinstance(value, bool), bool),
    int: ("a whole number", _is_whole, int),
    float: ("a number", _is_number, float),
}
"""Of each type of a field: how it is called, whether a value of JSON is one, how it is made one."""


def _shown(value: object) -> str:
    text = "missing" if value is None else repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."

"""A pickle read as data: an interpreter of its opcodes that cannot call anything.

The operations come from `pickletools.genops`; there is no unpickler and nothing is imported.
A name (`GLOBAL`) is kept as a name. Where a pickle would call something, the caller's table of
constructors decides; every other callable is refused by its name. Objects of classes that the
caller admits become records: name and state, nothing more.

Time and memory are bounded by the pickle's own size: an operation costs a constant. Nothing is
copied or joined, numbers and names have a length, and keys are such that their hashes differ.
"""

from __future__ import annotations

import io
import pickletools
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vampnet_models.errors import InputError, reason_of

_MAX_OPERATIONS = 2_000_000
"""Far above any checkpoint's pickle (a full-size module object has about 100,000)."""

_MAX_INTEGER_BITS = 256
"""States of random generators have 128; Python's decimal text of longer ones is not bounded."""

MAX_NAME_CHARACTERS = 512
"""Of a key or a global: a comparison of two equal ones costs their length, each time."""

_MAX_KEY = 1 << 31
"""Numbers are keys below it: Python's hashes of larger ones can be made to collide."""

_NUMBERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
_TEXTS = ("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8")
_BYTES = ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8")
_STRINGS = ("STRING", "BINSTRING", "SHORT_BINSTRING")
_PUSH = frozenset((*_NUMBERS, *_TEXTS, *_BYTES, *_STRINGS))
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_GETS = frozenset(("GET", "BINGET", "LONG_BINGET"))
_PUTS = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_IGNORED = frozenset(("PROTO", "FRAME", "STOP"))


@dataclass(frozen=True, slots=True)
class Global:
    """A name in a module; never imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False, slots=True)
class Record:
    """An object of a class that stays unknown: its class, its attributes, its items."""

    cls: Global
    made: tuple[object, ...] = ()
    """The arguments that it was made with."""
    state: object = None
    items: dict[Any, object] = field(default_factory=dict)

    def attributes(self) -> dict[Any, object]:
        """The instance's attributes; empty when the state is no dictionary."""
        state = self.state
        if isinstance(state, tuple) and len(state) == 2 and isinstance(state[0], dict):
            state = state[0]
        return state if isinstance(state, dict) else {}


@dataclass(frozen=True)
class Rules:
    """What a pickle may hold beyond plain values and containers."""

    calls: Mapping[Global, Callable[..., object]]
    """The constructors: given the unpickled arguments, they return inert values.

    One is called as often as the pickle likes with the same large argument, so it takes constant
    time and keeps its arguments as they are.
    """

    admits: Callable[[Global], bool]
    """Whether objects of this class are read as records."""

    persistent: Callable[[object], object]
    """Resolves a persistent id, in checkpoints a storage."""


def read_pickle(stream: bytes | io.BytesIO, where: str, rules: Rules) -> object:
    """Read a pickle without executing anything; a stream is at its end then.

    Sets are read as lists. `where` begins every message.
    Raises InputError that names a refused callable, or for a truncated or malformed pickle.
    """
    machine = _Machine(where, rules)
    try:
        with warnings.catch_warnings():
            # Texts of protocol 0 with odd escapes: Python's own reader warns of them.
            warnings.simplefilter("ignore", DeprecationWarning)
            for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
                if count > _MAX_OPERATIONS:
                    raise InputError(f"{where}: over {_MAX_OPERATIONS} pickle operations; refused")
                machine.step(opcode.name, argument)
        return machine.stack.pop()
    except (
        AttributeError,
        IndexError,
        KeyError,
        MemoryError,
        OverflowError,
        TypeError,
        ValueError,
    ) as error:
        raise InputError(
            f"{where}: a damaged or unreadable pickle ({type(error).__name__}: "
            f"{reason_of(error, 120)}); copy or download the file again"
        ) from error


class _Machine:
    """The pickle machine: a stack, the stacks below the open marks, a memo."""

    def __init__(self, where: str, rules: Rules) -> None:
        self.where = where
        self.rules = rules
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        """Carry out one operation."""
        stack = self.stack
        if name in _PUSH:
            if isinstance(argument, int) and argument.bit_length() > _MAX_INTEGER_BITS:
                raise ValueError(f"an integer of {argument.bit_length()} bits")
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _GETS:
            stack.append(self.memo[argument])
        elif name in _PUTS:
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in _TUPLES:
            self._pack(_TUPLES[name])
        elif name == "MARK":
            self.below.append(stack)
            self.stack = []
        elif name not in _IGNORED:
            self._compose(name, argument)

    def _compose(self, name: str, argument: Any) -> None:
        stack = self.stack
        match name:
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST" | "EMPTY_SET":
                stack.append([])
            case "TUPLE":
                self._push_marked(tuple)
            case "LIST" | "FROZENSET":
                self._push_marked(list)
            case "DICT":
                values = self._marked()
                self.stack.append({})
                self._set_items(values)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                self._set_items([key, value])
            case "SETITEMS":
                self._set_items(self._marked())
            case "APPEND":
                value = stack.pop()
                self._extend([value])
            case "APPENDS" | "ADDITEMS":
                self._extend(self._marked())
            case "POP":
                if stack:
                    stack.pop()
                else:
                    self._marked()
            case "POP_MARK":
                self._marked()
            case "DUP":
                stack.append(stack[-1])
            case "GLOBAL":
                module, _, attribute = argument.partition(" ")
                stack.append(_named(module, attribute))
            case "STACK_GLOBAL":
                attribute, module = stack.pop(), stack.pop()
                stack.append(_named(module, attribute))
            case "BINPERSID":
                stack.append(self.rules.persistent(stack.pop()))
            case "REDUCE":
                arguments, function = stack.pop(), stack.pop()
                stack.append(self._call(function, arguments))
            case "NEWOBJ":
                _, cls = stack.pop(), stack.pop()
                stack.append(self._record(cls))
            case "NEWOBJ_EX":
                _, _, cls = stack.pop(), stack.pop(), stack.pop()
                stack.append(self._record(cls))
            case "BUILD":
                state = stack.pop()
                if isinstance(stack[-1], Record):
                    stack[-1].state = state
            case "INST":
                module, _, attribute = argument.partition(" ")
                raise self._refusal(_named(module, attribute))
            case "OBJ":
                raise self._refusal(self._marked()[0])
            case _:
                raise InputError(f"{self.where}: the pickle operation {name} is refused")

    def _marked(self) -> list[Any]:
        """Everything above the last mark."""
        values, self.stack = self.stack, self.below.pop()
        return values

    def _push_marked(self, kind: Callable[[list[Any]], object]) -> None:
        values = self._marked()
        self.stack.append(kind(values))

    def _pack(self, count: int) -> None:
        stack = self.stack
        if len(stack) < count:
            raise IndexError("too few values for a tuple")
        values = tuple(stack[len(stack) - count :])
        del stack[len(stack) - count :]
        stack.append(values)

    def _set_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        items = target.items if isinstance(target, Record) else target
        if not isinstance(items, dict) or len(values) % 2:
            raise TypeError("items for something that is no dictionary")
        for key, value in zip(values[::2], values[1::2], strict=True):
            _require_key(key)
            items[key] = value

    def _extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(values)
        elif not isinstance(target, Record):
            raise TypeError("elements for something that is no list")

    def _call(self, function: object, arguments: object) -> object:
        if not isinstance(function, Global) or function not in self.rules.calls:
            raise self._refusal(function)
        if not isinstance(arguments, tuple):
            raise TypeError(f"arguments of {function} that are no tuple")
        try:
            return self.rules.calls[function](*arguments)
        except InputError as error:
            raise InputError(f"{self.where}: {error}") from error

    def _record(self, cls: object) -> Record:
        if not isinstance(cls, Global) or not self.rules.admits(cls):
            raise self._refusal(cls)
        return Record(cls)

    def _refusal(self, function: object) -> InputError:
        name = str(function) if isinstance(function, Global) else type(function).__name__
        return InputError(
            f"{self.where}: wants to call {name}, which no checkpoint of these models needs; "
            "refused, nothing was executed: do not trust this file"
        )


def _require_key(key: object) -> None:
    """Keys are plain (a nested tuple's hash recurses without a limit), short or small."""
    if isinstance(key, str | bytes):
        if len(key) > MAX_NAME_CHARACTERS:
            raise ValueError(f"a dictionary key of {len(key)} characters")
    elif isinstance(key, int | float):
        if not -_MAX_KEY < key < _MAX_KEY:
            raise ValueError("a number beyond 31 bits as a dictionary key")
    elif not isinstance(key, Global | None):
        raise TypeError(f"a dictionary key of type {type(key).__name__}")


def _named(module: object, name: object) -> Global:
    if not isinstance(module, str) or not isinstance(name, str):
        raise TypeError("a global whose name is no text")
    if max(len(module), len(name)) > MAX_NAME_CHARACTERS:
        raise ValueError(f"a global whose name has over {MAX_NAME_CHARACTERS} characters")
    if not (module + name).isprintable():
        raise ValueError("a global whose name is not printable")
    return Global("builtins" if module == "__builtin__" else module, name)

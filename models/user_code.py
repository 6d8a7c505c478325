"""Files of a user's own that register networks, losses and metrics: reading, running, trusting.

A file runs at most once per content, in a module whose name holds its digest: two files of one name
do not clash, nor do two versions of a file. What it registers is in use everywhere after
`use_code`. A model file carries the code of its network (see `load_model`), which runs only if it
is trusted.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import importlib.util
import linecache
import re
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from models.errors import ModelError

HOW_TO_TRUST = "if you trust it, give --import FILE with the same content, or --trust-code"
_PACKAGE = __package__ or ""  # `models`, or the copy of it that a logged model brings
_PREFIX = f"{_PACKAGE}_user_"
_MOST_BYTES = 1_000_000
_NAME = re.compile(r"(?!\.)[\w .-]{1,100}\.py")
_LOCK = threading.RLock()


@dataclass(frozen=True)
class UserCode:
    """A Python file: its name without folders, and its text; `path` is where this machine has it.

    Raises ModelError for a name that is none of a Python file.
    """

    name: str
    source: str
    path: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ModelError(f"'{self.name}' is no name of a Python file, such as my_net.py")

    @property
    def digest(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.name} (sha256 {self.digest[:12]})"


class UntrustedCode(ModelError):  # noqa: N818  (it names what was found)
    """A model or a launch brings code that nobody has allowed to run."""


class _Registered(NamedTuple):
    kind: str
    registry: dict[str, Any]
    name: str
    value: Any


_loaded: dict[str, list[_Registered]] = {}  # by module name
_in_use: dict[str, UserCode] = {}  # by file name
_origins: dict[tuple[str, str], UserCode] = {}  # of what is in use, by kind and name
_trusted: set[str] = set()  # digests, or _ALL
_ALL = "all"
# The file that runs now, and what it has registered so far.
_running: tuple[UserCode, list[_Registered]] | None = None


def read_code(word: str) -> UserCode:
    """Read a Python file, or the file of a module that Python finds by its name.

    Raises ModelError if there is none, or if it is no text.
    """
    path = Path(word).expanduser()
    if not (word.endswith(".py") or path.is_file()):
        path = _file_of_module(word)
    try:
        data = path.read_bytes()
        source = data.decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        raise ModelError(f"--import: there is no file {word}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"--import: {word} cannot be read: {error}") from None
    if len(data) > _MOST_BYTES:
        raise ModelError(f"--import: {word} has {len(data)} bytes, but a file may have 1 MB")
    name = f"{path.parent.name}.py" if path.name == "__init__.py" else path.name
    return UserCode(name, source, str(path))


def use_code(code: UserCode) -> None:
    """Run the file if it has not run yet, and make what it registers known under its names.

    An older version of the file is replaced. Raises ModelError, naming file and line, if the file
    fails, registers nothing, or registers a name that is taken.
    """
    with _LOCK:
        registered = load_code(code)
        for kind, registry, name, _ in registered:
            origin = _origins.get((kind, name))
            if name in registry and (origin is None or origin.name != code.name):
                by = f" by {origin.path or origin.name}" if origin else ""
                raise ModelError(f"{code.name}: a {kind} named '{name}' is already registered{by}")
        if older := _in_use.get(code.name):
            for kind, registry, name, _ in load_code(older):
                registry.pop(name, None)
                _origins.pop((kind, name), None)
        for kind, registry, name, value in registered:
            registry[name] = value
            _origins[kind, name] = code
        _in_use[code.name] = code
        _trusted.add(code.digest)


def load_code(code: UserCode) -> list[_Registered]:
    """Run the file if it has not run yet, and return what it registers, without using it."""
    with _LOCK:
        name = _module_name(code)
        if name not in _loaded:
            _loaded[name] = _run(code, name)
        return _loaded[name]


def module_in_use(name: str) -> ModuleType | None:
    """The module of the file `NAME.py` that is in use, if there is one."""
    code = _in_use.get(f"{name}.py")
    return None if code is None else sys.modules[_module_name(code)]


def add(kind: str, registry: dict[str, Any], name: str, value: Any) -> None:
    """Register `value`; ModelError if the name is taken. From a file it is known once in use."""
    with _LOCK:
        if _running is None:
            is_taken = name in registry
        else:
            own = [each.name for each in _running[1] if each.kind == kind]
            is_taken = name in own or (name in registry and (kind, name) not in _origins)
        if is_taken:
            raise ModelError(f"a {kind} named '{name}' is already registered")
        if _running is None:
            registry[name] = value
        else:
            _running[1].append(_Registered(kind, registry, name, value))


def running_code() -> UserCode | None:
    """The file that is run at this moment, if any."""
    return None if _running is None else _running[0]


def trust_all_code() -> None:
    """Allow the code of every model and launch that this process opens."""
    _trusted.add(_ALL)


def is_in_use(digest: str) -> bool:
    """Whether what this file registers is known."""
    return digest in {code.digest for code in _in_use.values()}


def check_trusted(name: str, digest: str, what: str) -> None:
    """Raise UntrustedCode unless the file `name` that `what` brings may run in this process."""
    if digest in _trusted or _ALL in _trusted:
        return
    brought = f"{what} brings code: {name} (sha256 {digest[:12]})"
    if (given := _in_use.get(name)) is not None:
        raise UntrustedCode(
            f"{brought}, but --import has another version (sha256 {given.digest[:12]}): "
            f"--trust-code runs the former"
        )
    raise UntrustedCode(f"{brought}; {HOW_TO_TRUST}")


def fault_of(error: BaseException) -> str | None:
    """Return `FILE:LINE: what`, if the error comes from a user's file; else None."""
    what = f"{type(error).__name__}: {(str(error).strip() or 'no reason').splitlines()[0]}"
    found = None
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if str(frame.f_globals.get("__name__", "")).startswith(_PREFIX):
            found = f"{frame.f_code.co_filename}:{trace.tb_lineno}: {what}"
        trace = trace.tb_next
    return found


def _module_name(code: UserCode) -> str:
    stem = re.sub(r"\W", "_", code.name.removesuffix(".py"))
    return f"{_PREFIX}{stem}_{code.digest[:12]}"


def _run(code: UserCode, name: str) -> list[_Registered]:
    global _running
    label = code.path or code.name
    module = ModuleType(name)
    module.__file__ = label
    if _PACKAGE != "models":
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _import}
    # For tracebacks, and for what reads the source of a function.
    linecache.cache[label] = (len(code.source), None, code.source.splitlines(True), label)
    sys.modules[name] = module
    before, _running = _running, (code, [])
    try:
        exec(compile(code.source, label, "exec", dont_inherit=True), module.__dict__)
        registered = _running[1]
    except SyntaxError as error:
        raise ModelError(f"{label}:{error.lineno}: SyntaxError: {error.msg}") from None
    except (Exception, SystemExit) as error:
        raise ModelError(fault_of(error) or f"{label}: {error}") from error
    finally:
        _running = before
    if not (registered or any(map(_is_sampler, vars(module).values()))):
        raise ModelError(
            f"{label} registers no model, loss or metric, and has no sampler: is it the right file?"
        )
    return registered


def _is_sampler(value: Any) -> bool:
    """Whether it is a class with the interface of Optuna's samplers, which need no registration."""
    return isinstance(value, type) and hasattr(value, "sample_relative")


def _file_of_module(word: str) -> Path:
    try:
        spec = importlib.util.find_spec(word)
    except (ImportError, ValueError, AttributeError):
        spec = None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        file = Path(f"{word}.py")
        hint = f"; did you mean '{file}'?" if file.is_file() else ""
        raise ModelError(f"--import: there is neither a file nor a module '{word}'{hint}")
    return Path(spec.origin)


def _import(
    name: str,
    globals_: Mapping[str, Any] | None = None,
    locals_: Mapping[str, Any] | None = None,
    fromlist: tuple[str, ...] = (),
    level: int = 0,
) -> ModuleType:
    """Import as usual, with this copy of the package in the place of `models` and `chromatune`."""
    root = name.partition(".")[0]
    if level or root not in ("chromatune", "models"):
        return __import__(name, globals_, locals_, fromlist, level)
    if root == "chromatune":
        return _public()
    module = importlib.import_module(_PACKAGE + name.removeprefix("models"))
    return module if fromlist else importlib.import_module(_PACKAGE)


def _public() -> ModuleType:
    """What a file imports from `chromatune`: a model needs no loss and no metric."""
    module = ModuleType("chromatune")
    registry = importlib.import_module(f"{_PACKAGE}.registry")
    vars(module).update(register_model=registry.register_model)
    vars(module).update(register_loss=_ignore, register_metric=_ignore)
    return module


def _ignore(function: Callable[..., Any] | None = None, **_: Any) -> Any:
    return function or (lambda decorated: decorated)

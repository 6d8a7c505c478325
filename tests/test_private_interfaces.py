"""What the program uses of libraries beyond their documented interfaces: it must be there as used.

An upgrade that changes one of these fails here, by name, rather than in the middle of a launch.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.test_architecture import ROOT

LIBRARIES = ("ray", "mlflow", "optuna", "torch", "cmaes")
# Their modules without an underscore that no reference manual lists.
UNDOCUMENTED = (
    *("ray.tune.execution", "ray.tune.trainable", "ray.job_config", "ray.autoscaler"),
    *("mlflow.utils", "mlflow.store", "mlflow.server"),
)


def takes(*names: str) -> Callable[[Any], bool]:
    """Whether a function has these parameters."""
    return lambda found: set(names) <= set(inspect.signature(found).parameters)


def calls(text: str) -> Callable[[Any], bool]:
    """Whether the source of a function or module has this text."""
    return lambda found: text in inspect.getsource(found)


def is_a(*kinds: type) -> Callable[[Any], bool]:
    return lambda found: isinstance(found, kinds)


# Where the program uses it, what it uses, and what it expects of it.
USED: list[tuple[str, str, Callable[[Any], bool]]] = [
    ("backend/cluster.py", "ray._private.worker._worker_logs_enabled", is_a(bool)),
    (
        "backend/cluster.py",
        "ray._private.worker",  # it asks when it is called, so that another function can answer
        calls("ray._private.utils.get_entrypoint_name()"),
    ),
    ("backend/cluster.py", "ray._private.utils.get_entrypoint_name", takes()),
    (
        "backend/cluster.py",
        "ray._private.worker",  # likewise
        calls("ray_params = ray._private.parameter.RayParams("),
    ),
    (
        "backend/cluster.py",
        "ray._private.parameter.RayParams",
        takes("no_monitor", "include_log_monitor"),
    ),
    (
        "backend/cluster.py",
        "ray._private.services.canonicalize_bootstrap_address",
        takes("addr"),
    ),
    ("backend/cluster.py", "ray.init", takes("kwargs")),
    ("backend/cluster.py", "ray._private.worker", calls('kwargs.pop("_node_ip_address"')),
    (
        "backend/cluster.py",
        "ray._private.utils.check_version_info",
        calls('f"    Ray: {cluster_version_info[0]}\\n"\n        f"    Python:'),
    ),
    (
        "backend/cluster.py",
        "ray._private.runtime_env.constants.RAY_JOB_CONFIG_JSON_ENV_VAR",
        lambda found: found == "RAY_JOB_CONFIG_JSON_ENV_VAR",
    ),
    ("backend/cluster.py", "ray.job_config.JobConfig._serialize", takes("self")),
    ("backend/cluster.py", "ray.job_config.JobConfig", calls("self._py_driver_sys_path")),
    ("backend/cluster.py", "ray.tune.execution.class_cache.ENV_VARS_TO_PROPAGATE", is_a(set)),
    ("backend/cluster.py", "ray.tune.execution.class_cache.DEFAULT_ENV_VARS", is_a(dict)),
    ("launch/trainings.py", "torch.nn.Module._apply", takes("fn")),
    ("backend/ray_tune.py", "ray.train._internal.session.get_session", takes()),
    ("backend/ray_tune.py", "ray.train._internal.session._TrainSession.finish", takes("timeout")),
    (
        "backend/ray_tune.py",
        "ray.tune.trainable.function_trainable.wrap_function",
        takes("train_func"),
    ),
    ("backend/resources.py", "ray.autoscaler.sdk.request_resources", takes("bundles")),
    ("search/distributions.py", "optuna.distributions.FloatDistribution._contains", takes("self")),
    ("search/distributions.py", "optuna.distributions.IntDistribution._contains", takes("self")),
    ("search/ledger.py", "optuna.trial.FrozenTrial", calls("self._trial_id = trial_id")),
    ("search/ledger.py", "optuna.Trial", takes("study", "trial_id")),
    (
        "search/samplers.py",
        "optuna.samplers.CmaEsSampler._restore_optimizer",
        takes("completed_trials"),
    ),
    ("search/samplers.py", "optuna.samplers.CmaEsSampler._attr_key_optimizer", is_a(property)),
    ("search/samplers.py", "optuna.samplers.CmaEsSampler._concat_optimizer_attrs", takes("self")),
    ("search/samplers.py", "cmaes._cma.CMA", inspect.isclass),
    ("tracking/health.py", "mlflow.store.db.utils._get_latest_schema_revision", takes()),
    ("tracking/health.py", "mlflow.store.db.utils._get_schema_version", takes("engine")),
    (
        "tracking/store.py",
        "mlflow.store.db.utils._verify_schema",
        calls('f"Detected out-of-date database schema (found version {current_rev}, "'),
    ),
    ("tracking/store.py", "mlflow.store.db_migrations", lambda found: any(_migrations(found))),
    ("tracking/store.py", "mlflow.utils.credentials.get_default_host_creds", takes("store_uri")),
    (
        "tracking/store.py",
        "mlflow.utils.rest_utils.http_request",
        takes("host_creds", "endpoint", "method", "max_retries", "timeout", "raise_on_status"),
    ),
    (
        "tracking/ui/server.py",
        "mlflow.server.auth.sqlalchemy_store.SqlAlchemyStore.init_db",
        takes("db_uri"),
    ),
    (
        "tracking/ui/server.py",
        "mlflow.server.auth.sqlalchemy_store.SqlAlchemyStore.update_user",
        takes("username", "password"),
    ),
    ("training/checkpoint.py", "torch._foreach_lerp_", callable),
]


def _migrations(package: Any) -> Iterator[Path]:
    """MLflow's migrations are named after the version of the schema that they lead to."""
    return (Path(package.__path__[0]) / "versions").glob("451aebb31d03_*.py")


def look_up(name: str) -> Any:
    """Import the longest part of a dotted name that is a module, and get the rest from it."""
    words = name.split(".")
    for count in range(len(words), 0, -1):
        try:
            found = importlib.import_module(".".join(words[:count]))
        except ModuleNotFoundError:
            continue
        for word in words[count:]:
            found = getattr(found, word)
        return found
    raise ModuleNotFoundError(name)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("file", "name", "is_as_used"), USED, ids=[name for _, name, _ in USED])
def test_it_is_there_as_it_is_used(file: str, name: str, is_as_used: Callable[[Any], bool]) -> None:
    try:
        found = look_up(name)
    except (ModuleNotFoundError, AttributeError):
        pytest.fail(f"this version has no {name}, which tuning/{file} uses")
    assert is_as_used(found), f"{name} is not what tuning/{file} expects of it"


def test_all_that_is_used_is_listed() -> None:
    listed = {(file, word) for file, name, _ in USED for word in name.split(".")}
    used = {
        (str(path.relative_to(ROOT / "tuning")), word)
        for path in sorted((ROOT / "tuning").rglob("*.py"))
        for word in _private_words(ast.parse(path.read_text(encoding="utf-8")))
    }
    # One that instances alone have is checked above in the source of their class; the other is a
    # method of every named tuple.
    elsewhere = {("search/ledger.py", "_trial_id"), ("launch/notify.py", "_replace")}
    assert used - listed == elsewhere


def _private_words(tree: ast.AST) -> Iterator[str]:
    """Names with an underscore of libraries, and imports from modules that are not documented."""
    own = {
        node.name if isinstance(node, ast.FunctionDef) else node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        or (isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node))
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            is_own = node.attr.startswith("__") or node.attr in own
            if not is_own and (not _is_self(node) or _is_inherited(node.attr)):
                yield node.attr
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(LIBRARIES):
            parts = (node.module or "").split(".")
            is_private = any(part.startswith("_") for part in parts)
            for alias in node.names:
                if is_private or alias.name.startswith("_") or _is_undocumented(node.module or ""):
                    yield alias.name


def _is_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def _is_inherited(name: str) -> bool:
    return name in {word for _, used, _ in USED for word in used.split(".")}


def _is_undocumented(module: str) -> bool:
    return module.startswith(UNDOCUMENTED)

"""MLflow's server with what a browser needs to open it for models that are trained.

Two plug-ins for `mlflow server --app-name`: MLflow's own application, and that with its login.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow.server
from flask import Response

# The first visit of MLflow 3.17 shows a view for language models, and an assistant beside it. These
# entries of the browser's local storage are what a click on "Model training", and one that closes
# the assistant, leave behind. What a user has chosen stays.
_CHOICES = {
    "mlflow.workflowType_v1": "machine_learning",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": True,
}

# A saved view whose address has got filters, as it does when it is opened, would lose its columns
# and charts when the page is loaded again.
_SCRIPT = """
for (const [key, value] of Object.entries(CHOICES))
  localStorage.getItem(key) ?? localStorage.setItem(key, value);
const [route, query] = location.hash.split("?");
const given = new URLSearchParams(query);
if (given.has("viewStateShareKey")) {
  const own = ["viewStateShareKey", "compareRunsMode", "workflowType"];
  const view = new URLSearchParams([...given].filter(([key]) => own.includes(key)));
  history.replaceState(null, "", `${route}?${view}`);
}
"""


def create_app() -> Any:
    """MLflow's application, for anyone who reaches it."""
    from mlflow.server.fastapi_app import create_fastapi_app

    _open_for_training()
    return create_fastapi_app()


def create_app_with_login() -> Any:
    """MLflow's application, for those who log in.

    The administrator's password is what MLFLOW_AUTH_ADMIN_PASSWORD says now, also if MLflow's
    database of users holds an older one.
    """
    import mlflow.server.auth as auth

    _open_for_training()
    app = auth.create_app()
    name, password = auth.auth_config.admin_username, auth.auth_config.admin_password
    if not auth.store.authenticate_user(name, password):
        auth.store.update_user(name, password=password)
    return app


def _open_for_training() -> None:
    flask_app = mlflow.server.app
    page = (Path(str(flask_app.static_folder)) / "index.html").read_text(encoding="utf-8")
    script = _SCRIPT.replace("CHOICES", json.dumps({k: json.dumps(v) for k, v in _CHOICES.items()}))
    # Before MLflow's own script, which is deferred.
    page = page.replace("<head>", f"<head><script>{script}</script>", 1)
    flask_app.view_functions["serve"] = lambda: Response(page, mimetype="text/html")

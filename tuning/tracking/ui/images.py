"""Pictures for MLflow's image grid, in which the runs of a chart are compared."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from pathlib import Path

from mlflow import MlflowClient
from PIL import Image, UnidentifiedImageError

from tuning.errors import ChromatuneError

SHEET = "validation pictures"
_FOLDER = "images"
_TAG = "mlflow.loggedImages"
_WIDTH, _QUALITY = 300, 85


def log_sheet(client: MlflowClient, run_id: str, sheet: Path, timestamp: int) -> None:
    """Add a cell's picture sheet to the image grid; repeated, it replaces the files.

    `timestamp` is in milliseconds since 1970. Raises ChromatuneError if `sheet` is no picture.
    """
    # As MLflow's own `log_image` names them, but for the random part; all at one step, so that the
    # grid shows cells of different length together.
    unique = uuid.uuid5(uuid.NAMESPACE_OID, run_id)
    name = f"{SHEET}+step+0+timestamp+{timestamp}+{unique}"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shutil.copyfile(sheet, folder / f"{name}.png")
        try:
            with Image.open(sheet) as picture:
                # MLflow's grid shows this one as it is, so that some stand beside each other.
                height = round(picture.height * _WIDTH / picture.width)
                small = picture.convert("RGB").resize((_WIDTH, height))
                small.save(folder / f"{name}+compressed.webp", quality=_QUALITY)
        except UnidentifiedImageError:
            raise ChromatuneError(f"{sheet.name} of run {run_id} is no picture") from None
        client.log_artifacts(run_id, str(folder), _FOLDER)
    client.set_tag(run_id, _TAG, "True")

"""Pictures for MLflow's image grid, which compares the runs of a chart."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from tuning.errors import ChromatuneError

SHEET = "validation pictures"
# The UI reads images only from runs with this tag.
IMAGES_TAG = "mlflow.loggedImages"
_WIDTH, _QUALITY = 300, 85


def add_to_image_grid(sheet: Path, run_id: str, timestamp: int) -> None:
    """Put copies of a picture sheet into `images/` beside it, under the names that MLflow reads.

    `timestamp` is in milliseconds since 1970. The names are always the same, so that logging them
    again replaces the files. Raises ChromatuneError if `sheet` is not a picture.
    """
    # The names of MLflow's `log_image`, without their random part; all at one step, so that the
    # grid shows cells of different length together.
    unique = uuid.uuid5(uuid.NAMESPACE_OID, run_id)
    target = sheet.parent / "images" / f"{SHEET}+step+0+timestamp+{timestamp}+{unique}.png"
    target.parent.mkdir()
    shutil.copyfile(sheet, target)
    try:
        with Image.open(sheet) as picture:
            # MLflow's grid shows this one at its own size, so that several fit beside each other.
            height = round(picture.height * _WIDTH / picture.width)
            small = picture.convert("RGB").resize((_WIDTH, height))
            small.save(target.with_name(f"{target.stem}+compressed.webp"), quality=_QUALITY)
    except UnidentifiedImageError:
        raise ChromatuneError(f"{sheet.name} of run {run_id} is not a picture") from None

"""Champions without training, and the commands that use them: as the tests of the registry do."""

from __future__ import annotations

from tests.tuning.tracking.conftest import migrated_database, run, store
from tests.tuning.tracking.using.conftest import champions, pictures

__all__ = ["champions", "migrated_database", "pictures", "run", "store"]

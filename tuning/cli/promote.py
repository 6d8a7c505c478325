"""`chromatune promote`: moving the champion."""

from __future__ import annotations

import sys
from typing import Annotated

from tuning.cli.console import FAILED, show
from tuning.cli.options import (
    Device,
    Format,
    Imports,
    PreparedDataOptions,
    TaskArgument,
    TrackingUri,
    TrustCode,
    option,
    resolve_uri,
    takes,
)


@takes(PreparedDataOptions)
def promote(
    task: TaskArgument,
    run_id: Annotated[
        str | None, option("Run to promote [default: the best by validation score].")
    ] = None,
    force: Annotated[bool, option("Promote it even if it does not win.", "--force")] = False,
    dry_run: Annotated[bool, option("Evaluate, but register nothing.", "--dry-run")] = False,
    device: Device = "auto",
    tracking_uri: TrackingUri = None,
    import_: Imports = None,
    trust_code: TrustCode = False,
    format_: Format = "table",
    *,
    options: PreparedDataOptions,
) -> None:
    """Evaluate the best cell on the test set, register it, and make it champion if it wins."""
    from tuning.config.imports import allow_code
    from tuning.tracking.registry.promotion import promote as promote_run
    from tuning.training.devices import pick_device
    from tuning.workflows.test_results import promotion_table

    dataset = options.open_data()
    allow_code(import_ or (), trust=trust_code)
    promotion = promote_run(
        dataset,
        task,
        resolve_uri(tracking_uri),
        run_id=run_id,
        force=force,
        dry_run=dry_run,
        device=pick_device(device),
    )
    show([promotion_table(promotion, task)], format_, [promotion])
    sys.exit(0 if promotion.passed or dry_run else FAILED)

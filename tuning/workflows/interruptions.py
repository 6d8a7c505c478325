"""What ends a launch before its trials have ended: signals, and storage that fails."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from tuning.backend.base import BackendError
from tuning.errors import ChromatuneError
from tuning.launch.folder import Launch
from tuning.launch.launch_json import DOCUMENT
from tuning.launch.tracker import Tracker


@contextlib.contextmanager
def errors_with_resume_hint(
    launch: Launch, log: Callable[[str], None], *errors: type[Exception]
) -> Iterator[None]:
    """Say how to resume where something ends a launch at once.

    That is Ctrl-C before training, or a second one; or storage that is full or away, which becomes
    a ChromatuneError, as do `errors`.
    """
    resume = f"resume with {launch.resume_command()}"
    try:
        yield
    except KeyboardInterrupt:
        if _is_there(launch):
            log(f"stopped at once; {resume}")
        else:
            log("stopped before anything was trained; the launch was removed")
        raise
    except BrokenPipeError:
        raise
    except (OSError, BackendError, *errors) as error:  # type: ignore[misc]
        reason = str(error).strip().rpartition("\n")[2] or type(error).__name__
        then = f"; once that is solved, {resume}" if _is_there(launch) else ""
        raise ChromatuneError(f"{launch.launch_id} stopped: {reason}{then}") from error


@contextlib.contextmanager
def closing_on_error(tracker: Tracker) -> Iterator[None]:
    """Deliver what is known of a launch that breaks down, and end its runs.

    After a second Ctrl-C that takes a few seconds at most, whatever the store does.
    """
    try:
        yield
    except KeyboardInterrupt:
        tracker.delivery_timeout_s = 0.0
        tracker.close("KILLED")
        raise
    except Exception:
        tracker.close("KILLED")
        raise


@contextlib.contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM, as service managers and schedulers send it, stop the launch cleanly too.

    Ray's own handler exits at once and aborts with a stack trace.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
        return
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _is_there(launch: Launch) -> bool:
    try:
        return launch.storage.exists(DOCUMENT)
    except OSError:
        return True

"""Ask PyPI for known vulnerabilities of everything installed: part of `make lint`.

Fails on those that it finds. Where PyPI cannot be asked, as behind a mirror, it says so and passes.
"""

from __future__ import annotations

import json
import subprocess
import sys

import requests

# Any package and version that there have long been.
_KNOWN = "https://pypi.org/pypi/pip/25.0/json"
_PATIENCE_S = 10


def main() -> int:
    """Exit status: 1 if a vulnerability is known, else 0."""
    try:
        status = requests.get(_KNOWN, timeout=_PATIENCE_S).status_code
    except requests.RequestException as error:
        return _not_audited(type(error).__name__)
    if status != 200:
        return _not_audited(f"it answers {status} for a version that it has")
    command = [sys.executable, "-m", "pip_audit", "--local", "--format", "json"]
    audit = subprocess.run(
        [*command, "--progress-spinner", "off"], capture_output=True, text=True, check=False
    )
    try:
        packages = json.loads(audit.stdout)["dependencies"]
    except ValueError:
        return _not_audited((audit.stderr.strip().splitlines() or ["no answer"])[-1])
    audited = [one for one in packages if "vulns" in one]
    found = [(one, vulnerability) for one in audited for vulnerability in one["vulns"]]
    for one, vulnerability in found:
        fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
        print(f"{one['name']} {one['version']}: {vulnerability['id']}, fixed in {fixed}")
    print(
        f"pip-audit: {len(found)} known vulnerabilities in {len(audited)} packages; "
        f"{len(packages) - len(audited)} are unknown to PyPI"
    )
    return 1 if found else 0


def _not_audited(reason: str) -> int:
    print(f"pip-audit: PyPI cannot be asked here ({reason}), so NOTHING WAS AUDITED")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Check all installed packages for known vulnerabilities with pip-audit: part of `make lint`.

Fails if there are any. Where PyPI cannot be reached, as behind a mirror, it says so and passes.
"""

from __future__ import annotations

import json
import subprocess
import sys

import requests

# A package and version that PyPI has had for long.
_KNOWN = "https://pypi.org/pypi/pip/25.0/json"
_TIMEOUT_S = 10


def main() -> int:
    """Exit status: 1 if a vulnerability is known, else 0."""
    try:
        requests.get(_KNOWN, timeout=_TIMEOUT_S).raise_for_status()
    except requests.RequestException as error:
        return _not_audited(type(error).__name__)
    command = [sys.executable, "-m", "pip_audit", "--local", "--format", "json"]
    audit = subprocess.run(
        [*command, "--progress-spinner", "off"], capture_output=True, text=True, check=False
    )
    try:
        packages = json.loads(audit.stdout)["dependencies"]
    except ValueError:
        return _not_audited((audit.stderr.strip().splitlines() or ["no answer"])[-1])
    found = 0
    for package in packages:
        for vulnerability in package.get("vulns", ()):
            name = f"{package['name']} {package['version']}"
            fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
            print(f"{name}: {vulnerability['id']}, fixed in {fixed}")
            found += 1
    print(f"pip-audit: {found} known vulnerabilities in {len(packages)} packages")
    return 1 if found else 0


def _not_audited(reason: str) -> int:
    print(f"pip-audit: PyPI cannot be reached ({reason}), so NOTHING WAS AUDITED")
    return 0


if __name__ == "__main__":
    sys.exit(main())

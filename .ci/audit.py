"""Known vulnerabilities of what is installed: pip-audit with the advisories of OSV (https://osv.dev).

`python .ci/audit.py [--osv-url URL] [other options of pip-audit]`. Exit status 0: none known; 1: some, listed; 2: the
advisories cannot be reached, and nothing was checked. A mirror of OSV's `query` does as well as OSV.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import urllib.error
import urllib.request

OSV_URL = "https://api.osv.dev/v1/query"
TIMEOUT_S = 15
_PROBE = b'{"package": {"name": "pip", "ecosystem": "PyPI"}, "version": "23.0"}'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--osv-url", default=OSV_URL)
    arguments, others = parser.parse_known_args()
    if (reason := unreachable(arguments.osv_url)) is not None:
        print(f"nothing was checked: {arguments.osv_url} cannot be reached ({reason})", file=sys.stderr)
        print("an audit needs the network, or a mirror of OSV: python .ci/audit.py --osv-url URL", file=sys.stderr)
        return 2
    command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", "osv", "--osv-url", arguments.osv_url]
    command += ["--skip-editable", "--progress-spinner", "off", "--timeout", str(TIMEOUT_S), *others]
    return subprocess.run(command, check=False).returncode


def unreachable(url: str) -> str | None:
    """Why the service does not answer a question, None when it does. pip-audit would show its traceback."""
    request = urllib.request.Request(url, _PROBE, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):
            return None
    except urllib.error.URLError as error:
        return str(error.reason)
    except (OSError, ValueError) as error:
        return str(error)


if __name__ == "__main__":
    raise SystemExit(main())

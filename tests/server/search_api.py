"""schemathesis against the whole HTTP API: requests that are valid by /openapi.json and others that are not.

`python -m tests.server.search_api --max-time 300` searches for five minutes; further options are those of `schemathesis run`.

One of its checks is left out: that a request of the right form is never refused. Whether there is such a voice, consent or recording, and
which fields go together, no schema says; the tests of each endpoint do.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from tests.server.api_server import KEY

LEFT_OUT = "positive_data_acceptance"


def search(*options: str) -> subprocess.CompletedProcess[str]:
    """Run it; its output says what it found, its status is 0 where that is nothing."""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, "-m", "tests.server.api_server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server,
    ):
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            url = server.stdout.readline().strip()
            assert url, "the server did not start"
            command = ["run", f"{url}/openapi.json", "--header", f"Authorization: Bearer {KEY}"]
            return subprocess.run(
                [sys.executable, "-m", "schemathesis.cli", *command, "--exclude-checks", LEFT_OUT, *options],
                cwd=folder,  # it leaves reports
                env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
        finally:
            server.stdin.close()
            server.wait(20)


if __name__ == "__main__":
    found = search("--continue-on-failure", *sys.argv[1:])
    sys.stdout.write(found.stdout)
    sys.exit(found.returncode)

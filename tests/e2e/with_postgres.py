"""Runs a command beside a private PostgreSQL server, whose URL it finds in OTEL_MLFLOW_TEST_POSTGRES.

  with_postgres.py cargo test --features full
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from support.postgres import Postgres


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        server = Postgres(Path(folder) / "postgres.log")
        try:
            env = {**os.environ, "OTEL_MLFLOW_TEST_POSTGRES": server.uri("postgres")}
            return subprocess.run(sys.argv[1:], env=env, stdin=subprocess.DEVNULL).returncode
        finally:
            server.stop()


if __name__ == "__main__":
    sys.exit(main())

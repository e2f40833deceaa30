"""A private PostgreSQL cluster: own data directory, free port, password login, default durability."""

import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from .process import Process, free_port

USER = "mlflow"
PASSWORD = "e2e-secret"


def binary(name: str) -> str:
    """Path of a PostgreSQL server program; Debian keeps them off the PATH."""
    found = shutil.which(name)
    if found is None:
        versions = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
        if not versions:
            raise AssertionError(f"PostgreSQL's `{name}` is missing: run scripts/test, or install the package postgresql")
        found = versions[-1]
    return os.path.realpath(found)


class Postgres:
    """The cluster of a test run; `database()` makes a fresh database in it."""

    def __init__(self, log: Path):
        # Not below the checkout: PostgreSQL refuses to run as root, and another user may not reach that.
        self.home = Path(tempfile.mkdtemp(prefix="otel-mlflow-pg-"))
        self.data = self.home / "data"
        self.port = free_port()
        self.log = log
        self.databases = 0
        self.identity = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("postgres" if _has_user("postgres") else "nobody")
            self.identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self.home, nobody.pw_uid, nobody.pw_gid)
        password = self.home / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        subprocess.run(
            [binary("initdb"), "-D", self.data, "-U", USER, "-E", "UTF8", "--locale=C", "--auth=scram-sha-256", f"--pwfile={password}"],
            check=True, stdout=subprocess.DEVNULL, cwd=self.home, **self.identity,
        )
        password.unlink()
        self.process = None
        self.start()

    def start(self):
        """Starts the server, again after `stop_server`."""
        self.process = Process(
            "postgres",
            [binary("postgres"), "-D", self.data, "-p", self.port, "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.home}"],
            self.log, cwd=self.home, **self.identity,
        )
        self.process.wait_for(self._accepts, "answer to a login")

    def _accepts(self) -> bool:
        import psycopg

        try:
            self.connect("postgres").close()
            return True
        except psycopg.OperationalError:
            return False

    def connect(self, database: str):
        import psycopg

        return psycopg.connect(host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, dbname=database)

    def database(self) -> str:
        """Creates an empty database and gives its tracking URI."""
        self.databases += 1
        name = f"e2e_{self.databases}"
        connection = self.connect("postgres")
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        connection.close()
        return self.uri(name)

    def uri(self, name: str, password: str = PASSWORD) -> str:
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{name}"

    def stop_server(self, how: signal.Signals = signal.SIGINT):
        """Stops the server as `pg_ctl stop -m fast` does, or with SIGQUIT as `-m immediate`; the data stays."""
        self.process.child.send_signal(how)
        self.process.wait()

    def read_only(self, on: bool):
        """Whether transactions that do not say otherwise can only read."""
        connection = self.connect("postgres")
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = off")
            cursor.execute(f"ALTER SYSTEM SET default_transaction_read_only = {'on' if on else 'off'}")
            cursor.execute("SELECT pg_reload_conf()")
        connection.close()

    def stop(self):
        """Ends the server without a last checkpoint, which takes long on a busy disk: nobody reads the data again."""
        if self.process.running():
            self.process.child.send_signal(signal.SIGQUIT)
            self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)


def _has_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
        return True
    except KeyError:
        return False

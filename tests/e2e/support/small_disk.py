"""A program in a mount namespace of its own, with a file system of a few MiB at a folder.

Needs no root where the kernel lets users make namespaces. The file system goes away with the program.
"""

import subprocess
import sys
from pathlib import Path

SHELL = 'mount -t tmpfs -o size="$1" small "$2" && shift 2 && exec "$@"'
NEEDED = "a small file system needs root, or user namespaces (`unshare -rm true` must succeed) and util-linux"
BACKUP = "import sqlite3, sys; sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True).backup(sqlite3.connect(sys.argv[2]))"


class SmallDisk:
    """`prefix` before a command gives it the file system; `seen_by(pid)` is the folder, seen from outside."""

    def __init__(self, folder: Path, size: str):
        folder.mkdir(parents=True)
        self.folder = folder
        self.prefix = ["unshare", "-rm", "sh", "-c", SHELL, "sh", size, folder]
        try:
            tried = subprocess.run([*map(str, self.prefix), "true"], capture_output=True, text=True)
            said, code = tried.stderr, tried.returncode
        except FileNotFoundError as error:
            said, code = str(error), 1
        assert code == 0, f"{NEEDED}: {said}"

    def seen_by(self, pid: int) -> Path:
        return Path(f"/proc/{pid}/root") / self.folder.relative_to("/")

    def fill(self, pid: int):
        """Leaves no room at all."""
        with (self.seen_by(pid) / "ballast").open("wb", buffering=0) as ballast:
            try:
                while ballast.write(bytes(4096)) == 4096:
                    pass
            except OSError:
                pass

    def free(self, pid: int):
        (self.seen_by(pid) / "ballast").unlink()

    def copy_database(self, pid: int, name: str, to: Path) -> str:
        """Copies an SQLite file as a program inside sees it; gives the URI of the copy."""
        enter = ["nsenter", "-t", pid, "-U", "-m", "--preserve-credentials"]
        subprocess.run([str(part) for part in (*enter, sys.executable, "-c", BACKUP, self.folder / name, to)], check=True)
        return f"sqlite:///{to}"

"""Start, wait for, and stop the processes of a test, and only those."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

START_SECONDS = 120
STOP_SECONDS = 30
_issued: set[int] = set()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, never the same twice in one run."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in _issued:
            _issued.add(port)
            return port


class Process:
    """A child process in its own group, with its output in a file."""

    def __init__(self, name: str, command: list, log: Path, env: dict | None = None, cwd: Path | None = None, **popen):
        self.name = name
        self.log = Path(log)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self.child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                start_new_session=True,
                **popen,
            )

    @property
    def pid(self) -> int:
        return self.child.pid

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def running(self) -> bool:
        return self.child.poll() is None

    def wait_for(self, check, what: str, seconds: float = START_SECONDS):
        """Waits until `check()` is true; fails with the log if the process ends before."""
        deadline = time.monotonic() + seconds
        while True:
            if check():
                return
            if not self.running():
                raise AssertionError(f"{self.name} ended with {self.child.returncode} before {what}:\n{self.output()[-4000:]}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name}: no {what} within {seconds} s:\n{self.output()[-4000:]}")
            time.sleep(0.05)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Waits for the end and gives the exit code."""
        return self.child.wait(seconds)

    def terminate(self, seconds: float = STOP_SECONDS) -> int:
        """SIGTERM to the process, then waits; gives the exit code."""
        if self.running():
            self.child.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def stop(self):
        """Ends the process and whatever it started."""
        if self.running():
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        self.child.wait(STOP_SECONDS)


def http(method: str, url: str, body: bytes | None = None, headers: dict | None = None, timeout: float = 60):
    """One HTTP exchange: (status, headers, body), whatever the status is."""
    request = urllib.request.Request(url, body, headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def answers(url: str, status: int = 200) -> bool:
    """Whether the URL answers with that status."""
    try:
        return http("GET", url, timeout=5)[0] == status
    except OSError:
        return False


def listens(port: int) -> bool:
    """Whether somebody accepts connections on the port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0

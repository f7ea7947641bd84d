"""The selvedge command, run for real."""
import os
import subprocess

from .process import BIN


class Cli:
    """cli("get", "gateways") -> what it printed; `code` is the exit status it must have."""

    def __init__(self, folder, *options):
        self.folder = folder
        self.options = [str(o) for o in options]
        self.stderr = ""

    def run(self, *args, stdin=None, env=None):
        clean = {key: value for key, value in os.environ.items() if not key.startswith("SELVEDGE_") and key != "KUBECONFIG"}
        return subprocess.run([BIN / "selvedge", *map(str, args), *self.options], input=stdin, capture_output=True, text=True,
                              timeout=60, env={**clean, "HOME": str(self.folder), **(env or {})}, cwd=self.folder)

    def __call__(self, *args, code=0, **more):
        done = self.run(*args, **more)
        self.stderr = done.stderr
        assert done.returncode == code, f"selvedge {args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

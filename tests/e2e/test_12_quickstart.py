"""scripts/quickstart: from nothing to a page, and what may get in its way."""
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import urllib.request

import pytest

from lib.cli import Cli
from lib.gateway import admin_get
from lib.process import BIN, ROOT, wait_until

EXTRAS = ROOT / "examples/bookinfo/manifests/extras"


class Quickstart:
    def __init__(self, folder):
        self.state = folder / "state of it"
        self.cli = Cli(folder, "--socket", self.state / "data/control.sock")

    def __call__(self, *args, code=0):
        done = subprocess.run([ROOT / "scripts/quickstart", "--bin", BIN, "--state", self.state, *args],
                              capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def pid(self):
        return int((self.state / "pid").read_text())

    def ports(self):
        return dict(line.split("=") for line in (self.state / "ports.env").read_text().splitlines())

    def page(self):
        context = ssl.create_default_context(cafile=self.state / "demo.crt")
        with urllib.request.urlopen(f"https://localhost:{self.ports()['HTTPS_PORT']}/productpage", context=context, timeout=30) as answer:
            return answer.status, answer.read().decode()

    def processes(self):
        """Everything it has started: [(name, pid)]."""
        children = pathlib.Path(f"/proc/{self.pid()}/task/{self.pid()}/children").read_text().split()
        return [(os.path.basename(pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()), int(pid)) for pid in children]

    def details(self):
        return dict(self.processes()).get("bookinfo-details")

    def stop(self):
        if (self.state / "pid").exists():
            self("--stop")


@pytest.fixture
def quickstart(tmp_path, stopping):
    script = Quickstart(tmp_path)
    stopping.append(script)
    return script


def is_gone(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except OSError:
        return True


def test_it_opens_the_shop_and_says_what_to_try(quickstart):
    assert "not running" in quickstart("--status", code=1)
    said = quickstart("--detach")
    status, page = quickstart.page()
    assert status == 200 and "The Comedy of Errors" in page
    assert f"https://localhost:{quickstart.ports()['HTTPS_PORT']}/productpage" in said
    for line in re.findall(r"^  (curl .*)$", said, re.M):  # as they are printed
        done = subprocess.run(line, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0 and done.stdout, line + done.stderr
    assert "bookinfo" in quickstart.cli("get", "httproutes")
    assert "answers" in quickstart("--status") and f"HTTPS_PORT={quickstart.ports()['HTTPS_PORT']}" in quickstart("--status")
    assert "runs already" in quickstart("--detach") and "runs already" in quickstart()
    pids = [quickstart.pid(), *(pid for _, pid in quickstart.processes())]
    assert len(pids) == 9
    assert "stopped" in quickstart("--stop") and "nothing is running" in quickstart("--stop")
    assert all(is_gone(pid) for pid in pids)


def test_a_service_that_dies_is_started_again_and_the_page_does_without(quickstart):
    quickstart("--detach")
    first = quickstart.details()
    os.kill(first, signal.SIGKILL)
    assert quickstart.page()[0] == 200
    wait_until("details to be back", lambda: quickstart.details() not in (None, first))
    assert "details ended (-9) and is started again" in (quickstart.state / "logs/quickstart.log").read_text()


def test_nothing_is_left_when_it_is_killed_and_it_starts_over_what_was_tried(quickstart):
    quickstart("--detach")
    quickstart.cli("apply", "-f", EXTRAS / "reviews-all-v1.yaml")
    quickstart.cli("rollback", 1)
    assert "bookinfo" not in quickstart.cli("get", "httproutes")
    pids = [pid for _, pid in quickstart.processes()]
    os.kill(quickstart.pid(), signal.SIGKILL)
    wait_until("its processes to end", lambda: all(is_gone(pid) for pid in pids))
    assert "not running" in quickstart("--status", code=1)
    quickstart("--detach")
    assert quickstart.page()[0] == 200 and "bookinfo" in quickstart.cli("get", "httproutes")


def test_ports_that_are_taken_are_left_to_whom_they_belong(quickstart):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("0.0.0.0", 8443))
            taken.listen()
        except OSError:
            pass  # somebody else has it: that will do
        assert "port 8443 is taken; HTTPS_PORT is" in quickstart("--detach")
        assert quickstart.ports()["HTTPS_PORT"] != "8443" and quickstart.page()[0] == 200
        assert admin_get(int(quickstart.ports()["ADMIN_PORT"]), "/readyz")[0] == 200


def test_what_does_not_start_is_told_with_its_last_words(quickstart, tmp_path):
    broken = tmp_path / "bin"
    broken.mkdir()
    for program in BIN.iterdir():
        (broken / program.name).symlink_to(program)
    (broken / "bookinfo-details").unlink()
    (broken / "bookinfo-details").write_text("#!/bin/sh\necho the shelf is empty >&2\nexit 3\n")
    (broken / "bookinfo-details").chmod(0o755)
    said = quickstart("--bin", broken, code=1)
    assert "the shelf is empty\n" in said and "details ended" in said and "Traceback" not in said
    assert not (quickstart.state / "pid").exists()


def test_too_long_a_path_is_told_at_once(quickstart):
    quickstart.state = quickstart.state / ("d" * 100)
    assert "too long for a socket in it: --state takes a shorter one" in quickstart("--detach", code=1)

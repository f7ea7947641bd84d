"""Started as root, with a user for each process: what parses foreign bytes cannot read the keys, and all still works."""
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import urllib.request

import pytest

from lib.gateway import Gateway, manifests, route
from lib.process import BIN, free_port, wait_until

CONTROL, PROXY = "daemon", "games"  # users that every Debian has and nothing runs as

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start processes as other users")


@pytest.fixture
def folder():
    """Of root, and others may pass: as a service manager makes it."""
    path = pathlib.Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def start(folder, stopping):
    def start_it(*options):
        gateway = Gateway(folder, *options)
        stopping.append(gateway)
        return gateway
    return start_it


def user_of(path):
    return pwd.getpwuid(path.stat().st_uid).pw_name


def may_read(user, path):
    return subprocess.run(["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups", "cat", path],
                          capture_output=True, check=False).returncode == 0


def check_works(gateway, port):
    def answers():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False
    wait_until("the route", answers)
    assert [user_of(pathlib.Path(f"/proc/{pid}")) for pid in (gateway.control_pid(), gateway.proxy_pid())] == [CONTROL, PROXY]


@pytest.mark.parametrize("before", ["new folder", "folder of root", "root has run there"])
def test_processes_have_users_and_folders_of_their_own(start, folder, echo, before):
    port, data = free_port(), folder / "data"
    if before == "folder of root":
        data.mkdir(mode=0o711)
    text = manifests(port, {"shop": echo.port}, route("all", ["shop"]))
    if before == "root has run there":
        first = start("--user-control", "nobody-of-that-name", "--user-proxy", "nobody-of-that-name")
        first.apply(text)
        assert first.stop() == 0 and user_of(data / "control.db") == "root"
    gateway = start("--user-control", CONTROL, "--user-proxy", PROXY)
    if before != "root has run there":
        gateway.apply(text)
    check_works(gateway, port)
    assert user_of(data) == CONTROL and user_of(data / "control.db") == CONTROL and user_of(data / "proxy") == PROXY
    wait_until("the last configuration to be stored", lambda: (data / "proxy/snapshot.json").exists())
    assert user_of(data / "proxy/snapshot.json") == PROXY
    for name in ("control.db", "admin.token"):
        assert may_read(CONTROL, data / name) and not may_read(PROXY, data / name)
    assert may_read(PROXY, data / "proxy/snapshot.json") and not may_read("nobody", data / "proxy/snapshot.json")
    sock = (data / "node.sock").stat()
    assert sock.st_mode & 0o777 == 0o660 and sock.st_gid == pwd.getpwnam(PROXY).pw_gid
    os.kill(gateway.proxy_pid(), signal.SIGKILL)
    check_works(gateway, port)


def test_a_folder_of_somebody_else_is_not_taken(folder):
    data = folder / "data"
    data.mkdir(mode=0o755)
    os.chown(data, pwd.getpwnam("nobody").pw_uid, 0)
    done = subprocess.run([BIN / "selvedge-gateway", "--data", data, "--user-control", CONTROL, "--user-proxy", PROXY, "--admin", "off", "--api", "off"],
                          capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1 and f"belongs to user id {data.stat().st_uid}, not to {CONTROL}" in done.stdout + done.stderr
    assert user_of(data) == "nobody"


def test_links_below_are_not_followed(folder):
    data, precious = folder / "data", folder / "precious"
    precious.mkdir()
    (precious / "file").touch()
    data.mkdir(mode=0o711)
    (data / "proxy").symlink_to(precious)
    (data / "control.db").symlink_to(precious / "file")
    done = subprocess.run([BIN / "selvedge-gateway", "--data", data, "--user-control", CONTROL, "--user-proxy", PROXY, "--admin", "off", "--api", "off"],
                          capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1 and "folder proxy" in done.stdout + done.stderr
    assert user_of(precious) == "root" and user_of(precious / "file") == "root"

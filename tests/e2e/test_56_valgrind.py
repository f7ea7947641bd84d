"""Start, one request, stop, under valgrind: no invalid access, nothing lost."""
import shutil

import pytest

from lib.gateway import Proxy, admin_get, simple_resources
from lib.process import BIN, ROOT, Process, free_port, wait_until
from lib.upstream import Echo
from lib.wire import get


class CheckedProxy(Proxy):
    def __init__(self, folder, resources):  # not Proxy's: another program runs it
        self.folder, self.path, self.admin_port = folder, folder / "snapshot.json", free_port()
        self.write(resources)
        self.process = Process(["valgrind", "--leak-check=full", "--errors-for-leak-kinds=definite", "--error-exitcode=99", "-q",
                                f"--suppressions={ROOT / 'tests/valgrind.supp'}",
                                BIN / "selvedge-gateway", "proxy", "--data", folder, "--snapshot", self.path, "--workers", 1,
                                "--admin", f"127.0.0.1:{self.admin_port}"], folder / "proxy.log")


def test_start_request_stop_is_clean(tmp_path, stopping):
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is not installed")
    echo, port = Echo(), free_port()
    stopping.append(echo)
    proxy = CheckedProxy(tmp_path, simple_resources(port, echo.port))
    try:
        wait_until("the proxy", lambda: proxy.alive() and admin_get(proxy.admin_port, "/readyz")[0] == 200, timeout=120)
        assert get(port, "/bytes/100000", timeout=120).is_whole
        assert get(port, "/nothing\\here", timeout=120).status == 400
        assert proxy.process.stop(120) == 0, proxy.process.output()[-4000:]
    finally:
        if proxy.process.is_running():
            proxy.process.kill()

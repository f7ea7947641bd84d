"""Fixtures of the system tests. Every test has its own folder, ports and processes."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from lib.control import Control  # noqa: E402
from lib.gateway import Gateway, Proxy, simple_resources  # noqa: E402
from lib.process import free_port  # noqa: E402
from lib.upstream import Echo, Raw  # noqa: E402
from lib.wire import Strict  # noqa: E402


@pytest.fixture
def stopping():
    """A list: what is appended gets stop() at the end, last first."""
    things = []
    yield things
    for thing in reversed(things):
        thing.stop()


@pytest.fixture
def echo(stopping):
    server = Echo()
    stopping.append(server)
    return server


@pytest.fixture
def gateway(tmp_path, stopping):
    server = Gateway(tmp_path)
    stopping.append(server)
    return server


@pytest.fixture
def control(tmp_path, stopping):
    server = Control(tmp_path)
    stopping.append(server)
    return server


@pytest.fixture
def make_proxy(tmp_path, stopping):
    """make_proxy(upstream_port, **simple_resources arguments) -> (Proxy, port)."""
    def make(upstream_port, workers=1, options=(), env=None, **kinds):
        port = free_port()
        proxy = Proxy(tmp_path, simple_resources(port, upstream_port, **kinds), workers, options, env)
        stopping.append(proxy)
        return proxy, port
    return make


@pytest.fixture
def make_raw(stopping):
    def make(script=None):
        server = Raw(script)
        stopping.append(server)
        return server
    return make


def pytest_terminal_summary(terminalreporter):
    """What tests measured (record_property("figures", text)), in the words of the report."""
    lines = [f"{report.nodeid.split('::')[-1]}: {value}" for report in terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", [])
             for key, value in report.user_properties if key == "figures" and report.when == "call"]
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="module")
def module_stopping():
    """As `stopping`, for what the tests of a file share."""
    things = []
    yield things
    for thing in reversed(things):
        thing.stop()


@pytest.fixture(scope="module")
def upstream(module_stopping):
    """A server that takes nothing but well-formed requests, for the tests of a file."""
    server = Strict()
    module_stopping.append(server)
    return server


@pytest.fixture(scope="module")
def shared_proxy(tmp_path_factory, module_stopping):
    """As make_proxy, for the tests of a file; `change`(resources) may edit them."""
    def make(upstream_port, workers=1, change=None, options=(), env=None, **kinds):
        port = free_port()
        resources = simple_resources(port, upstream_port, **kinds)
        if change is not None:
            change(resources)
        proxy = Proxy(tmp_path_factory.mktemp("proxy"), resources, workers, options, env)
        module_stopping.append(proxy)
        return proxy, port
    return make

"""What a proxied request costs in system calls: counted, so the same on every machine."""
import shutil
import signal
import subprocess

import pytest

from lib.process import wait_until


def traced(pid, out):
    """strace's summary of every thread of the process, running once it has attached to all of them."""
    tracer = subprocess.Popen(["strace", "-f", "-c", "-U", "calls,name", "-o", out, "-p", str(pid)], stderr=subprocess.PIPE, text=True)
    for line in tracer.stderr:
        if "attached" in line:
            return tracer
        if "not permitted" in line:
            pytest.skip("this user may not trace processes")
    raise AssertionError("strace ended at once")


def counts(out):
    rows = (line.split() for line in out.read_text().splitlines())
    return {row[1]: int(row[0]) for row in rows if len(row) == 2 and row[0].isdigit() and row[1] != "total"}


@pytest.mark.skipif(not shutil.which("strace") or not shutil.which("wrk"), reason="strace and wrk are needed")
def test_a_request_takes_two_reads_and_two_writes(make_raw, make_proxy, tmp_path, record_property):
    proxy, port = make_proxy(make_raw().port)  # an upstream that answers in one write
    url = f"http://127.0.0.1:{port}/"
    subprocess.run(["wrk", "-t1", "-c8", "-d1s", url], check=True, capture_output=True)  # pools are filled
    before = proxy.metric("selvedge_requests_total")
    out = tmp_path / "calls"
    tracer = traced(proxy.pid, out)
    subprocess.run(["wrk", "-t1", "-c8", "-d3s", url], check=True, capture_output=True)
    tracer.send_signal(signal.SIGINT)
    tracer.wait()
    wait_until("the counters", lambda: proxy.metric("selvedge_requests_total") > before)
    done = proxy.metric("selvedge_requests_total") - before
    calls = counts(out)
    io_calls = sum(calls.get(name, 0) for name in ("recvfrom", "sendmsg", "sendto", "writev", "readv"))
    record_property("figures", f"{io_calls / done:.2f} reads and writes a request, {calls.get('epoll_ctl', 0)} epoll_ctl in {done:.0f}")
    assert done > 100
    assert io_calls / done <= 4.3, calls
    # Eight new connections are registered and forgotten; nothing is re-armed for requests.
    assert calls.get("epoll_ctl", 0) <= 64, calls

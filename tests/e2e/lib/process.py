"""Starting programs, waiting for facts (never for time), stopping them by pid."""
import functools
import itertools
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
BIN = pathlib.Path(os.environ.get("SELVEDGE_BIN", ROOT / "build/release/bin"))


def wait_until(what, check, timeout=30.0, interval=0.02):
    """Returns the first true result of check(); fails naming `what` after `timeout` seconds."""
    until = time.monotonic() + timeout
    while True:
        result = check()
        if result:
            return result
        if time.monotonic() > until:
            raise AssertionError(f"waited {timeout} s for: {what}")
        time.sleep(interval)


def in_parallel(num, run):
    """What run(0) to run(num - 1) returned, called all at once."""
    results = [None] * num
    barrier = threading.Barrier(num)

    def work(i):
        barrier.wait()
        results[i] = run(i)
    threads = [threading.Thread(target=work, args=(i,)) for i in range(num)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class Ports:
    """Ports for programs that are told theirs. They lie below those that outgoing connections get, of which tests have tens of
    thousands: one of them could take a port between the look and the program's own bind. Each process of the tests has a
    stripe to itself, held by a name that ends with it."""
    FIRST, WIDTH = 10240, 512

    def __init__(self):
        self.holder = socket.socket(socket.AF_UNIX)
        end = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        for first in range(self.FIRST, end - self.WIDTH + 1, self.WIDTH):
            try:
                self.holder.bind(f"\0selvedge-test-ports-{first}")
            except OSError:
                continue
            self.stripe = itertools.cycle(range(first, first + self.WIDTH))
            return
        raise AssertionError("no stripe of ports is free")

    def next(self):
        for port in itertools.islice(self.stripe, self.WIDTH):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("0.0.0.0", port))
                    return port
                except OSError:
                    continue
        raise AssertionError("no port is free")


@functools.cache
def ports():
    return Ports()


def free_port():
    return ports().next()


class Process:
    """A program with its output in a file; ended with SIGTERM, its log shown when a test fails."""

    def __init__(self, args, log, env=None, cwd=None):
        self.log_path = pathlib.Path(log)
        self.log = open(self.log_path, "ab")
        self.args = [str(a) for a in args]
        self.popen = subprocess.Popen(self.args, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL,
                                      env={**os.environ, **(env or {})}, cwd=cwd)

    @property
    def pid(self):
        return self.popen.pid

    def is_running(self):
        return self.popen.poll() is None

    def output(self):
        return self.log_path.read_text(errors="replace")

    def signal(self, number):
        if self.is_running():
            self.popen.send_signal(number)

    def wait(self, timeout=30):
        return self.popen.wait(timeout)

    def stop(self, timeout=20):
        """The exit status; a program that does not end in time is killed and that is an error."""
        if self.is_running():
            self.popen.send_signal(signal.SIGTERM)
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise AssertionError(f"{self.args[0]} did not end; its log:\n{self.output()[-4000:]}") from None
        finally:
            self.log.close()

    def kill(self):
        if self.is_running():
            self.popen.kill()
        self.popen.wait()
        self.log.close()

    def rss_kb(self, pid=None):
        for line in pathlib.Path(f"/proc/{pid or self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0

    def children(self):
        """pids of direct children by the first argument after the program name."""
        result = {}
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rsplit(")", 1)[1].split()
                if int(fields[1]) == self.pid:
                    pid = int(path.parent.name)
                    args = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                    result[args[1].decode()] = pid
            except (OSError, IndexError):
                continue
        return result

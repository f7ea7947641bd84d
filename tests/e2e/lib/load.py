"""Load that goes on while a test changes things: wrk, h2load, WebSockets and gRPC streams, each with its failures counted."""
import asyncio
import re
import subprocess
import threading

import websockets

from .process import BIN, Process, wait_until


class BookService:
    """bookinfo-details: a quick HTTP/1.1 upstream."""

    def __init__(self, folder, name="details", port=0):
        port_file = folder / f"{name}.port"
        self.process = Process([BIN / "bookinfo-details", "--quiet", "--instance", name, "--port", port, "--port-file", port_file], folder / f"{name}.log")
        wait_until(f"{name} to listen", lambda: port_file.exists() and port_file.read_text().strip())
        self.port = int(port_file.read_text())

    def stop(self):
        self.process.stop()


class Wrk:
    """HTTP/1.1 keep-alive load until finish(), which tells (requests, failures, text)."""

    def __init__(self, url, connections=4):
        self.popen = subprocess.Popen(["wrk", "-t", "1", "-c", str(connections), "-d", "600s", "--timeout", "30s", url],
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finish(self):
        self.popen.send_signal(2)
        text = self.popen.communicate(timeout=60)[0]
        total = int(re.search(r"(\d+) requests in", text).group(1))
        failures = sum(int(n) for n in re.findall(r"Non-2xx or 3xx responses: (\d+)", text))
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
        return total, failures + (sum(map(int, errors.groups())) if errors else 0), text

    def stop(self):
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.communicate()


class H2load:
    """HTTP/2 load in rounds of a fixed number of requests, one round after the other, until finish()."""

    def __init__(self, url, clients=2, streams=10, requests=2000):
        self.args = ["h2load", "-c", str(clients), "-m", str(streams), "-n", str(requests), url]
        self.total = self.failures = 0
        self.text = ""
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.is_over.is_set():
            text = subprocess.run(self.args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
            total, succeeded = map(int, re.search(r"requests: (\d+) total, .* (\d+) succeeded", text).groups())
            statuses = re.search(r"status codes: (\d+) 2xx", text)
            self.total += total
            missed = total - min(succeeded, int(statuses.group(1)))
            if missed:
                self.failures += missed
                self.text += text

    def finish(self):
        self.stop()
        return self.total, self.failures, self.text

    def stop(self):
        self.is_over.set()
        self.thread.join(120)


class WebSockets:
    """Open sockets over which a message goes and comes back again and again; dropped sockets are counted."""

    def __init__(self, url, count=8, **address):
        self.url, self.count, self.address = url, count, address
        self.messages, self.dropped, self.opened = 0, 0, 0
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.all()), daemon=True)
        self.thread.start()
        wait_until("the WebSockets", lambda: self.opened == count)

    async def all(self):
        await asyncio.gather(*(self.one(number) for number in range(self.count)))

    async def one(self, number):
        try:
            async with websockets.connect(self.url, ping_interval=None, **self.address) as socket:
                self.opened += 1
                turn = 0
                while not self.is_over.is_set():
                    await socket.send(f"{number}/{turn}")
                    assert await asyncio.wait_for(socket.recv(), 30) == f"{number}/{turn}"
                    self.messages += 1
                    turn += 1
                    await asyncio.sleep(0.02)  # a pace, not a wait
        except Exception:
            self.dropped += 1
            raise

    def finish(self):
        self.stop()
        return self.messages, self.dropped

    def stop(self):
        self.is_over.set()
        self.thread.join(60)


class GrpcChats:
    """Bidirectional calls that stay open; every message has to come back."""

    def __init__(self, ratings, pb, count=4):
        self.ratings, self.pb = ratings, pb
        self.messages, self.dropped = 0, 0
        self.is_over = threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.one, daemon=True) for _ in range(count)]
        for thread in self.threads:
            thread.start()
        wait_until("the gRPC streams", lambda: self.messages >= count)

    def one(self):
        turn = threading.Semaphore(1)
        sent = 0

        def ask():
            nonlocal sent
            while not self.is_over.wait(0.02):  # a pace, not a wait
                if not turn.acquire(timeout=30):
                    return
                sent += 1
                yield self.pb.ChatMessage(text=str(sent))

        got = 0
        try:
            for reply in self.ratings.chat(ask()):
                got += 1
                assert reply.text == str(got)
                with self.lock:
                    self.messages += 1
                turn.release()
            assert self.is_over.is_set() and got == sent
        except Exception:
            with self.lock:
                self.dropped += 1
            raise

    def finish(self):
        self.stop()
        return self.messages, self.dropped

    def stop(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join(60)

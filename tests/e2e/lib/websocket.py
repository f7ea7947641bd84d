"""A WebSocket echo server on a thread with its own event loop."""
import asyncio
import threading

import websockets


class WebSocketEcho:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.is_ready = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        assert self.is_ready.wait(30)

    def run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.serve())

    async def serve(self):
        async def echo(socket, _path=None):
            async for message in socket:
                await socket.send(message)

        self.stopped = asyncio.Event()
        async with websockets.serve(echo, "127.0.0.1", 0, ping_interval=None, max_size=None) as server:
            self.port = server.sockets[0].getsockname()[1]
            self.is_ready.set()
            await self.stopped.wait()

    def stop(self):
        self.loop.call_soon_threadsafe(self.stopped.set)
        self.thread.join(30)

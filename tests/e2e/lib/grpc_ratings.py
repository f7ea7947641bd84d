"""A gRPC client of bookinfo-ratings-grpc without generated code: messages are made by protoc at run time, in a folder of the test."""
import importlib.util
import pathlib
import subprocess

import grpc

from .process import BIN, ROOT, Process, wait_until


class RatingsServer:
    """The gRPC variant of the demo shop's ratings."""

    def __init__(self, folder, name="ratings-grpc"):
        port_file = folder / f"{name}.port"
        self.process = Process([BIN / "bookinfo-ratings-grpc", "--port", 0, "--port-file", port_file], folder / f"{name}.log")
        wait_until("ratings-grpc to listen", lambda: port_file.exists() and port_file.read_text().strip())
        self.port = int(port_file.read_text())

    def stop(self):
        self.process.stop()


def messages(folder):
    """The module of ratings.proto."""
    proto = ROOT / "examples/bookinfo/proto"
    target = pathlib.Path(folder) / "ratings_pb2.py"
    if not target.exists():
        subprocess.run(["protoc", f"-I{proto}", f"--python_out={folder}", "ratings.proto"], check=True)
    spec = importlib.util.spec_from_file_location("ratings_pb2", target)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Ratings:
    """The four methods over one channel."""

    def __init__(self, target, pb, credentials=None, options=()):
        options = [("grpc.enable_retries", 0), *options]
        self.channel = grpc.secure_channel(target, credentials, options) if credentials else grpc.insecure_channel(target, options)

        def method(kind, name, request, reply):
            return getattr(self.channel, kind)(f"/bookinfo.Ratings/{name}", request_serializer=request.SerializeToString,
                                               response_deserializer=reply.FromString)

        self.get = method("unary_unary", "GetRatings", pb.RatingsRequest, pb.RatingsReply)
        self.watch = method("unary_stream", "WatchRatings", pb.RatingsRequest, pb.RatingsReply)
        self.rate = method("stream_unary", "RateMany", pb.RateRequest, pb.RateSummary)
        self.chat = method("stream_stream", "Chat", pb.ChatMessage, pb.ChatMessage)
        self.unknown = method("unary_unary", "NoSuchMethod", pb.RatingsRequest, pb.RatingsReply)

    def close(self):
        self.channel.close()

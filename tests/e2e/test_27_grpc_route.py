"""GRPCRoutes, driven by gRPC's own client."""
import json

import grpc
import pytest

from lib.grpc_ratings import Ratings, RatingsServer, messages
from lib.gateway import manifests
from lib.process import free_port, wait_until


API = "/apis/gateway.networking.k8s.io/v1/namespaces/default"


def services(port, servers):
    """The gateway and Services whose ports say nothing of HTTP/2: a GRPCRoute's backends speak it anyway."""
    return manifests(port, servers).replace(", appProtocol: kubernetes.io/h2c", "")


def grpc_route(rules, name="ratings", hostname="ratings.test"):
    return (f"---\napiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata: {{name: {name}, namespace: default}}\nspec:\n"
            f"  parentRefs: [{{name: edge}}]\n  hostnames: [{hostname}]\n  rules: {json.dumps(rules)}\n")


def to(server, **match):
    rule = {"backendRefs": [{"name": server, "port": 80}]}
    return {**rule, "matches": [match]} if match else rule


@pytest.fixture
def shop(tmp_path, stopping, gateway):
    """(port, messages, client): two ratings servers, one or the other by method."""
    servers = {name: RatingsServer(tmp_path, name) for name in ("grpc-one", "grpc-two")}
    stopping.extend(servers.values())
    port = free_port()
    gateway.apply(services(port, {name: server.port for name, server in servers.items()}) + grpc_route([
        to("grpc-one", method={"service": "bookinfo.Ratings", "method": "GetRatings"}),
        to("grpc-two", method={"service": "bookinfo.Ratings"})]))
    pb = messages(tmp_path)
    client = Ratings(f"127.0.0.1:{port}", pb, options=[("grpc.default_authority", "ratings.test")])
    yield port, pb, client, gateway
    client.close()


def hits(gateway, backend):
    return gateway.metric("selvedge_requests_total", backend=f"service/default/{backend}:80+grpc")


def test_calls_go_by_service_and_method(shop):
    _, pb, client, gateway = shop
    client.get(pb.RatingsRequest(product_id=0), timeout=20)
    assert len(list(client.chat(iter([pb.ChatMessage()]), timeout=20))) == 1
    wait_until("both to be counted", lambda: (hits(gateway, "grpc-one"), hits(gateway, "grpc-two")) == (1, 1))


def test_calls_that_no_rule_takes_are_unimplemented(shop, tmp_path):
    port, pb, client, gateway = shop
    gateway.apply(grpc_route([to("grpc-one", method={"service": "other.Service"})]))
    with pytest.raises(grpc.RpcError) as caught:
        client.get(pb.RatingsRequest(product_id=0), timeout=20)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    gateway.apply(grpc_route([{"matches": [{"headers": [{"name": "x-user", "value": "jason"}]}], "backendRefs": [{"name": "grpc-two", "port": 80}]}]))
    client.get(pb.RatingsRequest(product_id=0), timeout=20, metadata=(("x-user", "jason"),))
    with pytest.raises(grpc.RpcError):
        client.get(pb.RatingsRequest(product_id=0), timeout=20, metadata=(("x-user", "anna"),))


def test_header_changes_and_status(shop):
    port, pb, client, gateway = shop
    rule = to("grpc-one")
    rule["filters"] = [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "x-seen", "value": "yes"}]}}]
    gateway.apply(grpc_route([rule]))
    call = client.get.with_call(pb.RatingsRequest(product_id=0), timeout=20)[1]
    assert ("x-seen", "yes") in call.initial_metadata()
    status = wait_until("the route's status", lambda: gateway.get(f"{API}/grpcroutes/ratings").get("status"))["parents"][0]
    assert {c["type"]: c["status"] for c in status["conditions"]} == {"Accepted": "True", "ResolvedRefs": "True"}

    def counting():
        return [entry for entry in gateway.get(f"{API}/gateways/edge").get("status", {}).get("listeners", []) if entry["attachedRoutes"] == 1]
    listener = wait_until("the route to be counted", counting)[0]
    assert {kind["kind"] for kind in listener["supportedKinds"]} == {"HTTPRoute", "GRPCRoute"}
    told = gateway.api("POST", "/selvedge/v1/explain", json.dumps({"method": "POST", "url": f"http://ratings.test:{port}/bookinfo.Ratings/Chat"}))
    assert json.loads(told[1])["route"] == "grpcroute/default/ratings"

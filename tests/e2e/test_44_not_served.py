"""Manifests as people have them, for more than is served here: refused by the name of what is not, with nothing changed."""
import pytest

from lib.control import Control

V1 = "gateway.networking.k8s.io/v1"
EG = "gateway.envoyproxy.io/v1alpha1"


def doc(api_version, kind, spec, name="x", namespace="default"):
    return f"apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"


def gateway(listener, more=""):
    return doc(V1, "Gateway", f"{{gatewayClassName: selvedge, listeners: [{{name: l, port: 80, {listener}}}]{more}}}")


def route(rule, parent="name: g"):
    return doc(V1, "HTTPRoute", f"{{parentRefs: [{{{parent}}}], rules: [{{{rule}}}]}}")


def filtered(kind, member, value="{}"):
    return route(f"filters: [{{type: {kind}, {member}: {value}}}]")


KINDS = [(V1, kind) for kind in ("TCPRoute", "UDPRoute", "TLSRoute", "ListenerSet")]
KINDS += [(EG, "SecurityPolicy"), (EG, "EnvoyProxy"), ("apps/v1", "Deployment"), ("v1", "ServiceAccount"), ("networking.istio.io/v1", "VirtualService"),
          ("gateway.networking.k8s.io/v1alpha2", "HTTPRoute")]

FIELDS = {
    gateway("protocol: TCP"): "spec.listeners[0].protocol",
    gateway("protocol: UDP"): "spec.listeners[0].protocol",
    gateway("protocol: TLS, tls: {mode: Passthrough}"): "spec.listeners[0].tls.mode",
    gateway("protocol: HTTP", ", infrastructure: {labels: {a: b}}"): "spec.infrastructure",
    gateway("protocol: HTTP", ", allowedListeners: {namespaces: {from: Same}}"): "spec.allowedListeners",
    gateway("protocol: HTTP", ", tls: {frontend: {default: {}}}"): "spec.tls",
    gateway("protocol: HTTP", ", addresses: [{type: Hostname, value: a.test}]"): "spec.addresses[0].type",
    doc(V1, "GatewayClass", "{controllerName: selvedge.dev/gateway, parametersRef: {group: a, kind: B, name: c}}").replace(", namespace: default", ""): "spec.parametersRef",
    route("backendRefs: [{name: s, port: 80}]", 'group: "", kind: Service, name: s, port: 80'): "spec.parentRefs[0].kind",
    route("backendRefs: [{name: s, port: 80}]", "group: multicluster.x-k8s.io, kind: ServiceImport, name: s"): "spec.parentRefs[0].kind",
    filtered("RequestMirror", "requestMirror", "{backendRef: {name: s, port: 80}}"): "spec.rules[0].filters[0].requestMirror",
    filtered("CORS", "cors", "{allowOrigins: ['*']}"): "spec.rules[0].filters[0].cors",
    filtered("ExternalAuth", "externalAuth", "{protocol: HTTP, backendRef: {name: s, port: 80}}"): "spec.rules[0].filters[0].externalAuth",
    filtered("ExtensionRef", "extensionRef", "{group: a.test, kind: B, name: c}"): "spec.rules[0].filters[0].extensionRef",
    route("retry: {attempts: 2}"): "spec.rules[0].retry",
    route("sessionPersistence: {sessionName: a}"): "spec.rules[0].sessionPersistence",
    doc(EG, "Backend", "{type: DynamicResolver}"): "spec.type",
    doc("v1", "Service", "{type: LoadBalancer, ports: [{port: 80}]}"): "spec.type",
    doc("v1", "Service", "{ports: [{port: 53, protocol: UDP}]}"): "spec.ports[0].protocol",
}


@pytest.fixture(scope="module")
def control(tmp_path_factory, module_stopping):
    server = Control(tmp_path_factory.mktemp("control"))
    module_stopping.append(server)
    return server


@pytest.mark.parametrize("api_version, kind", KINDS)
def test_kinds_are_refused_by_name(control, api_version, kind):
    answer = control.apply(doc(api_version, kind, "{}"), status=404)
    assert f'no matches for kind "{kind}" in version "{api_version}"' in answer["message"]
    assert answer["details"]["kind"] == kind


@pytest.mark.parametrize("manifest", FIELDS)
def test_fields_and_values_are_refused_by_path(control, manifest):
    answer = control.apply(manifest, status=422)
    told = {cause["field"]: cause["message"] for cause in answer["results"][0]["error"]["details"]["causes"]}
    assert FIELDS[manifest] in told, told
    assert told[FIELDS[manifest]].startswith(("not supported", "Unsupported value")), told


def test_what_is_somebody_elses_is_taken(control):
    """Kinds behind references are no fields: the object is taken, and its condition tells (unit tests have the reasons)."""
    control.apply(route("backendRefs: [{group: multicluster.x-k8s.io, kind: ServiceImport, name: s, port: 80}]"))
    control.apply(gateway("protocol: HTTP, allowedRoutes: {kinds: [{kind: GRPCRoute}]}"))

"""The Python client (package python3-kubernetes), unchanged."""
import threading

import pytest

from lib.control import route

kubernetes = pytest.importorskip("kubernetes", reason="python3-kubernetes is not installed")
GROUP, VERSION, PLURAL = "gateway.networking.k8s.io", "v1", "httproutes"


@pytest.fixture
def client(control):
    return kubernetes.config.new_client_from_config(str(control.kubeconfig()))


def test_typed_objects_are_created_listed_and_deleted(client):
    core = kubernetes.client.CoreV1Api(client)
    core.create_namespace(kubernetes.client.V1Namespace(metadata=kubernetes.client.V1ObjectMeta(name="shop")))
    body = kubernetes.client.V1Service(
        metadata=kubernetes.client.V1ObjectMeta(name="web", labels={"a": "b"}),
        spec=kubernetes.client.V1ServiceSpec(ports=[kubernetes.client.V1ServicePort(port=80, name="http")]))
    core.create_namespaced_service("shop", body)
    assert [s.metadata.name for s in core.list_namespaced_service("shop", label_selector="a=b").items] == ["web"]
    core.patch_namespaced_service("web", "shop", {"metadata": {"labels": {"c": "d"}}})
    service = core.read_namespaced_service("web", "shop")
    assert service.metadata.labels == {"a": "b", "c": "d"}
    service.spec.ports[0].port = 81
    core.replace_namespaced_service("web", "shop", service)
    with pytest.raises(kubernetes.client.ApiException) as stale:
        core.replace_namespaced_service("web", "shop", service)
    assert stale.value.status == 409
    core.delete_namespaced_service("web", "shop")
    core.delete_namespace("shop")
    assert [n.metadata.name for n in core.list_namespace().items] == ["default"]


def test_custom_objects_and_watch(client, control):
    custom = kubernetes.client.CustomObjectsApi(client)
    control.apply(route("first"))
    listed = custom.list_namespaced_custom_object(GROUP, VERSION, "default", PLURAL)
    watch, seen = kubernetes.watch.Watch(), []

    def follow():
        for event in watch.stream(custom.list_namespaced_custom_object, GROUP, VERSION, "default", PLURAL,
                                  resource_version=listed["metadata"]["resourceVersion"], timeout_seconds=20):
            seen.append((event["type"], event["object"]["metadata"]["name"]))
            if event["type"] == "DELETED":
                watch.stop()

    thread = threading.Thread(target=follow)
    thread.start()
    control.apply(route("second"))
    custom.patch_namespaced_custom_object(GROUP, VERSION, "default", PLURAL, "second", {"spec": {"hostnames": ["x.example"]}})
    custom.delete_namespaced_custom_object(GROUP, VERSION, "default", PLURAL, "second")
    thread.join(30)
    assert not thread.is_alive()
    assert ("ADDED", "second") in seen and seen[-1] == ("DELETED", "second")


def test_paging_and_versions(client, control):
    core = kubernetes.client.CoreV1Api(client)
    for i in range(5):
        core.create_namespaced_config_map("default", {"metadata": {"name": f"c{i}"}, "data": {"k": "v"}})
    page = core.list_namespaced_config_map("default", limit=3)
    rest = core.list_namespaced_config_map("default", limit=3, _continue=page.metadata._continue)
    assert len(page.items) == 3 and len(rest.items) == 2
    assert "selvedge" in kubernetes.client.VersionApi(client).get_code().git_version

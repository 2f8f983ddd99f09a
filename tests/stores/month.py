#!/usr/bin/env python3
"""A month of records in both stores, one in a hundred of them a reset (see README.md).

    month.py BINARY RECORDS [--only VictoriaLogs|OpenSearch] [--loaded]

Loads RECORDS records of 20 workloads with 3 pods each, runs `resets` on the whole month through a counting proxy, and
prints bytes, requests, time and peak memory, beside the number of resets that were loaded. `--loaded` takes what an
earlier run loaded. VictoriaLogs must hold no other month."""
import datetime, http.client, json, pathlib, random, resource, socketserver, subprocess, sys, threading, time, urllib.request

VICTORIA, OPENSEARCH = ("127.0.0.1", 19428), ("127.0.0.1", 19200)
START = datetime.datetime(2026, 10, 1, tzinfo=datetime.timezone.utc)
MONTH = 30 * 86400


def post(place, path, body, kind="application/x-ndjson", method="POST"):
    request = urllib.request.Request(f"http://{place[0]}:{place[1]}{path}", body, {"Content-Type": kind}, method=method)
    with urllib.request.urlopen(request, timeout=300) as answer:
        return answer.read()


def load(total, index, stores, loaded):
    random.seed(7)
    pods = [f"svc{s:02}-7d9f8b6c5d-{p}" for s in range(20) for p in ("x2x4z", "q9q9q", "b5b5b")]
    resets, batch = 0, []
    if "OpenSearch" in stores and not loaded:
        # One machine holds one copy; what is loaded is searched only at the end. Names are keywords, as in shippers' templates.
        settings = {"number_of_replicas": 0, "refresh_interval": "-1", "translog.durability": "async",
                    "translog.flush_threshold_size": "1gb", "merge.policy.segments_per_tier": 30, "merge.policy.max_merge_at_once": 30}
        names = {"dynamic_templates": [{"names": {"path_match": "kubernetes.*", "match_mapping_type": "string", "mapping": {"type": "keyword"}}}],
                 "properties": {"@timestamp": {"type": "date"}, "log": {"type": "text"}}}
        post(OPENSEARCH, f"/{index}", json.dumps({"settings": settings, "mappings": names}).encode(), "application/json", "PUT")

    def flush():
        if not batch:
            return
        if "VictoriaLogs" in stores:
            post(VICTORIA, "/insert/jsonline?_stream_fields=kubernetes.namespace_name,kubernetes.pod_name,kubernetes.container_name"
                 "&_msg_field=log&_time_field=@timestamp", ("\n".join(batch) + "\n").encode())
        if "OpenSearch" in stores:
            answer = post(OPENSEARCH, f"/{index}/_bulk?filter_path=errors,items.*.error.reason", "".join('{"index":{}}\n' + one + "\n" for one in batch).encode())
            if json.loads(answer)["errors"]:
                sys.exit(f"OpenSearch refused records: {answer.decode()[:400]}")
        batch.clear()

    for n in range(total):
        at = START + datetime.timedelta(seconds=MONTH * n / total)
        stamp = at.strftime("%Y-%m-%dT%H:%M:%S.%f") + f"{n % 1000:03}Z"
        pod = pods[random.randrange(60)]
        if random.random() < 0.01:
            resets += 1
            log = f"{stamp[:23]}Z ERROR [http-{n % 8}] c.e.Client - call to https://api.example.com failed: java.net.SocketException: Connection reset"
        else:
            log = f"{stamp[:23]}Z INFO  [http-{n % 8}] c.e.Orders - order {random.getrandbits(48):012x} took {random.randrange(300)} ms for customer {random.getrandbits(32)}"
        if loaded:
            continue
        batch.append(json.dumps({"@timestamp": stamp, "log": log, "kubernetes": {
            "namespace_name": "shop", "pod_name": pod, "container_name": "app", "labels": {"app": pod.rsplit("-", 2)[0]}}}))
        if len(batch) >= 10000:
            flush()
    flush()
    if "OpenSearch" in stores:
        post(OPENSEARCH, f"/{index}/_refresh", b"")
    if "VictoriaLogs" in stores:
        post(VICTORIA, "/internal/force_flush", b"")
    return resets


def counting(place, counts):
    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            import select, socket
            upstream = socket.create_connection(place)
            both = [self.connection, upstream]
            while True:
                for ready in select.select(both, [], [])[0]:
                    data = ready.recv(1 << 16)
                    if not data:
                        return
                    if ready is upstream:
                        counts["down"] += len(data)
                        self.connection.sendall(data)
                    else:
                        counts["up"] += len(data)
                        counts["requests"] += data.startswith((b"POST ", b"GET ", b"DELETE "))
                        upstream.sendall(data)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main():
    binary, total = sys.argv[1], int(sys.argv[2])
    stores = [sys.argv[sys.argv.index("--only") + 1]] if "--only" in sys.argv else ["VictoriaLogs", "OpenSearch"]
    loaded = "--loaded" in sys.argv
    index = f"month{total}"
    began = time.time()
    expected = load(total, index, stores, loaded)
    print(f"{'expected' if loaded else 'loaded'} {total} records, {expected} resets, in {time.time() - began:.0f} s", flush=True)
    for name, place, flags in (("VictoriaLogs", VICTORIA, ["--victorialogs", "URL"]), ("OpenSearch", OPENSEARCH, ["--elasticsearch", "URL", "--query", index])):
        if name not in stores:
            continue
        counts = {"up": 0, "down": 0, "requests": 0}
        server = counting(place, counts)
        flags = [flag.replace("URL", f"http://127.0.0.1:{server.server_address[1]}") for flag in flags]
        began = time.time()
        command = [binary, "resets", *flags, "-n", "shop", "--since", "2026-10-01", "--until", "2026-10-31", "--mark", "2026-10-15T12:00Z", "-o", "json", "--request-timeout", "5m", "--timeout", "1h"]
        done = subprocess.run(["/usr/bin/time", "-f", "%M", *command], capture_output=True)
        took = time.time() - began
        server.shutdown()
        out = json.loads(done.stdout) if done.stdout else {"total": {"resets": None}, "input": {"records": None}}
        said = done.stderr.decode().strip().split("\n")
        print(f"{name}: exit {done.returncode}, {out['total']['resets']} resets of {out['input']['records']} records, {counts['down'] / 1e6:.1f} MB down, "
              f"{counts['up'] / 1e6:.1f} MB up, {counts['requests']} requests, {took:.0f} s, {int(said[-1]) / 1024:.0f} MiB resident; {' '.join(said[:-1])}", flush=True)


main()

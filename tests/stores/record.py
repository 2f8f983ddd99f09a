#!/usr/bin/env python3
"""Records conversations of the program with real stores, for `cargo test` to replay (see README.md).

    record.py BINARY

Loads logs that it makes up into both stores, runs the commands of tests/fixtures/stores/commands.json through a recording
proxy, and writes tests/fixtures/stores/NAME.json: what was asked and answered, and the report that the same lines give from
files. The logs are longer than a page, so that words are searched for."""
import datetime, http.server, json, pathlib, random, subprocess, sys, tempfile, threading, urllib.error, urllib.request

FIXTURES = pathlib.Path(__file__).parent.parent / "fixtures" / "stores"
UPSTREAMS = {"victorialogs": "http://127.0.0.1:19428", "elasticsearch": "http://127.0.0.1:19200", "loki": "http://127.0.0.1:19310", "prometheus": "http://127.0.0.1:19090"}


def post(url, body, kind="application/x-ndjson", method=None):
    with urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": kind}, method=method), timeout=60) as answer:
        return answer.read()


def logs():
    """The lines of three containers: times by the kubelet, and what was written."""
    random.seed(3)
    start = datetime.datetime(2026, 11, 20, tzinfo=datetime.timezone.utc)
    stamp = lambda at, nano: at.strftime("%Y-%m-%dT%H:%M:%S.%f") + f"{nano:03}Z"
    found = {}
    for pod, every in (("checkout-7d9f8b6c5d-x2x4z", 9), ("orders-66b5d7c98f-zzzz2", 140)):
        lines, at = [], start
        while at < start + datetime.timedelta(hours=12):
            at += datetime.timedelta(seconds=random.expovariate(1 / every) + 0.001)
            time, thread = stamp(at, random.randrange(1, 1000)), len(lines) % 4
            helped = at >= start + datetime.timedelta(hours=8)
            if random.random() < (0.0005 if helped else 0.01):
                lines.append((time, f"{time[:23]}Z ERROR [http-{thread}] c.e.Client - call to https://api.example.com failed"))
                trace = ["java.net.SocketException:Connection reset", "\tat java.net.SocketInputStream.read(SocketInputStream.java:186)",
                         "Caused by: java.net.SocketException: Connection reset"]
                for n, line in enumerate(trace):
                    lines.append((stamp(at + datetime.timedelta(microseconds=20 * (n + 1)), n + 1), line))
            else:
                lines.append((time, f"{time[:23]}Z INFO [http-{thread}] c.e.Orders - order {len(lines)} is paid"))
        found["recorded", pod, "app"] = lines
    lines, at = [], start + datetime.timedelta(hours=1)
    for n in range(60):
        at += datetime.timedelta(seconds=13)
        flags, code, details, took = ("UF,URX", 503, "upstream_reset_before_response_started{connection_timeout}", 1000) if n % 6 == 0 else ("-", 200, "via_upstream", 12)
        lines.append((stamp(at, n + 1), f'[{stamp(at, 0)[:23]}Z] "GET /v1 HTTP/1.1" {code} {flags} {details} - "-" 0 91 {took} - "-" "curl/8" "id-{n}" '
                      '"api.example.com" "52.0.0.1:443" outbound|443||api.example.com - 10.0.0.9:443 10.0.0.1:5000 - default'))
    found["recorded", "checkout-7d9f8b6c5d-x2x4z", "istio-proxy"] = lines
    return found


def load_loki(source, lines):
    """As Promtail would: labels of the pod, and nothing twice however often it is pushed."""
    namespace, pod, container = source
    app = pod.rsplit("-", 2)[0]
    labels = {"namespace": namespace, "pod": pod, "container": container, "app": app, "job": f"{namespace}/{app}", "node_name": "node-1"}
    second = lambda time: int(datetime.datetime.fromisoformat(time[:19] + "+00:00").timestamp())
    values = [[f"{second(time)}{time[20:29]}", line] for time, line in lines]
    post(f"{UPSTREAMS['loki']}/loki/api/v1/push", json.dumps({"streams": [{"stream": labels, "values": values}]}).encode(), "application/json")


def load(source, lines, index):
    namespace, pod, container = source
    kube = {"namespace_name": namespace, "pod_name": pod, "container_name": container, "labels": {"app": pod.rsplit("-", 2)[0]}}
    records = [json.dumps({"@timestamp": time, "log": log, "kubernetes": kube}) for time, log in lines]
    post(f"{UPSTREAMS['victorialogs']}/insert/jsonline?_stream_fields=kubernetes.namespace_name,kubernetes.pod_name,"
         "kubernetes.container_name&_msg_field=log&_time_field=@timestamp", "\n".join(records).encode())
    post(f"{UPSTREAMS['elasticsearch']}/{index}/_bulk", "".join('{"index":{}}\n' + one + "\n" for one in records).encode())


def recorder(upstream, said):
    class Handler(http.server.BaseHTTPRequestHandler):
        def forward(self):
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {"Content-Type": self.headers["content-type"]} if self.headers["content-type"] else {}
            request = urllib.request.Request(upstream + self.path, body or None, headers, method=self.command)
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    status, kind, text = answer.status, answer.headers["content-type"], answer.read()
            except urllib.error.HTTPError as error:
                status, kind, text = error.code, error.headers["content-type"], error.read()
            said.append({"asked": f"{self.command} {self.path}", "body": body.decode(), "status": status, "answer": text.decode()})
            self.send_response(status)
            self.send_header("content-type", kind or "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_DELETE = forward

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def from_files(binary, command):
    """What the same lines give from files."""
    with tempfile.TemporaryDirectory() as directory:
        for (namespace, pod, container), lines in logs().items():
            if container in command["containers"] and pod.startswith(command.get("pods", "")):
                log = pathlib.Path(directory) / f"{namespace}_{pod}_0b6c2b2e-1111-2222-3333-444455556666" / container / "0.log"
                log.parent.mkdir(parents=True)
                log.write_text("".join(f"{time} {line}\n" for time, line in lines))
        done = subprocess.run([binary, *command["fromArgs"], "--from", directory], capture_output=True, timeout=300)
        return json.loads(done.stdout)


def main():
    binary, only = sys.argv[1], sys.argv[2:]
    commands = json.loads((FIXTURES / "commands.json").read_text())
    index = "recorded"
    if not only or {"victorialogs", "elasticsearch"} & set(only):
        try:
            post(f"{UPSTREAMS['elasticsearch']}/{index}", None, method="DELETE")
        except urllib.error.HTTPError:
            pass
        for source, lines in logs().items():
            load(source, lines, index)
        post(f"{UPSTREAMS['elasticsearch']}/{index}/_refresh", b"")
        post(f"{UPSTREAMS['victorialogs']}/internal/force_flush", b"")
    if not only or "loki" in only:
        for source, lines in logs().items():
            load_loki(source, lines)
    for name, command in commands.items():
        store = command["store"]
        if only and store not in only:
            continue
        said = []
        server = recorder(UPSTREAMS[store], said)
        args = [arg.replace("URL", f"http://127.0.0.1:{server.server_port}") for arg in command["args"]]
        done = subprocess.run([binary, *args], capture_output=True, timeout=300)
        server.shutdown()
        kept = {"args": command["args"], "exit": done.returncode, "report": from_files(binary, command), "said": said}
        (FIXTURES / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n")
        print(f"{name}: exit {done.returncode}, {len(said)} answers, {sum(len(one['answer']) for one in said)} bytes {done.stderr.decode()[:300]}")


main()

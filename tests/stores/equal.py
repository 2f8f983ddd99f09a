#!/usr/bin/env python3
"""Holds `resets` and `diagnose` on files against the same lines in real stores (see README.md).

    equal.py BINARY [--lines N] [--diagnose] [--only STORE] FILE…

Each file, or each one in a directory, becomes the log of a container: `TIME LINE`, with the kubelet's time. It is written to a file for --from, and
loaded into VictoriaLogs and OpenSearch as Fluent Bit would, and into Loki, if it runs, as Promtail would. The JSON reports
are compared, but for what names the source."""
import datetime, gzip, json, pathlib, subprocess, sys, tempfile, urllib.error, urllib.request

VICTORIA, OPENSEARCH, LOKI = "http://127.0.0.1:19428", "http://127.0.0.1:19200", "http://127.0.0.1:19310"
START = datetime.datetime(2026, 11, 19, 10, 0, tzinfo=datetime.timezone.utc)


def post(url, body, kind="application/x-ndjson", method=None):
    request = urllib.request.Request(url, body, {"Content-Type": kind}, method=method)
    with urllib.request.urlopen(request, timeout=300) as answer:
        return answer.read()


def stamp(index):
    at = START + datetime.timedelta(milliseconds=index)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f") + "%03dZ" % (index % 999 + 1)


def texts_of(path):
    """The lines of a file as a container would have written them; nothing of one that is no text."""
    raw = path.read_bytes()
    if raw.startswith(b"\x1f\x8b"):
        raw = gzip.decompress(raw)
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raw = raw.decode("utf-16").encode()
    elif b"\0" in raw[:4096]:
        return []
    lines = [line.rstrip("\r") for line in raw.decode(errors="replace").split("\n")]
    return [line for line in lines if line]


def containers_of(path, number, filler):
    """The logs of a case by pod: one of a file, one for each file of a directory."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    quiet = [(START + datetime.timedelta(minutes=-1, microseconds=i), f"nothing to see here {i}") for i in range(filler)]
    quiet = [(at.strftime("%Y-%m-%dT%H:%M:%S.%f") + "001Z", text) for at, text in quiet]
    texts = [texts for texts in map(texts_of, files) if texts]
    return {f"case-{number}-{part}-7d9f8b6c5d-x2x4z": quiet + [(stamp(index), text) for index, text in enumerate(lines)]
            for part, lines in enumerate(texts)}


def runs(url):
    try:
        return bool(urllib.request.urlopen(url, timeout=10))
    except OSError:
        return False


def nanoseconds(time):
    at = datetime.datetime.fromisoformat(time[:19] + "+00:00")
    return f"{int(at.timestamp())}{time[20:29]}"


def load_loki(namespace, pod, container, lines):
    app = pod.rsplit("-", 2)[0]
    labels = {"namespace": namespace, "pod": pod, "container": container, "app": app, "job": f"{namespace}/{app}", "node_name": "node-1"}
    for at in range(0, len(lines), 5000):
        values = [[nanoseconds(time), log] for time, log in lines[at:at + 5000]]
        post(f"{LOKI}/loki/api/v1/push", json.dumps({"streams": [{"stream": labels, "values": values}]}).encode(), "application/json")


def load(stores, index, namespace, pod, container, lines):
    if "Loki" in stores:
        load_loki(namespace, pod, container, lines)
    kube = {"namespace_name": namespace, "pod_name": pod, "container_name": container, "labels": {"app": pod.rsplit("-", 2)[0]}}
    for at in range(0, len(lines), 5000):
        records = [json.dumps({"@timestamp": time, "log": log, "kubernetes": kube}) for time, log in lines[at:at + 5000]]
        if "VictoriaLogs" in stores:
            post(f"{VICTORIA}/insert/jsonline?_stream_fields=kubernetes.namespace_name,kubernetes.pod_name,kubernetes.container_name"
                 "&_msg_field=log&_time_field=@timestamp", ("\n".join(records) + "\n").encode())
        if "OpenSearch" not in stores:
            continue
        answer = json.loads(post(f"{OPENSEARCH}/{index}/_bulk", "".join('{"index":{}}\n' + one + "\n" for one in records).encode()))
        if answer["errors"]:
            sys.exit(f"OpenSearch refused records: {json.dumps(answer)[:400]}")
    if "OpenSearch" in stores:
        post(f"{OPENSEARCH}/{index}/_refresh", b"")
    if "VictoriaLogs" in stores:
        post(f"{VICTORIA}/internal/force_flush", b"")


def report(command, about, filler=0):
    done = subprocess.run(command, capture_output=True, timeout=300)
    try:
        out = json.loads(done.stdout)
    except ValueError:
        # Nothing was found in either: the exit code says so.
        return {"exit": done.returncode}, done.stderr.decode(errors="replace")
    for name in ("next", "tool", "startedAt", "durationMs"):
        out.pop(name, None)
    if about == "resets":
        out["input"].pop("duplicates")
        if filler:
            # What says nothing is counted by the store, and not transferred.
            out["input"].pop("bytes")
        out.get("delay", {}) and out["delay"].pop("next", None)
    return out, done.stderr.decode(errors="replace")


def differences(one, other, path=""):
    if type(one) is dict and type(other) is dict:
        return [d for key in sorted({*one, *other}) for d in differences(one.get(key), other.get(key), f"{path}.{key}")]
    if type(one) is list and type(other) is list and len(one) == len(other):
        return [d for at, (a, b) in enumerate(zip(one, other)) for d in differences(a, b, f"{path}[{at}]")]
    if type(one) is float and type(other) is float and abs(one - other) <= 1e-5 * abs(one):
        return []
    return [] if one == other else [f"{path}: file {json.dumps(one)[:120]}, store {json.dumps(other)[:120]}"]


def main():
    args = sys.argv[1:]
    binary = args.pop(0)
    filler = int(args.pop(args.index("--lines") + 1)) if "--lines" in args else 0
    about = "diagnose" if "--diagnose" in args else "resets"
    stores = ["VictoriaLogs", "OpenSearch"] + ["Loki"] * runs(f"{LOKI}/ready")
    if "--only" in args:
        stores = [args.pop(args.index("--only") + 1)]
    files = [pathlib.Path(name) for name in args if not name.startswith("--")]
    equal = dict.fromkeys(stores, 0)
    run = datetime.datetime.now().strftime("%H%M%S")
    for number, path in enumerate(files):
        container = "istio-proxy" if about == "diagnose" else "app"
        namespace, index = f"n{run}-{number}", f"equal-{run}-{number}"
        with tempfile.TemporaryDirectory() as directory:
            for pod, lines in containers_of(path, number, filler).items():
                load(stores, index, namespace, pod, container, lines)
                log = pathlib.Path(directory) / f"{namespace}_{pod}_0b6c2b2e-1111-2222-3333-444455556666" / container / "0.log"
                log.parent.mkdir(parents=True)
                log.write_text("".join(f"{time} {text}\n" for time, text in lines))
            more = ["--by", "hour", "--top", "0"] if about == "resets" else ["--exit-zero"]
            want, _ = report([binary, about, "--from", directory, "-o", "json", *more], about, filler)
        asked = {"VictoriaLogs": ["--victorialogs", VICTORIA], "OpenSearch": ["--elasticsearch", OPENSEARCH, "--query", index], "Loki": ["--loki", LOKI]}
        for store in stores:
            flags = asked[store]
            got, said = report([binary, about, *flags, "-n", namespace, "-o", "json", *more], about, filler)
            if about == "diagnose":
                for one in (want, got):
                    for each in one.get("diagnoses", []):
                        # A store's records name their pod, and commands the namespace that was asked for.
                        each.pop("source", None)
                        each["remedy"] = each["remedy"].replace(f" -n {namespace}", "")
                        for evidence in each.get("evidence", []):
                            evidence.pop("source", None)
            found = differences(want, got)
            equal[store] += not found
            if found:
                print(f"{path.name} {store}: " + "; ".join(found[:6]), said.strip()[:200] if "exit" in got else "")
        if "OpenSearch" in stores:
            post(f"{OPENSEARCH}/{index}", None, method="DELETE")
    for store, count in equal.items():
        print(f"{store}: {count} of {len(files)} equal")
    sys.exit(0 if all(count == len(files) for count in equal.values()) else 1)


if __name__ == "__main__":
    main()

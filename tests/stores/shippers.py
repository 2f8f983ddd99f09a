#!/usr/bin/env python3
"""Holds `resets` on files against one store that many shippers feed at once (see README.md).

    shippers.py BINARY [--only STORE]

The same log goes into VictoriaLogs and into one index of OpenSearch in the form of each shipper, in a namespace of its own.
Then each namespace is asked for by itself: the fields are those of whoever wrote its records."""
import json, pathlib, sys, tempfile, time
from equal import OPENSEARCH, VICTORIA, differences, post, report, stamp

LINES = [f"{stamp(index * 60000)[:19]}Z " + (
    "ERROR [http-1] c.e.Client - GET https://api.example.com: java.net.SocketException: Connection reset" if index % 20 == 7
    else f"INFO [http-2] c.e.Client - order {index} is paid") for index in range(400)]


def kubernetes(namespace, pod):
    return {"namespace_name": namespace, "pod_name": pod, "container_name": "app", "host": "node-1", "labels": {"app": "web"}}


def dotted(prefix, value):
    """As stores that keep no objects have it."""
    if not isinstance(value, dict):
        return {prefix: value}
    return {k: v for key, inner in value.items() for k, v in dotted(f"{prefix}.{key}" if prefix else key, inner).items()}


# A record of each: (namespace, pod, time, line, number of the line).
SHIPPERS = {
    "fluent-bit": lambda n, p, t, l, i: {"@timestamp": t, "log": l, "stream": "stdout", "kubernetes": kubernetes(n, p)},
    "fluentd": lambda n, p, t, l, i: {"@timestamp": t, "log": l + "\n", "docker": {"container_id": "6f"}, "tag": "kubernetes.var.log",
                                      "kubernetes": kubernetes(n, p)},
    "filebeat": lambda n, p, t, l, i: {"@timestamp": t, "message": l, "agent": {"type": "filebeat"}, "log": {"offset": i * 100, "file": {"path": f"/var/log/containers/{p}.log"}},
                                       "kubernetes": {"namespace": n, "pod": {"name": p}, "container": {"name": "app"}}},
    "logstash": lambda n, p, t, l, i: {"@timestamp": t, "@version": "1", "message": l, "event": {"original": l},
                                       "kubernetes": {"namespace": n, "pod": {"name": p}, "container": {"name": "app"}}},
    "vector": lambda n, p, t, l, i: {"timestamp": t, "message": l, "file": "/var/log/pods/x/0.log", "source_type": "kubernetes_logs",
                                     "kubernetes": {"pod_namespace": n, "pod_name": p, "container_name": "app"}},
    "openshift": lambda n, p, t, l, i: {"@timestamp": t, "message": l, "level": "info", "log_type": "application", "openshift": {"sequence": i},
                                        "kubernetes": kubernetes(n, p)},
    "otel": lambda n, p, t, l, i: {"@timestamp": t, "body": {"text": l}, "severity_text": "INFO",
                                   "resource": {"attributes": {"k8s.namespace.name": n, "k8s.pod.name": p, "k8s.container.name": "app"}}},
    "otel-flat": lambda n, p, t, l, i: {"@timestamp": t, "Body": l, "Resource.k8s.namespace.name": n, "Resource.k8s.pod.name": p,
                                        "Resource.k8s.container.name": "app"},
    "alloy": lambda n, p, t, l, i: {"@timestamp": t, "message": l, "namespace": n, "pod": p, "container": "app", "job": f"{n}/web"},
    "graylog": lambda n, p, t, l, i: {"@timestamp": t, "message": l, "kubernetes_namespace_name": n, "kubernetes_pod_name": p,
                                      "kubernetes_container_name": "app"},
}


def main():
    binary = sys.argv[1]
    only = sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else None
    run = time.strftime("%H%M%S")
    index, wants = f"shippers-{run}", {}
    for shipper, form in SHIPPERS.items():
        namespace, pod = f"{shipper}-{run}", "web-7d9f8b6c5d-x2x4z"
        lines = [(stamp(number * 60000), line) for number, line in enumerate(LINES)]
        records = [form(namespace, pod, at, line, number) for number, (at, line) in enumerate(lines)]
        if only != "OpenSearch":
            flat = [dotted("", {"@timestamp": record.pop("timestamp"), **record} if "timestamp" in record else record) for record in map(dict, records)]
            text = next(key for key in ("log", "message", "body.text", "Body") if key in flat[0])
            post(f"{VICTORIA}/insert/jsonline?_msg_field={text}&_time_field=@timestamp", "\n".join(map(json.dumps, flat)).encode())
        if only != "VictoriaLogs":
            answer = json.loads(post(f"{OPENSEARCH}/{index}/_bulk", "".join('{"index":{}}\n' + json.dumps(record) + "\n" for record in records).encode()))
            if answer["errors"]:
                print(f"{shipper}: OpenSearch refused records: {json.dumps(answer)[:300]}")
        with tempfile.TemporaryDirectory() as directory:
            log = pathlib.Path(directory) / f"{namespace}_{pod}_0b6c2b2e-1111-2222-3333-444455556666" / "app" / "0.log"
            log.parent.mkdir(parents=True)
            log.write_text("".join(f"{at} {line}\n" for at, line in lines))
            wants[namespace], _ = report([binary, "resets", "--from", directory, "-o", "json", "--by", "hour"], "resets")
    if only != "OpenSearch":
        post(f"{VICTORIA}/internal/force_flush", b"")
    if only != "VictoriaLogs":
        post(f"{OPENSEARCH}/{index}/_refresh", b"")
    asked = {"VictoriaLogs": ["--victorialogs", VICTORIA], "OpenSearch": ["--elasticsearch", OPENSEARCH, "--query", index]}
    failed = 0
    for store, flags in asked.items():
        if only not in (None, store):
            continue
        equal = 0
        for namespace, want in wants.items():
            got, said = report([binary, "resets", *flags, "-n", namespace, "-o", "json", "--by", "hour"], "resets")
            found = differences(want, got)
            equal += not found
            if found:
                print(f"{namespace} {store}: " + "; ".join(found[:4]), said.strip()[:300] if "exit" in got else "")
        print(f"{store}: {equal} of {len(wants)} shippers equal")
        failed += equal < len(wants)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

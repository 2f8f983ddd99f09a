#!/bin/bash
# up.sh DIR [loki]: builds VictoriaLogs (Go module) and OpenSearch (Maven, Java 17) in DIR unless they are there, with `loki`
# Loki too (Go module, half an hour of a core), starts what is there on 127.0.0.1:19428, :19200 and :19310, and waits
# until all answer.
set -euo pipefail
dir=$(realpath -m "$1"); here=$(cd "$(dirname "$0")" && pwd); mkdir -p "$dir/bin" "$dir/vl" "$dir/loki" "$dir"/home/{config,data,logs,modules,plugins}
if [ ! -x "$dir/bin/victoria-logs" ]; then
  GOBIN="$dir/bin" GOFLAGS=-mod=mod go install github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs@v1.52.1
fi
if [ "${2:-}" = loki ] && [ ! -x "$dir/bin/loki" ]; then
  # It builds in its own directory only, where its go.mod wants a module that is published apart.
  of() { (cd "$dir" && go mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'); }
  cp -r "$(of github.com/grafana/loki/v3@v3.7.8)" "$dir/loki-source"
  chmod -R u+w "$dir/loki-source"
  cp -r "$(of github.com/grafana/loki/pkg/push@v0.0.0-20250630054201-94c0ba7b0952)" "$dir/loki-source/pkg/push"
  (cd "$dir/loki-source" && CGO_ENABLED=0 GOFLAGS='-mod=mod -buildvcs=false' go build -ldflags '-s -w' -o "$dir/bin/loki" ./cmd/loki)
  rm -rf "$dir/loki-source"
fi
if [ ! -f "$dir/opensearch.classpath" ]; then
  cp -r "$here/opensearch" "$dir/"
  (cd "$dir/opensearch" && mvn -q -B compile dependency:build-classpath -Dmdep.outputFile="$dir/opensearch.classpath")
fi
urls=(http://127.0.0.1:19428/health http://127.0.0.1:19200)
setsid "$dir/bin/victoria-logs" -storageDataPath="$dir/vl" -httpListenAddr=127.0.0.1:19428 -retentionPeriod=100y > "$dir/vl.log" 2>&1 < /dev/null &
echo $! > "$dir/vl.pid"
setsid java -Xmx700m -cp "$dir/opensearch/target/classes:$(cat "$dir/opensearch.classpath")" Store "$dir/home" 19200 19300 > "$dir/opensearch.log" 2>&1 < /dev/null &
echo $! > "$dir/opensearch.pid"
if [ -x "$dir/bin/loki" ]; then
  (cd "$dir/loki" && exec setsid "$dir/bin/loki" -config.file="$here/loki.yaml" > "$dir/loki.log" 2>&1 < /dev/null) &
  echo $! > "$dir/loki.pid"
  urls+=(http://127.0.0.1:19310/ready)
fi
for url in "${urls[@]}"; do
  for _ in $(seq 90); do curl -sf "$url" > /dev/null && break; sleep 1; done
  curl -sf "$url" > /dev/null || { echo "$url does not answer" >&2; exit 1; }
done

#!/bin/bash
# up.sh DIR: builds VictoriaLogs (Go module) and OpenSearch (Maven, Java 17) in DIR unless they are there, starts them on
# 127.0.0.1:19428 and 127.0.0.1:19200, and waits until both answer.
set -euo pipefail
dir=$(realpath -m "$1"); here=$(cd "$(dirname "$0")" && pwd); mkdir -p "$dir/bin" "$dir/vl" "$dir"/home/{config,data,logs,modules,plugins}
if [ ! -x "$dir/bin/victoria-logs" ]; then
  GOBIN="$dir/bin" GOFLAGS=-mod=mod go install github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs@v1.52.1
fi
if [ ! -f "$dir/opensearch.classpath" ]; then
  cp -r "$here/opensearch" "$dir/"
  (cd "$dir/opensearch" && mvn -q -B compile dependency:build-classpath -Dmdep.outputFile="$dir/opensearch.classpath")
fi
setsid "$dir/bin/victoria-logs" -storageDataPath="$dir/vl" -httpListenAddr=127.0.0.1:19428 -retentionPeriod=100y > "$dir/vl.log" 2>&1 < /dev/null &
echo $! > "$dir/vl.pid"
setsid java -Xmx700m -cp "$dir/opensearch/target/classes:$(cat "$dir/opensearch.classpath")" Store "$dir/home" 19200 19300 > "$dir/opensearch.log" 2>&1 < /dev/null &
echo $! > "$dir/opensearch.pid"
for url in http://127.0.0.1:19428/health http://127.0.0.1:19200; do
  for _ in $(seq 90); do curl -sf "$url" > /dev/null && break; sleep 1; done
  curl -sf "$url" > /dev/null || { echo "$url does not answer" >&2; exit 1; }
done

# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_kubectl_meshaudit_global_optspecs
    string join \n color= q/quiet v/verbose h/help V/version
end

function __fish_kubectl_meshaudit_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_kubectl_meshaudit_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_kubectl_meshaudit_using_subcommand
    set -l cmd (__fish_kubectl_meshaudit_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -s v -l verbose -d 'Say more; -vv shows each request'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -s h -l help -d 'Print help'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -s V -l version -d 'Print version'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "resets" -d 'Chart "connection reset" by day and service, from logs or Prometheus, and compare before and after a change'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "debug-log" -d 'Turn connection debugging on, explain each failed upstream connection as it happens, and put every logger back'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "diagnose" -d 'Name the cause of every failed upstream connection in proxy logs'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "clusters" -d 'Show a proxy\'s clusters: a table with the connect timeout in it, or Envoy\'s own objects'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "timeouts" -d 'Audit connect timeouts: every proxy, every cluster, where each value comes from, which are wrong and why'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "fix" -d 'Print the change to make, for the way this mesh was installed, and what it would change; nothing is written'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "verify" -d 'Wait until every proxy has the expected value, and name the stragglers'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "snapshot" -d 'Keep what an audit reads, for later or for another machine; every read command takes it back with --from'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "incident" -d 'Write up an incident: the resets, the failed connections and their cause, the timeouts, the change, and whether it helped'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "diff" -d 'Compare two audits or snapshots: what appeared, vanished, changed'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "convert" -d 'Write an earlier -o json of timeouts, diagnose or verify in another format'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "policy" -d 'Write a policy from the mesh as it is, or check one'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "serve" -d 'Audit at intervals, and show the last audit over HTTP: /metrics, /healthz, and the report as a page'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "explain" -d 'Print the page of a rule, of a cause that diagnose names, or of a reason that verify gives'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "version" -d 'Print the version of this program, of the control planes and of the proxies'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "completion" -d 'Print a completion script, or install kubectl\'s live completion'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "options" -d 'List the flags that every command takes: which cluster, as whom, and what is said'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "help" -d 'Help of a command'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "__complete" -d 'Complete a command line (for kubectl)'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "__generate" -d 'Print a generated file (for this project\'s own tests)'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l from -d 'Log files instead of pods, directories with them, or - for stdin; compressed ones too' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -s c -l container -d 'Read the log of this container; else of every one but the proxy (repeatable)' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l splunk -d 'Read from Splunk, at its management port, instead of pods' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l elasticsearch -d 'Read from Elasticsearch or OpenSearch' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l loki -d 'Read from Loki' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l victorialogs -d 'Read from VictoriaLogs' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l splunk-service -d 'Splunk in the cluster, through a port-forward' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l elasticsearch-service -d 'Elasticsearch or OpenSearch in the cluster, through a port-forward' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l loki-service -d 'Loki in the cluster, through a port-forward' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l victorialogs-service -d 'VictoriaLogs in the cluster, through a port-forward' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l query -d 'Narrow it in the store\'s own words: index=prod, an index pattern, {namespace="shop"}, a filter of LogsQL' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l text-field -d 'The field that holds the line; else found in a sample' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l time-field -d 'The field that holds the time; else found in a sample' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l store-token-file -d 'File with the bearer token that the store wants; else $MESHAUDIT_STORE_TOKEN' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l store-user -d 'User for basic authentication; the password is in $MESHAUDIT_STORE_PASSWORD' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l store-password-file -d 'File with the password, in place of $MESHAUDIT_STORE_PASSWORD' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l store-api-key-file -d 'File with Elasticsearch\'s API key, encoded as it was given out; else $MESHAUDIT_STORE_API_KEY' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l store-tenant -d 'The tenant: X-Scope-OrgID of Loki, ACCOUNT[:PROJECT] of VictoriaLogs' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l store-ca -d 'File with the certificates (PEM) that sign the store\'s own, beside the system\'s' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l store-client-certificate -d 'File with a client certificate (PEM) for the store' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l store-client-key -d 'File with the client certificate\'s key (PEM)' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l print-query -d 'Print the query to paste into a store that this machine may not reach: splunk, kql, esql, loki, victorialogs, cloudwatch, google, azure or datadog; its export is read with --from' -r -f -a "splunk\t''
kql\t''
esql\t''
loki\t''
victorialogs\t''
cloudwatch\t''
google\t''
azure\t''
datadog\t''"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l prometheus -d 'Read Istio\'s request counts from Prometheus at this URL instead of logs' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l prometheus-service -d 'The same, from a service in the cluster, through a port-forward' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l prometheus-token-file -d 'File with the bearer token that Prometheus wants' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l prometheus-user -d 'User for basic authentication; the password is in MESHAUDIT_PROMETHEUS_PASSWORD' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l prometheus-ca -d 'File with the certificates (PEM) that sign Prometheus\' own, beside the system\'s' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l prometheus-tenant -d 'The tenant of Mimir or Cortex: X-Scope-OrgID' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l since -d 'Leave out what is older: a moment, a day, or a length of time before now such as 36h, 1d or 2w' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l until -d 'Leave out what is younger: a moment, a day, or a length of time before now' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l service -d 'Count only this service (repeatable)' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l service-field -d 'The JSON field that names the service, as a path with points' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l class -d 'Count only this class of resets (repeatable), e.g. connection-reset' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l pattern -d 'Count records that match this regular expression too (repeatable)' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l log-tz -d 'Time zone of log timestamps that name none' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -s o -l output -d 'chart, table, wide, json, yaml, csv, markdown, svg or html' -r -f -a "chart\t''
table\t''
wide\t''
json\t''
yaml\t''
csv\t''
markdown\t''
svg\t''
html\t''"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l by -d 'Length of the columns: day, hour, or a length that divides a day such as 10m' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l tz -d 'Time zone of the days and hours, and of times given without one: an IANA name' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l top -d 'Show the services with the most resets, and sum up the others; 0 shows all' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l mark -d 'A moment at which something was changed: draws it, and compares before and after (repeatable); now and 23:55 are moments too' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l show -d 'List, instead of the chart, the records that have words of a lost connection and were not counted' -r -f -a "uncounted\t'What was seen and not counted'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -s n -l namespace -d 'The namespace; the context\'s, if not given' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -s l -l selector -d 'Label selector, e.g. app=web,tier!=test' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l field-selector -d 'Field selector, e.g. spec.nodeName=node-1' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l revision -d 'Only proxies of this control plane revision' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l kubeconfig -d 'Path to the kubeconfig file' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l context -d 'The kubeconfig context; repeat it to audit several clusters at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l cluster -d 'The kubeconfig cluster' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l user -d 'The kubeconfig user' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l as -d 'User to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l as-group -d 'Group to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l as-uid -d 'UID to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l as-user-extra -d 'Extra of the user to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -s s -l server -d 'The API server\'s URL, in place of the kubeconfig\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l token -d 'Bearer token for the API server' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l certificate-authority -d 'File with the certificates of the API server\'s authorities' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l client-certificate -d 'File with a client certificate' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l client-key -d 'File with the client certificate\'s key' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l tls-server-name -d 'The name that the API server\'s certificate is to have' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l proxy-url -d 'Reach the API server through this proxy, in place of the kubeconfig\'s and the environment\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l request-timeout -d 'Deadline of each single request, e.g. 15s; 0 means none' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l timeout -d 'How long the whole command may take; 0 means no end [default: 5m; files are read to their end]' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -s i -l istio-namespace -d 'Istio\'s own namespace' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l audit-log -d 'Append a JSON line to FILE for each log level that is changed: who, where, from what, to what' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l admin-port -d 'The admin port of every proxy, in place of what the pods say' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -s A -l all-namespaces -d 'All namespaces, whatever -n says'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l insecure-skip-tls-verify -d 'Do not check the API server\'s certificate: whoever is in between can read and change everything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l disable-compression -d 'Do not ask for compressed answers'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -l non-interactive -d 'Never let a credential plugin ask for anything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -s v -l verbose -d 'Say more; -vv shows each request'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand resets" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l level -d 'What to set: LEVEL, or LOGGER:LEVEL,LOGGER:LEVEL; the connection loggers to debug, if not given' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l for -d 'How long to watch, e.g. 30m (5m, if not given); 0 is until Ctrl-C. With --on: when the levels are to be put back, by whatever command of this program is run next' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l restore-timeout -d 'How long to try to put levels back while the API server or the proxy cannot be reached' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l log-file -d 'Keep what was read of the log in a file' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -s o -l output -d 'table, json, yaml or ndjson (each failure as it happens, and what was done at the end)' -r -f -a "table\t''
json\t''
yaml\t''
ndjson\t''"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -s n -l namespace -d 'The namespace; the context\'s, if not given' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -s l -l selector -d 'Label selector, e.g. app=web,tier!=test' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l field-selector -d 'Field selector, e.g. spec.nodeName=node-1' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l revision -d 'Only proxies of this control plane revision' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l admin-port -d 'The admin port of every proxy, in place of what the pods say' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l kubeconfig -d 'Path to the kubeconfig file' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l context -d 'The kubeconfig context; repeat it to audit several clusters at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l cluster -d 'The kubeconfig cluster' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l user -d 'The kubeconfig user' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l as -d 'User to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l as-group -d 'Group to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l as-uid -d 'UID to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l as-user-extra -d 'Extra of the user to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -s s -l server -d 'The API server\'s URL, in place of the kubeconfig\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l token -d 'Bearer token for the API server' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l certificate-authority -d 'File with the certificates of the API server\'s authorities' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l client-certificate -d 'File with a client certificate' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l client-key -d 'File with the client certificate\'s key' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l tls-server-name -d 'The name that the API server\'s certificate is to have' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l proxy-url -d 'Reach the API server through this proxy, in place of the kubeconfig\'s and the environment\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l request-timeout -d 'Deadline of each single request, e.g. 15s; 0 means none' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l timeout -d 'How long the whole command may take; 0 means no end [default: 5m; files are read to their end]' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -s i -l istio-namespace -d 'Istio\'s own namespace' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l audit-log -d 'Append a JSON line to FILE for each log level that is changed: who, where, from what, to what' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l on -d 'Set the levels and leave them so; prints the command that puts them back'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l off -d 'Put every level back: from the state file, else to what the proxy was started with'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l show -d 'List the levels that differ from what the proxy was started with'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l all -d 'With --off: everything that this user left on'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l all-loggers -d 'With --show: every logger'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l dry-run -d 'Only say what would be changed'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -s y -l yes -d 'Do not ask whether so many are meant: more than one namespace, or more than ten proxies'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l raw -d 'Print the log as it comes, without explaining it'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l no-headers -d 'No headings in tables'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -s A -l all-namespaces -d 'All namespaces, whatever -n says'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l insecure-skip-tls-verify -d 'Do not check the API server\'s certificate: whoever is in between can read and change everything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l disable-compression -d 'Do not ask for compressed answers'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -l non-interactive -d 'Never let a credential plugin ask for anything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -s v -l verbose -d 'Say more; -vv shows each request'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand debug-log" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l since -d 'Nothing older than this: 1h, 1d, 23:55, now, 2026-07-08T20:00Z' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l tail -d 'No more than the last so many lines of each proxy' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -s n -l namespace -d 'The namespace; the context\'s, if not given' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -s l -l selector -d 'Label selector, e.g. app=web,tier!=test' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l field-selector -d 'Field selector, e.g. spec.nodeName=node-1' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l revision -d 'Only proxies of this control plane revision' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l admin-port -d 'The admin port of every proxy, in place of what the pods say' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l kubeconfig -d 'Path to the kubeconfig file' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l context -d 'The kubeconfig context; repeat it to audit several clusters at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l cluster -d 'The kubeconfig cluster' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l user -d 'The kubeconfig user' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l as -d 'User to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l as-group -d 'Group to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l as-uid -d 'UID to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l as-user-extra -d 'Extra of the user to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -s s -l server -d 'The API server\'s URL, in place of the kubeconfig\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l token -d 'Bearer token for the API server' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l certificate-authority -d 'File with the certificates of the API server\'s authorities' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l client-certificate -d 'File with a client certificate' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l client-key -d 'File with the client certificate\'s key' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l tls-server-name -d 'The name that the API server\'s certificate is to have' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l proxy-url -d 'Reach the API server through this proxy, in place of the kubeconfig\'s and the environment\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l request-timeout -d 'Deadline of each single request, e.g. 15s; 0 means none' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l timeout -d 'How long the whole command may take; 0 means no end [default: 5m; files are read to their end]' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -s i -l istio-namespace -d 'Istio\'s own namespace' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l audit-log -d 'Append a JSON line to FILE for each log level that is changed: who, where, from what, to what' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l splunk -d 'Read from Splunk, at its management port, instead of pods' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l elasticsearch -d 'Read from Elasticsearch or OpenSearch' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l loki -d 'Read from Loki' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l victorialogs -d 'Read from VictoriaLogs' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l splunk-service -d 'Splunk in the cluster, through a port-forward' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l elasticsearch-service -d 'Elasticsearch or OpenSearch in the cluster, through a port-forward' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l loki-service -d 'Loki in the cluster, through a port-forward' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l victorialogs-service -d 'VictoriaLogs in the cluster, through a port-forward' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l query -d 'Narrow it in the store\'s own words: index=prod, an index pattern, {namespace="shop"}, a filter of LogsQL' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l text-field -d 'The field that holds the line; else found in a sample' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l time-field -d 'The field that holds the time; else found in a sample' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l store-token-file -d 'File with the bearer token that the store wants; else $MESHAUDIT_STORE_TOKEN' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l store-user -d 'User for basic authentication; the password is in $MESHAUDIT_STORE_PASSWORD' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l store-password-file -d 'File with the password, in place of $MESHAUDIT_STORE_PASSWORD' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l store-api-key-file -d 'File with Elasticsearch\'s API key, encoded as it was given out; else $MESHAUDIT_STORE_API_KEY' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l store-tenant -d 'The tenant: X-Scope-OrgID of Loki, ACCOUNT[:PROJECT] of VictoriaLogs' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l store-ca -d 'File with the certificates (PEM) that sign the store\'s own, beside the system\'s' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l store-client-certificate -d 'File with a client certificate (PEM) for the store' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l store-client-key -d 'File with the client certificate\'s key (PEM)' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l from -d 'Logs in files, not of running proxies: directories, .gz, bug-report archives; - is stdin. May be repeated' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l config-dump -d 'Configuration of the proxies (dumps, snapshots): for their connect timeouts and access log formats' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -s o -l output -d 'table, timeline, json, yaml, ndjson (each failure as it is found), sarif, junit, markdown, html or csv' -r -f -a "table\t''
timeline\t''
json\t''
yaml\t''
ndjson\t''
sarif\t''
junit\t''
markdown\t''
html\t''
csv\t''"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l output-file -d 'Write the report into FILE, not to stdout' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l fail-on -d 'The severity of a cause from which on the exit code is 1: error, warning, info or never' -r -f -a "error\t''
warning\t''
info\t''
never\t''"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -s f -l follow -d 'Go on with what the proxies write, until Ctrl-C'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -s p -l previous -d 'The log of the proxies before their last restart'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -s A -l all-namespaces -d 'All namespaces, whatever -n says'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l insecure-skip-tls-verify -d 'Do not check the API server\'s certificate: whoever is in between can read and change everything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l disable-compression -d 'Do not ask for compressed answers'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l non-interactive -d 'Never let a credential plugin ask for anything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l no-headers -d 'Rows alone on stdout, without headings; the summary goes to stderr'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -l exit-zero -d 'Exit code 0 in place of 1'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -s v -l verbose -d 'Say more; -vv shows each request'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diagnose" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l from -d 'Read files instead of a cluster: config dumps, istioctl\'s output, bug-report archives, snapshots; - is stdin' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l admin-url -d 'Read the admin endpoint at this URL instead of a cluster\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l concurrency -d 'The most proxies read at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -s n -l namespace -d 'The namespace; the context\'s, if not given' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -s l -l selector -d 'Label selector, e.g. app=web,tier!=test' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l field-selector -d 'Field selector, e.g. spec.nodeName=node-1' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l revision -d 'Only proxies of this control plane revision' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l admin-port -d 'The admin port of every proxy, in place of what the pods say' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l kubeconfig -d 'Path to the kubeconfig file' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l context -d 'The kubeconfig context; repeat it to audit several clusters at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l cluster -d 'The kubeconfig cluster' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l user -d 'The kubeconfig user' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l as -d 'User to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l as-group -d 'Group to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l as-uid -d 'UID to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l as-user-extra -d 'Extra of the user to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -s s -l server -d 'The API server\'s URL, in place of the kubeconfig\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l token -d 'Bearer token for the API server' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l certificate-authority -d 'File with the certificates of the API server\'s authorities' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l client-certificate -d 'File with a client certificate' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l client-key -d 'File with the client certificate\'s key' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l tls-server-name -d 'The name that the API server\'s certificate is to have' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l proxy-url -d 'Reach the API server through this proxy, in place of the kubeconfig\'s and the environment\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l request-timeout -d 'Deadline of each single request, e.g. 15s; 0 means none' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l timeout -d 'How long the whole command may take; 0 means no end [default: 5m; files are read to their end]' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -s i -l istio-namespace -d 'Istio\'s own namespace' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l audit-log -d 'Append a JSON line to FILE for each log level that is changed: who, where, from what, to what' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l fqdn -l host -d 'Only clusters whose name has this host in it' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l port -d 'Only clusters of this port; 0 means any' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l direction -d 'Only clusters of this direction: outbound, inbound or inbound-vip' -r -f -a "outbound\t''
inbound\t''
inbound-vip\t''"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l subset -d 'Only clusters whose name has this subset in it' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -s o -l output -d 'table, json, yaml or name (short is istioctl\'s word for table)' -r -f -a "table\t''
json\t''
yaml\t''
name\t''"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -s A -l all-namespaces -d 'All namespaces, whatever -n says'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l insecure-skip-tls-verify -d 'Do not check the API server\'s certificate: whoever is in between can read and change everything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l disable-compression -d 'Do not ask for compressed answers'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l non-interactive -d 'Never let a credential plugin ask for anything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l no-headers -d 'No headings in tables'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -s v -l verbose -d 'Say more; -vv shows each request'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l from -d 'Read files instead of a cluster: config dumps, istioctl\'s output, bug-report archives, snapshots; - is stdin' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l admin-url -d 'Read the admin endpoint at this URL instead of a cluster\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l concurrency -d 'The most proxies read at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -s n -l namespace -d 'The namespace; the context\'s, if not given' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -s l -l selector -d 'Label selector, e.g. app=web,tier!=test' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l field-selector -d 'Field selector, e.g. spec.nodeName=node-1' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l revision -d 'Only proxies of this control plane revision' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l admin-port -d 'The admin port of every proxy, in place of what the pods say' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l kubeconfig -d 'Path to the kubeconfig file' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l context -d 'The kubeconfig context; repeat it to audit several clusters at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l cluster -d 'The kubeconfig cluster' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l user -d 'The kubeconfig user' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l as -d 'User to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l as-group -d 'Group to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l as-uid -d 'UID to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l as-user-extra -d 'Extra of the user to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -s s -l server -d 'The API server\'s URL, in place of the kubeconfig\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l token -d 'Bearer token for the API server' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l certificate-authority -d 'File with the certificates of the API server\'s authorities' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l client-certificate -d 'File with a client certificate' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l client-key -d 'File with the client certificate\'s key' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l tls-server-name -d 'The name that the API server\'s certificate is to have' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l proxy-url -d 'Reach the API server through this proxy, in place of the kubeconfig\'s and the environment\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l request-timeout -d 'Deadline of each single request, e.g. 15s; 0 means none' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l timeout -d 'How long the whole command may take; 0 means no end [default: 5m; files are read to their end]' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -s i -l istio-namespace -d 'Istio\'s own namespace' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l audit-log -d 'Append a JSON line to FILE for each log level that is changed: who, where, from what, to what' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l host -d 'Only clusters whose host has this in it' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l port -d 'Only clusters of this port' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l direction -d 'Only clusters of this direction: outbound, inbound or inbound-vip' -r -f -a "outbound\t''
inbound\t''
inbound-vip\t''"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l subset -d 'Only clusters of this subset' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l timeout-below -d 'Only timeouts below this, e.g. 2s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l timeout-above -d 'Only timeouts above this, e.g. 30s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l watch-for -d 'Read the counters twice, this long apart, and count what happened in between' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l policy -d 'What is expected of the mesh; .meshaudit.yaml in the working directory, if there is one' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l baseline -d 'Report only what an earlier -o json does not have' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -s o -l output -d 'table, wide, json, yaml, ndjson, sarif, junit, markdown, html, csv or prometheus' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
ndjson\t''
sarif\t''
junit\t''
markdown\t''
html\t''
csv\t''
prometheus\t''"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l output-file -d 'Write the report into FILE, not to stdout' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l push -d 'Push the figures of -o prometheus to this Pushgateway too, as job kubectl-meshaudit' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l by -d 'What a row of the table is: cause (a value and what gives it) or cluster' -r -f -a "cause\t''
cluster\t''"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l fail-on -d 'The severity from which on the exit code is 1: error, warning, info or never' -r -f -a "error\t''
warning\t''
info\t''
never\t''"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l min-coverage -d 'How many percent of the proxies must have been read for the exit code not to be 3' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -s A -l all-namespaces -d 'All namespaces, whatever -n says'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l insecure-skip-tls-verify -d 'Do not check the API server\'s certificate: whoever is in between can read and change everything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l disable-compression -d 'Do not ask for compressed answers'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l non-interactive -d 'Never let a credential plugin ask for anything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l all-clusters -d 'Every cluster: those that are in order, and the bootstrap\'s and internal ones too'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l no-evidence -d 'Do not read the proxies\' connection counters (of a large mesh a sample is read)'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l no-headers -d 'Rows alone on stdout, without headings; the summary goes to stderr'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l exit-zero -d 'Exit code 0 in place of 1 and 3'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l explain-origin -d 'Show for each cluster what could have given it its timeout, and why it did or did not; best with --host'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -s v -l verbose -d 'Say more; -vv shows each request'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l from -d 'Read files instead of a cluster: config dumps, istioctl\'s output, bug-report archives, snapshots; - is stdin' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l admin-url -d 'Read the admin endpoint at this URL instead of a cluster\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l concurrency -d 'The most proxies read at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -s n -l namespace -d 'The namespace; the context\'s, if not given' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -s l -l selector -d 'Label selector, e.g. app=web,tier!=test' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l field-selector -d 'Field selector, e.g. spec.nodeName=node-1' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l revision -d 'Only proxies of this control plane revision' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l admin-port -d 'The admin port of every proxy, in place of what the pods say' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l kubeconfig -d 'Path to the kubeconfig file' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l context -d 'The kubeconfig context; repeat it to audit several clusters at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l cluster -d 'The kubeconfig cluster' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l user -d 'The kubeconfig user' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l as -d 'User to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l as-group -d 'Group to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l as-uid -d 'UID to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l as-user-extra -d 'Extra of the user to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -s s -l server -d 'The API server\'s URL, in place of the kubeconfig\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l token -d 'Bearer token for the API server' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l certificate-authority -d 'File with the certificates of the API server\'s authorities' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l client-certificate -d 'File with a client certificate' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l client-key -d 'File with the client certificate\'s key' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l tls-server-name -d 'The name that the API server\'s certificate is to have' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l proxy-url -d 'Reach the API server through this proxy, in place of the kubeconfig\'s and the environment\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l request-timeout -d 'Deadline of each single request, e.g. 15s; 0 means none' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l timeout -d 'How long the whole command may take; 0 means no end [default: 5m; files are read to their end]' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -s i -l istio-namespace -d 'Istio\'s own namespace' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l audit-log -d 'Append a JSON line to FILE for each log level that is changed: who, where, from what, to what' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l watch-for -d 'Read the counters twice, this long apart, and count what happened in between' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l policy -d 'What is expected of the mesh; .meshaudit.yaml in the working directory, if there is one' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l set -d 'Set this value, not the recommended one, e.g. 15s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l host -d 'Only hosts with this in their name, and no mesh-wide change; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l choose -d 'With --host, change this object too, as a plan offers it: NAMESPACE/NAME; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -s o -l output -d 'text, json or yaml' -r -f -a "text\t''
json\t''
yaml\t''"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -s A -l all-namespaces -d 'All namespaces, whatever -n says'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l insecure-skip-tls-verify -d 'Do not check the API server\'s certificate: whoever is in between can read and change everything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l disable-compression -d 'Do not ask for compressed answers'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l non-interactive -d 'Never let a credential plugin ask for anything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l no-evidence -d 'Do not read the proxies\' connection counters (of a large mesh a sample is read)'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -l exit-zero -d 'Exit code 0 even if some proxies could not be read'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -s v -l verbose -d 'Say more; -vv shows each request'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand fix" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l from -d 'Read files instead of a cluster: config dumps, istioctl\'s output, bug-report archives, snapshots; - is stdin' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l admin-url -d 'Read the admin endpoint at this URL instead of a cluster\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l concurrency -d 'The most proxies read at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -s n -l namespace -d 'The namespace; the context\'s, if not given' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -s l -l selector -d 'Label selector, e.g. app=web,tier!=test' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l field-selector -d 'Field selector, e.g. spec.nodeName=node-1' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l revision -d 'Only proxies of this control plane revision' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l admin-port -d 'The admin port of every proxy, in place of what the pods say' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l kubeconfig -d 'Path to the kubeconfig file' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l context -d 'The kubeconfig context; repeat it to audit several clusters at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l cluster -d 'The kubeconfig cluster' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l user -d 'The kubeconfig user' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l as -d 'User to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l as-group -d 'Group to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l as-uid -d 'UID to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l as-user-extra -d 'Extra of the user to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -s s -l server -d 'The API server\'s URL, in place of the kubeconfig\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l token -d 'Bearer token for the API server' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l certificate-authority -d 'File with the certificates of the API server\'s authorities' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l client-certificate -d 'File with a client certificate' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l client-key -d 'File with the client certificate\'s key' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l tls-server-name -d 'The name that the API server\'s certificate is to have' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l proxy-url -d 'Reach the API server through this proxy, in place of the kubeconfig\'s and the environment\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l request-timeout -d 'Deadline of each single request, e.g. 15s; 0 means none' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l timeout -d 'How long the whole command may take; 0 means no end [default: 5m; files are read to their end]' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -s i -l istio-namespace -d 'Istio\'s own namespace' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l audit-log -d 'Append a JSON line to FILE for each log level that is changed: who, where, from what, to what' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l expect -d 'The value that every cluster is to have which no object overrides; else what the objects give, e.g. 10s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l plan -d 'A plan that `fix -o json` wrote' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l wait -d 'Read again until every proxy has it, or this time is over, e.g. 5m' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l interval -d 'How long to wait between two readings' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -s o -l output -d 'text, json, yaml, sarif, junit, markdown, html or csv' -r -f -a "text\t''
json\t''
yaml\t''
sarif\t''
junit\t''
markdown\t''
html\t''
csv\t''"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l output-file -d 'Write the report into FILE, not to stdout' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -s A -l all-namespaces -d 'All namespaces, whatever -n says'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l insecure-skip-tls-verify -d 'Do not check the API server\'s certificate: whoever is in between can read and change everything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l disable-compression -d 'Do not ask for compressed answers'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l non-interactive -d 'Never let a credential plugin ask for anything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l no-headers -d 'Stragglers alone on stdout, a row for each reason, without headings; the rest goes to stderr'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -l exit-zero -d 'Exit code 0 in place of 1 and 3'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -s v -l verbose -d 'Say more; -vv shows each request'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l from -d 'Read files instead of a cluster: config dumps, istioctl\'s output, bug-report archives, snapshots; - is stdin' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l admin-url -d 'Read the admin endpoint at this URL instead of a cluster\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l concurrency -d 'The most proxies read at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -s n -l namespace -d 'The namespace; the context\'s, if not given' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -s l -l selector -d 'Label selector, e.g. app=web,tier!=test' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l field-selector -d 'Field selector, e.g. spec.nodeName=node-1' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l revision -d 'Only proxies of this control plane revision' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l admin-port -d 'The admin port of every proxy, in place of what the pods say' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l kubeconfig -d 'Path to the kubeconfig file' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l context -d 'The kubeconfig context; repeat it to audit several clusters at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l cluster -d 'The kubeconfig cluster' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l user -d 'The kubeconfig user' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l as -d 'User to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l as-group -d 'Group to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l as-uid -d 'UID to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l as-user-extra -d 'Extra of the user to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -s s -l server -d 'The API server\'s URL, in place of the kubeconfig\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l token -d 'Bearer token for the API server' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l certificate-authority -d 'File with the certificates of the API server\'s authorities' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l client-certificate -d 'File with a client certificate' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l client-key -d 'File with the client certificate\'s key' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l tls-server-name -d 'The name that the API server\'s certificate is to have' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l proxy-url -d 'Reach the API server through this proxy, in place of the kubeconfig\'s and the environment\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l request-timeout -d 'Deadline of each single request, e.g. 15s; 0 means none' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l timeout -d 'How long the whole command may take; 0 means no end [default: 5m; files are read to their end]' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -s i -l istio-namespace -d 'Istio\'s own namespace' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l audit-log -d 'Append a JSON line to FILE for each log level that is changed: who, where, from what, to what' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l watch-for -d 'Read the counters twice, this long apart, and count what happened in between' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -s A -l all-namespaces -d 'All namespaces, whatever -n says'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l insecure-skip-tls-verify -d 'Do not check the API server\'s certificate: whoever is in between can read and change everything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l disable-compression -d 'Do not ask for compressed answers'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l non-interactive -d 'Never let a credential plugin ask for anything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l no-evidence -d 'Do not read the proxies\' connection counters (of a large mesh a sample is read)'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l exit-zero -d 'Exit code 0 even if some proxies could not be read'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l force -d 'Write over a snapshot that is already there'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -s v -l verbose -d 'Say more; -vv shows each request'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l from -d 'Read files instead of a cluster: config dumps, istioctl\'s output, bug-report archives, snapshots; - is stdin' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l admin-url -d 'Read the admin endpoint at this URL instead of a cluster\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l concurrency -d 'The most proxies read at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -s n -l namespace -d 'The namespace; the context\'s, if not given' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -s l -l selector -d 'Label selector, e.g. app=web,tier!=test' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l field-selector -d 'Field selector, e.g. spec.nodeName=node-1' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l revision -d 'Only proxies of this control plane revision' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l admin-port -d 'The admin port of every proxy, in place of what the pods say' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l kubeconfig -d 'Path to the kubeconfig file' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l context -d 'The kubeconfig context; repeat it to audit several clusters at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l cluster -d 'The kubeconfig cluster' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l user -d 'The kubeconfig user' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l as -d 'User to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l as-group -d 'Group to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l as-uid -d 'UID to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l as-user-extra -d 'Extra of the user to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -s s -l server -d 'The API server\'s URL, in place of the kubeconfig\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l token -d 'Bearer token for the API server' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l certificate-authority -d 'File with the certificates of the API server\'s authorities' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l client-certificate -d 'File with a client certificate' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l client-key -d 'File with the client certificate\'s key' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l tls-server-name -d 'The name that the API server\'s certificate is to have' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l proxy-url -d 'Reach the API server through this proxy, in place of the kubeconfig\'s and the environment\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l request-timeout -d 'Deadline of each single request, e.g. 15s; 0 means none' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l timeout -d 'How long the whole command may take; 0 means no end [default: 5m; files are read to their end]' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -s i -l istio-namespace -d 'Istio\'s own namespace' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l audit-log -d 'Append a JSON line to FILE for each log level that is changed: who, where, from what, to what' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -s c -l container -d 'Count the resets in the log of this container; else of every one but the proxy (repeatable)' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l since -d 'Leave out what is older: a moment, a day, or a length of time before now such as 36h, 1d or 2w' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l until -d 'Leave out what is younger: a moment, a day, or a length of time before now' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l service -d 'Count only this service (repeatable)' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l service-field -d 'The JSON field that names the service, as a path with points' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l class -d 'Count only this class of resets (repeatable), e.g. connection-reset' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l pattern -d 'Count records that match this regular expression too (repeatable)' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l log-tz -d 'Time zone of log timestamps that name none' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l splunk -d 'Read from Splunk, at its management port, instead of pods' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l elasticsearch -d 'Read from Elasticsearch or OpenSearch' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l loki -d 'Read from Loki' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l victorialogs -d 'Read from VictoriaLogs' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l splunk-service -d 'Splunk in the cluster, through a port-forward' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l elasticsearch-service -d 'Elasticsearch or OpenSearch in the cluster, through a port-forward' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l loki-service -d 'Loki in the cluster, through a port-forward' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l victorialogs-service -d 'VictoriaLogs in the cluster, through a port-forward' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l query -d 'Narrow it in the store\'s own words: index=prod, an index pattern, {namespace="shop"}, a filter of LogsQL' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l text-field -d 'The field that holds the line; else found in a sample' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l time-field -d 'The field that holds the time; else found in a sample' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l store-token-file -d 'File with the bearer token that the store wants; else $MESHAUDIT_STORE_TOKEN' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l store-user -d 'User for basic authentication; the password is in $MESHAUDIT_STORE_PASSWORD' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l store-password-file -d 'File with the password, in place of $MESHAUDIT_STORE_PASSWORD' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l store-api-key-file -d 'File with Elasticsearch\'s API key, encoded as it was given out; else $MESHAUDIT_STORE_API_KEY' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l store-tenant -d 'The tenant: X-Scope-OrgID of Loki, ACCOUNT[:PROJECT] of VictoriaLogs' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l store-ca -d 'File with the certificates (PEM) that sign the store\'s own, beside the system\'s' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l store-client-certificate -d 'File with a client certificate (PEM) for the store' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l store-client-key -d 'File with the client certificate\'s key (PEM)' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l prometheus -d 'Read Istio\'s request counts from Prometheus at this URL instead of logs' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l prometheus-service -d 'The same, from a service in the cluster, through a port-forward' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l prometheus-token-file -d 'File with the bearer token that Prometheus wants' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l prometheus-user -d 'User for basic authentication; the password is in MESHAUDIT_PROMETHEUS_PASSWORD' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l prometheus-ca -d 'File with the certificates (PEM) that sign Prometheus\' own, beside the system\'s' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l prometheus-tenant -d 'The tenant of Mimir or Cortex: X-Scope-OrgID' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l watch-for -d 'Read the counters twice, this long apart, and count what happened in between' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l policy -d 'What is expected of the mesh; .meshaudit.yaml in the working directory, if there is one' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l expect -d 'The value that every cluster is to have which no object overrides; else what the objects give, e.g. 10s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l plan -d 'A plan that `fix -o json` wrote' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -s o -l output -d 'text, html (one page that needs nothing from anywhere), markdown, json or yaml' -r -f -a "text\t''
html\t''
markdown\t''
json\t''
yaml\t''"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l output-file -d 'Write the report into FILE, not to stdout' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l title -d 'What the write-up is called' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l by -d 'Length of the columns: day, hour, or a length that divides a day such as 10m' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l tz -d 'Time zone of the days and hours, and of times given without one: an IANA name' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l top -d 'Show the services with the most resets, and sum up the others; 0 shows all' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l mark -d 'A moment at which something was changed: draws it, and compares before and after (repeatable); now and 23:55 are moments too' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -s A -l all-namespaces -d 'All namespaces, whatever -n says'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l insecure-skip-tls-verify -d 'Do not check the API server\'s certificate: whoever is in between can read and change everything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l disable-compression -d 'Do not ask for compressed answers'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l non-interactive -d 'Never let a credential plugin ask for anything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -l no-evidence -d 'Do not read the proxies\' connection counters (of a large mesh a sample is read)'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -s v -l verbose -d 'Say more; -vv shows each request'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand incident" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diff" -l policy -d 'What is expected of the mesh; .meshaudit.yaml in the working directory, if there is one' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diff" -s o -l output -d 'table, json, yaml, sarif, junit, markdown, html, csv or prometheus' -r -f -a "table\t''
json\t''
yaml\t''
sarif\t''
junit\t''
markdown\t''
html\t''
csv\t''
prometheus\t''"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diff" -l output-file -d 'Write the report into FILE, not to stdout' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diff" -l fail-on -d 'The severity of new findings from which on the exit code is 1: error, warning, info or never' -r -f -a "error\t''
warning\t''
info\t''
never\t''"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diff" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diff" -l exit-zero -d 'Exit code 0 in place of 1 and 3'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diff" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diff" -s v -l verbose -d 'Say more; -vv shows each request'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand diff" -s h -l help -d 'Print help'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand convert" -s o -l output -d 'sarif, junit, markdown, html, csv or prometheus' -r -f -a "sarif\t''
junit\t''
markdown\t''
html\t''
csv\t''
prometheus\t''"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand convert" -l output-file -d 'Write the report into FILE, not to stdout' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand convert" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand convert" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand convert" -s v -l verbose -d 'Say more; -vv shows each request'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand convert" -s h -l help -d 'Print help'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and not __fish_seen_subcommand_from init check" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and not __fish_seen_subcommand_from init check" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and not __fish_seen_subcommand_from init check" -s v -l verbose -d 'Say more; -vv shows each request'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and not __fish_seen_subcommand_from init check" -s h -l help -d 'Print help'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and not __fish_seen_subcommand_from init check" -f -a "init" -d 'Write a policy by which the mesh as it is passes: what is wrong today is ignored for 90 days, what overrides the mesh is expected'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and not __fish_seen_subcommand_from init check" -f -a "check" -d 'Check a policy: mistakes, and what has run out'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l from -d 'Read files instead of a cluster: config dumps, istioctl\'s output, bug-report archives, snapshots; - is stdin' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l admin-url -d 'Read the admin endpoint at this URL instead of a cluster\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l concurrency -d 'The most proxies read at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -s n -l namespace -d 'The namespace; the context\'s, if not given' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -s l -l selector -d 'Label selector, e.g. app=web,tier!=test' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l field-selector -d 'Field selector, e.g. spec.nodeName=node-1' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l revision -d 'Only proxies of this control plane revision' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l admin-port -d 'The admin port of every proxy, in place of what the pods say' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l kubeconfig -d 'Path to the kubeconfig file' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l context -d 'The kubeconfig context; repeat it to audit several clusters at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l cluster -d 'The kubeconfig cluster' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l user -d 'The kubeconfig user' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l as -d 'User to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l as-group -d 'Group to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l as-uid -d 'UID to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l as-user-extra -d 'Extra of the user to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -s s -l server -d 'The API server\'s URL, in place of the kubeconfig\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l token -d 'Bearer token for the API server' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l certificate-authority -d 'File with the certificates of the API server\'s authorities' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l client-certificate -d 'File with a client certificate' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l client-key -d 'File with the client certificate\'s key' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l tls-server-name -d 'The name that the API server\'s certificate is to have' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l proxy-url -d 'Reach the API server through this proxy, in place of the kubeconfig\'s and the environment\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l request-timeout -d 'Deadline of each single request, e.g. 15s; 0 means none' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l timeout -d 'How long the whole command may take; 0 means no end [default: 5m; files are read to their end]' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -s i -l istio-namespace -d 'Istio\'s own namespace' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l audit-log -d 'Append a JSON line to FILE for each log level that is changed: who, where, from what, to what' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l output-file -d 'Write the report into FILE, not to stdout' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -s A -l all-namespaces -d 'All namespaces, whatever -n says'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l insecure-skip-tls-verify -d 'Do not check the API server\'s certificate: whoever is in between can read and change everything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l disable-compression -d 'Do not ask for compressed answers'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -l non-interactive -d 'Never let a credential plugin ask for anything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -s v -l verbose -d 'Say more; -vv shows each request'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from check" -l policy -d 'The same, as the other commands have it' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from check" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from check" -s v -l verbose -d 'Say more; -vv shows each request'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand policy; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l from -d 'Read files instead of a cluster: config dumps, istioctl\'s output, bug-report archives, snapshots; - is stdin' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l admin-url -d 'Read the admin endpoint at this URL instead of a cluster\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -s n -l namespace -d 'The namespace; the context\'s, if not given' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -s l -l selector -d 'Label selector, e.g. app=web,tier!=test' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l field-selector -d 'Field selector, e.g. spec.nodeName=node-1' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l revision -d 'Only proxies of this control plane revision' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l admin-port -d 'The admin port of every proxy, in place of what the pods say' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l kubeconfig -d 'Path to the kubeconfig file' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l context -d 'The kubeconfig context; repeat it to audit several clusters at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l cluster -d 'The kubeconfig cluster' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l user -d 'The kubeconfig user' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l as -d 'User to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l as-group -d 'Group to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l as-uid -d 'UID to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l as-user-extra -d 'Extra of the user to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -s s -l server -d 'The API server\'s URL, in place of the kubeconfig\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l token -d 'Bearer token for the API server' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l certificate-authority -d 'File with the certificates of the API server\'s authorities' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l client-certificate -d 'File with a client certificate' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l client-key -d 'File with the client certificate\'s key' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l tls-server-name -d 'The name that the API server\'s certificate is to have' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l proxy-url -d 'Reach the API server through this proxy, in place of the kubeconfig\'s and the environment\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l request-timeout -d 'Deadline of each single request, e.g. 15s; 0 means none' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l timeout -d 'How long the whole command may take; 0 means no end [default: 5m; files are read to their end]' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -s i -l istio-namespace -d 'Istio\'s own namespace' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l audit-log -d 'Append a JSON line to FILE for each log level that is changed: who, where, from what, to what' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l watch-for -d 'Read the counters twice, this long apart, and count what happened in between' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l policy -d 'What is expected of the mesh; .meshaudit.yaml in the working directory, if there is one' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l listen -d 'Address and port to listen at; what it shows names pods and hosts, and asks for no password' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l interval -d 'From the beginning of an audit to the next one\'s, at least 10s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l concurrency -d 'The most proxies read at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -s A -l all-namespaces -d 'All namespaces, whatever -n says'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l insecure-skip-tls-verify -d 'Do not check the API server\'s certificate: whoever is in between can read and change everything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l disable-compression -d 'Do not ask for compressed answers'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l non-interactive -d 'Never let a credential plugin ask for anything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -l no-evidence -d 'Do not read the proxies\' connection counters (of a large mesh a sample is read)'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -s v -l verbose -d 'Say more; -vv shows each request'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand explain" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand explain" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand explain" -s v -l verbose -d 'Say more; -vv shows each request'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand explain" -s h -l help -d 'Print help'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -s o -l output -d 'text, json or yaml' -r -f -a "text\t''
json\t''
yaml\t''"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -s n -l namespace -d 'The namespace; the context\'s, if not given' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -s l -l selector -d 'Label selector, e.g. app=web,tier!=test' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -l field-selector -d 'Field selector, e.g. spec.nodeName=node-1' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -l revision -d 'Only proxies of this control plane revision' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -l admin-port -d 'The admin port of every proxy, in place of what the pods say' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -l kubeconfig -d 'Path to the kubeconfig file' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -l context -d 'The kubeconfig context; repeat it to audit several clusters at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -l cluster -d 'The kubeconfig cluster' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -l user -d 'The kubeconfig user' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -l as -d 'User to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -l as-group -d 'Group to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -l as-uid -d 'UID to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -l as-user-extra -d 'Extra of the user to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -s s -l server -d 'The API server\'s URL, in place of the kubeconfig\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -l token -d 'Bearer token for the API server' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -l certificate-authority -d 'File with the certificates of the API server\'s authorities' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -l client-certificate -d 'File with a client certificate' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -l client-key -d 'File with the client certificate\'s key' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -l tls-server-name -d 'The name that the API server\'s certificate is to have' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -l proxy-url -d 'Reach the API server through this proxy, in place of the kubeconfig\'s and the environment\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -l request-timeout -d 'Deadline of each single request, e.g. 15s; 0 means none' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -l timeout -d 'How long the whole command may take; 0 means no end [default: 5m; files are read to their end]' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -s i -l istio-namespace -d 'Istio\'s own namespace' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -l audit-log -d 'Append a JSON line to FILE for each log level that is changed: who, where, from what, to what' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -l client -d 'Only this program\'s own'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -s A -l all-namespaces -d 'All namespaces, whatever -n says'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -l insecure-skip-tls-verify -d 'Do not check the API server\'s certificate: whoever is in between can read and change everything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -l disable-compression -d 'Do not ask for compressed answers'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -l non-interactive -d 'Never let a credential plugin ask for anything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -s v -l verbose -d 'Say more; -vv shows each request'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand version" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand completion" -l install -d 'Write kubectl_complete-meshaudit, which kubectl asks for live completion, into DIR (beside this binary, if not given)' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand completion" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand completion" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand completion" -s v -l verbose -d 'Say more; -vv shows each request'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand completion" -s h -l help -d 'Print help'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand options" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand options" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand options" -s v -l verbose -d 'Say more; -vv shows each request'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand options" -s h -l help -d 'Print help'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand help" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand help" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand help" -s v -l verbose -d 'Say more; -vv shows each request'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand help" -s h -l help -d 'Print help'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand __complete" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand __complete" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand __complete" -s v -l verbose -d 'Say more; -vv shows each request'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand __complete" -s h -l help -d 'Print help'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand __generate" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand __generate" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand __generate" -s v -l verbose -d 'Say more; -vv shows each request'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand __generate" -s h -l help -d 'Print help (see more with \'--help\')'

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
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -s v -l verbose -d 'Say more; -vv shows what is sent'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -s h -l help -d 'Print help'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -s V -l version -d 'Print version'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "timeouts" -d 'Audit connect timeouts: every proxy, every cluster, where each value comes from, which are wrong and why'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "clusters" -d 'Show a proxy\'s clusters: a table with the connect timeout in it, or Envoy\'s own objects'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "snapshot" -d 'Keep what an audit reads, for later or for another machine; every read command takes it back with --from'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "explain" -d 'Print the page of a rule'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "completion" -d 'Print a completion script, or install kubectl\'s live completion'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "__complete" -d 'Complete a command line (for kubectl)'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_needs_command" -f -a "__generate" -d 'Print a generated file (for this project\'s own tests)'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l from -d 'Read files instead of a cluster: config dumps, istioctl\'s output, bug-report archives, snapshots; - is stdin' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l admin-url -d 'Read the admin endpoint at this URL instead of a cluster\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l concurrency -d 'The most proxies read at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l timeout -d 'Deadline of the whole, e.g. 5m; 0 means none' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -s n -l namespace -d 'The namespace; the context\'s, if not given' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -s l -l selector -d 'Label selector, e.g. app=web,tier!=test' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l field-selector -d 'Field selector, e.g. spec.nodeName=node-1' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l admin-port -d 'The admin port of every proxy, in place of what the pods say' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l kubeconfig -d 'Path to the kubeconfig file' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l context -d 'The kubeconfig context; repeat it to audit several clusters at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l cluster -d 'The kubeconfig cluster' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l user -d 'The kubeconfig user' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l as -d 'User to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l as-group -d 'Group to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l as-uid -d 'UID to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l request-timeout -d 'Deadline of each single request, e.g. 15s; 0 means none' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -s i -l istio-namespace -d 'Istio\'s own namespace' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l host -d 'Only clusters whose host has this in it' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l port -d 'Only clusters of this port' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l direction -d 'Only clusters of this direction: outbound, inbound or inbound-vip' -r -f -a "outbound\t''
inbound\t''
inbound-vip\t''"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l subset -d 'Only clusters of this subset' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l timeout-below -d 'Only timeouts below this, e.g. 2s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l timeout-above -d 'Only timeouts above this, e.g. 30s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -s o -l output -d 'table, wide, json, yaml or ndjson' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
ndjson\t''"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l fail-on -d 'The severity from which on the exit code is 1: error, warning, info or never' -r -f -a "error\t''
warning\t''
info\t''
never\t''"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l min-coverage -d 'How many percent of the proxies must have been read for the exit code not to be 3' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -s A -l all-namespaces -d 'All namespaces'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l non-interactive -d 'Never let a credential plugin ask for anything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l all-clusters -d 'Every cluster: those that are in order, and the bootstrap\'s and internal ones too'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l no-headers -d 'No headings in tables'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -l exit-zero -d 'Exit code 0 in place of 1 and 3'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -s v -l verbose -d 'Say more; -vv shows what is sent'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand timeouts" -s h -l help -d 'Print help'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l from -d 'Read files instead of a cluster: config dumps, istioctl\'s output, bug-report archives, snapshots; - is stdin' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l admin-url -d 'Read the admin endpoint at this URL instead of a cluster\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l concurrency -d 'The most proxies read at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l timeout -d 'Deadline of the whole, e.g. 5m; 0 means none' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -s n -l namespace -d 'The namespace; the context\'s, if not given' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -s l -l selector -d 'Label selector, e.g. app=web,tier!=test' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l field-selector -d 'Field selector, e.g. spec.nodeName=node-1' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l admin-port -d 'The admin port of every proxy, in place of what the pods say' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l kubeconfig -d 'Path to the kubeconfig file' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l context -d 'The kubeconfig context; repeat it to audit several clusters at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l cluster -d 'The kubeconfig cluster' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l user -d 'The kubeconfig user' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l as -d 'User to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l as-group -d 'Group to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l as-uid -d 'UID to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l request-timeout -d 'Deadline of each single request, e.g. 15s; 0 means none' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -s i -l istio-namespace -d 'Istio\'s own namespace' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l fqdn -d 'Only clusters whose name has this host in it' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l port -d 'Only clusters of this port' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l direction -d 'Only clusters of this direction' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l subset -d 'Only clusters whose name has this subset in it' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -s o -l output -d 'table, json or yaml (short is istioctl\'s word for table)' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -s A -l all-namespaces -d 'All namespaces'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l non-interactive -d 'Never let a credential plugin ask for anything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -l no-headers -d 'No headings in tables'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -s v -l verbose -d 'Say more; -vv shows what is sent'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand clusters" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l from -d 'Read files instead of a cluster: config dumps, istioctl\'s output, bug-report archives, snapshots; - is stdin' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l admin-url -d 'Read the admin endpoint at this URL instead of a cluster\'s' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l concurrency -d 'The most proxies read at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l timeout -d 'Deadline of the whole, e.g. 5m; 0 means none' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -s n -l namespace -d 'The namespace; the context\'s, if not given' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -s l -l selector -d 'Label selector, e.g. app=web,tier!=test' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l field-selector -d 'Field selector, e.g. spec.nodeName=node-1' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l admin-port -d 'The admin port of every proxy, in place of what the pods say' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l kubeconfig -d 'Path to the kubeconfig file' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l context -d 'The kubeconfig context; repeat it to audit several clusters at once' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l cluster -d 'The kubeconfig cluster' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l user -d 'The kubeconfig user' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l as -d 'User to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l as-group -d 'Group to impersonate; may be repeated' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l as-uid -d 'UID to impersonate' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l request-timeout -d 'Deadline of each single request, e.g. 15s; 0 means none' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -s i -l istio-namespace -d 'Istio\'s own namespace' -r
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -s A -l all-namespaces -d 'All namespaces'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l non-interactive -d 'Never let a credential plugin ask for anything'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l exit-zero -d 'Exit code 0 even if some proxies could not be read'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -l force -d 'Write over a snapshot that is already there'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -s v -l verbose -d 'Say more; -vv shows what is sent'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand snapshot" -s h -l help -d 'Print help'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand explain" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand explain" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand explain" -s v -l verbose -d 'Say more; -vv shows what is sent'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand explain" -s h -l help -d 'Print help'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand completion" -l install -d 'Write kubectl_complete-meshaudit, which kubectl asks for live completion, into DIR (beside this binary, if not given)' -r -F
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand completion" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand completion" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand completion" -s v -l verbose -d 'Say more; -vv shows what is sent'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand completion" -s h -l help -d 'Print help'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand __complete" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand __complete" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand __complete" -s v -l verbose -d 'Say more; -vv shows what is sent'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand __complete" -s h -l help -d 'Print help'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand __generate" -l color -d 'When to colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand __generate" -s q -l quiet -d 'Only results and errors'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand __generate" -s v -l verbose -d 'Say more; -vv shows what is sent'
complete -c kubectl-meshaudit -n "__fish_kubectl_meshaudit_using_subcommand __generate" -s h -l help -d 'Print help'

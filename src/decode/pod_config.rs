//! The parts of a pod that are documents of their own: `PROXY_CONFIG` and the annotation `proxy.istio.io/config`.

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProxyConfig {
    proxy_admin_port: Option<u16>,
}

/// `proxyAdminPort` of a ProxyConfig in YAML or JSON. It is there only when it is not the default
/// (`pkg/kube/inject/template.go`, `protoToJSON`).
#[must_use]
pub fn admin_port(document: &str) -> Option<u16> {
    serde_saphyr::from_str::<ProxyConfig>(document).ok()?.proxy_admin_port.filter(|&port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::admin_port;

    #[test]
    fn reads_json_and_yaml() {
        assert_eq!(admin_port(r#"{"proxyAdminPort":15099,"concurrency":2}"#), Some(15099));
        assert_eq!(admin_port("concurrency: 2\nproxyAdminPort: 15099\n"), Some(15099));
        for document in ["{}", "", "x: [", "proxyAdminPort: 99999", "proxyAdminPort: 0", "[1]"] {
            assert_eq!(admin_port(document), None, "{document:?}");
        }
    }
}

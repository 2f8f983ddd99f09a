//! Which HTTP proxy, if any, a server is reached through, as kubectl decides it.
//!
//! kube evaluates NO_PROXY against the proxy's address and not against the server's, so the decision is ours
//! (`golang.org/x/net/http/httpproxy`, `Config.useProxy`).

use std::net::IpAddr;

/// The proxy for `https://host:port`, given the environment.
pub(super) fn proxy_for(host: &str, port: u16, https: bool, env: impl Fn(&str) -> Option<String>) -> Option<String> {
    let variable = |upper: &str, lower: &str| {
        [upper, lower].into_iter().filter_map(&env).map(|value| value.trim().to_owned()).find(|value| !value.is_empty())
    };
    let proxy = if https { variable("HTTPS_PROXY", "https_proxy") } else { variable("HTTP_PROXY", "http_proxy") }?;
    let no_proxy = variable("NO_PROXY", "no_proxy").unwrap_or_default();
    (!bypasses(&no_proxy, host, port)).then(|| if proxy.contains("://") { proxy } else { format!("http://{proxy}") })
}

/// Whether NO_PROXY, or the host itself, says to go directly.
fn bypasses(no_proxy: &str, host: &str, port: u16) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    no_proxy.split(',').map(|entry| entry.trim().to_ascii_lowercase()).filter(|entry| !entry.is_empty()).any(|entry| {
        if entry == "*" {
            return true;
        }
        if let Some((network, bits)) = entry.split_once('/') {
            let (network, bits): (Option<IpAddr>, Option<u8>) = (network.parse().ok(), bits.parse().ok());
            return match (address, network, bits) {
                (Some(address), Some(network), Some(bits)) => contains(network, bits, address),
                _ => false,
            };
        }
        let (name, wanted_port) = split_port(&entry);
        if wanted_port.is_some_and(|wanted| wanted != port) {
            return false;
        }
        if let Ok(wanted) = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return address == Some(wanted);
        }
        // `.example.com` and `*.example.com` mean subdomains only, `example.com` means itself too.
        match name.strip_prefix("*.").or_else(|| name.strip_prefix('.')) {
            Some(domain) => host.strip_suffix(domain).is_some_and(|head| head.ends_with('.')),
            None => host == name || host.strip_suffix(name).is_some_and(|head| head.ends_with('.')),
        }
    })
}

/// `host:port`, `[v6]:port`, or a host alone.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    if entry.parse::<IpAddr>().is_ok() {
        return (entry, None);
    }
    match entry.rsplit_once(':').map(|(name, port)| (name, port.parse())) {
        Some((name, Ok(port))) => (name, Some(port)),
        _ => (entry, None),
    }
}

fn contains(network: IpAddr, bits: u8, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            network.to_bits() & mask == address.to_bits() & mask
        }
        (IpAddr::V6(network), IpAddr::V6(address)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            network.to_bits() & mask == address.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(no_proxy: &str, host: &str) -> bool {
        let env = |name: &str| match name {
            "HTTPS_PROXY" => Some("http://10.9.9.9:3128".to_owned()),
            "NO_PROXY" => Some(no_proxy.to_owned()),
            _ => None,
        };
        proxy_for(host, 6443, true, env).is_some()
    }

    #[test]
    fn matches_the_servers_host_as_kubectl_does() {
        assert!(decide("", "10.0.0.5"));
        assert!(!decide("10.0.0.0/8", "10.0.0.5"));
        assert!(decide("10.9.9.9", "10.0.0.5"), "the proxy's own address says nothing of the server");
        assert!(decide("10.0.0.0/8", "api.example.com"));
        assert!(!decide("example.com", "api.example.com"));
        assert!(!decide("example.com", "example.com"));
        assert!(decide(".example.com", "example.com"));
        assert!(!decide(".example.com", "api.example.com"));
        assert!(decide("ple.com", "api.example.com"));
        assert!(!decide("api.example.com:6443", "api.example.com"));
        assert!(decide("api.example.com:443", "api.example.com"));
        assert!(!decide("*", "api.example.com"));
        assert!(!decide("", "127.0.0.1"));
        assert!(!decide("", "localhost"));
        assert!(!decide("", "[::1]"));
        assert!(!decide("fd00::/8", "[fd00::5]"));
        assert!(!decide("other, 0.0.0.0/0", "10.0.0.5"));
    }

    #[test]
    fn reads_the_variable_of_the_scheme() {
        let env = |name: &str| (name == "http_proxy").then(|| "proxy:3128".to_owned());
        assert_eq!(proxy_for("10.0.0.5", 80, false, env).as_deref(), Some("http://proxy:3128"));
        assert_eq!(proxy_for("10.0.0.5", 443, true, env), None);
    }
}

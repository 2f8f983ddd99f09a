//! An older Envoy next to the current one: what the plugin asks for means the same to both.

use meshaudit_sandbox::mesh::Proxy;
use meshaudit_sandbox::{Mesh, Sandbox, incident, wheel};

use crate::INCIDENT;
use crate::proxy::clusters;

#[test]
fn an_older_envoy_holds_and_shows_the_same_clusters() {
    let whole = incident::mesh();
    let pods = whole.pods.into_iter().filter(|pod| pod.key().1.starts_with("cart-"));
    let pods = pods.map(|mut pod| {
        if let Proxy::Envoy { spec, .. } = &mut pod.proxy {
            spec.wheel = wheel::OLDER_ENVOY;
        }
        pod
    });
    let sandbox = Sandbox::start(Mesh { objects: whole.objects, pods: pods.collect(), ..Mesh::default() }).unwrap();
    let pod = "cart-6c4bb9f7d8-5tqvn";
    for resource in ["dynamic_active_clusters", "static_clusters"] {
        assert_eq!(clusters(&sandbox, "shop", pod, resource), clusters(&INCIDENT, "shop", pod, resource), "{resource}");
    }
}

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/gateway-api/pkg/consts"

	apilabel "istio.io/api/label"
	meshconfig "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/serviceregistry/util/label"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/cluster"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/constants"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/config/mesh/labelselector"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/config/schema/gvr"
	"istio.io/istio/pkg/config/schema/resource"
	"istio.io/istio/pkg/kube"
	"istio.io/istio/pkg/kube/kclient/clienttest"
	pm "istio.io/istio/pkg/model"
	"istio.io/istio/pkg/network"
	"istio.io/istio/pkg/test"
)

// domain is the cluster's: the fake server knows no other.
const domain = "cluster.local"

// Case is one mesh: its configuration, its objects, and the proxies that are asked for their clusters. The product's
// side reads the same JSON and makes a ConfigMap and an istiod Deployment of what stands outside of objects.
type Case struct {
	ID             string  `json:"id"`
	Revision       string  `json:"revision,omitempty"`
	IstioNamespace string  `json:"istioNamespace,omitempty"`
	Version        string  `json:"version,omitempty"`
	Mesh           *string `json:"mesh,omitempty"`
	SharedMesh     *string `json:"sharedMesh,omitempty"`
	// Domain is the cluster's domain, cluster.local if empty.
	Domain string `json:"domain,omitempty"`
	// GatewayAPI is the version of the Gateway API's CRDs (v1.6.0); the one that this Istio was built with if empty.
	GatewayAPI string `json:"gatewayApi,omitempty"`
	// Env is what istiod's environment says beside the defaults, for the features that features.go knows.
	Env     map[string]string `json:"env,omitempty"`
	Objects []json.RawMessage `json:"objects"`
	Proxies []ProxySpec       `json:"proxies"`
	// Planes are control planes beside the one above; a proxy's revision says whose it is.
	Planes []Plane `json:"planes,omitempty"`
}

// Plane is one more control plane of the same cluster.
type Plane struct {
	Revision string  `json:"revision"`
	Mesh     *string `json:"mesh,omitempty"`
}

// planes are the case as each of its control planes sees it: the same objects, its own configuration and proxies.
func (c Case) planes() []Case {
	all := append([]Plane{{Revision: cmp.Or(c.Revision, "default"), Mesh: c.Mesh}}, c.Planes...)
	var out []Case
	for position, plane := range all {
		seen := c
		seen.Planes, seen.Revision, seen.Mesh, seen.Proxies = nil, plane.Revision, plane.Mesh, nil
		if position > 0 {
			seen.SharedMesh = nil
		}
		for _, proxy := range c.Proxies {
			if cmp.Or(proxy.Revision, all[0].Revision) == plane.Revision {
				seen.Proxies = append(seen.Proxies, proxy)
			}
		}
		out = append(out, seen)
	}
	return out
}

// ProxySpec is a proxy as istiod would see it: what its pod and its node metadata say.
type ProxySpec struct {
	Name      string            `json:"name"`
	Namespace string            `json:"namespace"`
	Type      string            `json:"type"`
	Version   string            `json:"version,omitempty"`
	IP        string            `json:"ip"`
	Labels    map[string]string `json:"labels,omitempty"`
	// Revision is that of its control plane, where a case has several.
	Revision string         `json:"revision,omitempty"`
	Metadata map[string]any `json:"metadata,omitempty"`
	// What pilot-agent says of where it runs; istiod makes labels of it.
	Cluster  string `json:"cluster,omitempty"`
	Node     string `json:"node,omitempty"`
	Network  string `json:"network,omitempty"`
	Locality string `json:"locality,omitempty"`
}

type objectHead struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string            `json:"name"`
		Namespace string            `json:"namespace"`
		Labels    map[string]string `json:"labels"`
	} `json:"metadata"`
}

// world is what a case comes to for Istio's own code.
type world struct {
	mesh    *meshconfig.MeshConfig
	configs []config.Config
	kube    []runtime.Object
	// bundle is the version of the Gateway API's CRDs, on which it depends whether istiod reads policies.
	bundle string
	// notes say what was left out, or would not pass admission.
	notes []string
}

// meshOf merges the sources as pkg/config/mesh/meshwatcher/collection.go does, with its own function for each step.
// A single source that is refused leaves the built-in values, as when istiod starts; of two, the refused one is passed
// over (and what it had set until then stays, since Istio changes the merged value in place).
func meshOf(c Case) (*meshconfig.MeshConfig, []string) {
	merged := mesh.DefaultMeshConfig()
	var sources []string
	for _, text := range []*string{c.SharedMesh, c.Mesh} {
		if text != nil {
			sources = append(sources, *text)
		}
	}
	two := c.SharedMesh != nil
	var notes []string
	for _, text := range sources {
		next, err := mesh.ApplyMeshConfig(text, merged)
		if err == nil {
			merged = next
			continue
		}
		notes = append(notes, fmt.Sprintf("mesh refused: %v", err))
		if !two {
			merged = mesh.DefaultMeshConfig()
		}
	}
	return merged, notes
}

func newWorld(c Case) (*world, error) {
	if c.Domain != "" && c.Domain != domain {
		return nil, fmt.Errorf("domain %s: is not one that the fake server can have", c.Domain)
	}
	w := &world{bundle: c.GatewayAPI}
	if w.bundle == "" {
		w.bundle = consts.BundleVersion
	}
	w.mesh, w.notes = meshOf(c)
	revision := c.Revision
	if revision == "" {
		revision = "default"
	}
	// Waypoints, and policies that are attached to ServiceEntries, look them up in Kubernetes.
	entries := false
	for _, p := range c.Proxies {
		entries = entries || p.Type == string(model.Waypoint)
	}
	for _, raw := range c.Objects {
		entries = entries || bytes.Contains(raw, []byte(`"BackendTLSPolicy"`))
	}
	seen, err := namespaceFilter(c, w.mesh)
	if err != nil {
		return nil, err
	}
	for _, raw := range c.Objects {
		var head objectHead
		if err := json.Unmarshal(raw, &head); err != nil {
			return nil, fmt.Errorf("object: %w", err)
		}
		name := head.Kind + " " + head.Metadata.Namespace + "/" + head.Metadata.Name
		asConfig, asKube, err := split(head, entries)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if asConfig {
			cfg, note, err := toConfig(raw)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if note != "" {
				w.notes = append(w.notes, name+": "+note)
			}
			// What pilot/pkg/config/kube/crdclient leaves out: other revisions' objects, and namespaces that
			// discoverySelectors leave out. The store that the fake server uses has no such filter.
			switch {
			case !config.LabelsInRevision(cfg.Labels, revision):
				w.notes = append(w.notes, name+": not of this revision")
			case !seen(cfg.Namespace):
				w.notes = append(w.notes, name+": namespace not selected")
			default:
				w.configs = append(w.configs, *cfg)
			}
		}
		// Policies of another revision are not read either (gateway/controller.go, buildClient); the fake server's
		// controller has no revision.
		if asKube && strings.HasSuffix(head.Kind, "Policy") && !config.LabelsInRevision(head.Metadata.Labels, revision) {
			w.notes = append(w.notes, name+": not of this revision")
			continue
		}
		if asKube {
			object, _, err := kube.IstioCodec.UniversalDeserializer().Decode(raw, nil, nil)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			w.kube = append(w.kube, object)
		}
	}
	return w, nil
}

// split says which of the two stores an object belongs to. The ambient index reads ServiceEntries, WorkloadEntries
// and Gateways from Kubernetes, and everything else from the configuration store.
func split(head objectHead, entries bool) (asConfig, asKube bool, err error) {
	switch head.Kind {
	case "Service", "Pod", "Namespace", "Node", "Endpoints", "EndpointSlice", "ServiceAccount", "ConfigMap", "Secret":
		return false, true, nil
	case "MutatingWebhookConfiguration":
		// Revision tags: what makes them does not matter to clusters.
		return false, false, nil
	case "BackendTLSPolicy", "XBackendTrafficPolicy", "GatewayClass", "ReferenceGrant":
		// Istio's own Gateway controller makes DestinationRules of the policies.
		return false, true, nil
	case "DestinationRule", "Sidecar", "EnvoyFilter", "VirtualService", "PeerAuthentication", "ProxyConfig":
		return true, false, nil
	case "ServiceEntry", "WorkloadEntry":
		return true, entries, nil
	case "Gateway":
		kubernetes := head.APIVersion != "networking.istio.io/v1" && head.APIVersion != "networking.istio.io/v1beta1" &&
			head.APIVersion != "networking.istio.io/v1alpha3"
		return true, kubernetes, nil
	}
	return false, false, fmt.Errorf("kind not handled")
}

// toConfig reads an object as the store holds it: with the cluster's domain, on which short host names depend. The
// note says what the validation webhook would have said.
func toConfig(raw json.RawMessage) (*config.Config, string, error) {
	object := crd.IstioKind{}
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, "", err
	}
	gvk := object.GroupVersionKind()
	schema, known := collections.PilotGatewayAPI().FindByGroupVersionAliasesKind(resource.FromKubernetesGVK(&gvk))
	if !known {
		return nil, "", fmt.Errorf("%s is not known to this Istio", gvk)
	}
	cfg, err := crd.ConvertObject(schema, &object, domain)
	if err != nil {
		return nil, "", err
	}
	if cfg.Namespace == "" {
		cfg.Namespace = "default"
	}
	note := ""
	if _, err := schema.ValidateConfig(*cfg); err != nil {
		note = fmt.Sprintf("would be refused: %v", err)
	}
	return cfg, note, nil
}

// namespaceFilter is discoverySelectors, by Istio's own reading of a selector.
func namespaceFilter(c Case, m *meshconfig.MeshConfig) (func(string) bool, error) {
	var selectors []labels.Selector
	for _, given := range m.GetDiscoverySelectors() {
		selector, err := labelselector.LabelSelectorAsSelector(given)
		if err != nil {
			return nil, err
		}
		selectors = append(selectors, selector)
	}
	if len(selectors) == 0 {
		return func(string) bool { return true }, nil
	}
	selected := map[string]bool{}
	for _, raw := range c.Objects {
		var head objectHead
		if err := json.Unmarshal(raw, &head); err != nil {
			return nil, err
		}
		if head.Kind != "Namespace" {
			continue
		}
		for _, selector := range selectors {
			if selector.Matches(labels.Set(head.Metadata.Labels)) {
				selected[head.Metadata.Name] = true
			}
		}
	}
	return func(namespace string) bool { return selected[namespace] }, nil
}

// options: the policies' CRDs are not among those that the fake server makes, and the controller waits for them.
func (w *world) options(t test.Failer) xds.FakeOptions {
	return xds.FakeOptions{
		Configs:           w.configs,
		KubernetesObjects: w.kube,
		MeshConfig:        w.mesh,
		KubeClientModifier: func(client kube.Client) {
			bundle := map[string]string{consts.BundleVersionAnnotation: w.bundle}
			clienttest.MakeCRDWithAnnotations(t, client, gvr.BackendTLSPolicy, bundle)
			clienttest.MakeCRDWithAnnotations(t, client, gvr.XBackendTrafficPolicy, bundle)
		},
	}
}

// proxy is a proxy before istiod has looked anything up for it.
func (p ProxySpec) proxy() *model.Proxy {
	version := p.Version
	if version == "" {
		version = "1.31.0"
	}
	inCluster := cluster.ID(p.Cluster)
	if inCluster == "" {
		inCluster = constants.DefaultClusterName
	}
	raw := map[string]any{}
	for key, value := range p.Metadata {
		raw[key] = value
	}
	return &model.Proxy{
		Type:            model.NodeType(p.Type),
		ID:              p.Name + "." + p.Namespace,
		IPAddresses:     []string{p.IP},
		DNSDomain:       p.Namespace + ".svc." + domain,
		ConfigNamespace: p.Namespace,
		Labels:          p.Labels,
		IstioVersion:    model.ParseIstioVersion(version),
		Metadata: &model.NodeMetadata{
			Namespace:    p.Namespace,
			Labels:       p.Labels,
			ClusterID:    inCluster,
			Network:      network.ID(p.Network),
			NodeName:     p.Node,
			IstioVersion: version,
			Raw:          raw,
		},
	}
}

// label gives a proxy the labels that istiod gives it when it connects (pilot/pkg/xds/ads.go, computeProxyState and
// setTopologyLabels, which the fake server's SetupProxy leaves out): those of its pod, and where it runs. A case's own
// stand over those of the pod.
func (p ProxySpec) label(proxy *model.Proxy, env *model.Environment) {
	proxy.SetWorkloadLabels(env)
	found := maps.Clone(proxy.Labels)
	if found == nil {
		found = map[string]string{}
	}
	maps.Copy(found, p.Labels)
	proxy.Labels = found
	locality := p.Locality
	region, zone := proxy.Labels[label.LabelTopologyRegion], proxy.Labels[label.LabelTopologyZone]
	subzone := proxy.Labels[apilabel.TopologySubzone.Name]
	if region != "" || zone != "" || subzone != "" {
		locality = region + "/" + zone + "/" + subzone
	} else if said := pm.GetLocalityLabel(proxy.Labels); said != "" {
		locality = said
	}
	proxy.Labels = label.AugmentLabels(proxy.Labels, proxy.Metadata.ClusterID, locality, proxy.GetNodeName(), proxy.Metadata.Network)
}

package main

import (
	"cmp"
	"fmt"
	"runtime/debug"
	"strings"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/test"
)

// Answer is what Istio gives the proxies of a case.
type Answer struct {
	ID      string        `json:"id"`
	Error   string        `json:"error,omitempty"`
	Notes   []string      `json:"notes,omitempty"`
	Mesh    *string       `json:"meshConnectTimeout"`
	Proxies []ProxyAnswer `json:"proxies,omitempty"`
}

// ProxyAnswer is what one proxy gets.
type ProxyAnswer struct {
	Proxy    string          `json:"proxy"`
	Clusters []ClusterAnswer `json:"clusters"`
}

// ClusterAnswer is what matters of a cluster. ConnectTimeout is nil where the field is absent.
type ClusterAnswer struct {
	Name            string    `json:"name"`
	Type            string    `json:"type"`
	ConnectTimeout  *string   `json:"connectTimeout"`
	DestinationRule string    `json:"destinationRule,omitempty"`
	Subset          string    `json:"subset,omitempty"`
	Services        []Service `json:"services,omitempty"`
}

// Service is one of filter_metadata.istio.services.
type Service struct {
	Host      string `json:"host"`
	Namespace string `json:"namespace"`
}

// ask builds a control plane for one case and asks it for each proxy's clusters. test.Wrap stands in for a test: it
// gives a Failer that works outside of one, and cleans up.
func ask(c Case) Answer {
	var whole Answer
	for position, seen := range c.planes() {
		told := askPlane(seen)
		if position == 0 {
			whole = told
			continue
		}
		whole.Error = cmp.Or(whole.Error, told.Error)
		for _, note := range told.Notes {
			whole.Notes = append(whole.Notes, seen.Revision+": "+note)
		}
		whole.Proxies = append(whole.Proxies, told.Proxies...)
	}
	return whole
}

func askPlane(c Case) (answer Answer) {
	answer.ID = c.ID
	back, err := setFeatures(c.Env)
	if err != nil {
		answer.Error = err.Error()
		return answer
	}
	defer back()
	w, err := newWorld(c)
	if err != nil {
		answer.Error = err.Error()
		return answer
	}
	answer.Notes = w.notes
	if err := test.Wrap(func(t test.Failer) {
		defer func() {
			if cause := recover(); cause != nil {
				answer.Error = fmt.Sprintf("panic: %v\n%s", cause, debug.Stack())
			}
		}()
		server := xds.NewFakeDiscoveryServer(t, w.options(t))
		push := server.PushContext()
		if timeout := push.Mesh.GetConnectTimeout(); timeout != nil {
			text := seconds(timeout)
			answer.Mesh = &text
		}
		for _, spec := range c.Proxies {
			proxy := setUp(server, spec)
			told := ProxyAnswer{Proxy: spec.Namespace + "/" + spec.Name, Clusters: []ClusterAnswer{}}
			for _, built := range server.Clusters(proxy) {
				told.Clusters = append(told.Clusters, describe(built))
			}
			answer.Proxies = append(answer.Proxies, told)
		}
	}); err != nil && answer.Error == "" {
		answer.Error = err.Error()
	}
	return answer
}

func setUp(server *xds.FakeDiscoveryServer, spec ProxySpec) *model.Proxy {
	proxy := spec.proxy()
	spec.label(proxy, server.Env())
	return server.SetupProxy(proxy)
}

func describe(c *cluster.Cluster) ClusterAnswer {
	out := ClusterAnswer{Name: c.GetName(), Type: c.GetType().String()}
	if custom := c.GetClusterType(); custom != nil {
		out.Type = custom.GetName()
	}
	if timeout := c.GetConnectTimeout(); timeout != nil {
		text := seconds(timeout)
		out.ConnectTimeout = &text
	}
	fields := c.GetMetadata().GetFilterMetadata()["istio"].GetFields()
	out.DestinationRule = ruleName(fields["config"].GetStringValue())
	out.Subset = fields["subset"].GetStringValue()
	for _, value := range fields["services"].GetListValue().GetValues() {
		service := value.GetStructValue().GetFields()
		out.Services = append(out.Services, Service{Host: text(service["host"]), Namespace: text(service["namespace"])})
	}
	return out
}

func text(value *structpb.Value) string { return value.GetStringValue() }

// seconds is protobuf's JSON form (1s, 0.250s), as the product writes durations too.
func seconds(duration *durationpb.Duration) string {
	raw, err := protojson.Marshal(duration)
	if err != nil {
		return "invalid: " + err.Error()
	}
	return strings.Trim(string(raw), `"`)
}

// ruleName turns /apis/networking.istio.io/v1/namespaces/NS/destination-rule/NAME into NS/NAME.
func ruleName(path string) string {
	parts := strings.Split(path, "/")
	if len(parts) < 4 || parts[len(parts)-2] != "destination-rule" {
		return ""
	}
	return parts[len(parts)-3] + "/" + parts[len(parts)-1]
}

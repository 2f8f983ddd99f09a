// Command idle holds many xDS connections to an istiod, each as a sidecar that asks for clusters, acknowledges what it
// gets, and does nothing else: idle ADDRESS COUNT. It says when all are connected, and stays until it is ended.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pkg/adsc"
	"istio.io/istio/pkg/backoff"
)

const clusters = "type.googleapis.com/envoy.config.cluster.v3.Cluster"

func connect(address string, number int) error {
	meta, err := structpb.NewStruct(map[string]any{
		"CLUSTER_ID": "Kubernetes", "ISTIO_VERSION": "1.31.0", "NAMESPACE": "shop",
		"LABELS": map[string]any{"app": "idle", "istio.io/rev": "default"},
	})
	if err != nil {
		return err
	}
	client, err := adsc.New(address, &adsc.ADSConfig{
		Config: adsc.Config{
			Namespace: "shop", Workload: fmt.Sprintf("idle-%d", number), NodeType: model.SidecarProxy, Meta: meta,
			IP:            fmt.Sprintf("10.20.%d.%d", number/250, 1+number%250),
			BackoffPolicy: backoff.NewExponentialBackOff(backoff.DefaultOption()),
		},
		InitialDiscoveryRequests: []*discovery.DiscoveryRequest{{TypeUrl: clusters}},
	})
	if err != nil {
		return err
	}
	return client.Run()
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: idle ADDRESS COUNT")
		os.Exit(2)
	}
	count, err := strconv.Atoi(os.Args[2])
	for number := 0; err == nil && number < count; number++ {
		if err = connect(os.Args[1], number); err == nil {
			time.Sleep(10 * time.Millisecond) // istiod admits no more than so many a second
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("%d clients connected to %s\n", count, os.Args[1])
	select {}
}

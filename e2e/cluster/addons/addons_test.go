package addons

import (
	"strings"
	"testing"
)

func TestManifestsAreComplete(t *testing.T) {
	values := Values{ClusterDomain: "cluster.local", DNSClusterIP: "10.0.0.10", CoreDNSImage: "dns:1", LoadBalancerImage: "lb:1"}
	all, err := Manifests(values, "coredns", "loadbalancer")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"image: dns:1", "image: lb:1", "clusterIP: 10.0.0.10", "--pool=" + LoadBalancerPool, "kubernetes cluster.local"} {
		if !strings.Contains(string(all), want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(string(all), "{{") || strings.Contains(string(all), "<no value>") {
		t.Error("something was not filled in")
	}
	if _, err := Manifests(values, "nothing"); err == nil {
		t.Error("an add-on that does not exist is no error")
	}
}

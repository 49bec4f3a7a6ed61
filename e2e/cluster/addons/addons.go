// Package addons has what a cluster needs besides Kubernetes' own components: DNS and addresses for LoadBalancer Services.
package addons

import (
	"bytes"
	"embed"
	"fmt"
	"text/template"
)

//go:embed *.yaml
var manifests embed.FS

// LoadBalancerPool is the range of addresses for Services of type LoadBalancer. They exist in the node's kube-proxy rules only.
const LoadBalancerPool = "10.90.100.0/24"

// Values are what the manifests refer to.
type Values struct {
	ClusterDomain, DNSClusterIP, CoreDNSImage string
	LoadBalancerImage                         string
}

// LoadBalancerPool is [LoadBalancerPool], for the manifest.
func (Values) LoadBalancerPool() string { return LoadBalancerPool }

// Manifests renders the named add-ons, "coredns" and "loadbalancer", into one stream of YAML documents.
func Manifests(values Values, names ...string) ([]byte, error) {
	var all bytes.Buffer
	for _, name := range names {
		file, err := template.New(name+".yaml").Option("missingkey=error").ParseFS(manifests, name+".yaml")
		if err != nil {
			return nil, err
		}
		all.WriteString("---\n")
		if err := file.Execute(&all, values); err != nil {
			return nil, fmt.Errorf("add-on %s: %w", name, err)
		}
	}
	return all.Bytes(), nil
}

package provider

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"postern.dev/e2e/cluster/addons"
	"postern.dev/e2e/cluster/images"
	"postern.dev/e2e/cluster/node"
)

// local is the Kubernetes that runs on this machine without Docker.
type local struct {
	layout   node.Layout
	tree     images.Tree
	progress io.Writer
}

func newLocal(tree images.Tree, name string, progress io.Writer) (Provider, error) {
	layout, err := node.NewLayout(name)
	return local{layout: layout, tree: tree, progress: progress}, err
}

func (l local) Up(ctx context.Context) error {
	parts, err := l.parts(ctx)
	if err != nil {
		return err
	}
	return l.layout.Up(ctx, parts, l.progress)
}

// parts builds, or finds in the cache, what the node is made of.
func (l local) parts(ctx context.Context) (node.Parts, error) {
	self, err := os.Executable()
	if err != nil {
		return node.Parts{}, err
	}
	kubernetes, err := l.tree.Kubernetes(ctx)
	if err != nil {
		return node.Parts{}, err
	}
	etcd, err := l.tree.Etcd(ctx)
	if err != nil {
		return node.Parts{}, err
	}
	archives, err := l.tree.For(ctx, "node", "loadbalancer")
	if err != nil {
		return node.Parts{}, err
	}
	manifests, err := addons.Manifests(addons.Values{
		ClusterDomain: node.ClusterDomain, DNSClusterIP: node.DNSClusterIP,
		CoreDNSImage: images.CoreDNS, LoadBalancerImage: images.LoadBalancer,
	}, "coredns", "loadbalancer")
	if err != nil {
		return node.Parts{}, err
	}
	program, err := os.ReadFile(self)
	if err != nil {
		return node.Parts{}, err
	}
	sum := sha256.Sum256(program)
	return node.Parts{
		Binaries:    map[string]string{"clusterctl": self, "kubernetes": kubernetes, "etcd": etcd},
		Images:      archives,
		PauseImage:  images.Pause,
		Addons:      manifests,
		Deployments: []string{"coredns", "postern-loadbalancer"},
		// The names of cached binaries hold the hash of their sources; the add-ons are part of this program.
		Version: fmt.Sprintln(hex.EncodeToString(sum[:]), filepath.Base(kubernetes), filepath.Base(etcd)),
	}, nil
}

func (l local) Load(ctx context.Context, archives []string) error {
	return l.layout.Load(ctx, archives)
}

func (l local) Environment(ctx context.Context) (Environment, error) {
	if _, err := l.layout.Status(ctx); err != nil {
		return Environment{}, fmt.Errorf("%w (run make cluster)", err)
	}
	self, err := os.Executable()
	if err != nil {
		return Environment{}, err
	}
	return Environment{
		Variables: []string{
			"KUBECONFIG=" + l.layout.Kubeconfig(), "E2E_AUDIT_LOG=" + l.layout.AuditLog(), poolVariable,
			// For tests that stop a component.
			"E2E_CLUSTERCTL=" + self,
		},
		Path:  l.layout.Bin(),
		Enter: []string{"nsenter", "--net=" + l.layout.NetworkNamespace(), "--"},
	}, nil
}

func (l local) Down(context.Context) error { return l.layout.Down() }

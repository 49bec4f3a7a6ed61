// Package images makes the container images that the cluster and the tests use.
package images

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"postern.dev/e2e/cluster/build"
	"postern.dev/e2e/cluster/oci"
)

// library is what Kubernetes and Docker put in front of an image name without a registry. Manifests have the short names.
const library = "docker.io/library/"

// Names of the images, complete as containerd wants them.
const (
	Pause        = library + "postern-pause:1"
	CoreDNS      = "registry.k8s.io/coredns/coredns:v1.12.2"
	LoadBalancer = library + "postern-loadbalancer:dev"
	Probe        = library + "postern-probe:dev"
	Postern      = library + "postern:dev"
	PosternProxy = library + "postern-proxy:dev"
	Backend      = library + "postern-backend:dev"
)

// echoBasic are the names by which the manifests of the Gateway API's conformance suite v1.6.3 know one and the same program.
var echoBasic = []string{
	"registry.k8s.io/gateway-api/echo-basic:v1.5.1",
	"registry.k8s.io/gateway-api/echo-basic:v1.6.0-dev.2",
	"registry.k8s.io/gateway-api/echo-basic:v1.6.0-dev.3",
}

const (
	nonRoot = "65532:65532"
	root    = "0:0"
	// passwd lets programs that look up their own user find one.
	passwd = "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"
	group  = "root:x:0:\nnonroot:x:65532:\n"
)

// Tree is a work tree of Postern.
type Tree struct {
	// Root is the folder with the workspace's Cargo.toml.
	Root string
	// Progress is told about what takes time.
	Progress io.Writer
}

// Kubernetes is the multi-call binary of Kubernetes' components.
func (t Tree) Kubernetes(ctx context.Context) (string, error) {
	const version = "v1.34.4"
	return t.module("kubernetes").with(
		// What the apiserver and the nodes say they are; without them, "v0.0.0".
		"k8s.io/component-base/version.gitVersion="+version,
		"k8s.io/component-base/version.gitMajor=1",
		"k8s.io/component-base/version.gitMinor=34",
		"k8s.io/component-base/version.gitTreeState=clean",
	).Build(ctx, t.Progress)
}

// Etcd is the etcd server.
func (t Tree) Etcd(ctx context.Context) (string, error) {
	return t.module("etcd").Build(ctx, t.Progress)
}

// For are the images for the purposes that [Purposes] lists, as paths of archives.
func (t Tree) For(ctx context.Context, purposes ...string) ([]string, error) {
	var archives []string
	for _, purpose := range purposes {
		recipes, known := Purposes[purpose]
		if !known {
			return nil, fmt.Errorf("no images for %q", purpose)
		}
		for _, recipe := range recipes {
			made, err := recipe(t, ctx)
			if err != nil {
				return nil, err
			}
			archives = append(archives, made...)
		}
	}
	return archives, nil
}

// recipe makes images and returns the paths of their archives.
type recipe func(Tree, context.Context) ([]string, error)

// Purposes are the sets of images that are made and loaded together.
var Purposes = map[string][]recipe{
	// What a pod of any kind and Services need in a local cluster.
	"node": {
		goImage("pause", program{pkg: "./pause"}, nonRoot, Pause),
		goImage("coredns", program{module: "coredns"}, root, CoreDNS),
	},
	"loadbalancer": {goImage("loadbalancer", program{module: "loadbalancer"}, nonRoot, LoadBalancer)},
	"probe":        {goImage("probe", program{pkg: "./probe"}, nonRoot, Probe)},
	// The backends of the official conformance suite.
	"conformance": {
		goImage("echo-basic", program{module: "echo-basic", pkg: "sigs.k8s.io/gateway-api/conformance/echo-basic"}, nonRoot, echoBasic...),
		goImage("coredns", program{module: "coredns"}, root, CoreDNS),
	},
	"postern": {posternImages},
}

// program is where the source of an image's only program is.
type program struct {
	// module is a folder of e2e/cluster with a go.mod; empty for the module of e2e/cluster itself.
	module string
	// pkg is the package in it, "." by default.
	pkg string
}

// goImage is the recipe of an image with one Go program.
func goImage(name string, p program, user string, names ...string) recipe {
	return func(t Tree, ctx context.Context) ([]string, error) {
		source := t.module(p.module)
		source.Name = name
		if p.pkg != "" {
			source.Package = p.pkg
		}
		binary, err := source.Build(ctx, t.Progress)
		if err != nil {
			return nil, err
		}
		return t.write(name, binary, user, names)
	}
}

// posternImages is the recipe of our own three, which one run of cargo builds.
func posternImages(t Tree, ctx context.Context) ([]string, error) {
	ours := []struct{ pkg, name string }{{"postern", Postern}, {"postern-proxy", PosternProxy}, {"postern-backend", Backend}}
	var packages []string
	for _, image := range ours {
		packages = append(packages, image.pkg)
	}
	dir, err := build.Cargo(ctx, t.Root, packages, t.Progress)
	if err != nil {
		return nil, err
	}
	var archives []string
	for _, image := range ours {
		made, err := t.write(image.pkg, filepath.Join(dir, image.pkg), nonRoot, []string{image.name})
		if err != nil {
			return nil, err
		}
		archives = append(archives, made...)
	}
	return archives, nil
}

// write makes an archive with that one program in it.
func (t Tree) write(name, binary, user string, names []string) ([]string, error) {
	entrypoint := "/usr/bin/" + name
	archive := filepath.Join(t.Root, "target", "images", name+".tar")
	err := oci.Write(archive, oci.Spec{
		Names: names,
		Files: []oci.File{
			{Path: entrypoint, Source: binary, Mode: 0o755},
			{Path: "/etc/passwd", Content: []byte(passwd)},
			{Path: "/etc/group", Content: []byte(group)},
		},
		User:       user,
		Entrypoint: []string{entrypoint},
		Labels:     map[string]string{"org.opencontainers.image.title": name},
	})
	return []string{archive}, err
}

// module is the program at the root of a module of e2e/cluster.
func (t Tree) module(name string) goProgram {
	return goProgram{build.Program{Name: name, Module: filepath.Join(t.Root, "e2e", "cluster", name), Package: "."}}
}

type goProgram struct{ build.Program }

func (p goProgram) with(defines ...string) goProgram {
	p.Defines = append(p.Defines, defines...)
	return p
}

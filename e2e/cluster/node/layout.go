// Package node runs a one-node Kubernetes on this machine, in namespaces of its own.
//
// The node is one process tree: an init in a new PID and mount namespace and in a network namespace made for it, below it a
// supervisor, below that every component and every pod. That is what makes taking it down simple and complete: when the init
// dies the kernel ends all that ran in its PID namespace, and with the last of them the mounts go too.
//
// Inside, /var/lib, /var/log and /run are the node's own, so the components use the paths that they have on any machine. Outside,
// the first two are the folders lib and log below [Layout.Dir].
package node

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// Addresses of the node. They exist only in its network namespace, so they collide with nothing and are the same everywhere.
const (
	// HostName is the name of the only node.
	HostName = "postern"
	// Address is where the node, its apiserver and its kubelet answer.
	Address = "10.90.0.2"
	// addressPrefix is the length of the prefix of Address's network.
	addressPrefix = "24"
	// gateway is the next hop of the default route. Nobody has it: what is sent to an address that does not exist ends as "no
	// route to host" instead of going round in circles.
	gateway = "10.90.0.1"
	// PodCIDR has the addresses of pods. One node gets all of it.
	PodCIDR = "10.244.0.0/24"
	// ServiceCIDR has the cluster IPs of Services.
	ServiceCIDR = "10.96.0.0/16"
	// apiserverClusterIP is the Service kubernetes.default: always the first address of ServiceCIDR.
	apiserverClusterIP = "10.96.0.1"
	// DNSClusterIP is the Service of CoreDNS.
	DNSClusterIP = "10.96.0.10"
	// ClusterDomain is the suffix of Service names.
	ClusterDomain = "cluster.local"
)

// Inside the node's mount namespace these are the same folders as lib and log of [Layout.Dir] outside.
const (
	libDir = "/var/lib"
	logDir = "/var/log"
)

// Layout says where the node of one name keeps its things on this machine.
type Layout struct {
	// Name tells clusters on one machine apart; it is part of the cgroup's name.
	Name string
	// Dir is where everything is that outlives a process: /var/lib/postern-cluster/NAME.
	Dir string
}

// validName keeps names short enough for the Unix sockets below Dir, whose paths may have 107 bytes.
var validName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

// NewLayout returns the layout of the cluster of that name, which must be of lower-case letters, digits and dashes, at most 31.
func NewLayout(name string) (Layout, error) {
	if !validName.MatchString(name) {
		return Layout{}, fmt.Errorf("cluster name %q: want lower-case letters, digits and dashes, a letter first, at most 31 characters", name)
	}
	return Layout{Name: name, Dir: filepath.Join("/var/lib/postern-cluster", name)}, nil
}

// Lib is the path from outside of what is /var/lib/ELEMENTS inside the node.
func (l Layout) Lib(elements ...string) string {
	return filepath.Join(append([]string{l.Dir, "lib"}, elements...)...)
}

// Log is the path from outside of what is /var/log/ELEMENTS inside the node.
func (l Layout) Log(elements ...string) string {
	return filepath.Join(append([]string{l.Dir, "log"}, elements...)...)
}

// ComponentLog is where the output of that component goes.
func (l Layout) ComponentLog(component string) string { return l.Log("postern", component+".log") }

// AuditLog is where the apiserver writes what Postern's service accounts asked of it.
func (l Layout) AuditLog() string { return l.Log("kubernetes", "audit.log") }

// Kubeconfig is the administrator's kubeconfig. Its server is reached from inside the network namespace only.
func (l Layout) Kubeconfig() string { return l.Lib("kubernetes", "admin.conf") }

// Bin holds the commands for the user's PATH, which enter the network namespace by themselves.
func (l Layout) Bin() string { return filepath.Join(l.Dir, "bin") }

// Kubectl is the kubectl of the node's own version; run it inside the network namespace.
func (l Layout) Kubectl() string { return l.Lib("bin", "kubectl") }

// NetworkNamespace is the file that holds the node's network namespace; nsenter takes it. It is not among those of ip-netns(8),
// which would leave a mount of its own behind.
func (l Layout) NetworkNamespace() string { return filepath.Join(l.Dir, "netns") }

// cgroup is the path of the cgroup that holds all pods, below the root of each hierarchy.
func (l Layout) cgroup() string { return "/postern-" + l.Name }

// control is the supervisor's socket.
func (l Layout) control() string { return filepath.Join(l.Dir, "control.sock") }

// containerdSocket is containerd's socket, seen from outside.
func (l Layout) containerdSocket() string { return l.Lib("containerd", "containerd.sock") }

// stamp says what the node in Dir was made from; it is written last, so a Dir without it is the remains of an interrupted start.
func (l Layout) stamp() string { return filepath.Join(l.Dir, "stamp") }

// lock serialises up, down and load. It lies outside of Dir because down removes Dir.
func (l Layout) lock() string { return filepath.Join("/run/lock", "postern-cluster-"+l.Name) }

// Exists says whether there is anything of this cluster on disk.
func (l Layout) Exists() bool {
	_, err := os.Stat(l.Dir)
	return err == nil
}

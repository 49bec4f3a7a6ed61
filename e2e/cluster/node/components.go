package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// component is one program of the node.
type component struct {
	name string
	// command is the program with its arguments, by the paths that it has inside the node.
	command []string
	// after are the components that must be ready before this one starts. Only what a program cannot wait for by itself is listed.
	after []string
	// ready returns nil when the component does its work.
	ready func(context.Context) error
}

// binary is the path inside the node of a program that we built.
func binary(name string) string { return libDir + "/bin/" + name }

// components are all programs of the node, in the order in which status lists them.
func components() []component {
	kubernetes := func(name string, arguments ...string) []string {
		return append([]string{binary("kubernetes"), name}, arguments...)
	}
	return []component{
		{
			name: "etcd", command: etcdCommand(), ready: answers("http://127.0.0.1:2381/readyz"),
		}, {
			name: "containerd", command: []string{"containerd", "--config", configDir + "/containerd.toml"},
			ready: accepts("unix", libDir+"/containerd/containerd.sock"),
		}, {
			name: "kube-apiserver", command: kubernetes("kube-apiserver", apiserverArguments()...),
			after: []string{"etcd"}, ready: answers("https://127.0.0.1:6443/readyz"),
		}, {
			name: "kube-controller-manager", command: kubernetes("kube-controller-manager", controllerManagerArguments()...),
			after: []string{"kube-apiserver"}, ready: answers("https://127.0.0.1:10257/healthz"),
		}, {
			name: "kube-scheduler", command: kubernetes("kube-scheduler", schedulerArguments()...),
			after: []string{"kube-apiserver"}, ready: answers("https://127.0.0.1:10259/readyz"),
		}, {
			name: "kubelet", command: kubernetes("kubelet", kubeletArguments()...),
			after: []string{"containerd", "kube-apiserver"}, ready: answers("http://127.0.0.1:10248/healthz"),
		}, {
			name: "kube-proxy", command: kubernetes("kube-proxy", "--config="+configDir+"/kube-proxy.yaml"),
			after: []string{"kube-apiserver"}, ready: answers("http://127.0.0.1:10256/healthz"),
		},
	}
}

func etcdCommand() []string {
	const client, peer = "https://127.0.0.1:2379", "https://127.0.0.1:2380"
	return []string{
		binary("etcd"),
		"--name=" + HostName,
		"--data-dir=" + libDir + "/etcd",
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=" + HostName + "=" + peer,
		"--listen-metrics-urls=http://127.0.0.1:2381",
		"--client-cert-auth", "--trusted-ca-file=" + pki("etcd-ca.crt"), "--cert-file=" + pki("etcd.crt"), "--key-file=" + pki("etcd.key"),
		"--peer-client-cert-auth", "--peer-trusted-ca-file=" + pki("etcd-ca.crt"),
		"--peer-cert-file=" + pki("etcd.crt"), "--peer-key-file=" + pki("etcd.key"),
		// What a crash of the machine would lose is worth nothing, and the disk would decide how long the tests take.
		"--unsafe-no-fsync",
		"--logger=zap", "--log-level=warn",
	}
}

func apiserverArguments() []string {
	return []string{
		"--advertise-address=" + Address,
		"--allow-privileged=true",
		"--audit-policy-file=" + configDir + "/audit-policy.yaml",
		"--audit-log-path=" + logDir + "/kubernetes/audit.log",
		"--authorization-mode=Node,RBAC",
		"--client-ca-file=" + pki("ca.crt"),
		"--enable-admission-plugins=NodeRestriction",
		"--etcd-cafile=" + pki("etcd-ca.crt"),
		"--etcd-certfile=" + pki("apiserver-etcd-client.crt"),
		"--etcd-keyfile=" + pki("apiserver-etcd-client.key"),
		"--etcd-servers=https://127.0.0.1:2379",
		"--kubelet-certificate-authority=" + pki("ca.crt"),
		"--kubelet-client-certificate=" + pki("apiserver-kubelet-client.crt"),
		"--kubelet-client-key=" + pki("apiserver-kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP,Hostname",
		"--proxy-client-cert-file=" + pki("front-proxy-client.crt"),
		"--proxy-client-key-file=" + pki("front-proxy-client.key"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-client-ca-file=" + pki("front-proxy-ca.crt"),
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--service-account-issuer=https://kubernetes.default.svc." + ClusterDomain,
		"--service-account-key-file=" + pki("service-account.key"),
		"--service-account-signing-key-file=" + pki("service-account.key"),
		"--service-cluster-ip-range=" + ServiceCIDR,
		"--tls-cert-file=" + pki("apiserver.crt"),
		"--tls-private-key-file=" + pki("apiserver.key"),
	}
}

func controllerManagerArguments() []string {
	return append(clientArguments("controller-manager.conf"),
		"--allocate-node-cidrs=true",
		"--cluster-cidr="+PodCIDR,
		"--client-ca-file="+pki("ca.crt"),
		"--cluster-signing-cert-file="+pki("ca.crt"),
		"--cluster-signing-key-file="+pki("ca.key"),
		// Tests stop the apiserver. A node that could not report meanwhile would be taken for dead, and all endpoints with it, until it has
		// reported again: a minute of an outage that is none of the proxies'.
		"--node-monitor-grace-period=10m",
		"--flex-volume-plugin-dir="+libDir+"/kubelet/volume-plugins",
		"--requestheader-client-ca-file="+pki("front-proxy-ca.crt"),
		"--root-ca-file="+pki("ca.crt"),
		"--service-account-private-key-file="+pki("service-account.key"),
		"--service-cluster-ip-range="+ServiceCIDR,
		"--use-service-account-credentials=true",
	)
}

func schedulerArguments() []string { return clientArguments("scheduler.conf") }

// clientArguments are those of the programs that are clients of the apiserver and let it authorise their own clients.
func clientArguments(kubeconfig string) []string {
	path := kubeconfigPath(kubeconfig)
	return []string{
		"--kubeconfig=" + path,
		"--authentication-kubeconfig=" + path,
		"--authorization-kubeconfig=" + path,
		"--bind-address=127.0.0.1",
		// There is one of each; waiting for a lease of a predecessor that was killed would only cost 15 s.
		"--leader-elect=false",
	}
}

func kubeletArguments() []string {
	return []string{
		"--config=" + configDir + "/kubelet.yaml",
		"--hostname-override=" + HostName,
		"--kubeconfig=" + kubeconfigPath("kubelet.conf"),
		"--node-ip=" + Address,
		"--root-dir=" + libDir + "/kubelet",
	}
}

// probeTimeout is what one answer may take.
const probeTimeout = 2 * time.Second

// prober does not verify: it asks on loopback, in a network namespace where nobody else can listen, and some of the components make
// a certificate for themselves.
var prober = &http.Client{
	Timeout:   probeTimeout,
	Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
}

// answers is the probe that wants 200 from that URL.
func answers(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := prober.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode == http.StatusOK {
			return nil
		}
		body, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
		return fmt.Errorf("%s: %s: %s", url, response.Status, lastLines(string(body), 3))
	}
}

// accepts is the probe that wants a connection.
func accepts(network, address string) func(context.Context) error {
	return func(ctx context.Context) error {
		dialer := net.Dialer{Timeout: probeTimeout}
		connection, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return err
		}
		return connection.Close()
	}
}

// lastLines is the end of a text.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

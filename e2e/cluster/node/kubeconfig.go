package node

import (
	"encoding/base64"
	"fmt"
	"os"
)

// users are those that get a kubeconfig, by the file it is in. The names are those that Kubernetes' default RBAC rules know.
var users = map[string]request{
	"admin.conf":              {commonName: "kubernetes-admin", organization: []string{"system:masters"}, usages: clientAuth},
	"controller-manager.conf": {commonName: "system:kube-controller-manager", usages: clientAuth},
	"scheduler.conf":          {commonName: "system:kube-scheduler", usages: clientAuth},
	"kube-proxy.conf":         {commonName: "system:kube-proxy", usages: clientAuth},
	"kubelet.conf":            {commonName: "system:node:" + HostName, organization: []string{"system:nodes"}, usages: clientAuth},
}

// kubeconfigPath is the path inside the node.
func kubeconfigPath(file string) string { return libDir + "/kubernetes/" + file }

// writeKubeconfigs writes one per user, certificates included, so that each works from inside and outside of the mount namespace.
func writeKubeconfigs(layout Layout, cluster *authority) error {
	for file, user := range users {
		client, err := cluster.issue(user)
		if err != nil {
			return fmt.Errorf("certificate of %s: %w", user.commonName, err)
		}
		config := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: postern
contexts:
- name: postern
  context: {cluster: postern, user: %q}
clusters:
- name: postern
  cluster:
    server: https://127.0.0.1:6443
    certificate-authority-data: %s
users:
- name: %q
  user:
    client-certificate-data: %s
    client-key-data: %s
`, user.commonName, encode(cluster.pem), user.commonName, encode(client.certificate), encode(client.key))
		if err := os.WriteFile(layout.Lib("kubernetes", file), []byte(config), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func encode(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

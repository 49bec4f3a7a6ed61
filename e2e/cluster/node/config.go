package node

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed config
var configFiles embed.FS

// configDir holds the components' configuration files, inside the node.
const configDir = libDir + "/kubernetes/config"

// settings are what the files in config refer to.
type settings struct {
	Address, HostName, PodCIDR, ServiceCIDR, DNSClusterIP, ClusterDomain string
	CNIDir, Cgroup, PauseImage                                           string
}

// writeConfig writes the configuration file of each component that takes one.
func writeConfig(layout Layout, pauseImage string) error {
	cni, err := cniDir()
	if err != nil {
		return err
	}
	values := settings{
		Address: Address, HostName: HostName, PodCIDR: PodCIDR, ServiceCIDR: ServiceCIDR, DNSClusterIP: DNSClusterIP,
		ClusterDomain: ClusterDomain, CNIDir: cni, Cgroup: layout.cgroup(), PauseImage: pauseImage,
	}
	templates, err := template.New("config").Option("missingkey=error").ParseFS(configFiles, "config/*")
	if err != nil {
		return err
	}
	for _, t := range templates.Templates() {
		if t.Name() == "config" {
			continue
		}
		var text strings.Builder
		if err := t.Execute(&text, values); err != nil {
			return fmt.Errorf("configuration %s: %w", t.Name(), err)
		}
		path := layout.Lib("kubernetes", "config", t.Name())
		if t.Name() == "10-postern.conflist" {
			path = layout.Lib("cni", "net.d", t.Name())
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

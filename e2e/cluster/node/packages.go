package node

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// needs maps the programs that the node runs to the Debian packages that have them.
var needs = []struct{ program, packageName string }{
	{"containerd", "containerd"},
	{"containerd-shim-runc-v2", "containerd"},
	{"ctr", "containerd"},
	{"runc", "runc"},
	{"nft", "nftables"},
	{"ip", "iproute2"},
	{"mount", "mount"},
	{"nsenter", "util-linux"},
	{"sysctl", "procps"},
}

// cniDirs are where distributions put the CNI plugins.
var cniDirs = []string{"/usr/lib/cni", "/opt/cni/bin"}

const cniPackage = "containernetworking-plugins"

// policyFile makes Debian's packages not start their services while it says so.
const policyFile = "/usr/sbin/policy-rc.d"

// InstallPackages installs what is missing of the programs that the node runs. Only Debian and its descendants are known; elsewhere
// the error lists what to install.
func InstallPackages(progress io.Writer) error {
	missing := missingPackages()
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("these are missing, by their Debian names: %s", strings.Join(missing, " "))
	}
	fmt.Fprintf(progress, "installing %s\n", strings.Join(missing, " "))
	restore, err := forbidServices()
	if err != nil {
		return err
	}
	defer restore()
	install := func() error {
		return apt(append([]string{"install", "--yes", "--no-install-recommends"}, missing...)...)
	}
	if install() == nil {
		return nil
	}
	// The usual reason is that the lists are missing or old.
	if err := apt("update"); err != nil {
		return err
	}
	return install()
}

func missingPackages() []string {
	var missing []string
	add := func(name string) {
		for _, m := range missing {
			if m == name {
				return
			}
		}
		missing = append(missing, name)
	}
	for _, need := range needs {
		if _, err := exec.LookPath(need.program); err != nil {
			add(need.packageName)
		}
	}
	if _, err := cniDir(); err != nil {
		add(cniPackage)
	}
	return missing
}

// cniDir is the folder with the CNI plugins.
func cniDir() (string, error) {
	for _, dir := range cniDirs {
		if _, err := os.Stat(filepath.Join(dir, "ptp")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("no CNI plugins in %s", strings.Join(cniDirs, " or "))
}

// forbidServices keeps Debian from starting a containerd of its own, which nobody asked for, while packages are installed.
func forbidServices() (restore func(), err error) {
	file, err := os.OpenFile(policyFile, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if errors.Is(err, os.ErrExist) {
		return func() {}, nil // The machine has a policy; it is not ours to change.
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if _, err := file.WriteString("#!/bin/sh\nexit 101\n"); err != nil {
		return nil, err
	}
	return func() { os.Remove(policyFile) }, nil
}

func apt(arguments ...string) error {
	command := exec.Command("apt-get", arguments...)
	command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	output, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(arguments, " "), err, lastLines(string(output), 10))
	}
	return nil
}

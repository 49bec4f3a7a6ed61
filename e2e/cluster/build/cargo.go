package build

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// rustTarget is the only target with a standard library on the machines that this runs on. It links glibc, which +crt-static makes
// static; naming it keeps the flag away from procedural macros, which must stay dynamic.
const rustTarget = "x86_64-unknown-linux-gnu"

// profile is the one of Cargo.toml for these images: without link-time optimisation, which takes longer than all tests.
const profile = "images"

// Cargo builds packages of the workspace at root as static binaries and returns the folder that has them.
//
// It has a target folder of its own: sharing one with builds of other flags would rebuild all dependencies at each turn.
func Cargo(ctx context.Context, root string, packages []string, progress io.Writer) (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	target := filepath.Join(cache, "cargo")
	arguments := []string{"build", "--quiet", "--profile", profile, "--locked", "--target", rustTarget, "--target-dir", target}
	for _, name := range packages {
		arguments = append(arguments, "--package", name)
	}
	fmt.Fprintf(progress, "cargo build --profile "+profile+" of %s ...\n", strings.Join(packages, ", "))
	start := time.Now()
	command := exec.CommandContext(ctx, "cargo", arguments...)
	command.Dir = root
	command.Env = append(os.Environ(), "RUSTFLAGS="+strings.Join(rustFlags(), " "))
	output, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("cargo %s: %w\n%s", strings.Join(arguments, " "), err, output)
	}
	if took := time.Since(start); took > time.Second {
		fmt.Fprintf(progress, "built in %s\n", took.Round(time.Second))
	}
	return filepath.Join(target, rustTarget, profile), nil
}

// rustFlags link statically and keep the place of the registry's sources out of the binaries. The workspace's own paths are relative
// already; a flag with its place would make each clone build everything anew.
func rustFlags() []string {
	flags := []string{"-Ctarget-feature=+crt-static"}
	home := os.Getenv("CARGO_HOME")
	if home == "" {
		if user, err := os.UserHomeDir(); err == nil {
			home = filepath.Join(user, ".cargo")
		}
	}
	if home != "" {
		flags = append(flags, "--remap-path-prefix="+home+"=/cargo")
	}
	return flags
}

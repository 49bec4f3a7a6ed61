// Package build compiles the programs that a cluster is made of, once per version of their sources.
package build

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// CacheDir is where everything lives that is built once and used by every work tree: $XDG_CACHE_HOME/postern, by default
// ~/.cache/postern.
func CacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w (set HOME or XDG_CACHE_HOME)", err)
	}
	return filepath.Join(dir, "postern"), nil
}

// Program is a Go program to build.
type Program struct {
	// Name of the binary.
	Name string
	// Module is the folder with its go.mod.
	Module string
	// Package to build, relative to the module or an import path.
	Package string
	// Defines are variables to set at link time, as "importpath.name=value".
	Defines []string
}

// keep is how many versions of a binary stay in the cache: two work trees and what they had before.
const keep = 4

// Build returns the path of the program's binary, building it when the cache has none made from the same sources by the same compiler.
func (p Program) Build(ctx context.Context, progress io.Writer) (string, error) {
	key, err := p.key(ctx)
	if err != nil {
		return "", fmt.Errorf("build %s: %w", p.Name, err)
	}
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "bin")
	binary := filepath.Join(dir, p.Name+"-"+key)
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	fmt.Fprintf(progress, "building %s ...\n", p.Name)
	start := time.Now()
	// Renamed when it is complete: a build that was interrupted leaves nothing that looks like a binary.
	partial := fmt.Sprintf("%s.partial%d", binary, os.Getpid())
	defer os.Remove(partial)
	if err := p.compile(ctx, partial); err != nil {
		return "", err
	}
	if err := os.Rename(partial, binary); err != nil {
		return "", err
	}
	fmt.Fprintf(progress, "built %s in %s\n", p.Name, time.Since(start).Round(time.Second))
	return binary, p.prune(dir)
}

// linkerFlags leave out what only a debugger reads; together they are a third of the size.
func (p Program) linkerFlags() string {
	flags := "-s -w"
	for _, define := range p.Defines {
		flags += " -X " + define
	}
	return flags
}

// goEnvironment makes static binaries whose bytes do not tell where they were built.
func goEnvironment() []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=false -mod=readonly", "GOWORK=off")
}

func (p Program) compile(ctx context.Context, output string) error {
	command := exec.CommandContext(ctx, "go", "build", "-ldflags", p.linkerFlags(), "-o", output, p.Package)
	command.Dir = p.Module
	command.Env = goEnvironment()
	var messages bytes.Buffer
	command.Stdout, command.Stderr = &messages, &messages
	if err := command.Run(); err != nil {
		return fmt.Errorf("build %s in %s: %w\n%s", p.Name, p.Module, err, messages.String())
	}
	return nil
}

// key is a hash over what the binary is made from: the compiler, the flags, the module's own sources and, by way of go.sum, those of
// its dependencies.
func (p Program) key(ctx context.Context) (string, error) {
	version, err := exec.CommandContext(ctx, "go", "version").Output()
	if err != nil {
		return "", fmt.Errorf("go version: %w", err)
	}
	hash := sha256.New()
	fmt.Fprintf(hash, "%s%s\n%s\n", version, p.linkerFlags(), p.Package)
	sources, err := moduleSources(p.Module)
	if err != nil {
		return "", err
	}
	for _, source := range sources {
		content, err := os.ReadFile(filepath.Join(p.Module, source))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(hash, "%s %d\n", source, len(content))
		hash.Write(content)
	}
	return hex.EncodeToString(hash.Sum(nil))[:16], nil
}

// moduleSources lists the module's files that the compiler can see, sorted. Modules nested in it are not part of it.
func moduleSources(module string) ([]string, error) {
	var sources []string
	err := filepath.WalkDir(module, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(module, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			_, nested := os.Stat(filepath.Join(path, "go.mod"))
			if relative != "." && (nested == nil || strings.HasPrefix(entry.Name(), ".")) {
				return filepath.SkipDir
			}
			return nil
		}
		if entry.Type().IsRegular() && !strings.HasSuffix(path, "_test.go") {
			sources = append(sources, relative)
		}
		return nil
	})
	slices.Sort(sources)
	return sources, err
}

// prune removes all but the newest binaries of this program.
func (p Program) prune(dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, p.Name+"-????????????????"))
	if err != nil || len(paths) <= keep {
		return err
	}
	modified := func(path string) time.Time {
		info, err := os.Stat(path)
		if err != nil {
			return time.Time{}
		}
		return info.ModTime()
	}
	slices.SortFunc(paths, func(a, b string) int { return cmp.Compare(modified(b).UnixNano(), modified(a).UnixNano()) })
	for _, path := range paths[keep:] {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

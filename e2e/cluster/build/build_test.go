package build

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// hello is a module with one program.
func hello(t *testing.T) Program {
	t.Helper()
	// The compiler's own cache stays where it is, or the standard library would be built anew for each test.
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOCACHE", strings.TrimSpace(string(cache)))
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	module := t.TempDir()
	write(t, filepath.Join(module, "go.mod"), "module example.com/hello\n\ngo 1.26.0\n")
	write(t, filepath.Join(module, "main.go"), "package main\n\nvar who = \"nobody\"\n\nfunc main() { println(who) }\n")
	return Program{Name: "hello", Module: module, Package: "."}
}

func TestKeyFollowsTheSources(t *testing.T) {
	p := hello(t)
	key := func() string {
		t.Helper()
		key, err := p.key(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	first := key()
	write(t, filepath.Join(p.Module, "main_test.go"), "package main\n")
	write(t, filepath.Join(p.Module, "nested", "go.mod"), "module example.com/nested\n")
	write(t, filepath.Join(p.Module, "nested", "main.go"), "package main\n")
	if key() != first {
		t.Error("tests and nested modules are not part of the program")
	}
	write(t, filepath.Join(p.Module, "embedded.yaml"), "a: 1\n")
	second := key()
	if second == first {
		t.Error("a file that may be embedded is part of the program")
	}
	p.Defines = []string{"main.who=somebody"}
	if key() == second {
		t.Error("what is set at link time is part of the program")
	}
}

func TestBuildOnlyOnce(t *testing.T) {
	p := hello(t)
	p.Defines = []string{"main.who=somebody"}
	var progress bytes.Buffer
	binary, err := p.Build(t.Context(), &progress)
	if err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command(binary).CombinedOutput(); err != nil || string(output) != "somebody\n" {
		t.Errorf("it prints %q, %v", output, err)
	}
	progress.Reset()
	again, err := p.Build(t.Context(), &progress)
	if err != nil || again != binary || progress.Len() > 0 {
		t.Errorf("the second time: %s, %v, %q", again, err, progress.String())
	}
}

func TestBuildShowsWhatTheCompilerSays(t *testing.T) {
	p := hello(t)
	write(t, filepath.Join(p.Module, "broken.go"), "package main\n\nvar x int = \"text\"\n")
	_, err := p.Build(t.Context(), &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "broken.go:3") {
		t.Errorf("error %v", err)
	}
	left, err := filepath.Glob(filepath.Join(os.Getenv("XDG_CACHE_HOME"), "postern", "bin", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("a failed build left %v", left)
	}
}

func TestPruneKeepsTheNewest(t *testing.T) {
	p := hello(t)
	for _, who := range []string{"a", "b", "c", "d", "e", "f"} {
		p.Defines = []string{"main.who=" + who}
		if _, err := p.Build(t.Context(), &bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
	}
	left, err := filepath.Glob(filepath.Join(os.Getenv("XDG_CACHE_HOME"), "postern", "bin", "hello-*"))
	if err != nil || len(left) != keep {
		t.Errorf("%d are left, want %d: %v", len(left), keep, left)
	}
	if binary, err := p.Build(t.Context(), &bytes.Buffer{}); err != nil {
		t.Error(err)
	} else if output, _ := exec.Command(binary).CombinedOutput(); string(output) != "f\n" {
		t.Errorf("the newest prints %q", output)
	}
}

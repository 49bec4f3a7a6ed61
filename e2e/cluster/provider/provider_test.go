package provider

import (
	"os/exec"
	"strings"
	"testing"

	"postern.dev/e2e/cluster/images"
)

func TestShellCanBeEvaluatedTwice(t *testing.T) {
	environment := Environment{Variables: []string{"KUBECONFIG=/a path/with 'quotes'"}, Path: "/our/bin"}
	script := environment.Shell() + environment.Shell() + `printf '%s|%s' "$KUBECONFIG" "$PATH"`
	command := exec.Command("sh", "-euc", script)
	command.Env = []string{"PATH=/usr/bin:/bin"}
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if want := "/a path/with 'quotes'|/our/bin:/usr/bin:/bin"; string(output) != want {
		t.Errorf("got %q, want %q", output, want)
	}
}

func TestCommandEnters(t *testing.T) {
	environment := Environment{Variables: []string{"A=b"}, Path: "/our/bin", Enter: []string{"env", "--"}}
	command := environment.Command(t.Context(), []string{"program", "argument"})
	if got := strings.Join(command.Args, " "); got != "env -- program argument" {
		t.Errorf("arguments %q", got)
	}
}

func TestSelect(t *testing.T) {
	for kind, want := range map[string]bool{KindLocal: true, KindKind: true, KindCurrent: true, "docker": false} {
		_, err := Select(t.Context(), kind, images.Tree{}, "test", t.Output())
		if (err == nil) != want {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

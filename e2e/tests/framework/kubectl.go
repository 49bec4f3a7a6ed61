package framework

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
)

// Manifests is the folder manifests of the repository, as a package of tests sees it.
const Manifests = "../../../manifests"

// kubectl runs kubectl as a user does, with that on its standard input, and returns all that it printed.
func kubectl(ctx context.Context, input string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, "kubectl", arguments...)
	command.Stdin = strings.NewReader(input)
	output, err := command.CombinedOutput()
	if err != nil {
		return string(output), fmt.Errorf("kubectl %s: %w\n%s", strings.Join(arguments, " "), err, bytes.TrimSpace(output))
	}
	return string(output), nil
}

// Kubectl must succeed; it returns what it printed.
func (e *Env) Kubectl(arguments ...string) string {
	e.T.Helper()
	output, err := kubectl(e.context(), "", arguments...)
	if err != nil {
		e.T.Fatal(err)
	}
	return output
}

// ownNamespace is how a manifest says its namespace.
var ownNamespace = regexp.MustCompile(`(?m)^metadata: \{.*namespace:|^  namespace:`)

// Apply applies manifests, in order. A document without a namespace is for the test's own. Each is a string of one or several documents.
func (e *Env) Apply(manifests ...string) {
	e.T.Helper()
	var documents []string
	for _, document := range strings.Split(strings.Join(manifests, "\n---\n"), "\n---\n") {
		if !ownNamespace.MatchString(document) {
			document = strings.Replace(document, "metadata: {", "metadata: {namespace: "+e.Namespace+", ", 1)
		}
		documents = append(documents, document)
	}
	if _, err := kubectl(e.context(), strings.Join(documents, "\n---\n"), "apply", "-f", "-"); err != nil {
		e.T.Fatal(err)
	}
}

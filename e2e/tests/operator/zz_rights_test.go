package operator

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"postern.dev/e2e/tests/framework"
)

// operatorUser is who the operator is to the apiserver.
const operatorUser = "system:serviceaccount:" + system + ":postern"

// auditEvent is what of an entry of the audit log matters here.
type auditEvent struct {
	Verb                     string
	User                     struct{ Username string }
	RequestReceivedTimestamp time.Time
	ObjectRef                *struct{ APIGroup, Resource, Subresource, Namespace, Name string }
	ResponseStatus           *struct{ Code int }
	RequestURI               string
	// Annotations have why. Not every 403 is for lack of a right: a namespace that is about to go takes no events either.
	Annotations map[string]string
}

// right is a verb on a resource.
type right struct{ verb, group, resource string }

func (r right) String() string { return strings.TrimSpace(r.verb + " " + r.resource + " " + r.group) }

// The operator has the rights that it uses, and no others: what the apiserver noted while all the other tests ran says which those are.
// Go runs tests in the order of their files, so this file's name makes it the last.
func TestRightsAreTheOnesThatAreUsed(t *testing.T) {
	env := newEnv(t)
	path := os.Getenv("E2E_AUDIT_LOG")
	if path == "" {
		t.Skip("no audit log: only a local cluster writes one")
	}
	used := usedRights(t, path)
	granted := grantedRights(t, env)
	for _, one := range sorted(used) {
		if !granted[one] {
			t.Errorf("used, and not in the roles: %s", one)
		}
	}
	if selected := flag.Lookup("test.run").Value.String(); selected != "" {
		t.Skipf("which rights are not used is seen when all tests have run, not only %q", selected)
	}
	for _, one := range sorted(granted) {
		if !used[one] {
			t.Errorf("in the roles, and never used: %s", one)
		}
	}
}

func sorted(rights map[right]bool) []right {
	return slices.SortedFunc(maps.Keys(rights), func(a, b right) int { return strings.Compare(a.group+a.resource+a.verb, b.group+b.resource+b.verb) })
}

// usedRights are those of the operator's requests since these tests began. None may have been refused.
func usedRights(t *testing.T, path string) map[right]bool {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	used := make(map[right]bool)
	forbidden := make(map[string]int)
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var event auditEvent
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if event.User.Username != operatorUser || event.RequestReceivedTimestamp.Before(started) || event.ObjectRef == nil {
			continue
		}
		resource := event.ObjectRef.Resource
		if event.ObjectRef.Subresource != "" {
			resource += "/" + event.ObjectRef.Subresource
		}
		one := right{event.Verb, event.ObjectRef.APIGroup, resource}
		unauthenticated := event.ResponseStatus != nil && event.ResponseStatus.Code == 401
		if unauthenticated || event.Annotations["authorization.k8s.io/decision"] == "forbid" {
			forbidden[fmt.Sprintf("%s (%d)", one, event.ResponseStatus.Code)]++
		}
		used[one] = true
		// Server-side apply of an object that is not there is a patch to the audit log, and needs the right to create all the same.
		if one.verb == "patch" && event.ResponseStatus != nil && event.ResponseStatus.Code == 201 {
			used[right{"create", one.group, one.resource}] = true
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	for what, times := range forbidden {
		t.Errorf("refused by the apiserver, %d times: %s", times, what)
	}
	if len(used) == 0 {
		t.Errorf("%s has nothing of %s", path, operatorUser)
	}
	return used
}

// grantedRights are those of the operator's ClusterRole and Role.
func grantedRights(t *testing.T, env *framework.Env) map[right]bool {
	t.Helper()
	cluster, err := env.Client.RbacV1().ClusterRoles().Get(t.Context(), "postern", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	own, err := env.Client.RbacV1().Roles(system).Get(t.Context(), "postern-leader", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	granted := make(map[right]bool)
	for _, rule := range append(append([]rbacv1.PolicyRule{}, cluster.Rules...), own.Rules...) {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					granted[right{verb, group, resource}] = true
				}
			}
		}
	}
	return granted
}

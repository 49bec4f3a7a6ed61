package suite

import (
	"cmp"
	"context"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"postern.dev/e2e/tests/framework"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/conformance"
	confv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/utils/flags"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

const (
	className      = "postern"
	controllerName = "postern.dev/gateway-controller"
)

// install installs Postern for as long as the test runs, with the experimental channel, because some of the tests' fields are of it only.
// A cluster that has the Gateway API already is tested as it is, and stays so.
func install(t *testing.T) {
	t.Helper()
	foreign, err := framework.Foreign(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if foreign != "" {
		t.Logf("the cluster has %s already: Postern is tested as it is installed there", foreign)
		return
	}
	t.Cleanup(func() {
		if os.Getenv("E2E_KEEP") != "" {
			return
		}
		if err := framework.Uninstall(context.WithoutCancel(t.Context()), framework.Experimental); err != nil {
			t.Errorf("uninstall: %v", err)
		}
	})
	// A run that was killed leaves its Gateways, and the next one would take their statuses for those of its own.
	if err := framework.DeleteNamespaces(t.Context(), "gateway-conformance-"); err != nil {
		t.Fatal(err)
	}
	if err := framework.InstallFrom(t.Context(), framework.Experimental); err != nil {
		framework.Diagnose(t.Output())
		t.Fatalf("install: %v", err)
	}
}

// TestConformance is the official suite. Its flags can be given after -args, and go before what is set here.
func TestConformance(t *testing.T) {
	install(t)
	options := conformance.DefaultOptions(t)
	options.GatewayClassName = className
	for _, profile := range profiles {
		options.ConformanceProfiles = append(options.ConformanceProfiles, profile.Name)
	}
	options.Implementation = confv1.Implementation{
		Organization: "postern", Project: "postern", URL: "https://postern.dev", Version: "unreleased", Contact: []string{"https://postern.dev"},
	}
	setAddresses(t, &options.ConfigurableOptions)
	flags.ApplyAll(&options.ConfigurableOptions)
	createClass(t, options.Client)

	var lock sync.Mutex
	var results []result
	options.Hook = func(t *testing.T, test suite.ConformanceTest, ran *suite.ConformanceTestSuite) {
		r := result{name: test.ShortName, features: test.Features, outcome: passed}
		switch {
		case t.Failed():
			r.outcome = failed
		case t.Skipped() && !ran.SupportedFeatures.HasAll(test.Features...):
			r.outcome = notSupported
		case t.Skipped():
			r.outcome = skipped
		}
		lock.Lock()
		defer lock.Unlock()
		results = append(results, r)
	}
	// Tests that run side by side end after RunConformanceWithOptions.
	t.Cleanup(func() {
		if len(results) == 0 {
			t.Error("no test ran: is there one of that name?")
			return
		}
		if err := os.WriteFile(cmp.Or(os.Getenv("E2E_TABLE"), os.DevNull), []byte(table(results)), 0o644); err != nil {
			t.Error(err)
		}
		t.Log("\n" + table(results))
		if names := notRun(results); len(names) > 0 {
			t.Errorf("skipped or not supported: %s", strings.Join(names, ", "))
		}
	})
	conformance.RunConformanceWithOptions(t, options)
}

// setAddresses gives the suite an address that a Gateway can ask for, and one that it cannot get, where the range is known from which
// the cluster gives out addresses.
func setAddresses(t *testing.T, options *suite.ConfigurableOptions) {
	pool := os.Getenv("E2E_LOADBALANCER_POOL")
	if pool == "" {
		return
	}
	prefix, err := netip.ParsePrefix(pool)
	if err != nil {
		t.Fatalf("E2E_LOADBALANCER_POOL: %v", err)
	}
	// The last but one: they are given out from the first on. The last is never given out.
	last := lastOf(prefix)
	address := func(value netip.Addr) []gatewayv1.GatewaySpecAddress {
		kind := gatewayv1.IPAddressType
		return []gatewayv1.GatewaySpecAddress{{Type: &kind, Value: value.String()}}
	}
	options.UsableNetworkAddresses = address(last.Prev())
	options.UnusableNetworkAddresses = address(last.Next())
}

// lastOf is the highest address of an IPv4 range.
func lastOf(prefix netip.Prefix) netip.Addr {
	last := prefix.Masked().Addr()
	for prefix.Contains(last.Next()) {
		last = last.Next()
	}
	return last
}

// createClass makes the GatewayClass, for as long as the suite runs, unless there is one. It waits until the class says what it supports:
// the suite looks once.
func createClass(t *testing.T, to client.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	class := &gatewayv1.GatewayClass{
		ObjectMeta: metav1.ObjectMeta{Name: className},
		Spec:       gatewayv1.GatewayClassSpec{ControllerName: controllerName},
	}
	switch err := to.Create(ctx, class); {
	case err == nil:
		t.Cleanup(func() {
			if err := to.Delete(context.WithoutCancel(ctx), class); err != nil {
				t.Errorf("delete the GatewayClass: %v", err)
			}
		})
	case !apierrors.IsAlreadyExists(err):
		t.Fatalf("create the GatewayClass: %v", err)
	}
	err := wait.PollUntilContextCancel(ctx, 200*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		if err := to.Get(ctx, client.ObjectKeyFromObject(class), class); err != nil {
			return false, err
		}
		return len(class.Status.SupportedFeatures) > 0, nil
	})
	if err != nil {
		t.Fatalf("the GatewayClass does not say what it supports: %v; conditions %v", err, class.Status.Conditions)
	}
}

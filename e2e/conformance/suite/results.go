// Package suite runs the official conformance suite of the Gateway API against Postern.
package suite

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// profiles are those that an ingress can have: all but the ones of meshes.
var profiles = []suite.ConformanceProfile{
	suite.GatewayHTTPConformanceProfile,
	suite.GatewayGRPCConformanceProfile,
	suite.GatewayTLSConformanceProfile,
	suite.GatewayTCPConformanceProfile,
	suite.GatewayUDPConformanceProfile,
}

// outcome is how a test ended.
type outcome int

const (
	passed outcome = iota
	failed
	// skipped by the test itself, or because somebody asked for that.
	skipped
	// notSupported: the GatewayClass does not list all of the test's features.
	notSupported
)

// label is the outcome in the table.
var label = map[outcome]string{passed: "passed", failed: "failed", skipped: "skipped", notSupported: "not supported"}

// outcomes in the order of the table.
var outcomes = []outcome{passed, failed, skipped, notSupported}

// result is one test's.
type result struct {
	name     string
	features []features.FeatureName
	outcome  outcome
}

// in says whether the test counts for a profile, and whether it is one of its core. The rules are the official report's: all
// features are the profile's, and those of a core test are all core.
func (r result) in(profile suite.ConformanceProfile) (counts, core bool) {
	for _, feature := range r.features {
		if !profile.CoreFeatures.Has(feature) && !profile.ExtendedFeatures.Has(feature) {
			return false, false
		}
	}
	return true, profile.CoreFeatures.HasAll(r.features...)
}

// ofIngress says whether the test is about ingresses. The suite has tests of meshes as well, which are of none of the profiles.
func (r result) ofIngress() bool {
	return !slices.ContainsFunc(r.features, func(feature features.FeatureName) bool { return strings.HasPrefix(string(feature), "Mesh") })
}

// notRun are the tests of ingresses that were passed over. The suite has nothing against them, but Postern claims every profile as a
// whole: a feature that is no longer claimed must not go unnoticed.
func notRun(results []result) []string {
	var names []string
	for _, result := range results {
		if result.ofIngress() && (result.outcome == skipped || result.outcome == notSupported) {
			names = append(names, result.name)
		}
	}
	slices.Sort(names)
	return names
}

// table is what people read: a line for each profile, and the names of all tests that did not pass.
func table(results []result) string {
	var text strings.Builder
	lines := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	fmt.Fprintln(lines, "PROFILE\tCORE\tEXTENDED")
	for _, profile := range profiles {
		fmt.Fprintf(lines, "%s\t%s\t%s\n", profile.Name, count(results, profile, true), count(results, profile, false))
	}
	// A strings.Builder takes all.
	_ = lines.Flush()
	for _, outcome := range outcomes[1:] {
		var names []string
		for _, result := range results {
			if result.outcome == outcome && result.ofIngress() {
				names = append(names, result.name)
			}
		}
		if len(names) > 0 {
			slices.Sort(names)
			fmt.Fprintf(&text, "\n%s (%d):\n  %s\n", label[outcome], len(names), strings.Join(names, "\n  "))
		}
	}
	return text.String()
}

// count says how many tests of a profile's core, or of what extends it, ended in which way.
func count(results []result, profile suite.ConformanceProfile, wantCore bool) string {
	counts := make(map[outcome]int)
	for _, result := range results {
		if counted, core := result.in(profile); counted && core == wantCore {
			counts[result.outcome]++
		}
	}
	var parts []string
	for _, outcome := range outcomes {
		if counts[outcome] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[outcome], label[outcome]))
		}
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

package suite

import (
	"slices"
	"testing"

	"sigs.k8s.io/gateway-api/pkg/features"
)

func TestTable(t *testing.T) {
	results := []result{
		{"GatewayModifyListeners", []features.FeatureName{features.SupportGateway}, passed},
		{"HTTPRouteWeight", []features.FeatureName{features.SupportGateway, features.SupportHTTPRoute}, failed},
		{"HTTPRouteCORS", []features.FeatureName{features.SupportGateway, features.SupportHTTPRoute, features.SupportHTTPRouteCORS}, notSupported},
		// Of no profile: TLSRoute is not one of HTTP's features, nor HTTPRoute one of TLS's.
		{"HTTPRouteDisallowedKind", []features.FeatureName{features.SupportGateway, features.SupportHTTPRoute, features.SupportTLSRoute}, skipped},
		{"MeshBasic", []features.FeatureName{features.SupportMesh}, notSupported},
	}
	got := table(results)
	const want = `PROFILE        CORE                 EXTENDED
GATEWAY-HTTP   1 passed, 1 failed   1 not supported
GATEWAY-GRPC   1 passed             -
GATEWAY-TLS    1 passed             -
GATEWAY-TCP    1 passed             -
GATEWAY-UDP    1 passed             -

failed (1):
  HTTPRouteWeight

skipped (1):
  HTTPRouteDisallowedKind

not supported (1):
  HTTPRouteCORS
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := notRun(results); !slices.Equal(got, []string{"HTTPRouteCORS", "HTTPRouteDisallowedKind"}) {
		t.Errorf("not run: %v", got)
	}
}

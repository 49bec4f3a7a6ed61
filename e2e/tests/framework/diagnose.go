package framework

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// clues are what helps after a failure, each as a kubectl command line.
var clues = []string{
	"get gateways.networking.istio.io,virtualservices,destinationrules,serviceentries,envoyfilters,ingressgateways -A" +
		" -o custom-columns=KIND:.kind,NAMESPACE:.metadata.namespace,NAME:.metadata.name,GENERATION:.metadata.generation,STATUS:.status",
	"get pods,deployments,services -n " + RootNamespace + " -o wide",
	"get pods -n " + System + " -o wide",
	"get events -n " + RootNamespace + " --sort-by=.lastTimestamp",
	"logs -n " + System + " -l app.kubernetes.io/name=postern --tail=300 --prefix",
	"logs -n " + System + " -l app.kubernetes.io/name=postern --tail=100 --prefix --previous",
	"logs -n " + RootNamespace + " -l " + managed + " --tail=60 --prefix",
}

// Diagnose prints statuses, events and logs.
func Diagnose(out io.Writer, more ...string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, clue := range append(more, clues...) {
		text, _ := kubectl(ctx, "", strings.Fields(clue)...)
		const most = 40_000
		if len(text) > most {
			text = "[...]" + text[len(text)-most:]
		}
		fmt.Fprintf(out, "--- kubectl %s\n%s\n", clue, text)
	}
}

// DiagnoseFailure prints, once, what is known when the test has failed. Call it before its objects are deleted.
func (e *Env) DiagnoseFailure() {
	if !e.T.Failed() || e.diagnosed {
		return
	}
	e.diagnosed = true
	Diagnose(e.T.Output(), "get all -o wide -n "+e.Namespace, "get events -n "+e.Namespace+" --sort-by=.lastTimestamp")
}

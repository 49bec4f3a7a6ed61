package framework

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Load sends requests at a steady rate, whether they are answered or not, over connections that are kept.
type Load struct {
	client *Client
	url    string
	stop   context.CancelFunc
	done   sync.WaitGroup

	mutex     sync.Mutex
	latencies []time.Duration
	failures  []string
}

// StartLoad sends that many requests a second until [Load.Stop].
func StartLoad(t *testing.T, client *Client, url string, rate int) *Load {
	ctx, cancel := context.WithCancel(context.Background())
	load := &Load{client: client, url: url, stop: cancel}
	t.Cleanup(func() {
		cancel()
		load.done.Wait()
	})
	load.done.Go(func() {
		ticker := time.NewTicker(time.Second / time.Duration(rate))
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				load.done.Go(load.send)
			}
		}
	})
	return load
}

// send is not ended by [Load.Stop]: every request that was begun counts.
func (l *Load) send() {
	start := time.Now()
	answer, err := l.client.Ask(context.Background(), l.url)
	took := time.Since(start)
	l.mutex.Lock()
	defer l.mutex.Unlock()
	switch {
	case err != nil:
		l.failures = append(l.failures, fmt.Sprintf("%s after %s: %v", start.Format("15:04:05.000"), took, err))
	case answer.Status != http.StatusOK:
		l.failures = append(l.failures, fmt.Sprintf("%s after %s: %d %s %s", start.Format("15:04:05.000"), took, answer.Status,
			answer.Header.Get("x-envoy-response-flags"), strings.TrimSpace(answer.Body)))
	default:
		l.latencies = append(l.latencies, took)
	}
}

// Stop ends it and says how many requests were answered with 200, and what became of the others.
func (l *Load) Stop() (served int, failures []string) {
	l.stop()
	l.done.Wait()
	l.client.Close()
	return len(l.latencies), l.failures
}

// MustServeAll ends it; every request must have been answered with 200.
func (l *Load) MustServeAll(t *testing.T, during string) {
	t.Helper()
	served, failures := l.Stop()
	t.Logf("%s: %d requests served, %d lost; %s", during, served, len(failures), Distribution(l.latencies))
	if served == 0 {
		t.Error("no request was served")
	}
	for _, failure := range failures[:min(len(failures), 10)] {
		t.Errorf("lost: %s", failure)
	}
}

// Distribution is a few quantiles of durations, as text.
func Distribution(durations []time.Duration) string {
	if len(durations) == 0 {
		return "nothing measured"
	}
	sorted := slices.Sorted(slices.Values(durations))
	return fmt.Sprintf("median %s, p90 %s, p99 %s, slowest %s",
		round(Quantile(sorted, 0.5)), round(Quantile(sorted, 0.9)), round(Quantile(sorted, 0.99)), round(sorted[len(sorted)-1]))
}

// Quantile is the smallest duration that at least that part of the sorted ones do not exceed (nearest rank).
func Quantile(sorted []time.Duration, part float64) time.Duration {
	rank := int(part*float64(len(sorted)) + 0.999999)
	return sorted[min(max(rank, 1), len(sorted))-1]
}

func round(d time.Duration) time.Duration {
	if d > 10*time.Millisecond {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}

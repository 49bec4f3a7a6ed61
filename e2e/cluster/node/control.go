package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// serveControl answers on the supervisor's socket:
//
//	GET  /status            every component, each asked whether it is ready
//	POST /stop?component=   returns when the process is gone
//	POST /start?component=  returns at once
func serveControl(socket string, all []*supervised) error {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	handler := http.NewServeMux()
	handler.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		statuses := make([]Status, len(all))
		var group sync.WaitGroup
		for i, s := range all {
			group.Go(func() { statuses[i] = s.status(r.Context()) })
		}
		group.Wait()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(statuses)
	})
	onComponent := func(act func(*supervised)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			name := r.URL.Query().Get("component")
			for _, s := range all {
				if s.name == name {
					act(s)
					return
				}
			}
			http.Error(w, fmt.Sprintf("no component %q", name), http.StatusNotFound)
		}
	}
	handler.HandleFunc("POST /stop", onComponent((*supervised).stop))
	handler.HandleFunc("POST /start", onComponent((*supervised).start))
	return http.Serve(listener, handler)
}

// controlClient talks to the supervisor's socket.
func (l Layout) controlClient() *http.Client {
	return &http.Client{
		Timeout: stopGrace + 5*time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var dialer net.Dialer
				return dialer.DialContext(ctx, "unix", l.control())
			},
		},
	}
}

func (l Layout) call(ctx context.Context, method, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://node"+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := l.controlClient().Do(request)
	if err != nil {
		return nil, fmt.Errorf("cluster %s is not running: %w", l.Name, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, errors.New(string(body))
	}
	return body, nil
}

// Status asks the supervisor about every component.
func (l Layout) Status(ctx context.Context) ([]Status, error) {
	body, err := l.call(ctx, http.MethodGet, "/status")
	if err != nil {
		return nil, err
	}
	var statuses []Status
	if err := json.Unmarshal(body, &statuses); err != nil {
		return nil, err
	}
	init, _ := l.findInit()
	outside := hostPIDs(init)
	for i := range statuses {
		statuses[i].PID = outside[statuses[i].PID]
	}
	return statuses, nil
}

// Stop stops a component until [Layout.Start]; the supervisor does not restart it.
func (l Layout) Stop(ctx context.Context, component string) error {
	_, err := l.call(ctx, http.MethodPost, "/stop?component="+component)
	return err
}

// Start starts a component that was stopped.
func (l Layout) Start(ctx context.Context, component string) error {
	_, err := l.call(ctx, http.MethodPost, "/start?component="+component)
	return err
}

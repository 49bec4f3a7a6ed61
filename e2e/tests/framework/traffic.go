package framework

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Client is an HTTP client that connects to one address whatever the URL's host is, as `curl --connect-to ::ADDRESS` does: the host is
// for the name of TLS (SNI) and the header Host.
type Client struct {
	*http.Client
	transport *http.Transport
}

// NewClient connects to the address at the URL's port and trusts roots. It keeps connections, as browsers do.
func NewClient(address string, roots *x509.CertPool) *Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots},
		MaxIdleConnsPerHost: 64,
		DialContext: func(ctx context.Context, network, target string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(target)
			if err != nil {
				return nil, err
			}
			return dialer.DialContext(ctx, network, net.JoinHostPort(address, port))
		},
	}
	return &Client{
		transport: transport,
		Client: &http.Client{
			Transport:     transport,
			Timeout:       30 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Fresh makes it use a connection of its own for each request.
func (c *Client) Fresh() *Client {
	c.transport.DisableKeepAlives = true
	return c
}

// Close closes the connections that are kept.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	// Certificate is the server's, with TLS.
	Certificate *x509.Certificate
}

// Service is the backend that answered, as e2e/backend says it.
func (a Answer) Service() string { return a.said("service") }

// Pod is the pod that answered.
func (a Answer) Pod() string { return a.said("pod") }

func (a Answer) said(field string) string {
	var said map[string]any
	_ = json.Unmarshal([]byte(a.Body), &said)
	text, _ := said[field].(string)
	return text
}

// Ask gets a URL.
func (c *Client) Ask(ctx context.Context, url string) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return Answer{}, err
	}
	response, err := c.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	answer := Answer{Status: response.StatusCode, Header: response.Header, Body: string(body)}
	if response.TLS != nil && len(response.TLS.PeerCertificates) > 0 {
		answer.Certificate = response.TLS.PeerCertificates[0]
	}
	return answer, err
}

// Served is an error unless the URL is answered with 200 by that backend.
func (c *Client) Served(ctx context.Context, url, backend string) error {
	answer, err := c.Ask(ctx, url)
	if err != nil {
		return err
	}
	if answer.Status != http.StatusOK || answer.Service() != backend {
		return fmt.Errorf("%s: %d %s; want 200 of %s", url, answer.Status, strings.TrimSpace(answer.Body), backend)
	}
	return nil
}

// ServedOnOpenConnection is the same, and also an error if the client had to make a new connection for it.
func (c *Client) ServedOnOpenConnection(ctx context.Context, url, backend string) error {
	reused := false
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }}
	if err := c.Served(httptrace.WithClientTrace(ctx, trace), url, backend); err != nil {
		return err
	}
	if !reused {
		return errors.New("the connection was closed")
	}
	return nil
}

// Answers is an error unless the URL is answered with that status.
func (c *Client) Answers(ctx context.Context, url string, status int) error {
	answer, err := c.Ask(ctx, url)
	if err == nil && answer.Status != status {
		err = fmt.Errorf("%s: %d %s; want %d", url, answer.Status, strings.TrimSpace(answer.Body), status)
	}
	return err
}

// ExampleRoots is the authority of the examples' certificates.
func (e *Env) ExampleRoots() *x509.CertPool {
	e.T.Helper()
	text, err := os.ReadFile(filepath.Join(Manifests, "examples", "ca.crt"))
	if err != nil {
		e.T.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		e.T.Fatal("ca.crt: no certificate")
	}
	return roots
}

package framework

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Service creates a Service of that type, port 80, for the probe pods with the label app=name. change may be nil.
func (e *Env) Service(name, app string, kind corev1.ServiceType, change func(*corev1.Service)) *corev1.Service {
	e.T.Helper()
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type:     kind,
			Selector: map[string]string{"app": app},
			Ports:    []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(ProbePort)}},
		},
	}
	if change != nil {
		change(service)
	}
	created, err := e.Client.CoreV1().Services(e.Namespace).Create(e.T.Context(), service, metav1.CreateOptions{})
	if err != nil {
		e.T.Fatalf("create service %s: %v", name, err)
	}
	return created
}

// Address is the address of a LoadBalancer Service, or [ErrNoAddress].
func (e *Env) Address(ctx context.Context, service string) (string, error) {
	found, err := e.Client.CoreV1().Services(e.Namespace).Get(ctx, service, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	for _, ingress := range found.Status.LoadBalancer.Ingress {
		if ingress.IP != "" {
			return ingress.IP, nil
		}
		if ingress.Hostname != "" {
			return ingress.Hostname, nil
		}
	}
	return "", ErrNoAddress
}

// AwaitAddress waits for it.
func (e *Env) AwaitAddress(service string) string {
	e.T.Helper()
	var address string
	e.Eventually("address of service "+service, func(ctx context.Context) (err error) {
		address, err = e.Address(ctx, service)
		return err
	})
	return address
}

// client makes a new connection for each request, so that each is balanced by itself.
var client = &http.Client{
	Timeout:   5 * time.Second,
	Transport: &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext},
}

// Get returns the body of a 200 answer. It asks from where the tests run: in a local cluster, from the node.
func Get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, response.Status, body)
	}
	return string(body), err
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
)

// controller keeps each Service's address in step with what it asks for. One worker does everything, so given needs no lock.
type controller struct {
	client   kubernetes.Interface
	pool     pool
	informer cache.SharedIndexInformer
	services listers.ServiceLister
	queue    workqueue.TypedRateLimitingInterface[cache.ObjectName]
	events   record.EventRecorder
	// given is who has which address. The cache of the informer lags behind our own writes; this does not.
	given map[netip.Addr]cache.ObjectName
}

func newController(client kubernetes.Interface, addresses pool) *controller {
	services := informers.NewSharedInformerFactory(client, 0).Core().V1().Services()
	broadcaster := record.NewBroadcaster()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	return &controller{
		client:   client,
		pool:     addresses,
		informer: services.Informer(),
		services: services.Lister(),
		queue:    workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[cache.ObjectName]()),
		events:   broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "postern-loadbalancer"}),
		given:    make(map[netip.Addr]cache.ObjectName),
	}
}

// run works until ctx ends.
func (c *controller) run(ctx context.Context) error {
	enqueue := func(object any) {
		if name, err := cache.DeletionHandlingObjectToName(object); err == nil {
			c.queue.Add(name)
		}
	}
	_, err := c.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: enqueue, UpdateFunc: func(_, after any) { enqueue(after) }, DeleteFunc: enqueue,
	})
	if err != nil {
		return err
	}
	go c.informer.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), c.informer.HasSynced) {
		return fmt.Errorf("the Services could not be listed: %w", ctx.Err())
	}
	if err := c.adopt(); err != nil {
		return err
	}
	log.Printf("giving out addresses of %s", c.pool)
	go func() {
		<-ctx.Done()
		c.queue.ShutDown()
	}()
	for c.next(ctx) {
	}
	return nil
}

// adopt remembers the addresses that an earlier run gave out, before anyone new gets one.
func (c *controller) adopt() error {
	services, err := c.services.List(labels.Everything())
	if err != nil {
		return err
	}
	for _, service := range services {
		if address, err := netip.ParseAddr(currentAddress(service)); err == nil && wanted(service) && c.pool.has(address) {
			c.given[address] = cache.MetaObjectToName(service)
		}
	}
	return nil
}

func (c *controller) next(ctx context.Context) bool {
	name, shutdown := c.queue.Get()
	if shutdown {
		return false
	}
	defer c.queue.Done(name)
	if err := c.reconcile(ctx, name); err != nil {
		log.Printf("%s: %v", name, err)
		c.queue.AddRateLimited(name)
		return true
	}
	c.queue.Forget(name)
	return true
}

func (c *controller) reconcile(ctx context.Context, name cache.ObjectName) error {
	service, err := c.services.Services(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) {
		c.release(name)
		return nil
	}
	if err != nil {
		return err
	}
	if !wanted(service) {
		c.release(name)
		return nil
	}
	taken := func(address netip.Addr) bool {
		owner, given := c.given[address]
		return given && owner != name
	}
	address, err := c.pool.choose(service.Spec.LoadBalancerIP, currentAddress(service), taken)
	if err != nil {
		// Not for a retry by time: it is looked at again when the Service changes or an address is freed.
		c.events.Event(service, corev1.EventTypeWarning, "NoAddress", err.Error())
		c.release(name)
		if currentAddress(service) == "" {
			return nil
		}
		return c.write(ctx, service, nil)
	}
	if c.given[address] != name {
		c.release(name)
		c.given[address] = name
	}
	if currentAddress(service) == address.String() {
		return nil
	}
	if err := c.write(ctx, service, []corev1.LoadBalancerIngress{{IP: address.String()}}); err != nil {
		return err
	}
	log.Printf("%s: %s", name, address)
	return nil
}

// release frees what the Service had, for those that wait for an address.
func (c *controller) release(name cache.ObjectName) {
	freed := false
	for address, owner := range c.given {
		if owner == name {
			delete(c.given, address)
			freed = true
			log.Printf("%s: %s is free", name, address)
		}
	}
	if !freed {
		return
	}
	services, err := c.services.List(labels.Everything())
	if err != nil {
		return // The lister reads memory: it does not fail.
	}
	for _, service := range services {
		if wanted(service) && currentAddress(service) == "" {
			c.queue.Add(cache.MetaObjectToName(service))
		}
	}
}

// write sets the addresses in the Service's status and nothing else.
func (c *controller) write(ctx context.Context, service *corev1.Service, ingress []corev1.LoadBalancerIngress) error {
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"loadBalancer": map[string]any{"ingress": ingress}}})
	if err != nil {
		return err
	}
	_, err = c.client.CoreV1().Services(service.Namespace).
		Patch(ctx, service.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) {
		return nil // It was deleted meanwhile; the event for that comes.
	}
	return err
}

// wanted says whether the Service shall have an address from us.
func wanted(service *corev1.Service) bool {
	return service.Spec.Type == corev1.ServiceTypeLoadBalancer && service.Spec.LoadBalancerClass == nil &&
		service.DeletionTimestamp == nil && slices.Contains(service.Spec.IPFamilies, corev1.IPv4Protocol)
}

func currentAddress(service *corev1.Service) string {
	if ingress := service.Status.LoadBalancer.Ingress; len(ingress) > 0 {
		return ingress[0].IP
	}
	return ""
}

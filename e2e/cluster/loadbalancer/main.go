// Command loadbalancer gives Services of type LoadBalancer their addresses, as a cloud's controller would.
//
// It only writes status.loadBalancer.ingress: kube-proxy answers on every address it finds there, and in a cluster of one node each
// packet from the node or a pod passes kube-proxy's rules. There is nothing to announce to a network.
package main

import (
	"context"
	"flag"
	"log"
	"os/signal"
	"syscall"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func main() {
	poolFlag := flag.String("pool", "", "the range of addresses to give out, as ADDRESS/LENGTH")
	flag.Parse()
	if err := run(*poolFlag); err != nil {
		log.Fatal(err)
	}
}

func run(poolText string) error {
	addresses, err := parsePool(poolText)
	if err != nil {
		return err
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return newController(client, addresses).run(ctx)
}

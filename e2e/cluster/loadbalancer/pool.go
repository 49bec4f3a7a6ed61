package main

import (
	"errors"
	"fmt"
	"net/netip"
)

// pool is the range that Services get their addresses from.
type pool struct{ netip.Prefix }

func parsePool(text string) (pool, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return pool{}, err
	}
	return pool{prefix.Masked()}, nil
}

var (
	errTaken   = errors.New("the address is another Service's")
	errOutside = errors.New("the address is not in the pool")
	errFull    = errors.New("no address of the pool is free")
)

// choose returns the address for a Service: the one it asks for, else the one it has, else the first that is free.
//
// taken says whether another Service has an address. The first and the last of the range are never given out: on a network they would
// be its own address and the broadcast address, which some clients refuse.
func (p pool) choose(requested, current string, taken func(netip.Addr) bool) (netip.Addr, error) {
	if requested != "" {
		address, err := netip.ParseAddr(requested)
		switch {
		case err != nil:
			return netip.Addr{}, err
		case !p.has(address):
			return netip.Addr{}, fmt.Errorf("%w %s: %s", errOutside, p, requested)
		case taken(address):
			return netip.Addr{}, fmt.Errorf("%w: %s", errTaken, requested)
		}
		return address, nil
	}
	if address, err := netip.ParseAddr(current); err == nil && p.has(address) && !taken(address) {
		return address, nil
	}
	for address := p.Addr().Next(); p.has(address); address = address.Next() {
		if !taken(address) {
			return address, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%w: %s", errFull, p)
}

// has says whether the address may be given out.
func (p pool) has(address netip.Addr) bool {
	return p.Contains(address) && address != p.Addr() && p.Contains(address.Next())
}

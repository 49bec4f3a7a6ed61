package main

import (
	"errors"
	"net/netip"
	"testing"
)

func TestChoose(t *testing.T) {
	p, err := parsePool("10.9.8.0/29")
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"10.9.8.1", "10.9.8.2", "10.9.8.3", "10.9.8.4", "10.9.8.5", "10.9.8.6"}
	for _, c := range []struct {
		name, requested, current string
		taken                    []string
		want                     string
		err                      error
	}{
		{name: "the first", want: "10.9.8.1"},
		{name: "the first that is free", taken: all[:2], want: "10.9.8.3"},
		{name: "the last that is free", taken: all[:5], want: "10.9.8.6"},
		{name: "none is free", taken: all, err: errFull},
		{name: "keeps what it has", current: "10.9.8.4", want: "10.9.8.4"},
		{name: "what it has went to another", current: "10.9.8.1", taken: all[:1], want: "10.9.8.2"},
		{name: "what it has is of another pool", current: "10.9.9.1", want: "10.9.8.1"},
		{name: "asks for one", requested: "10.9.8.5", current: "10.9.8.4", want: "10.9.8.5"},
		{name: "asks for another's", requested: "10.9.8.2", taken: all[:2], err: errTaken},
		{name: "asks for one outside", requested: "10.9.9.2", err: errOutside},
		{name: "asks for the network's", requested: "10.9.8.0", err: errOutside},
		{name: "asks for the broadcast address", requested: "10.9.8.7", err: errOutside},
	} {
		t.Run(c.name, func(t *testing.T) {
			taken := func(address netip.Addr) bool {
				for _, other := range c.taken {
					if other == address.String() {
						return true
					}
				}
				return false
			}
			got, err := p.choose(c.requested, c.current, taken)
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if err == nil && got.String() != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestChooseRefusesWhatIsNoAddress(t *testing.T) {
	p, err := parsePool("10.9.8.0/29")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.choose("example.com", "", func(netip.Addr) bool { return false }); err == nil {
		t.Error("no error")
	}
}

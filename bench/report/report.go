// Package report holds the results of benchmarks as plain data: samples by workload and peer, what they come to, the
// machine, and all of it as lines of JSON. It measures nothing.
package report

import "slices"

// A Results is what one benchmark found.
type Results struct {
	Machine Machine
	Skipped []Skip
	Series  []*Series // in the order of their first samples
}

// A Machine is where a benchmark ran. It has no names and no paths: results are published.
type Machine struct {
	Part   string            `json:"part"` // the benchmark: "launch"
	Date   string            `json:"date"` // YYYY-MM-DD
	CPU    string            `json:"cpu"`
	Cores  int               `json:"cores"`
	Memory int64             `json:"memory"` // bytes
	Kernel string            `json:"kernel"`
	Busy   float64           `json:"busy"`  // processors that others kept busy in the second before
	Peers  map[string]string `json:"peers"` // versions by program
	Quick  bool              `json:"quick,omitempty"`
}

// A Skip is a peer or a workload that was left out.
type Skip struct {
	What string `json:"skipped"`
	Why  string `json:"why"`
}

// A Key tells what was measured.
type Key struct {
	Work   string  `json:"work"`             // what was done: "walk with stat"; {x} in it stands for X
	X      float64 `json:"x,omitempty"`      // what varies between works of that name: files, ranks; 0 if nothing
	Figure string  `json:"figure,omitempty"` // what of it, where that is not time on the clock: "processor time"
	Unit   string  `json:"unit"`             // "s", "ms", "MiB", "MB/s", …
}

// A Series is the samples of one peer. Peers take turns: the samples of the same number of all series with one key
// were taken next to each other.
type Series struct {
	Key
	Peer    string    `json:"peer"`
	Samples []float64 `json:"samples"`
}

// Add appends a sample.
func (r *Results) Add(k Key, peer string, sample float64) {
	s := r.Find(k, peer)
	if s == nil {
		s = &Series{Key: k, Peer: peer}
		r.Series = append(r.Series, s)
	}
	s.Samples = append(s.Samples, sample)
}

// Find returns the samples of a peer, nil without any.
func (r *Results) Find(k Key, peer string) *Series {
	for _, s := range r.Series {
		if s.Key == k && s.Peer == peer {
			return s
		}
	}
	return nil
}

// Keys returns what was measured, in the order in which it first was, but with the figures of a work and the values of
// what varies next to each other.
func (r *Results) Keys() []Key {
	var keys []Key
	for _, s := range r.Series {
		if slices.Contains(keys, s.Key) {
			continue
		}
		at := len(keys)
		for i, k := range keys {
			if k.Work == s.Work && k.Figure == s.Figure {
				at = i + 1
			}
		}
		keys = slices.Insert(keys, at, s.Key)
	}
	return keys
}

// Peers returns the series of a key, in the order of their first samples.
func (r *Results) Peers(k Key) []*Series {
	var list []*Series
	for _, s := range r.Series {
		if s.Key == k {
			list = append(list, s)
		}
	}
	return list
}

// Skip notes what is left out, once.
func (r *Results) Skip(what, why string) {
	s := Skip{what, why}
	if !slices.Contains(r.Skipped, s) {
		r.Skipped = append(r.Skipped, s)
	}
}

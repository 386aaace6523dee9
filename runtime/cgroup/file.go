package cgroup

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// limitsFile is the part of a file of --apply-cgroups that version 2 has something like.
//
// Source: the OCI runtime specification, config-linux.md, "Control groups", which Apptainer writes as TOML.
type limitsFile struct {
	CPU struct {
		Shares, Quota, Period int64
		CPUs, Mems            string
	} `toml:"cpu"`
	Memory struct {
		Limit, Reservation, Swap int64
	} `toml:"memory"`
	PIDs struct {
		Limit int64
	} `toml:"pids"`
	BlockIO struct {
		Weight int64
	} `toml:"blockIO"`
	Unified map[string]string `toml:"unified"`
}

// unifiedFile tells whether name is one that a file of a group can have, as "memory.high" or "hugetlb.2MB.max".
func unifiedFile(name string) bool {
	controller, rest, ok := strings.Cut(name, ".")
	return ok && rest != "" && strings.Trim(rest, "abcdefghijklmnopqrstuvwxyzKMGB0123456789_.") == "" && !strings.HasPrefix(rest, ".") &&
		slices.Contains([]string{"cpu", "cpuset", "memory", "pids", "io", "hugetlb", "rdma", "misc"}, controller)
}

// Parse reads a file of limits. idle names the keys of it that have no effect.
func Parse(text string) (l Limits, idle []string, err error) {
	var f limitsFile
	meta, err := toml.Decode(text, &f)
	if err != nil {
		return Limits{}, nil, err
	}
	for _, key := range meta.Undecoded() {
		idle = append(idle, key.String())
	}
	c, m := f.CPU, f.Memory
	if min(c.Shares, c.Period, m.Limit, m.Reservation, f.BlockIO.Weight) < 0 {
		return Limits{}, nil, errors.New("a number is negative")
	}
	l = Limits{
		Shares: uint64(c.Shares), CPUSet: c.CPUs, MemSet: c.Mems, Memory: m.Limit, Reservation: m.Reservation, Swap: m.Swap,
		PIDs: f.PIDs.Limit, BlkIO: uint64(f.BlockIO.Weight),
	}
	if c.Quota > 0 {
		l.CPUs = float64(c.Quota) / float64(cmp.Or(c.Period, period))
	}
	for _, list := range []string{l.CPUSet, l.MemSet} {
		if strings.Trim(list, "0123456789,-") != "" {
			return Limits{}, nil, fmt.Errorf("%q is no list, as 0-3,6", list)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Unified)) {
		value := f.Unified[name]
		if !unifiedFile(name) || strings.ContainsAny(value, "\n\x00") {
			return Limits{}, nil, fmt.Errorf("unified: %q = %q is no setting of a control group", name, value)
		}
		l.Unified += name + "=" + value + "\n"
	}
	return l, idle, nil
}

// Or fills in from other what l does not say.
func (l Limits) Or(other Limits) Limits {
	return Limits{
		CPUs: cmp.Or(l.CPUs, other.CPUs), Shares: cmp.Or(l.Shares, other.Shares), CPUSet: cmp.Or(l.CPUSet, other.CPUSet),
		MemSet: cmp.Or(l.MemSet, other.MemSet), Memory: cmp.Or(l.Memory, other.Memory), Reservation: cmp.Or(l.Reservation, other.Reservation),
		Swap: cmp.Or(l.Swap, other.Swap), PIDs: cmp.Or(l.PIDs, other.PIDs), BlkIO: cmp.Or(l.BlkIO, other.BlkIO), Unified: cmp.Or(l.Unified, other.Unified),
	}
}

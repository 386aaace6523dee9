package userns

import (
	"strconv"
	"strings"
)

// A SubRange is a range of subordinate ids: Count of them from First on.
type SubRange struct {
	First, Count int
}

// maxID is the last id that can be mapped; the one behind it means "no id".
const maxID = 1<<32 - 2

// ParseSubIDs returns the ranges that the text of a subuid or subgid file gives to a user, by name or by uid, in the file's
// order. Lines that make no sense are passed over.
//
// Source: subuid(5): login name or uid, first id, count.
func ParseSubIDs(text, name string, uid int) []SubRange {
	var list []SubRange
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) == 3 && (name != "" && f[0] == name || f[0] == strconv.Itoa(uid)) {
			list = appendRange(list, f[1], f[2])
		}
	}
	return list
}

// ParseGetsubids returns the ranges that the program getsubids prints.
//
// Source: getsubids(1): "0: ada 100000 65536".
func ParseGetsubids(text string) []SubRange {
	var list []SubRange
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 4 {
			list = appendRange(list, f[2], f[3])
		}
	}
	return list
}

func appendRange(list []SubRange, first, count string) []SubRange {
	a, err1 := strconv.ParseUint(first, 10, 32)
	n, err2 := strconv.ParseUint(count, 10, 32)
	if err1 != nil || err2 != nil || n == 0 || a+n-1 > maxID {
		return list
	}
	return append(list, SubRange{int(a), int(n)})
}

// FreeSubIDs returns the first id of a block that no line of the subuid and subgid files in texts reaches into. It is
// what useradd would give away next.
//
// Source: login.defs(5): SUB_UID_MIN is 100000.
func FreeSubIDs(texts ...string) int {
	free := 100000
	for _, text := range texts {
		for line := range strings.Lines(text) {
			f := strings.Split(strings.TrimSpace(line), ":")
			if len(f) != 3 {
				continue
			}
			for _, r := range appendRange(nil, f[1], f[2]) {
				free = max(free, r.First+r.Count)
			}
		}
	}
	return free
}

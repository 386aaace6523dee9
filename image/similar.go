package image

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
)

// maxSimilar bounds how many names of a directory are looked at.
const maxSimilar = 4096

// similar returns up to three of names that a user who typed want may have meant, best first.
func similar(want string, names []string) []string {
	type candidate struct {
		name       string
		cost, edit int
	}
	var found []candidate
	stem := strings.ToLower(strings.TrimSuffix(want, filepath.Ext(want)))
	for _, name := range names {
		if strings.HasPrefix(name, ".") {
			continue
		}
		low := strings.ToLower(strings.TrimSuffix(name, filepath.Ext(name)))
		edit := Distance(strings.ToLower(want), strings.ToLower(name))
		d := edit
		switch {
		case low == stem: // another suffix, or none
			d = 1
		case len(stem) >= 3 && strings.HasPrefix(low, stem): // blast.sif, blast_2.14.sif
			d = min(d, 2)
			if filepath.Ext(name) != filepath.Ext(want) {
				d++
			}
		}
		if d <= max(3, len(want)/4) && d < len(want)/2 {
			found = append(found, candidate{name, d, edit})
		}
	}
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.cost, b.cost), cmp.Compare(a.edit, b.edit), strings.Compare(a.name, b.name))
	})
	var out []string
	for _, c := range found[:min(3, len(found))] {
		out = append(out, c.name)
	}
	return out
}

// Distance is the number of bytes to insert, delete, replace or swap with their
// neighbour to make b of a (the optimal string alignment distance).
func Distance(a, b string) int {
	prev2 := make([]int, len(b)+1)
	prev := make([]int, len(b)+1)
	cur := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}

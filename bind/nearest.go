package bind

import (
	"strconv"
	"strings"
)

// unknown words the error about a misspelt word, which may carry "=value".
func unknown(what, word string, known ...string) string {
	msg := "unknown " + what + " " + strconv.Quote(word)
	key, _, _ := strings.Cut(word, "=")
	if near := nearest(key, known...); near != "" {
		msg += ": did you mean " + near + "?"
	}
	return msg
}

// nearest is the word of known that differs least from word, if it can have been meant:
// by one edit for words of up to three letters, by two for longer ones. It answers ""
// when there is none.
func nearest(word string, known ...string) string {
	best, least := "", 3
	for _, k := range known {
		limit := 2
		if len(k) <= 3 {
			limit = 1
		}
		if d := distance(word, k); d <= limit && d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is the number of bytes to insert, delete, replace or swap with a neighbour that
// turns a into b (optimal string alignment). Words too long to be near count as 99.
func distance(a, b string) int {
	const most = 16
	if len(a) > most || len(b) > most {
		return 99
	}
	var d [most + 1][most + 1]int
	for i := range len(a) + 1 {
		d[i][0] = i
	}
	for j := range len(b) + 1 {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}

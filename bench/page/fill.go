package main

import (
	"errors"
	"fmt"
	"strings"
)

var errMarkers = errors.New("markers")

// fill replaces the text between the markers of each section. Sections that the text has no markers for are left out
// of it; a marker without its partner is an error that wraps errMarkers.
func fill(text string, sections map[string]string) (string, error) {
	for name, content := range sections {
		begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->\n"
		before, rest, found := strings.Cut(text, begin)
		if !found {
			if strings.Contains(text, end) {
				return "", fmt.Errorf("%w: an end of %q without its begin", errMarkers, name)
			}
			continue
		}
		_, after, found := strings.Cut(rest, end)
		if !found {
			return "", fmt.Errorf("%w: a begin of %q without its end", errMarkers, name)
		}
		text = before + begin + "\n" + strings.TrimSpace(content) + "\n\n" + end + after
	}
	return text, nil
}

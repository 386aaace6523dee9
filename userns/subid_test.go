package userns

import (
	"reflect"
	"testing"
)

func TestParseSubIDs(t *testing.T) {
	for _, tt := range []struct {
		text string
		name string
		want []SubRange
	}{
		{text: "ada:100000:65536\n", name: "ada", want: []SubRange{{100000, 65536}}},
		{text: "bob:100000:65536\n1500:200000:10\nada:5:1", name: "ada", want: []SubRange{{200000, 10}, {5, 1}}},
		{text: ":100000:65536\n", name: "", want: nil},                        // nobody's
		{text: "ada:1:2:3\nada:x:1\nada:1:\nada\n\n# ada:1:1\n", name: "ada"}, // no ranges
		{text: "ada:100000:0\nada:-1:5\n", name: "ada"},                       // empty, negative
		{text: "ada:4294967294:1\nada:4294967294:2\n", name: "ada", want: []SubRange{{4294967294, 1}}},
	} {
		if got := ParseSubIDs(tt.text, tt.name, 1500); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("ParseSubIDs(%q, %q) = %v; want %v", tt.text, tt.name, got, tt.want)
		}
	}
}

func TestParseGetsubids(t *testing.T) {
	got := ParseGetsubids("0: ada 100000 65536\n1: ada 300000 10\nno subordinate ids\n")
	if want := []SubRange{{100000, 65536}, {300000, 10}}; !reflect.DeepEqual(got, want) {
		t.Errorf("ParseGetsubids = %v; want %v", got, want)
	}
}

func TestFreeSubIDs(t *testing.T) {
	for _, tt := range []struct {
		uids, gids string
		want       int
	}{
		{want: 100000},
		{uids: "ada:1000:5\nbad\n", want: 100000},
		{uids: "ada:100000:65536\nbob:165536:65536", gids: "ada:300000:65536\n", want: 365536},
	} {
		if got := FreeSubIDs(tt.uids, tt.gids); got != tt.want {
			t.Errorf("FreeSubIDs(%q, %q) = %d; want %d", tt.uids, tt.gids, got, tt.want)
		}
	}
}

func FuzzParseSubIDs(f *testing.F) {
	f.Add("ada:100000:65536\n1500:4294967295:1\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, r := range append(ParseSubIDs(text, "ada", 1500), ParseGetsubids(text)...) {
			if r.First < 0 || r.Count < 1 || r.First+r.Count-1 > maxID {
				t.Errorf("range %v of %q", r, text)
			}
		}
	})
}

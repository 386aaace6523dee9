package stage

import (
	"reflect"
	"testing"
)

type inner struct{ Path string }

type document struct {
	Name  string
	List  []string
	Inner []inner
	Data  []byte
	Skip  any `json:"-"`
	N     int
}

// Every byte of every string survives the journey.
func TestMarshalBytes(t *testing.T) {
	for _, s := range []string{
		"", "plain", "caf\xe9", "\xff\xfe\x80", "\ufffd", `\ufffd`, "\U0010ff41", "\U0010ffff\xff", "\xf4\x8f", "日本\xe6\x97",
	} {
		in := document{Name: s, List: []string{"a", s}, Inner: []inner{{s}}, Data: []byte(s), N: 7}
		doc, err := marshal(&in)
		if err != nil {
			t.Fatalf("marshal(%q): %v", s, err)
		}
		var out document
		if err := unmarshal(doc, &out); err != nil {
			t.Fatalf("unmarshal(%q): %v", doc, err)
		}
		if s == "" {
			out.Data = []byte{} // nil and empty are one
		}
		if !reflect.DeepEqual(in, out) {
			t.Errorf("%+v came back as %+v", in, out)
		}
	}
}

func FuzzWrap(f *testing.F) {
	f.Add("caf\xe9\U0010ff41")
	f.Fuzz(func(t *testing.T, s string) {
		if got := unwrap(wrap(s)); got != s {
			t.Errorf("unwrap(wrap(%q)) = %q", s, got)
		}
	})
}

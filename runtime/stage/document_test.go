package stage

import (
	"errors"
	"reflect"
	"testing"
)

type inner struct {
	Path string
	Perm uint32
}

type document struct {
	Name   string
	On     bool
	N      int
	Small  int8
	Big    uint64
	Share  float64
	List   []string
	Inner  []inner
	Data   []byte
	Pair   [2]string
	At     *inner
	Next   *document
	Skip   any `json:"-"`
	hidden int
}

func full() document {
	return document{
		Name: "caf\xe9", On: true, N: -7, Small: -128, Big: 1<<64 - 1, Share: 0.5,
		List: []string{"a", "", "\xff\xfe"}, Inner: []inner{{"/x", 0o755}, {}}, Data: []byte("\x00\xff"), Pair: [2]string{"", "b"},
		At: &inner{Path: "日本\xe6"}, Next: &document{List: []string{}, Data: []byte{}},
	}
}

// Every value survives the journey, whatever bytes its strings have; nil and empty slices stay two things.
func TestDocument(t *testing.T) {
	for _, in := range []document{{}, full(), {Inner: make([]inner, 300)}} {
		doc, err := marshal(&in)
		if err != nil {
			t.Fatalf("marshal(%+v): %v", in, err)
		}
		out := document{Name: "is overwritten", At: &inner{}}
		if err := unmarshal(doc, &out); err != nil {
			t.Fatalf("unmarshal(%q): %v", doc, err)
		}
		if !reflect.DeepEqual(in, out) {
			t.Errorf("%+v came back as %+v", in, out)
		}
	}
}

// What does not travel is left out.
func TestDocumentSkips(t *testing.T) {
	in := document{Skip: "something", hidden: 3}
	doc, err := marshal(&in)
	var out document
	if err == nil {
		err = unmarshal(doc, &out)
	}
	if err != nil || !reflect.DeepEqual(out, document{}) {
		t.Errorf("%+v came back as %+v, %v; want the zero document", in, out, err)
	}
	if _, err := marshal(&struct{ F func() }{}); err == nil {
		t.Error("marshal of a function: no error")
	}
}

// A document that was cut short, or has something behind it, is refused.
func TestDocumentTruncated(t *testing.T) {
	in := full()
	doc, err := marshal(&in)
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc {
		var out document
		if err := unmarshal(doc[:n], &out); !errors.Is(err, errDocument) {
			t.Errorf("unmarshal of %d bytes of %d: %v, want %v", n, len(doc), err, errDocument)
		}
	}
	var out document
	if err := unmarshal(append(doc, 0), &out); !errors.Is(err, errDocument) {
		t.Errorf("unmarshal with a byte too many: %v, want %v", err, errDocument)
	}
}

func FuzzDocument(f *testing.F) {
	in := full()
	doc, err := marshal(&in)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(doc)
	f.Fuzz(func(t *testing.T, doc []byte) {
		var out document
		if err := unmarshal(doc, &out); err != nil {
			if !errors.Is(err, errDocument) {
				t.Errorf("unmarshal(%q): %v", doc, err)
			}
			return
		}
		if _, err := marshal(&out); err != nil {
			t.Errorf("marshal(%+v): %v", out, err)
		}
	})
}

package server

import (
	"errors"
	"os"
	"testing"
)

// A layer that is there is offered for ever; a new one until there are too many, or one has failed.
func TestLayersOffers(t *testing.T) {
	l := layers{mounts: map[string]string{"there": "/layer0/root"}}
	if !l.offers("there") || !l.offers("new") {
		t.Error("with room for more: not offered")
	}
	for len(l.mounts) < maxLayers {
		l.mounts[string(rune(len(l.mounts)))] = ""
	}
	if !l.offers("there") || l.offers("new") {
		t.Error("without room: only what is there may be offered")
	}
	l = layers{mounts: map[string]string{"there": "/layer0/root"}, closed: true}
	if at, err := l.over(&Layer{Name: "there"}); at != "/layer0/root" || err != nil {
		t.Errorf("what is there: %q, %v", at, err)
	}
	if _, err := l.over(&Layer{Name: "new", Make: func(string) error { return os.ErrPermission }}); !errors.Is(err, errNoLayers) {
		t.Errorf("closed: %v", err)
	}
}

package layer

import (
	"encoding/binary"
	"fmt"
	"unsafe"
)

// An arena is a list that grows without moving what is in it.
type arena[T any] struct {
	chunks [][]T
	n      uint32
}

const arenaChunk = 1 << 12 // elements

// add appends v and returns its place.
func (a *arena[T]) add(v T) uint32 {
	if a.n%arenaChunk == 0 {
		a.chunks = append(a.chunks, make([]T, arenaChunk))
	}
	i := a.n
	a.n++
	*a.at(i) = v
	return i
}

// at returns the element at a place, which stays where it is.
func (a *arena[T]) at(i uint32) *T { return &a.chunks[i/arenaChunk][i%arenaChunk] }

// texts keeps names and the texts of links, each at a place for ever.
type texts struct {
	chunks [][]byte
	n      int // used of the last one
}

const (
	textChunk = 1 << 16   // bytes
	textMax   = 1<<32 - 1 // places are 32 bits
)

// add keeps a text of at most maxPath bytes and returns its place.
func (t *texts) add(s string) (uint32, error) {
	if len(t.chunks) == 0 || t.n+2+len(s) > textChunk {
		t.chunks = append(t.chunks, make([]byte, textChunk))
		t.n = 0
	}
	place := (len(t.chunks)-1)*textChunk + t.n
	if place > textMax {
		return 0, fmt.Errorf("%w: names of more than 4 GiB", ErrTooMany)
	}
	b := t.chunks[len(t.chunks)-1][t.n:]
	binary.LittleEndian.PutUint16(b, uint16(len(s)))
	t.n += 2 + copy(b[2:], s)
	return uint32(place), nil
}

// at returns the text at a place. It is a view: what is in a chunk never changes.
func (t *texts) at(place uint32) string {
	b := t.chunks[place/textChunk][place%textChunk:]
	n := binary.LittleEndian.Uint16(b)
	return unsafe.String(unsafe.SliceData(b[2:]), n)
}

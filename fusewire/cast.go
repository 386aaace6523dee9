package fusewire

import "unsafe"

// The unsafe casts: protocol structures in request and reply buffers, which are 8-byte aligned because they are
// large objects of the heap, and every structure's size is a multiple of 8.

// View returns the structure at the start of b, or nil when b is too short or
// not aligned. T holds fixed-size integers only.
func View[T any](b []byte) *T {
	var t T
	if uintptr(len(b)) < unsafe.Sizeof(t) || uintptr(unsafe.Pointer(unsafe.SliceData(b)))%8 != 0 {
		return nil
	}
	return (*T)(unsafe.Pointer(unsafe.SliceData(b)))
}

// BytesOf returns the memory of t, for replying with it.
func BytesOf[T any](t *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(t)), unsafe.Sizeof(*t))
}

// TextOf returns b as a string without a copy, for as long as b is not written
// to.
func TextOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

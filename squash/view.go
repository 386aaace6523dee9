package squash

import "unsafe"

// viewString returns b as a string without a copy. Nobody may write to b
// afterwards: it is used on decoded metadata blocks, which never change.
func viewString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

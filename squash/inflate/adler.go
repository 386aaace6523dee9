package inflate

import "encoding/binary"

const (
	adlerMod = 65521
	// Words of 8 bytes that are summed up in 16-bit lanes: the second sum is at
	// most 255*22*23/2, below 1<<16.
	adlerRun = 22
	even     = 0x00ff00ff00ff00ff
)

// adler32 returns the checksum of RFC 1950 of p.
//
// Eight bytes are added at a time: the lanes of s hold sums of the bytes in
// columns, those of t the sums of s before each word. Byte j of word k of n
// weighs 8*(n-1-k) + 8-j in the second sum.
func adler32(p []byte) uint32 {
	a, b := uint64(1), uint64(0)
	for len(p) >= 8 {
		n := min(len(p)/8, adlerRun)
		var s0, s1, t0, t1 uint64 // even and odd columns
		run := p[:8*n]
		for len(run) >= 8 {
			w := binary.LittleEndian.Uint64(run)
			run = run[8:]
			t0 += s0
			t1 += s1
			s0 += w & even
			s1 += w >> 8 & even
		}
		p = p[8*n:]
		b += a*uint64(8*n) + 8*(lanes(t0)+lanes(t1))
		for i := range uint64(4) {
			e, o := s0>>(16*i)&0xffff, s1>>(16*i)&0xffff
			a += e + o
			b += e*(8-2*i) + o*(7-2*i)
		}
		a %= adlerMod
		b %= adlerMod
	}
	for _, c := range p {
		a += uint64(c)
		b += a
	}
	return uint32(b%adlerMod)<<16 | uint32(a%adlerMod)
}

// lanes adds up four 16-bit lanes.
func lanes(v uint64) uint64 {
	v = v&0x0000ffff0000ffff + v>>16&0x0000ffff0000ffff
	return v&0xffffffff + v>>32
}

package xz

import (
	"encoding/binary"
	"fmt"
)

// The ids of branch filters (BCJ). They replaced the relative targets of calls
// by absolute ones, which repeat more; decoding puts the relative ones back.
//
// Source: "The .xz File Format", section 5.3.2.
const (
	filterX86 = 4 + iota
	filterPowerPC
	filterIA64
	filterARM
	filterARMThumb
	filterSPARC
	filterARM64
)

// branch undoes a filter in place.
func branch(f filter, p []byte) error {
	switch f.id {
	case filterX86:
		x86(p, f.start)
	case filterPowerPC:
		powerPC(p, f.start)
	case filterIA64:
		ia64(p, f.start)
	case filterARM:
		arm(p, f.start)
	case filterARMThumb:
		armThumb(p, f.start)
	case filterSPARC:
		sparc(p, f.start)
	case filterARM64:
		arm64(p, f.start)
	default:
		return fmt.Errorf("%w: filter %#x", ErrUnsupported, f.id)
	}
	return nil
}

// x86 undoes the filter for CALL and JMP with 32-bit displacements (E8, E9).
//
// The encoder skipped what could hardly be a branch: a displacement whose high
// byte is not 00 or FF, and opcodes right behind other E8 and E9 bytes. mask
// remembers in which of the last three bytes such a byte stood (bit 0 is the
// nearest), as far as it matters.
func x86(p []byte, start uint32) {
	// Which patterns of E8 and E9 in front allow a conversion, and which byte
	// of the displacement must then not look like a sign byte.
	allowed := [8]bool{0: true, 1: true, 2: true, 4: true}
	shift := [8]uint{0: 0, 1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 6: 3, 7: 3}
	sign := func(b byte) bool { return b == 0 || b == 0xff }

	mask := uint(0)
	last := -1 // position of the last E8 or E9
	i := 0
	for ; i+4 < len(p); i++ {
		if p[i]&0xfe != 0xe8 {
			continue
		}
		if gap := i - last; last < 0 || gap > 3 {
			mask = 0
		} else if mask = mask << (gap - 1) & 7; mask != 0 {
			if !allowed[mask] || sign(p[i+4-int(shift[mask])]) {
				last = i
				mask = mask<<1 | 1
				continue
			}
		}
		last = i
		if !sign(p[i+4]) {
			mask = mask<<1 | 1
			continue
		}
		src := binary.LittleEndian.Uint32(p[i+1:])
		var dst uint32
		for {
			dst = src - (start + uint32(i) + 5)
			if mask == 0 {
				break
			}
			bits := shift[mask] * 8
			if !sign(byte(dst >> (24 - bits))) {
				break
			}
			src = dst ^ (1<<(32-bits) - 1)
		}
		dst &= 0x01ffffff
		dst |= -(dst & 0x01000000)
		binary.LittleEndian.PutUint32(p[i+1:], dst)
		i += 4
		mask = 0
		last = -1
	}
}

// powerPC undoes the filter for "bl" with absolute bit 0.
func powerPC(p []byte, start uint32) {
	for i := 0; i+4 <= len(p); i += 4 {
		v := binary.BigEndian.Uint32(p[i:])
		if v&0xfc000003 == 0x48000001 {
			v = (v-start-uint32(i))&0x03fffffc | 0x48000001
			binary.BigEndian.PutUint32(p[i:], v)
		}
	}
}

// ia64 undoes the filter for "br.call" in the slots of 16-byte bundles.
func ia64(p []byte, start uint32) {
	slots := [32]byte{ // by template: which slots may hold a branch
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		4, 4, 6, 6, 0, 0, 7, 7, 4, 4, 0, 0, 4, 4, 0, 0,
	}
	for i := 0; i+16 <= len(p); i += 16 {
		mask := slots[p[i]&31]
		for slot := range uint(3) {
			if mask>>slot&1 == 0 {
				continue
			}
			bit := 5 + 41*slot
			at, shift := i+int(bit/8), bit%8
			var b [8]byte
			copy(b[:6], p[at:])
			raw := binary.LittleEndian.Uint64(b[:])
			v := raw >> shift
			if v>>37&15 != 5 || v>>9&7 != 0 {
				continue
			}
			target := uint32(v>>13&0xfffff) | uint32(v>>36&1)<<20
			target = (target<<4 - start - uint32(i)) >> 4
			v &^= 0x8fffff << 13
			v |= uint64(target&0xfffff)<<13 | uint64(target&0x100000)<<(36-20)
			raw = raw&(1<<shift-1) | v<<shift
			binary.LittleEndian.PutUint64(b[:], raw)
			copy(p[at:], b[:6])
		}
	}
}

// arm undoes the filter for BL with condition "always".
func arm(p []byte, start uint32) {
	for i := 0; i+4 <= len(p); i += 4 {
		if p[i+3] != 0xeb {
			continue
		}
		v := binary.LittleEndian.Uint32(p[i:])
		v = v&0xff000000 | ((v&0xffffff)<<2-start-uint32(i)-8)>>2&0xffffff
		binary.LittleEndian.PutUint32(p[i:], v)
	}
}

// armThumb undoes the filter for BL, a pair of halfwords with 11 bits each.
func armThumb(p []byte, start uint32) {
	for i := 0; i+4 <= len(p); i += 2 {
		hi, lo := binary.LittleEndian.Uint16(p[i:]), binary.LittleEndian.Uint16(p[i+2:])
		if hi&0xf800 != 0xf000 || lo&0xf800 != 0xf800 {
			continue
		}
		v := (uint32(hi&0x7ff)<<11 | uint32(lo&0x7ff)) << 1
		v = (v - start - uint32(i) - 4) >> 1
		binary.LittleEndian.PutUint16(p[i:], 0xf000|uint16(v>>11&0x7ff))
		binary.LittleEndian.PutUint16(p[i+2:], 0xf800|uint16(v&0x7ff))
		i += 2
	}
}

// sparc undoes the filter for CALL with a displacement of 22 bits and sign.
func sparc(p []byte, start uint32) {
	for i := 0; i+4 <= len(p); i += 4 {
		v := binary.BigEndian.Uint32(p[i:])
		if v>>22 != 0x100 && v>>22 != 0x1ff {
			continue
		}
		v = (v<<2 - start - uint32(i)) >> 2
		v = (0x40000000 - v&0x400000) | 0x40000000 | v&0x3fffff
		binary.BigEndian.PutUint32(p[i:], v)
	}
}

// arm64 undoes the filter for BL, and for ADRP within 512 MiB.
func arm64(p []byte, start uint32) {
	for i := 0; i+4 <= len(p); i += 4 {
		pc := start + uint32(i)
		v := binary.LittleEndian.Uint32(p[i:])
		switch {
		case v>>26 == 0x25:
			v = 0x94000000 | (v-pc>>2)&0x03ffffff
		case v&0x9f000000 == 0x90000000:
			src := v>>29&3 | v>>3&0x1ffffc
			if (src+0x020000)&0x1c0000 != 0 {
				continue
			}
			dst := src - pc>>12
			v = v&0x9000001f | dst&3<<29 | dst&0x03fffc<<3 | (-(dst & 0x020000))&0xe00000
		default:
			continue
		}
		binary.LittleEndian.PutUint32(p[i:], v)
	}
}

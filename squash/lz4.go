package squash

import "encoding/binary"

// lz4Codec decodes raw LZ4 blocks, which have neither header nor checksum.
//
// Source: lz4_Block_format.md of the LZ4 project.
type lz4Codec struct{}

func (lz4Codec) decode(dst, src []byte) (int, error) {
	n, ok := lz4Block(dst, src)
	if !ok {
		return 0, corrupt("lz4: %d bytes into %d", len(src), len(dst))
	}
	return n, nil
}

const lz4MinMatch = 4

// lz4Block decodes a block and returns its length.
func lz4Block(dst, src []byte) (n int, ok bool) {
	o, i := 0, 0
	for i < len(src) {
		token := src[i]
		i++
		lits := int(token >> 4)
		if lits < 15 && len(src)-i >= 16 && len(dst)-o >= 16 {
			copy16(dst[o:], src[i:])
		} else {
			if lits == 15 {
				if lits, i, ok = lz4Length(lits, src, i); !ok {
					return 0, false
				}
			}
			if lits > len(src)-i || lits > len(dst)-o {
				return 0, false
			}
			copy(dst[o:], src[i:i+lits])
		}
		i += lits
		o += lits
		if i == len(src) { // the last sequence has no match
			return o, token&15 == 0
		}
		if len(src)-i < 2 {
			return 0, false
		}
		distance := int(binary.LittleEndian.Uint16(src[i:]))
		i += 2
		length := int(token & 15)
		if length == 15 {
			if length, i, ok = lz4Length(length, src, i); !ok {
				return 0, false
			}
		}
		length += lz4MinMatch
		if distance == 0 || distance > o || length > len(dst)-o {
			return 0, false
		}
		copyMatch(dst, o, distance, length)
		o += length
	}
	return 0, false
}

// lz4Length reads the rest of a length.
func lz4Length(n int, src []byte, i int) (length, next int, ok bool) {
	for i < len(src) {
		c := src[i]
		i++
		n += int(c)
		if c != 255 {
			return n, i, true
		}
	}
	return 0, i, false
}

// copy16 copies 16 bytes.
func copy16(dst, src []byte) {
	_, _ = dst[15], src[15]
	binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src))
	binary.LittleEndian.PutUint64(dst[8:], binary.LittleEndian.Uint64(src[8:]))
}

// copyMatch copies length bytes to dst[o:] from distance bytes before;
// 0 < distance <= o and length <= len(dst)-o. Behind the copy, up to 31 bytes
// of dst may change.
func copyMatch(dst []byte, o, distance, length int) {
	switch from := o - distance; {
	case distance >= 16 && length <= 32 && len(dst)-o >= 32:
		copy16(dst[o:], dst[from:])
		if length > 16 {
			copy16(dst[o+16:], dst[from+16:])
		}
	case distance >= length:
		copy(dst[o:o+length], dst[from:])
	default: // a pattern: double it until it is long enough
		for end := o + length; o < end; {
			o += copy(dst[o:end], dst[from:o])
		}
	}
}

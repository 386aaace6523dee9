package xz

import "encoding/binary"

// lzma2 decodes LZMA2 chunks up to the end marker, and returns the number of
// bytes written and read.
//
// Source: "The .xz File Format", section 5.3.1; Linux lib/xz/xz_dec_lzma2.c.
func (d *lzma) lzma2(dst, src []byte) (n, used int, err error) {
	d.dst, d.o = dst, 0
	defer func() { d.dst, d.rc.src = nil, nil }()
	needDict, needProps, needState := true, true, true
	for i := 0; i < len(src); {
		control := src[i]
		i++
		if control == 0 {
			return d.o, i, nil
		}
		if control >= 0xe0 || control == 1 {
			d.dictStart = d.o
			needDict = false
		}
		if needDict {
			break
		}
		if control < 0x80 {
			if i, err = d.plainChunk(control, src, i); err != nil {
				return 0, 0, err
			}
			continue
		}
		if len(src)-i < 5 {
			break
		}
		size := int(control&0x1f)<<16 + int(binary.BigEndian.Uint16(src[i:])) + 1
		packed := int(binary.BigEndian.Uint16(src[i+2:])) + 1
		i += 4
		if control >= 0xc0 {
			if err := d.setProps(src[i]); err != nil {
				return 0, 0, err
			}
			i++
			needProps = false
		}
		if needProps {
			break
		}
		if control >= 0xa0 {
			d.reset()
			needState = false
		}
		if needState || packed > len(src)-i {
			break
		}
		if err := d.chunk(size, src[i:i+packed]); err != nil {
			return 0, 0, err
		}
		i += packed
	}
	return 0, 0, ErrCorrupt
}

// plainChunk copies a chunk that is not compressed.
func (d *lzma) plainChunk(control byte, src []byte, i int) (next int, err error) {
	if control > 2 || len(src)-i < 2 {
		return 0, ErrCorrupt
	}
	size := int(binary.BigEndian.Uint16(src[i:])) + 1
	i += 2
	if size > len(src)-i {
		return 0, ErrCorrupt
	}
	if size > len(d.dst)-d.o {
		return 0, ErrSpace
	}
	d.o += copy(d.dst[d.o:], src[i:i+size])
	return i + size, nil
}

// chunk decodes a compressed chunk of size bytes.
func (d *lzma) chunk(size int, src []byte) error {
	if size > len(d.dst)-d.o {
		return ErrSpace
	}
	if !d.rc.start(src) {
		return ErrCorrupt
	}
	end := d.o + size
	marker, err := d.run(end)
	if err != nil {
		return err
	}
	if marker || d.o != end || d.rc.ended() || d.rc.pos != len(src) {
		return ErrCorrupt
	}
	return nil
}

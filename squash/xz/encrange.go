package xz

import "math"

// A rangeEncoder turns bits into bytes.
//
// Source: "LZMA specification" of the LZMA SDK, which has the decoder.
type rangeEncoder struct {
	out   []byte
	low   uint64
	rng   uint32
	cache byte
	held  int // bytes that a carry may still change: cache, and 0xff behind it
}

// start begins a new stream that is appended to out.
func (r *rangeEncoder) start() { r.low, r.rng, r.cache, r.held = 0, 1<<32-1, 0, 1 }

// pending returns how many bytes the stream will have that are not in out yet.
func (r *rangeEncoder) pending() int { return r.held + 4 }

func (r *rangeEncoder) shift() {
	if r.low < 0xff<<24 || r.low > 1<<32-1 {
		carry := byte(r.low >> 32)
		r.out = append(r.out, r.cache+carry)
		for ; r.held > 1; r.held-- {
			r.out = append(r.out, 0xff+carry)
		}
		r.held = 0
		r.cache = byte(r.low >> 24)
	}
	r.held++
	r.low = r.low << 8 & (1<<32 - 1)
}

// stop ends the stream.
func (r *rangeEncoder) stop() {
	for range 5 {
		r.shift()
	}
}

func (r *rangeEncoder) bit(p *uint16, b uint32) {
	v := uint32(*p)
	bound := r.rng >> probBits * v
	if b == 0 {
		r.rng = bound
		*p = uint16(v + (1<<probBits-v)>>moveBits)
	} else {
		r.low += uint64(bound)
		r.rng -= bound
		*p = uint16(v - v>>moveBits)
	}
	for r.rng < topValue {
		r.rng <<= 8
		r.shift()
	}
}

// tree encodes n bits, high ones first.
func (r *rangeEncoder) tree(t []uint16, v uint32, n uint) {
	sym := uint32(1)
	for n > 0 {
		n--
		b := v >> n & 1
		r.bit(&t[sym], b)
		sym = sym<<1 | b
	}
}

// reverse encodes n bits, low ones first, with probabilities from t[1] on.
func (r *rangeEncoder) reverse(t []uint16, v uint32, n uint) {
	sym := uint32(1)
	for range n {
		b := v & 1
		v >>= 1
		r.bit(&t[sym], b)
		sym = sym<<1 | b
	}
}

// direct encodes n bits without probabilities.
func (r *rangeEncoder) direct(v uint32, n uint) {
	for n > 0 {
		n--
		r.rng >>= 1
		if v>>n&1 != 0 {
			r.low += uint64(r.rng)
		}
		for r.rng < topValue {
			r.rng <<= 8
			r.shift()
		}
	}
}

// matched encodes a literal with the byte at the last distance as context.
func (r *rangeEncoder) matched(t []uint16, v, match uint32) {
	sym, offset := uint32(1), uint32(0x100)
	for i := 7; i >= 0; i-- {
		match <<= 1
		b := v >> i & 1
		r.bit(&t[offset+match&offset+sym], b)
		sym = sym<<1 | b
		if match&0x100 != b<<8 {
			offset = 0
		}
	}
}

// length encodes a match's length.
func (r *rangeEncoder) length(l *lenCoder, n, posState int) {
	n -= minMatch
	switch {
	case n < 8:
		r.bit(&l.choice, 0)
		r.tree(l.low[posState][:], uint32(n), 3)
	case n < 16:
		r.bit(&l.choice, 1)
		r.bit(&l.choice2, 0)
		r.tree(l.mid[posState][:], uint32(n-8), 3)
	default:
		r.bit(&l.choice, 1)
		r.bit(&l.choice2, 1)
		r.tree(l.high[:], uint32(n-16), 8)
	}
}

// A price is what something takes in the output, in 1/64 of a bit.
type price = uint32

const (
	onebit     = 64
	infinity   = price(1 << 30)
	priceShift = 3
)

// A priceTable gives the price of a bit whose probability is the index, shifted
// right by priceShift.
type priceTable [1 << (probBits - priceShift)]price

func (t *priceTable) init() {
	for i := range t {
		p := (float64(i) + 0.5) / float64(len(t))
		t[i] = price(math.Round(-math.Log2(p) * onebit))
	}
}

func (t *priceTable) bit(p uint16, b uint32) price {
	return t[(uint32(p)^-b&(1<<probBits-1))>>priceShift]
}

func (t *priceTable) tree(probs []uint16, v uint32, n uint) (sum price) {
	sym := uint32(1)
	for n > 0 {
		n--
		b := v >> n & 1
		sum += t.bit(probs[sym], b)
		sym = sym<<1 | b
	}
	return sum
}

func (t *priceTable) reverse(probs []uint16, v uint32, n uint) (sum price) {
	sym := uint32(1)
	for range n {
		b := v & 1
		v >>= 1
		sum += t.bit(probs[sym], b)
		sym = sym<<1 | b
	}
	return sum
}

func (t *priceTable) matched(probs []uint16, v, match uint32) (sum price) {
	sym, offset := uint32(1), uint32(0x100)
	for i := 7; i >= 0; i-- {
		match <<= 1
		b := v >> i & 1
		sum += t.bit(probs[offset+match&offset+sym], b)
		sym = sym<<1 | b
		if match&0x100 != b<<8 {
			offset = 0
		}
	}
	return sum
}

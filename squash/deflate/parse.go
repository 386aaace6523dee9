package deflate

import "math/bits"

// A sequence is a run of literals and the match behind it.
type sequence struct {
	literals uint32
	length   uint16 // 0: no match; at the end of a chunk only
	dist     uint16 // less 1
}

const (
	literalSyms = 286 // literals, end of block, lengths
	distSyms    = 30
	endOfBlock  = 256
	firstLength = 257
)

// A histogram counts symbols.
type histogram struct {
	lit  [literalSyms]uint32
	dist [distSyms]uint32
}

func (h *histogram) add(o *histogram) {
	for i, n := range o.lit {
		h.lit[i] += n
	}
	for i, n := range o.dist {
		h.dist[i] += n
	}
}

// A chunk is a piece of input, the unit that blocks are made of.
type chunk struct {
	histogram
	src  int // bytes
	seqs int
	bits float32 // about what the symbols take
	gain float32 // bits saved by sharing a block with the next chunk
}

const chunkSize = 4 << 10 // bytes of a chunk, at least

// A parser turns an input into sequences.
type parser struct {
	*Encoder
	src      []byte
	pos      int // of what comes next
	inserted int // positions below are known to the matcher
	end      int // positions below may begin a match
	literals int // in front of pos, since the last sequence
	begin    int // of the chunk
	first    int // sequence of the chunk
	cur      *chunk
}

// parse divides src into e.chunks of e.seqs.
func (e *Encoder) parse(src []byte) {
	e.m.start(len(src))
	e.seqs, e.chunks = e.seqs[:0], e.chunks[:0]
	p := parser{Encoder: e, src: src, end: len(src) - tailSize}
	p.open()
	for p.pos < p.end {
		length, dist := p.search(minMatch-1, e.depth)
		if length < minMatch || length == minMatch && dist > 4<<10 {
			p.literal()
			continue
		}
		if e.lazy > 0 {
			length, dist = p.defer1(length, dist)
		}
		p.match(length, dist)
		if p.pos-p.begin >= chunkSize {
			p.close()
			p.open()
		}
	}
	for p.pos < len(src) {
		p.literal()
	}
	p.close()
	e.m.stop(len(src))
}

// search looks for a match of more than best bytes at the first position that
// is not known yet, and makes it known.
func (p *parser) search(best, depth int) (length, dist int) {
	length, dist = p.m.longest(p.src, p.inserted, best, depth, p.nice)
	p.inserted++
	return length, dist
}

// defer1 passes over literals as long as a better match begins one or two
// positions later, and returns the match at the position it has come to.
func (p *parser) defer1(length, dist int) (int, int) {
	for length < p.nice && p.inserted < p.end {
		n, d := p.search(length-1, p.depth/2)
		if better(n, d, length, dist) > 2 {
			p.literal()
			length, dist = n, d
			continue
		}
		if p.lazy < 2 || p.inserted >= p.end {
			break
		}
		n, d = p.search(length-1, p.depth/4)
		if better(n, d, length, dist) <= 6 {
			break
		}
		p.literal()
		p.literal()
		length, dist = n, d
	}
	return length, dist
}

// better judges a match against an earlier one: a byte is worth four bits, a
// distance costs its logarithm.
func better(n, d, length, dist int) int {
	if n < length {
		return 0
	}
	return 4*(n-length) + bits.Len(uint(dist)) - bits.Len(uint(d))
}

func (p *parser) open() {
	if len(p.chunks) < cap(p.chunks) {
		p.chunks = p.chunks[:len(p.chunks)+1]
		p.chunks[len(p.chunks)-1] = chunk{}
	} else {
		p.chunks = append(p.chunks, chunk{})
	}
	p.cur = &p.chunks[len(p.chunks)-1]
	p.begin, p.first = p.pos, len(p.seqs)
}

func (p *parser) close() {
	if p.literals > 0 {
		p.seqs = append(p.seqs, sequence{literals: uint32(p.literals)})
		p.literals = 0
	}
	p.cur.src = p.pos - p.begin
	p.cur.seqs = len(p.seqs) - p.first
}

func (p *parser) literal() {
	p.cur.lit[p.src[p.pos]]++
	p.pos++
	p.literals++
}

func (p *parser) match(length, dist int) {
	p.seqs = append(p.seqs, sequence{uint32(p.literals), uint16(length), uint16(dist - 1)})
	p.literals = 0
	p.cur.lit[firstLength+int(lengthSym[length-minMatch])]++
	p.cur.dist[distSym(dist-1)]++
	p.pos += length
	p.m.insert(p.src, p.inserted, min(p.pos, p.end), p.step)
	p.inserted = p.pos
}

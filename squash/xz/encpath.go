package xz

import (
	"slices"

	"coracle/squash/lz77"
)

const pathLen = 2 << 10 // bytes that a path covers at most, but for its last match

// A node is a position ahead, with the cheapest way to it that is known.
type node struct {
	price price
	from  int32 // node in front of the last operations
	n     int32 // of ops: one; two, literal and match; or three, match, literal and match
	ops   [3]op
	state int
	rep   [4]uint32
}

// A path is a search for the cheapest operations.
type path struct {
	nodes [pathLen + 1]node // by distance from the encoder's position
	end   int               // nodes up to this one have been reached
	ops   []op
}

// choose returns the operations of the cheapest path from e.pos to some
// position ahead. Positions up to there are known to the tree afterwards.
func (e *Encoder) choose() []op {
	at, long := e.explore()
	e.ops = e.ops[:0]
	for at > 0 {
		n := &e.nodes[at]
		for i := n.n - 1; i >= 0; i-- {
			e.ops = append(e.ops, n.ops[i])
		}
		at = int(n.from)
	}
	slices.Reverse(e.ops)
	if long.length > 0 {
		e.ops = append(e.ops, long)
	}
	return e.ops
}

// explore visits the positions ahead until all ways meet in one, or a match is
// so long that it is taken without question. It returns where, and the match.
func (e *Encoder) explore() (at int, long op) {
	e.nodes[0] = node{state: e.state, rep: e.rep}
	e.end = 0
	for cur := 0; ; cur++ {
		if cur > 0 && cur == e.end {
			return cur, op{}
		}
		if cur > 0 {
			e.settle(cur)
		}
		e.search(e.pos + cur)
		if long := e.long(cur); long.length > 0 {
			e.skip(e.pos + cur + long.length)
			return cur, long
		}
		e.visit(cur)
	}
}

// settle computes the state of a node to which no cheaper way can be found.
func (e *Encoder) settle(cur int) {
	n := &e.nodes[cur]
	from := &e.nodes[n.from]
	n.state, n.rep = from.state, from.rep
	for _, o := range n.ops[:n.n] {
		n.state = stateAfter(n.state, o)
		n.rep = repsAfter(n.rep, o.back)
	}
}

// search finds the matches at pos.
func (e *Encoder) search(pos int) {
	e.list = e.list[:0]
	if pos+lz77.TailSize <= len(e.src) {
		e.list = e.tree.Find(e.list, pos, min(e.nice, len(e.src)-pos), e.depth)
	}
	e.found = pos + 1
}

// skip makes positions below pos known.
func (e *Encoder) skip(pos int) {
	for ; e.found < pos; e.found++ {
		if e.found+lz77.TailSize <= len(e.src) {
			e.tree.Skip(e.found, min(e.nice, len(e.src)-e.found), e.depth)
		}
	}
}

// repLen returns how long a match at a distance, less 1, is, of at most n bytes.
func (e *Encoder) repLen(pos int, d uint32, n int) int {
	from := pos - int(d) - 1
	if from < 0 || n < minMatch || e.src[from] != e.src[pos] {
		return 0
	}
	return lz77.MatchLen(e.src[from:], e.src[pos:pos+n])
}

// long returns a match of e.nice bytes or more, or the zero op.
func (e *Encoder) long(cur int) op {
	pos := e.pos + cur
	n := min(maxLen, len(e.src)-pos)
	for i, d := range e.nodes[cur].rep {
		if k := e.repLen(pos, d, n); k >= e.nice {
			return op{k, uint32(i)}
		}
	}
	if len(e.list) > 0 {
		if m := e.list[len(e.list)-1]; m.Length >= e.nice {
			d := uint32(m.Dist - 1)
			return op{e.repLen(pos, d, n), d + reps}
		}
	}
	return op{}
}

// A visit looks at what may come next at a node.
type visit struct {
	*Encoder
	*node
	cur, pos int
	room     int // bytes that the path may still cover
	posState int
	isMatch  price // of any match
	isRep    price // of any match at one of the last distances
}

func (e *Encoder) visit(cur int) {
	v := visit{Encoder: e, node: &e.nodes[cur], cur: cur, pos: e.pos + cur}
	v.room = min(pathLen-cur, len(e.src)-v.pos)
	v.posState = v.pos & posMask
	bit := &e.costs.bits
	v.isMatch = v.node.price + bit.bit(e.p.isMatch[v.node.state][v.posState], 1)
	v.isRep = v.isMatch + bit.bit(e.p.isRep[v.node.state], 1)
	v.literal()
	from := minMatch
	for i := range v.node.rep {
		n := v.repeat(uint32(i))
		if i == 0 {
			from = max(from, n+1)
		}
	}
	v.matches(from)
}

// offer offers a way to the node at, which may be the cheapest.
func (v *visit) offer(at int, p price, ops ...op) {
	for v.end < at {
		v.end++
		v.nodes[v.end].price = infinity
	}
	if n := &v.nodes[at]; p < n.price {
		n.price, n.from, n.n = p, int32(v.cur), int32(len(ops))
		copy(n.ops[:], ops)
	}
}

// literalPrice returns the price of a literal at pos in a state with the byte
// at distance d, less 1, as context.
func (e *Encoder) literalPrice(pos, state int, d uint32) price {
	b := &e.costs.bits
	p := b.bit(e.p.isMatch[state][pos&posMask], 0)
	t := e.literals(pos)
	if state < 7 {
		return p + b.tree(t, uint32(e.src[pos]), 8)
	}
	return p + b.matched(t, uint32(e.src[pos]), uint32(e.src[pos-int(d)-1]))
}

// rep0Price returns the price of a match of n bytes at the last distance.
func (e *Encoder) rep0Price(pos, state, n int) price {
	b, p, s := &e.costs.bits, &e.p, pos&posMask
	return b.bit(p.isMatch[state][s], 1) + b.bit(p.isRep[state], 1) + b.bit(p.isRepG0[state], 0) +
		b.bit(p.isRep0Long[state][s], 1) + e.costs.rep[s][n]
}

// literal looks at a literal, a byte at the last distance, and a literal
// followed by a match at the last distance.
func (v *visit) literal() {
	d, state := v.node.rep[0], v.node.state
	p := v.node.price + v.literalPrice(v.pos, state, d)
	one := op{1, literal}
	v.offer(v.cur+1, p, one)
	if v.pos <= int(d) {
		return
	}
	if v.src[v.pos] == v.src[v.pos-int(d)-1] {
		b := &v.costs.bits
		p := v.isRep + b.bit(v.p.isRepG0[state], 0) + b.bit(v.p.isRep0Long[state][v.posState], 0)
		v.offer(v.cur+1, p, op{1, 0})
		return
	}
	if n := v.repLenAt(1, d); n >= minMatch {
		p += v.rep0Price(v.pos+1, afterLiteral(state), n)
		v.offer(v.cur+1+n, p, one, op{n, 0})
	}
}

// repLenAt is repLen at an offset, within the room.
func (v *visit) repLenAt(off int, d uint32) int {
	if off >= v.room {
		return 0
	}
	return v.Encoder.repLen(v.pos+off, d, min(maxLen, v.room-off))
}

// repeat looks at matches at one of the last distances, and returns the length
// of the longest.
func (v *visit) repeat(i uint32) int {
	d := v.node.rep[i]
	n := v.repLenAt(0, d)
	if n < minMatch {
		return 0
	}
	b, p, state := &v.costs.bits, &v.p, v.node.state
	base := v.isRep
	if i == 0 {
		base += b.bit(p.isRepG0[state], 0) + b.bit(p.isRep0Long[state][v.posState], 1)
	} else {
		base += b.bit(p.isRepG0[state], 1) + b.bit(p.isRepG1[state], min(i-1, 1))
		if i > 1 {
			base += b.bit(p.isRepG2[state], i-2)
		}
	}
	for k := n; k >= minMatch; k-- {
		v.offer(v.cur+k, base+v.costs.rep[v.posState][k], op{k, i})
	}
	v.resume(op{n, i}, base+v.costs.rep[v.posState][n], d)
	return n
}

// matches looks at the matches that were found, from a length on.
func (v *visit) matches(from int) {
	base := v.isMatch + v.costs.bits.bit(v.p.isRep[v.node.state], 0)
	for _, m := range v.list {
		d := uint32(m.Dist - 1)
		n := min(m.Length, v.room)
		var p price
		for ; from <= n; from++ {
			p = base + v.costs.match[v.posState][from] + v.costs.distance(d, from)
			v.offer(v.cur+from, p, op{from, d + reps})
		}
		if p > 0 && n == m.Length {
			v.resume(op{n, d + reps}, p, d)
		}
	}
}

// resume looks at a literal behind a match and the match going on after it.
func (v *visit) resume(first op, p price, d uint32) {
	n := first.length
	k := v.repLenAt(n+1, d)
	if k < minMatch {
		return
	}
	state := stateAfter(v.node.state, first)
	p += v.literalPrice(v.pos+n, state, d)
	p += v.rep0Price(v.pos+n+1, afterLiteral(state), k)
	v.offer(v.cur+n+1+k, p, first, op{1, literal}, op{k, 0})
}

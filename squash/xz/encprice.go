package xz

// prices are what the parts of a match take with the present probabilities.
// They are renewed now and then.
type prices struct {
	bits     priceTable
	match    [posMask + 1][maxLen + 1]price // by length
	rep      [posMask + 1][maxLen + 1]price
	slot     [lenStates][distSlots]price
	near     [lenStates][fullDists]price // by distance - 1
	align    [1 << alignBits]price
	lenUses  int // matches until the prices of lengths are renewed
	distUses int
}

const (
	posBits = 2 // of a position, as context
	posMask = 1<<posBits - 1
	litBits = 3   // of the byte before, as context of a literal
	maxLen  = 273 // bytes of a match

	renewLengths   = 256 // matches
	renewDistances = 128
)

func (c *prices) renew(p *probs) {
	if c.lenUses <= 0 {
		c.lenUses = renewLengths
		for s := range c.match {
			c.lengths(&c.match[s], &p.match, s)
			c.lengths(&c.rep[s], &p.rep, s)
		}
	}
	if c.distUses <= 0 {
		c.distUses = renewDistances
		c.distances(p)
	}
}

func (c *prices) lengths(t *[maxLen + 1]price, l *lenCoder, posState int) {
	b := &c.bits
	low := b.bit(l.choice, 0)
	mid := b.bit(l.choice, 1) + b.bit(l.choice2, 0)
	high := b.bit(l.choice, 1) + b.bit(l.choice2, 1)
	for i := range uint32(8) {
		t[minMatch+i] = low + b.tree(l.low[posState][:], i, 3)
		t[minMatch+8+i] = mid + b.tree(l.mid[posState][:], i, 3)
	}
	for i := range uint32(256) {
		t[minMatch+16+i] = high + b.tree(l.high[:], i, 8)
	}
}

func (c *prices) distances(p *probs) {
	b := &c.bits
	for i := range uint32(len(c.align)) {
		c.align[i] = b.reverse(p.align[:], i, alignBits)
	}
	for state := range c.slot {
		for slot := range uint32(distSlots) {
			v := b.tree(p.slot[state][:], slot, 6)
			if slot >= 14 {
				v += (slot>>1 - 1 - alignBits) * onebit
			}
			c.slot[state][slot] = v
		}
		for d := range uint32(fullDists) {
			slot := distSlot(d)
			v := c.slot[state][slot]
			if slot >= 4 {
				n := uint(slot>>1 - 1)
				base := (2 | slot&1) << n
				v += b.reverse(p.special[base-slot:], d-base, n)
			}
			c.near[state][d] = v
		}
	}
}

// distance returns the price of a distance, less 1, of a match of length bytes.
func (c *prices) distance(d uint32, length int) price {
	state := min(length-minMatch, lenStates-1)
	if d < fullDists {
		return c.near[state][d]
	}
	return c.slot[state][distSlot(d)] + c.align[d&(1<<alignBits-1)]
}

/* The loop without checks: all symbols of a block but those near the ends of input and output.
 *
 * It is C because it is worth it: 1.6 times what the Go compiler makes of the same code. All state is in local
 * variables and each entry is looked up as early as possible: the time goes into the chain from one code's length
 * to the next code, and into branches that cannot be foreseen.
 */
#include "fast.h"

#include <string.h>

#include "cpu.h"

#define LOW(v, n) ((v) & (((uint64_t)1 << (n)) - 1))

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap64(v);
#endif
	return v;
}

static inline void copy2(uint8_t *to, uint64_t v)
{
	to[0] = (uint8_t)v;
	to[1] = (uint8_t)(v >> 8);
}

static inline void copy8(uint8_t *to, const uint8_t *from)
{
	uint64_t v;
	memcpy(&v, from, 8);
	memcpy(to, &v, 8);
}

static inline void copy16(uint8_t *to, const uint8_t *from)
{
	typedef uint64_t two __attribute__((vector_size(16)));
	two v;
	memcpy(&v, from, 16);
	memcpy(to, &v, 16);
}

/* copy_match copies length bytes, 3 to 258, from distance bytes before to. It may write 31 bytes more. */
static inline __attribute__((always_inline)) void copy_match(uint8_t *to, uint64_t distance, uint64_t length)
{
	const uint8_t *from = to - distance;
	uint8_t *end = to + length;
	if (__builtin_expect(distance >= 16, 1)) {
		copy16(to, from);
		copy16(to + 16, from + 16); /* from + 16 may be what has just been written */
		while (__builtin_expect((to += 32, from += 32, to < end), 0)) {
			copy16(to, from);
			copy16(to + 16, from + 16);
		}
	} else if (distance >= 8) {
		do {
			copy8(to, from);
			to += 8;
			from += 8;
		} while (to < end);
	} else if (distance == 1) {
		uint64_t v = *from * 0x0101010101010101u;
		do {
			memcpy(to, &v, 8);
			to += 8;
		} while (to < end);
	} else { /* a pattern of 2 to 7 bytes: of each word so many are right */
		do {
			copy8(to, from);
			to += distance;
			from += distance;
		} while (to < end);
	}
}

static inline __attribute__((always_inline)) int
decode(struct inflate_state *s, const uint64_t *wide, const int pairs, const uint32_t *lit, const uint32_t *dist, const uint8_t *src,
       uint8_t *dst)
{
	const uint8_t *in = src + s->pos, *in_end = src + s->in_end;
	uint8_t *out = dst + s->out, *out_end = dst + s->out_end;
	uint64_t buf = s->buf;
	uint32_t n = (uint32_t)s->n; /* the low 8 bits are valid */
	uint64_t e;
	int end = inflate_more;

/* At least 56 bits in buf. Bits above n are those of the input too, or zero. */
#define REFILL() (buf |= load64(in) << (n & 63), in += 7 - (n >> 3 & 7), n |= 56)
#define DROP(e) (buf >>= (e) & 63, n -= (uint32_t)(e))
#define NEXT() (e = pairs ? wide[LOW(buf, LIT_BITS)] : lit[LOW(buf, LIT_BITS)])
/* The literals of an entry go out when it is looked up, if it is a wide one, and otherwise when it is known to be one. */
#define BEGIN() (pairs ? (void)(copy2(out, e >> 32), out += e >> 48 & 3) : (void)0)
#define LITERALS (pairs ? ALONE : LITERAL)
#define TAKE() (DROP(e), pairs ? (void)0 : (void)(*out++ = (uint8_t)(e >> 16)))

	REFILL();
	NEXT();
	while (in <= in_end && out <= out_end) {
		BEGIN();
		if (e & LITERALS) { /* up to three entries of up to 11 bits */
			TAKE();
			NEXT();
			REFILL();
			BEGIN();
			if (e & LITERALS) {
				TAKE();
				NEXT();
				REFILL();
				BEGIN();
				if (e & LITERALS) {
					TAKE();
					NEXT();
					REFILL();
					continue;
				}
			}
		}
		if (__builtin_expect(e & SPECIAL, 0)) {
			DROP(e);
			if (e & INVALID) {
				end = inflate_corrupt;
				break;
			}
			if (!(e & SECOND)) {
				end = inflate_done;
				break;
			}
			e = lit[(e >> 16 & 0xfff) + LOW(buf, e >> 8 & 15)];
			REFILL();
			if (e & LITERAL) { /* round again: nothing but the loop's head looks at the ends */
				DROP(e);
				*out++ = (uint8_t)(e >> 16);
				NEXT();
				REFILL();
				continue;
			}
			if (e & SPECIAL) {
				DROP(e);
				end = e & INVALID ? inflate_corrupt : inflate_done;
				break;
			}
		}
		uint64_t length = (e >> 16 & 0x1ff) + (LOW(buf, e & 63) >> (e >> 8 & 15));
		DROP(e);
		e = dist[LOW(buf, DIST_BITS)];
		if (__builtin_expect((e & (SPECIAL | SECOND)) == (SPECIAL | SECOND), 0)) {
			DROP(e);
			e = dist[(e >> 16) + LOW(buf, e >> 8 & 15)];
		}
		uint64_t distance = (e >> 16) + (LOW(buf, e & 63) >> (e >> 8 & 15));
		DROP(e);
		if (__builtin_expect(distance > (uint64_t)(out - dst) || e & SPECIAL, 0)) {
			end = inflate_corrupt;
			break;
		}
		NEXT();
		REFILL();
		copy_match(out, distance, length);
		out += length;
	}
	n &= 0xff;
	s->pos = in - src;
	s->out = out - dst;
	s->buf = LOW(buf, n);
	s->n = n;
	return end;
}

#if defined(__x86_64__)
/* With BMI2 a shift by a variable is one instruction that needs no register of its own: 5 % less time. */
__attribute__((target("bmi,bmi2"))) static int
decode_bmi2(struct inflate_state *s, const uint64_t *wide, const uint32_t *lit, const uint32_t *dist, const uint8_t *src, uint8_t *dst)
{
	return decode(s, wide, 0, lit, dist, src, dst);
}

__attribute__((target("bmi,bmi2"))) static int
pairs_bmi2(struct inflate_state *s, const uint64_t *wide, const uint32_t *lit, const uint32_t *dist, const uint8_t *src, uint8_t *dst)
{
	return decode(s, wide, 1, lit, dist, src, dst);
}
#endif

int coracle_inflate(struct inflate_state *s, const uint64_t *wide, const uint32_t *lit, const uint32_t *dist, const uint8_t *src, uint8_t *dst)
{
#if defined(__x86_64__)
	if (coracle_cpu() & CPU_BMI2)
		return wide ? pairs_bmi2(s, wide, lit, dist, src, dst) : decode_bmi2(s, wide, lit, dist, src, dst);
#endif
	return wide ? decode(s, wide, 1, lit, dist, src, dst) : decode(s, wide, 0, lit, dist, src, dst);
}

/* Decoding tables, made from the lengths of codes. */
#include "fast.h"

#include <string.h>

#define MAX_BITS 15

/* A symbol's entry without the length of its code. Source: RFC 1951, section 3.2.5. */
static inline uint32_t entry(enum code_kind kind, uint32_t sym)
{
	static const uint16_t length[29] = {3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
	switch (kind) {
	case code_literals:
		if (sym < 256)
			return LITERAL | sym << 16;
		if (sym == 256)
			return SPECIAL;
		sym -= 257;
		if (sym < 29)
			return (uint32_t)length[sym] << 16 | (sym < 8 || sym == 28 ? 0 : sym / 4 - 1);
		break;
	case code_distances:
		if (sym < 4)
			return (sym + 1) << 16;
		if (sym < 30)
			return (((2 + (sym & 1)) << (sym / 2 - 1)) + 1) << 16 | (sym / 2 - 1);
		break;
	case code_lengths:
		return sym << 16;
	}
	return SPECIAL | INVALID;
}

/* The bits of a second-level table that begins with a code of the given length: enough for all codes with the same first bits. */
static uint32_t second_bits(const uint16_t *count, uint32_t length, uint32_t first)
{
	uint32_t n = length - first;
	for (uint32_t space = count[length]; space < 1u << n && n < MAX_BITS - first;) {
		n++;
		space = (space << 1) + count[first + n];
	}
	return n;
}

int coracle_build(uint32_t *table, uint32_t first, const uint8_t *lens, uint32_t n, enum code_kind kind)
{
	uint16_t count[MAX_BITS + 1] = {0}, next[MAX_BITS + 2] = {0}, order[288];
	for (uint32_t i = 0; i < n; i++)
		count[lens[i]]++;
	uint32_t used = n - count[0], space = 0;
	for (uint32_t l = 1; l <= MAX_BITS; l++) {
		space += (uint32_t)count[l] << (MAX_BITS - l);
		next[l + 1] = next[l] + count[l];
	}
	if (space != 1u << MAX_BITS) {
		if (used > 1 || count[1] != used)
			return 1;
		for (uint32_t i = 0; i < 1u << first; i++)
			table[i] = SPECIAL | INVALID | 1;
	}
	count[0] = 0;
	for (uint32_t i = 0; i < n; i++)
		if (lens[i] != 0)
			order[next[lens[i]]++] = (uint16_t)i;
	uint32_t length = 1, code = 0, made = 2; /* the first level is made for codes of so many bits, and repeats itself from there on */
	const uint32_t size = 1u << first;
	uint32_t end = size, sub = 0, sub_bits = 0, prefix = ~0u; /* the second-level table in use, and the bits that lead to it */
	for (uint32_t i = 0; i < used; i++) {
		while (count[length] == 0)
			length++;
		for (; made < 1u << length && made < size; made <<= 1)
			memcpy(table + made, table, made * sizeof *table);
		uint32_t e = entry(kind, order[i]);
		if (length <= first) {
			table[code] = (e | length << 8) + length;
		} else {
			uint32_t p = code & ((1u << first) - 1);
			if (p != prefix) {
				prefix = p;
				sub = end;
				sub_bits = second_bits(count, length, first);
				end += 1u << sub_bits;
				table[p] = sub << 16 | SPECIAL | SECOND | sub_bits << 8 | first;
			}
			uint32_t rest = length - first;
			for (uint32_t k = code >> first; k < 1u << sub_bits; k += 1u << rest)
				table[sub + k] = (e | rest << 8) + rest;
		}
		count[length]--;
		/* The next code: add one at the high end of the reversed bits. */
		uint32_t zeros = ~code & ((1u << length) - 1);
		if (zeros == 0)
			break;
		uint32_t top = 31 - (uint32_t)__builtin_clz(zeros);
		code = (code & ((1u << top) - 1)) | 1u << top;
	}
	for (; made < size; made <<= 1)
		memcpy(table + made, table, made * sizeof *table);
	return 0;
}

/* single is an entry of the first level as a wide one. */
static inline uint64_t single(uint32_t e)
{
	return e & LITERAL ? ALONE | ONE | (uint64_t)(e & 0xff0000) << 16 | (e & 0xff) : e;
}

int coracle_widen(uint64_t *wide, const uint32_t *lit, const uint8_t *lens, uint32_t n)
{
	/* The codes of literals, as RFC 1951 deals them out (section 3.2.2), and the shortest one's length. */
	uint32_t count[MAX_BITS + 1] = {0}, code[MAX_BITS + 2] = {0}, literals[MAX_BITS + 1] = {0}, least = 1;
	for (uint32_t i = 0; i < 256; i++)
		literals[lens[i]]++;
	for (uint32_t i = 0; i < n; i++)
		count[lens[i]]++;
	count[0] = 0;
	for (uint32_t l = 1; l <= MAX_BITS; l++)
		code[l + 1] = (code[l] + count[l]) << 1;
	while (least < LIT_BITS && literals[least] == 0)
		least++;
	/* What so many bits behind a literal begin with, for each number of bits: behind[1<<r | bits]. */
	uint64_t behind[1 << LIT_BITS];
	uint32_t all = 0, more = 0; /* entries that begin with a literal, and those of them that have more */
	behind[1] = ALONE;
	for (uint32_t r = 1; r <= LIT_BITS - least; r++) {
		uint64_t *to = behind + (1 << r);
		uint32_t symbols = 0;
		for (uint32_t i = 0; i < 1u << r; i++) {
			uint32_t e = lit[i], l = e & LITERAL ? e & 0xff : e >> 8 & 15;
			uint64_t v = e;
			if (e & SPECIAL || l > r) {
				v = ALONE;
			} else {
				symbols++;
				if (e & LITERAL) {
					v = behind[1 << (r - l) | i >> l];
					if (v & (ALONE | 3 * ONE))
						v = ALONE;
					v += ONE | (uint64_t)(e & 0xff0000) << 24 | l << 8 | l;
				}
			}
			to[i] = v;
		}
		all += literals[LIT_BITS - r] << r;
		more += literals[LIT_BITS - r] * symbols;
	}
	if (more * 2 < all)
		return 0;
	for (uint32_t i = 0; i < 1 << LIT_BITS; i++)
		wide[i] = single(lit[i]);
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t l = lens[i];
		if (l == 0)
			continue;
		uint32_t c = code[l]++;
		if (l >= LIT_BITS)
			continue;
		uint32_t at = 0; /* the code's bits in the order in which they come */
		for (uint32_t k = 0; k < l; k++)
			at |= (c >> k & 1) << (l - 1 - k);
		const uint64_t *from = behind + (1 << (LIT_BITS - l));
		uint64_t v = ONE | (uint64_t)i << 32 | l << 8 | l;
		for (uint32_t k = 0; k < 1u << (LIT_BITS - l); k++)
			wide[at + (k << l)] = v + from[k];
	}
	return 1;
}

#include <stdint.h>

/* An entry of a table. Its low 8 bits always are the number of bits to drop.
 *
 *	literal    bit 31; 16-23
 *	length     16-24 base, 8-11 bits of the code itself, the rest are extra bits
 *	distance   16-30 base, 8-11 like length
 *	second     bits 15 and 14; 16-27 index of the second level, 8-11 its bits
 *	end        bit 15
 *	invalid    bits 15 and 13
 */
#define LITERAL (1u << 31)
#define SPECIAL (1u << 15)
#define SECOND (1u << 14)
#define INVALID (1u << 13)
#define LIT_BITS 11 /* that index the first level of literals and lengths */
#define DIST_BITS 8

/* A wide entry says what the next LIT_BITS bits begin with: up to two literals and a length behind them, as far as their codes fit.
 * Without that, whether a literal or a match comes next is a branch that the processor guesses wrong every third time.
 *
 *	0-7    bits to drop
 *	8-11   bits in front of a length's extra bits; 13-15 and 16-27 as in an entry of the first level
 *	16-24  a length's base
 *	32-47  two literals
 *	48-49  how many of them there are
 *	63     there is no length, nor anything special
 */
#define ALONE ((uint64_t)1 << 63)
#define ONE ((uint64_t)1 << 48)

/* What the loop begins and ends with. No pointers: Go checks those that are handed over. */
struct inflate_state {
	int64_t pos, in_end;  /* of src: the next byte; the last place where a round may begin */
	int64_t out, out_end; /* of dst, likewise */
	uint64_t buf;         /* bits taken from src */
	uint64_t n;           /* how many of them are valid */
};

/* How the loop ends: near an end of input or output, behind the end of the block, at what is no code or no match. */
enum inflate_end { inflate_more, inflate_done, inflate_corrupt };

/* Decodes the symbols of a block from where s says on, dst being the output from its start. lit and dist are what
 * coracle_build makes, wide is NULL or what coracle_widen has made of lit. One of the ends above. */
int coracle_inflate(struct inflate_state *s, const uint64_t *wide, const uint32_t *lit, const uint32_t *dist, const uint8_t *src, uint8_t *dst);

/* Makes a table whose first level is indexed by so many bits, for n codes of the given lengths, up to 15 bits. The code must be complete,
 * or have one symbol of one bit or none: then its unused codes are invalid. Not 0: it is neither.
 *
 * Source: RFC 1951, section 3.2.2. */
enum code_kind { code_literals, code_distances, code_lengths };
int coracle_build(uint32_t *table, uint32_t first, const uint8_t *lens, uint32_t n, enum code_kind kind);

/* Makes the 2048 wide entries of lit, which was built from the lengths of n codes, if that is worth while: if more than every other literal
 * would have something behind it. 0: it is not. */
int coracle_widen(uint64_t *wide, const uint32_t *lit, const uint8_t *lens, uint32_t n);

/* The checksum of RFC 1950 of n bytes. */
uint32_t coracle_adler32(const uint8_t *p, uint64_t n);

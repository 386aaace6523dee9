#include <stdint.h>

/* What the loop begins and ends with. No pointers: Go checks those that are handed over. */
struct inflate_state {
	int64_t pos, in_end;  /* of src: the next byte; the last place where a round may begin */
	int64_t out, out_end; /* of dst, likewise */
	uint64_t buf;         /* bits taken from src */
	uint64_t n;           /* how many of them are valid */
};

/* How the loop ends: near an end of input or output, behind the end of the block, at what is no code or no match. */
enum inflate_end { inflate_more, inflate_done, inflate_corrupt };

/* Decodes the symbols of a block from where s says on, dst being the output from its start. lit and dist are the tables
 * of tables.go. One of the ends above. */
int coracle_inflate(struct inflate_state *s, const uint32_t *lit, const uint32_t *dist, const uint8_t *src, uint8_t *dst);

/* The checksum of RFC 1950 of n bytes. */
uint32_t coracle_adler32(const uint8_t *p, uint64_t n);

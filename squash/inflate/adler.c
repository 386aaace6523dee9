/* The checksum of RFC 1950: a is one more than the sum of all bytes, b the sum of all values of a, modulo 65521. */
#include "fast.h"

#if defined(__x86_64__)
#include "cpu.h"
#include <immintrin.h>
#endif

#define MOD 65521u
#define RUN 5552u /* bytes until b may overflow 32 bits: 255*n*(n+1)/2 + (n+1)*(MOD-1) < 2^32; a multiple of 16 */

#if defined(__x86_64__)
static uint32_t lanes(__m128i v)
{
	v = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0x4e));
	v = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0xb1));
	return (uint32_t)_mm_cvtsi128_si32(v);
}

/* words adds n bytes, a multiple of 16, at most RUN. Byte j of a word weighs 16-j in b, and as much more as there
 * are bytes in later words. */
static void words(const uint8_t *p, uint32_t n, uint32_t *a, uint32_t *b)
{
	const __m128i zero = _mm_setzero_si128();
	const __m128i low = _mm_set_epi16(9, 10, 11, 12, 13, 14, 15, 16);
	const __m128i high = _mm_set_epi16(1, 2, 3, 4, 5, 6, 7, 8);
	__m128i sum = zero, before = zero, weighed = zero;
	for (const uint8_t *end = p + n; p < end; p += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)p);
		before = _mm_add_epi32(before, sum);
		sum = _mm_add_epi32(sum, _mm_sad_epu8(v, zero));
		weighed = _mm_add_epi32(weighed, _mm_madd_epi16(_mm_unpacklo_epi8(v, zero), low));
		weighed = _mm_add_epi32(weighed, _mm_madd_epi16(_mm_unpackhi_epi8(v, zero), high));
	}
	*b += *a * n + 16 * lanes(before) + lanes(weighed);
	*a += lanes(sum);
}

/* words32 is words for multiples of 32 bytes. */
__attribute__((target("avx2"))) static void words32(const uint8_t *p, uint32_t n, uint32_t *a, uint32_t *b)
{
	const __m256i zero = _mm256_setzero_si256(), ones = _mm256_set1_epi16(1);
	const __m256i weights = _mm256_set_epi8(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
	                                        24, 25, 26, 27, 28, 29, 30, 31, 32);
	__m256i sum = zero, before = zero, weighed = zero;
	for (const uint8_t *end = p + n; p < end; p += 32) {
		__m256i v = _mm256_loadu_si256((const __m256i *)p);
		before = _mm256_add_epi32(before, sum);
		sum = _mm256_add_epi32(sum, _mm256_sad_epu8(v, zero));
		weighed = _mm256_add_epi32(weighed, _mm256_madd_epi16(_mm256_maddubs_epi16(v, weights), ones));
	}
	__m128i s = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
	__m128i f = _mm_add_epi32(_mm256_castsi256_si128(before), _mm256_extracti128_si256(before, 1));
	__m128i w = _mm_add_epi32(_mm256_castsi256_si128(weighed), _mm256_extracti128_si256(weighed, 1));
	*b += *a * n + 32 * lanes(f) + lanes(w);
	*a += lanes(s);
}
#endif

uint32_t coracle_adler32(const uint8_t *p, uint64_t n)
{
	uint32_t a = 1, b = 0;
	while (n > 0) {
		uint32_t run = n < RUN ? (uint32_t)n : RUN;
		n -= run;
#if defined(__x86_64__)
		uint32_t whole = run & ~31u;
		if (coracle_cpu() & CPU_AVX2)
			words32(p, whole, &a, &b);
		else
			words(p, whole, &a, &b);
		p += whole;
		run -= whole;
#endif
		for (; run > 0; run--) {
			a += *p++;
			b += a;
		}
		a %= MOD;
		b %= MOD;
	}
	return b << 16 | a;
}

#include "cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>

static int ask(void)
{
	unsigned a, b = 0, c = 0, d;
	int has = 1;
	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
		return has;
	if (b >> 3 & b >> 8 & 1)
		has |= CPU_BMI2;
	if (b >> 5 & 1) {
		__cpuid(1, a, b, c, d);
		if (c >> 27 & 1) { /* the system keeps registers that the next instruction tells of */
			__asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
			if ((a & 6) == 6)
				has |= CPU_AVX2;
		}
	}
	return has;
}
#else
static int ask(void) { return 1; }
#endif

static int known; /* 0: not asked yet */

int coracle_cpu(void)
{
	int v = __atomic_load_n(&known, __ATOMIC_RELAXED);
	if (v == 0) {
		v = ask();
		__atomic_store_n(&known, v, __ATOMIC_RELAXED);
	}
	return v;
}

void coracle_assume_cpu(int has) { __atomic_store_n(&known, has, __ATOMIC_RELAXED); }

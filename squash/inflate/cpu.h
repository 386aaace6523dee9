/* What the processor can do, asked for once: the questions are slow in a virtual machine. */
#if defined(__x86_64__)
#include <cpuid.h>

enum { CPU_BMI2 = 2, CPU_AVX2 = 4 };

static inline int ask_cpu(void)
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

/* cpu returns the above, and 1. */
static inline int cpu(void)
{
	static int known;
	int v = __atomic_load_n(&known, __ATOMIC_RELAXED);
	if (v == 0) {
		v = ask_cpu();
		__atomic_store_n(&known, v, __ATOMIC_RELAXED);
	}
	return v;
}
#endif

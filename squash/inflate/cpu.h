/* What the processor can do: coracle_cpu asks it once, the questions are slow in a virtual machine. It returns these, and 1. */
enum { CPU_BMI2 = 2, CPU_AVX2 = 4 };
int coracle_cpu(void);

/* From now on the processor can do what has says; 0: ask it again. For tests of what others run. */
void coracle_assume_cpu(int has);

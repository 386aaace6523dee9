// Sends messages of 1 KiB to 64 MiB round a ring of ranks, checks every byte that comes back and prints the bandwidth
// of a hop, then how the bytes went, then the ranks in order: ring [LARGEST in KiB [SECONDS to go on for]].
#define _GNU_SOURCE
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static long attached; // bytes that this rank read from, or wrote to, another one's memory

// The MPI libraries find these instead of the C library's.
ssize_t process_vm_readv(pid_t pid, const struct iovec *l, unsigned long ln, const struct iovec *r, unsigned long rn, unsigned long flags)
{
	ssize_t n = syscall(SYS_process_vm_readv, pid, l, ln, r, rn, flags);
	attached += n > 0 ? n : 0;
	return n;
}

ssize_t process_vm_writev(pid_t pid, const struct iovec *l, unsigned long ln, const struct iovec *r, unsigned long rn, unsigned long flags)
{
	ssize_t n = syscall(SYS_process_vm_writev, pid, l, ln, r, rn, flags);
	attached += n > 0 ? n : 0;
	return n;
}

// shared counts the mappings of files in memory that other processes may map too.
static long shared(void)
{
	char line[4096];
	long n = 0;
	FILE *f = fopen("/proc/self/maps", "r");
	while (f && fgets(line, sizeof line, f))
		if (strstr(line, " rw-s "))
			n++;
	if (f)
		fclose(f);
	return n;
}

int main(int argc, char **argv)
{
	MPI_Init(&argc, &argv);
	int rank, size;
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	long largest = (argc > 1 ? atol(argv[1]) : 65536) << 10;
	double until = MPI_Wtime() + (argc > 2 ? atof(argv[2]) : 0);
	char *buf = malloc(largest);
	int prev = (rank + size - 1) % size, next = (rank + 1) % size, more = 1;
	while (more) {
		for (long n = 1 << 10; n <= largest; n *= 4) {
			int rounds = n > 1 << 22 ? 3 : 20;
			memset(buf, rank == 0 ? (int)(n % 251) : 0, n);
			MPI_Barrier(MPI_COMM_WORLD);
			double start = MPI_Wtime();
			for (int i = 0; i < rounds; i++) {
				if (rank == 0)
					MPI_Send(buf, (int)n, MPI_BYTE, next, i, MPI_COMM_WORLD);
				MPI_Recv(buf, (int)n, MPI_BYTE, prev, i, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
				if (rank != 0)
					MPI_Send(buf, (int)n, MPI_BYTE, next, i, MPI_COMM_WORLD);
			}
			double seconds = MPI_Wtime() - start;
			for (long k = 0; k < n; k++)
				if (buf[k] != (char)(n % 251)) {
					fprintf(stderr, "rank %d: byte %ld of %ld is wrong\n", rank, k, n);
					MPI_Abort(MPI_COMM_WORLD, 1);
				}
			if (rank == 0) {
				printf("%8ld KiB %10.1f MB/s\n", n >> 10, (double)n * rounds * size / seconds / 1e6);
				fflush(stdout);
			}
		}
		more = MPI_Wtime() < until;
		MPI_Bcast(&more, 1, MPI_INT, 0, MPI_COMM_WORLD);
	}
	long mine[2] = {attached, shared()}, all[2];
	MPI_Reduce(mine, all, 2, MPI_LONG, MPI_SUM, 0, MPI_COMM_WORLD);
	if (rank == 0)
		printf("%ld MiB by cross-memory attach, %s\n", all[0] >> 20, all[1] >= size ? "shared memory" : "no shared memory");
	for (int r = 0; r < size; r++) {
		if (r == rank) {
			printf("rank %d of %d\n", rank, size);
			fflush(stdout);
		}
		MPI_Barrier(MPI_COMM_WORLD);
	}
	MPI_Finalize();
	return 0;
}

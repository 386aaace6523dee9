// The memory that the Go runtime begins with. In a process that lives for a few milliseconds it touches half of the first 2 MiB of its heap, in no
// order: with small pages that are 260 page faults, of 2 to 4 µs each, and a huge page takes 0.3 ms.
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { HUGE_PAGE = 2 << 20, HEAP_STEP = 4 << 20 }; // in bytes; by the latter the heap grows

// mmap is the C library's, which the Go runtime calls for its memory (runtime/cgo): the first step of its heap gets a huge page, where the
// kernel leaves that to us. It begins with one if its place is not random (GOEXPERIMENT in the Makefile).
void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset) {
	static int begun;
	void *p = (void *)syscall(SYS_mmap, addr, length, prot, flags, fd, offset);
	if (!begun && p != MAP_FAILED && (flags & MAP_FIXED) && prot == (PROT_READ | PROT_WRITE) && length >= HEAP_STEP) {
		begun = 1;
		madvise(p, HUGE_PAGE, MADV_HUGEPAGE);
	}
	return p;
}

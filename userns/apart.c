// A mount that another process makes.
#define _GNU_SOURCE
#include "enter.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STACK = 64 * 1024 };

struct apart {
	const char *type, *at, *data;
	unsigned long flags;
	volatile int error;
};

// The child has the parent's memory, but descriptors of its own.
static int mount_it(void *p) {
	struct apart *a = p;
#ifdef SYS_close_range
	if (syscall(SYS_close_range, 0, ~0u, 0) == 0)
		a->error = mount(a->type, a->at, a->type, a->flags, a->data) < 0 ? errno : 0;
#endif
	_exit(0);
}

// coracle_mount_apart makes a mount in a process of its own, which has no file of ours open: one that waits for a file system that this
// process serves. A thread of ours that waited for it would keep our files open if we were killed, the kernel's connection to
// us among them, and so wait for ever. It returns 0 or an errno.
int coracle_mount_apart(const char *type, const char *at, unsigned long flags, const char *data) {
	struct apart a = {.type = type, .at = at, .data = data, .flags = flags, .error = ENOSYS};
	char *stack = malloc(STACK);
	if (stack == NULL)
		return ENOMEM;
	uint64_t all = ~UINT64_C(0), old;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, sizeof all);
	int pid = clone(mount_it, stack + STACK, CLONE_VM | CLONE_VFORK, &a);
	if (pid < 0)
		a.error = errno;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof old);
	while (pid > 0 && waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	free(stack);
	return a.error;
}

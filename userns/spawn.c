// Starting a process that nobody waits for.
#define _GNU_SOURCE
#include "enter.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct spawn {
	const char *path;
	char *const *argv;
	char *const *envp;
	volatile int error;
};

// Both children borrow the parent's memory (as vfork does) and leave it at execve or _exit;
// each has a stack of its own.
static int grandchild(void *p) {
	struct spawn *s = p;
	execve(s->path, s->argv, s->envp);
	s->error = errno;
	_exit(127);
}

enum { STACK = 64 * 1024 };

static char *stack_top(char *stack) { return stack + STACK; }

struct middle {
	struct spawn *spawn;
	char *stack;
	int flags; // of the grandchild's clone(2)
};

static int child(void *p) {
	struct middle *m = p;
	if (clone(grandchild, stack_top(m->stack), CLONE_VM | m->flags | SIGCHLD, m->spawn) < 0)
		m->spawn->error = errno;
	_exit(0);
}

// clone_middle starts the first of the two with all signals blocked: nothing may happen to them before the execve.
static int clone_middle(struct middle *m, char *stack, int flags) {
	uint64_t all = ~UINT64_C(0), old;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, sizeof all);
	int pid = clone(child, stack_top(stack), CLONE_VM | flags, m), err = errno;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof old);
	errno = err;
	return pid;
}

static void reap(int pid) {
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
}

static int is_subreaper(void) {
	int on = 0;
	prctl(PR_GET_CHILD_SUBREAPER, &on);
	return on;
}

// coracle_spawn starts path as a grandchild whose parent is gone, so that it belongs to init (or the next
// subreaper above us) and a payload that waits for all its children never waits for it. The caller's
// own subreaper setting is lifted meanwhile. The child sends no SIGCHLD: the payload might find it pending.
int coracle_spawn(const char *path, char *const argv[], char *const envp[]) {
	struct spawn s = {.path = path, .argv = argv, .envp = envp};
	char *stacks = malloc(2 * STACK);
	if (stacks == NULL)
		return ENOMEM;
	struct middle m = {.spawn = &s, .stack = stacks + STACK, .flags = CLONE_VFORK};
	int reaper = is_subreaper();
	if (reaper)
		prctl(PR_SET_CHILD_SUBREAPER, 0);
	int pid = clone_middle(&m, stacks, CLONE_VFORK);
	if (pid < 0)
		s.error = errno;
	else
		reap(pid);
	if (reaper)
		prctl(PR_SET_CHILD_SUBREAPER, 1);
	free(stacks);
	return s.error;
}

// The child of coracle_spawn_soon, until it has been waited for.
static int soon;

// coracle_spawn_soon waits for nothing, so that both sides have a processor from the beginning: what it is given has to stay. An
// execve that fails is found out by whoever waits for the process to do something.
int coracle_spawn_soon(const char *path, char *const argv[], char *const envp[]) {
	if (is_subreaper()) // it has to be lifted until the child has ended
		return coracle_spawn(path, argv, envp);
	static struct spawn s;
	static struct middle m;
	char *stacks = malloc(2 * STACK); // it stays, too
	if (stacks == NULL)
		return ENOMEM;
	s = (struct spawn){.path = path, .argv = argv, .envp = envp};
	m = (struct middle){.spawn = &s, .stack = stacks + STACK};
	soon = clone_middle(&m, stacks, CLONE_VFORK); // it ends at once: on this processor, which it would have to wait for
	return soon < 0 ? errno : 0;
}

// coracle_reap_soon sees to it that the payload has no child that it does not know.
void coracle_reap_soon(void) {
	if (soon > 0)
		reap(soon);
	soon = 0;
}

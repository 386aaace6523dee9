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

// start makes both processes, with a stack for each.
static int start(struct spawn *s, char *stacks, int flags) {
	struct middle m = {.spawn = s, .stack = stacks + STACK, .flags = flags};
	int reaper = 0;
	prctl(PR_GET_CHILD_SUBREAPER, &reaper);
	if (reaper)
		prctl(PR_SET_CHILD_SUBREAPER, 0);
	uint64_t all = ~UINT64_C(0), old;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, sizeof all);
	int pid = clone(child, stack_top(stacks), CLONE_VM | CLONE_VFORK, &m);
	if (pid < 0)
		s->error = errno;
	else
		while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
			;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof old);
	if (reaper)
		prctl(PR_SET_CHILD_SUBREAPER, 1);
	return s->error;
}

// coracle_spawn starts path as a grandchild whose parent is gone, so that it belongs to init (or the next
// subreaper above us) and a payload that waits for all its children never waits for it. The caller's
// own subreaper setting is lifted meanwhile. The child sends no SIGCHLD: the payload might find it pending.
int coracle_spawn(const char *path, char *const argv[], char *const envp[]) {
	struct spawn s = {.path = path, .argv = argv, .envp = envp};
	char *stacks = malloc(2 * STACK);
	if (stacks == NULL)
		return ENOMEM;
	int err = start(&s, stacks, CLONE_VFORK);
	free(stacks);
	return err;
}

// coracle_spawn_soon does not wait for the execve: what it is given has to stay. An execve that fails is found out by whoever
// waits for the process to do something.
int coracle_spawn_soon(const char *path, char *const argv[], char *const envp[]) {
	static struct spawn s;
	char *stacks = malloc(2 * STACK); // it stays, too
	if (stacks == NULL)
		return ENOMEM;
	s.path = path;
	s.argv = argv;
	s.envp = envp;
	return start(&s, stacks, 0);
}

// What a process inherits, recorded before the Go runtime starts and put back before the payload does.
#define _GNU_SOURCE
#include "enter.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

struct coracle_state coracle_state;

// The kernel's own sigaction; glibc's wrapper hides signals 32 and 33.
struct kernel_sigaction {
	void *handler;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
};

enum { NSIG_KERNEL = 64, SIGNAL_URG = 23, HOW_SETMASK = 2 };

static const int resources[4] = {RLIMIT_NOFILE, RLIMIT_AS, RLIMIT_NPROC, RLIMIT_SIGPENDING};

void coracle_record(void) {
	memset(&coracle_state, 0, sizeof coracle_state);
	for (int sig = 1; sig <= NSIG_KERNEL; sig++) {
		struct kernel_sigaction sa;
		if (syscall(SYS_rt_sigaction, sig, NULL, &sa, sizeof sa.mask) == 0 && sa.handler == (void *)1)
			coracle_state.ignored |= UINT64_C(1) << (sig - 1);
	}
	syscall(SYS_rt_sigprocmask, HOW_SETMASK, NULL, &coracle_state.blocked, sizeof coracle_state.blocked);
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			coracle_state.closed |= 1u << fd;
	for (int i = 0; i < 4; i++) {
		struct rlimit rl;
		if (getrlimit(resources[i], &rl) == 0) {
			coracle_state.soft[i] = rl.rlim_cur;
			coracle_state.limits |= 1u << i;
		}
	}
}

// A static Go program reserves about 700 MB of address space, and a user namespace
// freezes its creator's soft NPROC and SIGPENDING: all stages run at the hard limits.
void coracle_raise_limits(void) {
	for (int i = 1; i < 4; i++) {
		struct rlimit rl;
		if (getrlimit(resources[i], &rl) == 0 && rl.rlim_cur != rl.rlim_max) {
			rl.rlim_cur = rl.rlim_max;
			setrlimit(resources[i], &rl);
		}
	}
}

struct coracle_files coracle_files;

// coracle_hide_files has the Go runtime open no file while it starts. It reads this process's control groups and mounts to find out how
// many processors it may use, though it has been told, and takes 0.1 ms for that, more where there are many mounts. ShowFiles in
// userns.go ends it. A stage may then open as many as the hard limit allows, as any program in Go: it holds the source of every bind.
void coracle_hide_files(void) {
	struct rlimit rl;
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			return; // /dev/null is to be opened there, or the Go runtime gives up
	if (getrlimit(RLIMIT_NOFILE, &rl) != 0)
		return;
	coracle_files.soft = coracle_outcome.role != ROLE_NONE ? rl.rlim_max : rl.rlim_cur;
	coracle_files.hard = rl.rlim_max;
	rl.rlim_cur = 0;
	coracle_files.hidden = setrlimit(RLIMIT_NOFILE, &rl) == 0;
}

static void restore_limits(const struct coracle_state *s) {
	for (int i = 0; i < 4; i++) {
		struct rlimit rl;
		if (!(s->limits & (1u << i)) || getrlimit(resources[i], &rl) != 0 || rl.rlim_cur == s->soft[i])
			continue;
		rl.rlim_cur = s->soft[i];
		if (rl.rlim_cur <= rl.rlim_max)
			setrlimit(resources[i], &rl);
	}
}

// restore_signals undoes what the Go runtime has changed. Handlers are gone at execve by themselves.
static void restore_signals(const struct coracle_state *s) {
	uint64_t all = ~UINT64_C(0);
	syscall(SYS_rt_sigprocmask, HOW_SETMASK, &all, NULL, sizeof all);
	// The runtime's own preemption signal may be pending: ignoring it once discards it.
	struct kernel_sigaction sa = {.handler = (void *)1};
	syscall(SYS_rt_sigaction, SIGNAL_URG, &sa, NULL, sizeof sa.mask);
	for (int sig = 1; sig <= NSIG_KERNEL; sig++) {
		memset(&sa, 0, sizeof sa);
		if (s->ignored & (UINT64_C(1) << (sig - 1)))
			sa.handler = (void *)1;
		syscall(SYS_rt_sigaction, sig, &sa, NULL, sizeof sa.mask); // 9 and 19 are refused, as they should
	}
}

// coracle_exec becomes the payload with the attributes in s; early: the Go runtime has not started, so that signals are
// as they were. It returns an errno, or not at all.
int coracle_exec(const char *path, char *const argv[], char *const envp[], const struct coracle_state *s, int early) {
	coracle_reap_soon();
	if (!early)
		restore_signals(s);
	// A process whose 0 to 2 are closed gets them closed again: at execve, so that
	// an error can still be reported.
	for (int fd = 0; fd < 3; fd++)
		if (s->closed & (1u << fd))
			fcntl(fd, F_SETFD, FD_CLOEXEC);
	restore_limits(s);
	if (!early)
		syscall(SYS_rt_sigprocmask, HOW_SETMASK, &s->blocked, NULL, sizeof s->blocked);
	execve(path, argv, envp);
	return errno;
}

// Becoming an image server, or the first process of an instance: nothing of the caller may show in it, and it must
// outlive the caller.
#define _GNU_SOURCE
#include "enter.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// Where the descriptors stand that a server keeps.
enum { FD_PLAN = 3, FD_SOCK = 4, FD_FIRST_FREE = 7, FD_HIGH = 16 };

static void close_above(void) {
#ifdef SYS_close_range
	if (syscall(SYS_close_range, FD_FIRST_FREE, ~0u, 0) == 0)
		return;
#endif
	struct rlimit rl;
	int top = 65536;
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < (rlim_t)top)
		top = (int)rl.rlim_cur;
	for (int fd = FD_FIRST_FREE; fd < top; fd++)
		close(fd);
}

// place moves fd to the number at and makes it close-on-exec; a missing one leaves the number closed.
static void place(int fd, int at) {
	if (fd < 0)
		close(at);
	else
		dup3(fd, at, O_CLOEXEC);
}

// high returns a copy of fd that is in nobody's way.
static int high(int fd) { return fd < 0 ? -1 : fcntl(fd, F_DUPFD, FD_HIGH); }

// arrange_descriptors keeps the plan and three more, from 4 on, and standard output and error where they are given.
static int arrange_descriptors(int fd, const int more[3], int out, int err) {
	int plan = high(fd), kept[3];
	for (int i = 0; i < 3; i++)
		kept[i] = high(more[i]);
	out = high(out);
	err = high(err);
	int null = high(open("/dev/null", O_RDWR));
	if (null < 0) // in a container without devices: an empty file does as well
		null = high((int)syscall(SYS_memfd_create, "null", 0));
	if (plan < 0 || kept[0] < 0 || null < 0)
		return coracle_fail("arrange descriptors", errno);
	dup2(null, 0);
	dup2(out < 0 ? null : out, 1);
	dup2(err < 0 ? null : err, 2);
	place(plan, FD_PLAN);
	for (int i = 0; i < 3; i++)
		place(kept[i], FD_SOCK + i);
	close_above();
	coracle_outcome.fd = FD_PLAN;
	return 0;
}

// The server works for every rank of the job: all its processors, the default policies, the hard limits.
static void leave_the_rank(void) {
	cpu_set_t cpus;
	memset(&cpus, 0xff, sizeof cpus);
	sched_setaffinity(0, sizeof cpus, &cpus); // the kernel cuts it down to the job's cpuset
	struct sched_param param = {0};
	sched_setscheduler(0, SCHED_OTHER, &param);
#ifdef SYS_set_mempolicy
	syscall(SYS_set_mempolicy, 0, NULL, 0);
#endif
	for (int resource = 0; resource < RLIM_NLIMITS; resource++) {
		struct rlimit rl;
		if (resource == RLIMIT_CORE || resource == RLIMIT_AS || prlimit(0, resource, NULL, &rl) != 0)
			continue;
		rl.rlim_cur = rl.rlim_max;
		prlimit(0, resource, &rl, NULL);
	}
}

static void reset_signals(void) {
	for (int sig = 1; sig < NSIG; sig++)
		if (coracle_state.ignored & (UINT64_C(1) << (sig - 1))) // execve has taken handlers away
			signal(sig, SIG_DFL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

void coracle_become_server(struct coracle_header *h, int fd) {
	reset_signals();
	setsid();
	umask(022);
	leave_the_rank();
	if (arrange_descriptors(fd, (int[]){h->sock, h->pidfd, h->listener}, -1, -1) < 0)
		return;
	if (coracle_new_user(h) < 0 || coracle_send_namespace(FD_SOCK) < 0)
		return;
	coracle_mark("new user namespace", "");
	if (unshare(CLONE_NEWNS) < 0) {
		coracle_fail("create a mount namespace", errno);
		return;
	}
	if (chdir("/") < 0)
		coracle_fail("change to /", errno);
}

// coracle_detach begins a life of its own for an instance.
void coracle_detach(const struct coracle_header *h, int fd) {
	reset_signals();
	setsid();
	if (arrange_descriptors(fd, (int[]){h->report, h->ended, h->image}, h->out, h->err) < 0)
		return;
	if (chdir("/") < 0)
		coracle_fail("change to /", errno);
	coracle_record();
}

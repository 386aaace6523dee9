// A pid namespace: the process that the caller knows stays outside and mirrors what happens inside.
//
//   outer    the caller's child: forwards signals, stops and ends as the payload does
//   init     PID 1, "appinit": reaps orphans, forwards signals (left out on request)
//   payload  goes on into the Go runtime and becomes the command
//
// Terminal signals reach the whole process group without our help; only signals that a process
// sent are forwarded.
#define _GNU_SOURCE
#include "enter.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// The descriptors of a monitor; everything else it closes, so that the caller's pipes end with the payload.
enum { FD_STATUS = 0, FD_SIGNALS = 1, FD_ENDED = 2, FD_CONFIRM = 3 };

// drop leaves the right to send signals to all ids inside, where a payload may change its own.
static void drop(int keep_kill) {
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2];
	memset(caps, 0, sizeof caps);
	if (keep_kill)
		caps[0].permitted = caps[0].effective = 1u << CAP_KILL;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	syscall(SYS_capset, &head, caps);
}

static void close_from(int first) {
#ifdef SYS_close_range
	if (syscall(SYS_close_range, first, ~0u, 0) == 0)
		return;
#endif
	struct rlimit rl;
	int top = getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < 65536 ? (int)rl.rlim_cur : 65536;
	for (int fd = first; fd < top; fd++)
		close(fd);
}

// become_monitor leaves only the status pipe, a signalfd for every signal and two more descriptors where they are
// given, and no privileges but to signal.
static void become_monitor(const struct coracle_header *h, int status_pipe, int more0, int more1) {
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	int keep[4] = {fcntl(status_pipe, F_DUPFD, 16), signalfd(-1, &all, 0), more0, more1};
	int last = 0;
	for (int i = 1; i < 4; i++)
		keep[i] = keep[i] < 0 ? -1 : fcntl(keep[i], F_DUPFD, 16);
	for (int i = 0; i < 4; i++)
		if (keep[i] >= 0)
			last = dup2(keep[i], i);
	close_from(last + 1);
	drop(!(h->flags & FLAG_LOCK));
}

// suffer lets sig have its default effect on this process.
static void suffer(int sig) {
	sigset_t one;
	sigemptyset(&one);
	sigaddset(&one, sig);
	signal(sig, SIG_DFL);
	raise(sig);
	sigprocmask(SIG_UNBLOCK, &one, NULL);
	sigprocmask(SIG_BLOCK, &one, NULL); // reached after a stop
}

static void end_as(int status) {
	if (WIFSIGNALED(status)) {
		struct rlimit none = {0, 0};
		setrlimit(RLIMIT_CORE, &none); // the payload has written its own core
		suffer(WTERMSIG(status));
		_exit(128 + WTERMSIG(status));
	}
	_exit(WEXITSTATUS(status));
}

// take_signal reads one signal: its number when a process sent it, 0 when the kernel did.
static int take_signal(int *child_changed) {
	struct signalfd_siginfo info;
	if (read(FD_SIGNALS, &info, sizeof info) != sizeof info)
		return 0;
	if (info.ssi_signo == SIGCHLD && info.ssi_code > 0) {
		*child_changed = 1;
		return 0;
	}
	return info.ssi_code <= 0 ? (int)info.ssi_signo : 0;
}

// watch_init: the payload's stops and its end arrive over the pipe; PID 1 itself can neither stop
// nor die of a signal as the payload did.
static void watch_init(int init) {
	for (;;) {
		struct pollfd p[2] = {{.fd = FD_STATUS, .events = POLLIN}, {.fd = FD_SIGNALS, .events = POLLIN}};
		if (poll(p, 2, -1) < 0)
			continue;
		int status, changed = 0;
		if (p[0].revents) {
			ssize_t n = read(FD_STATUS, &status, sizeof status);
			if (n == sizeof status && WIFSTOPPED(status)) {
				suffer(WSTOPSIG(status));
				continue;
			}
			int own = 0, mirrored = n == sizeof status;
			while (waitpid(init, &own, 0) < 0 && errno == EINTR)
				;
			end_as(mirrored ? status : own);
		}
		if (p[1].revents) {
			int sig = take_signal(&changed);
			if (sig)
				kill(init, sig);
		}
	}
}

// watch_payload is the same where the payload is PID 1.
static void watch_payload(int payload) {
	for (;;) {
		int changed = 0, status, sig = take_signal(&changed);
		if (sig)
			kill(payload, sig);
		if (!changed || waitpid(payload, &status, WNOHANG | WUNTRACED) != payload)
			continue;
		if (!WIFSTOPPED(status))
			end_as(status);
		suffer(WSTOPSIG(status));
	}
}

static void tell_outer(int status) {
	while (write(FD_STATUS, &status, sizeof status) < 0 && errno == EINTR)
		;
}

static void be_init(int payload) {
	for (;;) {
		int changed = 0, status, pid, sig = take_signal(&changed);
		if (sig)
			kill(payload, sig);
		while (changed && (pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
			if (pid != payload)
				continue;
			tell_outer(status);
			if (!WIFSTOPPED(status))
				_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
		}
	}
}

// An instance goes on when its first process has ended, until it is told to stop.
struct instance {
	int payload;  // 0 it has ended
	int stopping;
};

// reap takes in who has ended, and ends the instance when it is to stop and has nobody left, or never began.
static void reap(struct instance *in) {
	int status, pid;
	char begun;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != in->payload)
			continue;
		in->payload = 0;
		if (read(FD_CONFIRM, &begun, 1) != 1)
			_exit(255);
		send(FD_ENDED, &status, sizeof status, MSG_NOSIGNAL);
		close(FD_ENDED);
	}
	if (in->stopping && pid < 0 && errno == ECHILD)
		_exit(0);
}

// keep_instance is the init of an instance. A request to stop is a signal that says so, or a common one; it goes to
// everybody. Other signals are for the first process.
__attribute__((noreturn)) static void keep_instance(int payload) {
	struct instance in = {.payload = payload};
	for (;;) {
		struct signalfd_siginfo info;
		if (read(FD_SIGNALS, &info, sizeof info) != sizeof info)
			continue;
		int sig = (int)info.ssi_signo;
		if (sig == SIGCHLD && info.ssi_code > 0) {
			reap(&in);
		} else if ((info.ssi_code == SI_QUEUE && info.ssi_int == CORACLE_STOP) || sig == SIGTERM || sig == SIGINT) {
			in.stopping = 1;
			kill(-1, sig);
			kill(-1, SIGCONT);
			reap(&in);
		} else if (info.ssi_code <= 0 && in.payload > 0) {
			kill(in.payload, sig);
		}
	}
}

// coracle_visit enters a running instance. Nobody in there may look into this process, which has seen the host.
int coracle_visit(const struct coracle_header *h) {
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	for (int i = 0; i < CORACLE_JOINS; i++) {
		if (h->join[i] < 0)
			continue;
		if (setns(h->join[i], 0) < 0)
			return coracle_fail("join the instance's namespaces", errno);
		close(h->join[i]);
	}
	return 0;
}

// die_with_outer: the outer process holds the other end of the pipe and cannot have ended unseen.
static void die_with_outer(int status_pipe) {
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	struct pollfd p = {.fd = status_pipe, .events = 0};
	if (poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP)))
		_exit(255);
}

static void restore_mask(void) {
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &coracle_state.blocked, NULL, sizeof coracle_state.blocked);
}

// coracle_split_pid returns in the payload only. Signals stay blocked until each process
// has taken its part, so none is lost on the way.
int coracle_split_pid(const struct coracle_header *h) {
	int pipe_fds[2];
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return coracle_fail("create the status pipe", errno);
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	signal(SIGCHLD, SIG_DFL);
	int inner = fork();
	if (inner < 0)
		return coracle_fail("start the first process of the pid namespace", errno);
	if (inner > 0) {
		int with_init = (h->flags & FLAG_INIT) != 0;
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
		become_monitor(h, pipe_fds[0], -1, -1);
		if (with_init)
			watch_init(inner);
		watch_payload(inner);
	}
	close(pipe_fds[0]);
	die_with_outer(pipe_fds[1]);
	int confirm[2] = {-1, -1};
	if ((h->flags & FLAG_INSTANCE) && pipe2(confirm, O_CLOEXEC) < 0)
		return coracle_fail("create a pipe", errno);
	if (h->flags & FLAG_INIT) {
		int payload = fork();
		if (payload < 0)
			return coracle_fail("start the payload's process", errno);
		if (payload > 0) {
			prctl(PR_SET_NAME, "appinit", 0, 0, 0);
			if (h->flags & FLAG_INSTANCE) {
				become_monitor(h, pipe_fds[1], h->ended, confirm[0]);
				keep_instance(payload);
			}
			become_monitor(h, pipe_fds[1], -1, -1);
			be_init(payload);
		}
	}
	if (h->flags & FLAG_INSTANCE) {
		close(confirm[0]);
		close(h->ended);
		fcntl(h->report, F_SETFD, FD_CLOEXEC);
		coracle_outcome.confirm = confirm[1];
	}
	close(pipe_fds[1]);
	restore_mask();
	return 0;
}

/*
 * attrs sets and prints what a process inherits, so that a test can compare what a
 * payload got with what its caller had.
 *
 *   attrs show                     print every attribute, one a line
 *   attrs with SETTING... -- CMD   change attributes, then execute CMD
 *   attrs status SIGNAL            die of a signal
 *
 * Settings: ignore=SIG block=SIG close=FD open=FD:PATH pdeathsig=SIG
 * rlimit=NAME:SOFT:HARD nice=N cpu=N umask=OCTAL subreaper=1 env-=1 (empty the environment).
 * SIG and the rlimit NAME are numbers; -1 is no limit.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void fail(const char *what)
{
	fprintf(stderr, "attrs: %s: %s\n", what, strerror(errno));
	exit(125);
}

static void show_signals(void)
{
	sigset_t mask;
	sigprocmask(SIG_BLOCK, NULL, &mask);
	printf("ignored");
	for (int s = 1; s <= SIGRTMAX; s++) {
		struct sigaction a;
		if (sigaction(s, NULL, &a) == 0 && a.sa_handler == SIG_IGN)
			printf(" %d", s);
	}
	printf("\nblocked");
	for (int s = 1; s <= SIGRTMAX; s++)
		if (sigismember(&mask, s) == 1)
			printf(" %d", s);
	int parent_death = 0;
	prctl(PR_GET_PDEATHSIG, &parent_death);
	printf("\npdeathsig %d\n", parent_death);
}

/* Descriptors by identity: device and inode say whether it is the same file. */
static void show_descriptors(void)
{
	for (int fd = 0; fd < 1024; fd++) {
		struct stat st;
		if (fstat(fd, &st) != 0)
			continue;
		int flags = fcntl(fd, F_GETFL);
		printf("fd %d mode %o access %d id %lx:%lu cloexec %d\n", fd, st.st_mode & S_IFMT, flags & O_ACCMODE,
		       (unsigned long)st.st_dev, (unsigned long)st.st_ino, fcntl(fd, F_GETFD));
	}
}

static void show_limits(void)
{
	for (int r = 0; r < RLIM_NLIMITS; r++) {
		struct rlimit l;
		if (getrlimit(r, &l) == 0)
			printf("rlimit %d %lld %lld\n", r, (long long)l.rlim_cur, (long long)l.rlim_max);
	}
	errno = 0;
	printf("nice %d\n", getpriority(PRIO_PROCESS, 0));
	printf("scheduler %d\n", sched_getscheduler(0));
	printf("ioprio %ld\n", syscall(SYS_ioprio_get, 1, 0));
}

static void show_rest(void)
{
	cpu_set_t set;
	if (sched_getaffinity(0, sizeof set, &set) != 0)
		fail("sched_getaffinity");
	printf("cpus");
	for (int c = 0; c < CPU_SETSIZE; c++)
		if (CPU_ISSET(c, &set))
			printf(" %d", c);
	mode_t mask = umask(0);
	umask(mask);
	printf("\numask %03o\n", mask);
	printf("ids %d %d %d %d\n", getuid(), geteuid(), getgid(), getegid());
	printf("session %d\n", getsid(0));
	printf("dumpable %d\n", prctl(PR_GET_DUMPABLE));
	printf("timerslack %d\n", prctl(PR_GET_TIMERSLACK));
	printf("seccomp %d\n", prctl(PR_GET_SECCOMP));
}

static void set_limit(const char *arg)
{
	int resource;
	long long soft, hard;
	if (sscanf(arg, "%d:%lld:%lld", &resource, &soft, &hard) != 3) {
		errno = EINVAL;
		fail(arg);
	}
	struct rlimit l = { .rlim_cur = soft, .rlim_max = hard };
	if (setrlimit(resource, &l) != 0)
		fail("setrlimit");
}

static void open_at(const char *arg)
{
	char *path;
	int want = strtol(arg, &path, 10);
	int fd = open(path + 1, O_RDONLY);
	if (fd < 0)
		fail(path + 1);
	if (fd != want && (dup2(fd, want) < 0 || close(fd) != 0))
		fail("dup2");
}

static void set(char *setting)
{
	char *value = strchr(setting, '=');
	if (value == NULL) {
		errno = EINVAL;
		fail(setting);
	}
	*value++ = 0;
	int n = atoi(value);
	sigset_t one;
	sigemptyset(&one);
	if (strcmp(setting, "ignore") == 0) {
		signal(n, SIG_IGN);
	} else if (strcmp(setting, "block") == 0) {
		sigaddset(&one, n);
		sigprocmask(SIG_BLOCK, &one, NULL);
	} else if (strcmp(setting, "close") == 0) {
		close(n);
	} else if (strcmp(setting, "open") == 0) {
		open_at(value);
	} else if (strcmp(setting, "pdeathsig") == 0) {
		prctl(PR_SET_PDEATHSIG, n);
	} else if (strcmp(setting, "subreaper") == 0) {
		prctl(PR_SET_CHILD_SUBREAPER, n);
	} else if (strcmp(setting, "rlimit") == 0) {
		set_limit(value);
	} else if (strcmp(setting, "nice") == 0) {
		if (setpriority(PRIO_PROCESS, 0, n) != 0)
			fail("setpriority");
	} else if (strcmp(setting, "cpu") == 0) {
		cpu_set_t set;
		CPU_ZERO(&set);
		CPU_SET(n, &set);
		if (sched_setaffinity(0, sizeof set, &set) != 0)
			fail("sched_setaffinity");
	} else if (strcmp(setting, "umask") == 0) {
		umask(strtol(value, NULL, 8));
	} else if (strcmp(setting, "env-") == 0) {
		clearenv();
	} else {
		errno = EINVAL;
		fail(setting);
	}
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "show") == 0) {
		show_signals();
		show_descriptors();
		show_limits();
		show_rest();
		return 0;
	}
	if (argc == 3 && strcmp(argv[1], "status") == 0) {
		struct rlimit none = { 0, 0 };
		setrlimit(RLIMIT_CORE, &none);
		signal(atoi(argv[2]), SIG_DFL);
		raise(atoi(argv[2]));
		return 125;
	}
	if (argc > 2 && strcmp(argv[1], "with") == 0) {
		int i = 2;
		for (; i < argc && strcmp(argv[i], "--") != 0; i++)
			set(argv[i]);
		if (i + 1 < argc) {
			execvp(argv[i + 1], argv + i + 1);
			fail(argv[i + 1]);
		}
	}
	fprintf(stderr, "usage: attrs show | with SETTING... -- COMMAND... | status SIGNAL\n");
	return 125;
}

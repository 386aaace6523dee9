// A new user namespace and its id maps: written by ourselves, or by newuidmap and newgidmap where they hold more
// ids than the caller's own.
#define _GNU_SOURCE
#include "enter.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// Which maps the helpers did not write: bits of their keeper's exit status.
enum { LOST_UIDS = 1, LOST_GIDS = 2 };

static int write_file(const char *path, const char *text, size_t len) {
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t n = write(fd, text, len);
	int err = errno;
	close(fd);
	errno = err;
	return n == (ssize_t)len ? 0 : -1;
}

static int write_map(const char *path, const char *step, const char *map, size_t len) {
	return write_file(path, map, len) < 0 ? coracle_fail(step, errno) : 0;
}

static int write_uids(const char *map, size_t len) {
	return write_map("/proc/self/uid_map", "write /proc/self/uid_map", map, len);
}

static int write_gids(const char *map, size_t len) {
	// Absent before Linux 3.19, which needs no denial either.
	if (write_file("/proc/self/setgroups", "deny", 4) < 0 && errno != ENOENT)
		return coracle_fail("write /proc/self/setgroups", errno);
	return write_map("/proc/self/gid_map", "write /proc/self/gid_map", map, len);
}

// The first line of a map is the caller's own id.
static size_t first_line(const char *map) { return strcspn(map, "\n") + 1; }

struct helpers {
	int keeper; // pid of the process that waits for them
	int go;     // a byte: the namespace is there. End of file: we are not
	int words;  // what they complain of
};

// become_helper executes `PROGRAM PID INSIDE OUTSIDE COUNT...`.
__attribute__((noreturn)) static void become_helper(const char *program, char *pid, char *map) {
	enum { MAX = 3 * 256 };
	static char *argv[MAX + 3];
	static char *env[1];
	int n = 0;
	argv[n++] = (char *)program;
	argv[n++] = pid;
	for (char *word = strtok(map, " \n"); word != NULL && n < MAX + 2; word = strtok(NULL, " \n"))
		argv[n++] = word;
	execve(program, argv, env);
	dprintf(2, "%s: %s\n", program, strerror(errno));
	_exit(127);
}

static int ended_well(int pid) {
	int status = -1;
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 0;
	return pid > 0 && status == 0;
}

// keep_helpers runs outside of the new namespace: only there a set-user-id program keeps its rights.
__attribute__((noreturn)) static void keep_helpers(struct coracle_header *h, int owner, int go, int words) {
	char pid[16], byte;
	snprintf(pid, sizeof pid, "%d", owner);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	signal(SIGCHLD, SIG_DFL); // ignored, it would leave nothing to wait for
	ssize_t n;
	do
		n = read(go, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		_exit(LOST_UIDS | LOST_GIDS);
	dup2(words, 2);
	int uids = fork();
	if (uids == 0)
		become_helper(h->new_uid_map, pid, h->uid_map);
	int gids = fork();
	if (gids == 0)
		become_helper(h->new_gid_map, pid, h->gid_map);
	int lost = ended_well(uids) ? 0 : LOST_UIDS;
	_exit(ended_well(gids) ? lost : lost | LOST_GIDS);
}

// start_helpers forks without a SIGCHLD, which the payload might find pending.
static int start_helpers(struct coracle_header *h, struct helpers *out) {
	int go[2], words[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, go) < 0)
		return coracle_fail("create a pair of sockets", errno);
	if (pipe2(words, O_CLOEXEC) < 0) {
		close(go[0]);
		close(go[1]);
		return coracle_fail("create a pipe", errno);
	}
	int owner = getpid();
	out->keeper = (int)syscall(SYS_clone, 0UL, 0UL, 0UL, 0UL, 0UL);
	if (out->keeper == 0) {
		close(go[1]);
		close(words[0]);
		keep_helpers(h, owner, go[0], words[1]);
	}
	int err = errno;
	close(go[0]);
	close(words[1]);
	out->go = go[1];
	out->words = words[0];
	if (out->keeper > 0)
		return 0;
	close(go[1]);
	close(words[0]);
	return coracle_fail("start newuidmap and newgidmap", err);
}

// finish lets the helpers begin, or go home, and returns which maps they did not write. What they said
// becomes the outcome's reason.
static int finish(struct helpers *w, int begin) {
	char text[CORACLE_TEXT_LEN];
	size_t len = 0;
	ssize_t n = 0;
	if (begin)
		n = send(w->go, "", 1, MSG_NOSIGNAL); // the keeper may have been killed
	close(w->go);
	while (len < sizeof text - 1) {
		n = read(w->words, text + len, sizeof text - 1 - len);
		if (n > 0)
			len += (size_t)n;
		else if (n == 0 || errno != EINTR)
			break;
	}
	close(w->words);
	int status = 0, pid;
	do
		pid = waitpid(w->keeper, &status, __WALL);
	while (pid < 0 && errno == EINTR);
	if (pid == w->keeper && status == 0)
		return 0;
	text[len] = 0;
	text[strcspn(text, "\n")] = 0;
	coracle_degrade(len > 0 ? text : "newuidmap or newgidmap failed");
	return WIFEXITED(status) ? WEXITSTATUS(status) : LOST_UIDS | LOST_GIDS;
}

// coracle_degrade notes that less than the whole maps could be had.
void coracle_degrade(const char *why) {
	coracle_outcome.degraded = 1;
	snprintf(coracle_outcome.step, sizeof coracle_outcome.step, "%s", why);
}

// coracle_new_user creates a user namespace with the header's maps. Where the helpers fail, the maps hold
// the caller's own ids alone, and the outcome says so.
int coracle_new_user(struct coracle_header *h) {
	struct helpers w;
	int helped = (h->flags & FLAG_HELPERS) != 0;
	if (helped && start_helpers(h, &w) < 0)
		return -1;
	int failed = unshare(CLONE_NEWUSER) < 0, err = errno;
	int lost = LOST_UIDS | LOST_GIDS;
	if (helped)
		lost = finish(&w, !failed);
	if (failed)
		return coracle_fail("create a user namespace", err);
	if ((lost & LOST_UIDS) && write_uids(h->uid_map, helped ? first_line(h->uid_map) : strlen(h->uid_map)) < 0)
		return -1;
	if ((lost & LOST_GIDS) && write_gids(h->gid_map, helped ? first_line(h->gid_map) : strlen(h->gid_map)) < 0)
		return -1;
	return 0;
}

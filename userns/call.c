// Having a launch planned by the image server that runs already: it has a Go runtime, and this process then needs none. The server
// gets what the kernel says of this process and where it stands, and answers with the memfd of a launch that has been planned, or
// not at all; then the launch plans by itself.
#define _GNU_SOURCE
#include "enter.h"
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

enum { ANSWER_TIME = 1, ROOM_TIME_US = 300000 };

// read_small reads a file that fits into size bytes, with a 0 behind it. 0: it does not, or cannot be read.
static size_t read_small(const char *path, char *to, size_t size) {
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t n = read(fd, to, size);
	close(fd);
	if (n < 0 || (size_t)n == size)
		n = 0;
	to[n] = 0;
	return (size_t)n;
}

// step_hash is a number that the processes of a job's step have in common, and those of different steps do not: the hash (FNV-1a) of their
// control groups, but for those of single tasks.
static uint64_t step_hash(const char *cgroup) {
	static const char task[] = "/task_";
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (const char *c = cgroup; *c; c++) {
		if (strncmp(c, task, sizeof task - 1) == 0)
			c += strcspn(c, "\n");
		if (*c == 0)
			break;
		hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
	}
	return hash;
}

// call_name is where the server of a file waits for calls of its own step.
static socklen_t call_name(struct sockaddr_un *name, uint64_t device, uint64_t inode, const char *cgroup) {
	memset(name, 0, sizeof *name);
	name->sun_family = AF_UNIX;
	int len = snprintf(name->sun_path + 1, sizeof name->sun_path - 1, "coracle-%lu-plan-%llx-%llx-%llx", (unsigned long)getuid(),
	                   (unsigned long long)device, (unsigned long long)inode, (unsigned long long)step_hash(cgroup));
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
}

// coracle_name_calls makes the server's socket, on which nobody listens yet. -1: another server has the name, or there is none to be had.
int coracle_name_calls(uint64_t device, uint64_t inode) {
	char cgroup[CORACLE_CALL_TEXT];
	struct sockaddr_un name;
	read_small("/proc/self/cgroup", cgroup, sizeof cgroup);
	socklen_t len = call_name(&name, device, inode, cgroup);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&name, len) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

// is_this_program tells whether the process at the other end executes the file that this one does: what answers says what is to be
// executed, and whatever else there is in the container that another launch of this user runs must not.
static int is_this_program(int sock) {
	struct ucred peer;
	socklen_t len = sizeof peer;
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.uid != getuid())
		return 0;
	char path[32];
	struct stat own, other;
	snprintf(path, sizeof path, "/proc/%d/exe", (int)peer.pid);
	return stat("/proc/self/exe", &own) == 0 && stat(path, &other) == 0 && own.st_dev == other.st_dev && own.st_ino == other.st_ino &&
	       own.st_mtim.tv_sec == other.st_mtim.tv_sec && own.st_mtim.tv_nsec == other.st_mtim.tv_nsec;
}

// A request that is being written.
struct request {
	char *at, *end;
	int full;
};

static void add_string(struct request *r, const char *s) {
	size_t len = strlen(s) + 1;
	if ((size_t)(r->end - r->at) < len) {
		r->full = 1;
		return;
	}
	memcpy(r->at, s, len);
	r->at += len;
}

static uint32_t add_strings(struct request *r, char **list, size_t n) {
	for (size_t i = 0; i < n; i++)
		add_string(r, list[i]);
	return (uint32_t)n;
}

static void add_link(struct request *r, const char *path) {
	char text[CORACLE_CALL_TEXT];
	ssize_t n = readlink(path, text, sizeof text - 1);
	text[n < 0 ? 0 : n] = 0;
	add_string(r, text);
}

static void add_file(struct request *r, const char *path) {
	char text[CORACLE_CALL_TEXT];
	read_small(path, text, sizeof text);
	add_string(r, text);
}

// add_terminal adds the path of the first of the descriptors 0 to 2 that is a terminal.
static void add_terminal(struct request *r) {
	for (int fd = 0; fd < 3; fd++) {
		struct termios t;
		char path[32], text[CORACLE_CALL_TEXT];
		if (ioctl(fd, TCGETS, &t) < 0)
			continue;
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		ssize_t n = readlink(path, text, sizeof text - 1);
		if (n < 5 || memcmp(text, "/dev/", 5) != 0)
			continue;
		text[n] = 0;
		add_string(r, text);
		return;
	}
	add_string(r, "");
}

static size_t count_strings(char **list) {
	size_t n = 0;
	while (list[n] != NULL)
		n++;
	return n;
}

// describe writes the request and returns its length; 0: it does not fit.
static size_t describe(char *buf, size_t size, int argc, char **argv, const char *cgroup) {
	struct coracle_call *c = (struct coracle_call *)buf;
	memset(c, 0, sizeof *c);
	memcpy(c->magic, CORACLE_CALL_MAGIC, sizeof c->magic);
	struct request r = {.at = buf + sizeof *c, .end = buf + size};
	c->uid = getuid();
	c->gid = getgid();
	int groups = (int)syscall(SYS_getgroups, CORACLE_CALL_GROUPS, c->group);
	if (groups < 0)
		return 0;
	c->groups = (uint32_t)groups;
	c->umask = umask(077);
	umask((mode_t)c->umask);
	c->sid = getsid(0);
	c->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
	for (int resource = 0; resource < CORACLE_CALL_LIMITS; resource++) {
		struct rlimit rl;
		c->hard[resource] = getrlimit(resource, &rl) == 0 ? rl.rlim_max : 0;
	}
	add_link(&r, "/proc/self/ns/user");
	add_link(&r, "/proc/self/ns/mnt");
	add_link(&r, "/proc/self/ns/pid");
	add_file(&r, "/proc/self/attr/current");
	add_string(&r, cgroup);
	add_terminal(&r);
	c->argc = add_strings(&r, argv, (size_t)argc);
	c->envc = add_strings(&r, environ, count_strings(environ));
	return r.full ? 0 : (size_t)(r.at - buf);
}

// send_call sends the request with descriptors of this process, its root and its working directory, and takes the one of answer over, if
// there is one.
static int send_call(int sock, const void *buf, size_t len, int answer) {
	int fds[CORACLE_CALL_FDS], count = answer < 0 ? CORACLE_CALL_FDS - 1 : CORACLE_CALL_FDS;
	fds[0] = (int)syscall(SYS_pidfd_open, getpid(), 0);
	fds[1] = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	fds[2] = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	fds[3] = answer;
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof fds)];
	} control;
	memset(&control, 0, sizeof control);
	struct iovec iov = {.iov_base = (void *)buf, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof control.buf};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN((size_t)count * sizeof *fds);
	msg.msg_controllen = CMSG_SPACE((size_t)count * sizeof *fds);
	memcpy(CMSG_DATA(c), fds, (size_t)count * sizeof *fds);
	int sent = fds[0] >= 0 && fds[1] >= 0 && fds[2] >= 0 && sendmsg(sock, &msg, MSG_NOSIGNAL) == (ssize_t)len;
	for (int i = 0; i < CORACLE_CALL_FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return sent;
}

int coracle_empty = -1;

// receive_plan waits for the answer and returns the memfd, or -1.
static int receive_plan(int sock) {
	char word;
	int fds[2] = {-1, -1};
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof fds)];
	} control;
	struct iovec iov = {.iov_base = &word, .iov_len = sizeof word};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof control.buf};
	ssize_t n;
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return -1;
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len <= CMSG_LEN(sizeof fds))
		memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
	coracle_empty = fds[1];
	return fds[0];
}

static void set_timeout(int sock, int option, long s, long us) {
	struct timeval t = {.tv_sec = s, .tv_usec = us};
	setsockopt(sock, SOL_SOCKET, option, &t, sizeof t);
}

// call is coracle_call with the file of the control groups and a buffer at hand.
static int call(int sock, const struct sockaddr_un *name, socklen_t len, char *buf, int argc, char **argv, const char *cgroup) {
	set_timeout(sock, SO_SNDTIMEO, 0, ROOM_TIME_US);
	if (connect(sock, (const struct sockaddr *)name, len) < 0 || !is_this_program(sock))
		return -1;
	size_t size = describe(buf, CORACLE_CALL_LEN, argc, argv, cgroup);
	if (size == 0)
		return -1;
	set_timeout(sock, SO_RCVTIMEO, ANSWER_TIME, 0);
	int fd = send_call(sock, buf, size, -1) ? receive_plan(sock) : -1;
	set_timeout(sock, SO_SNDTIMEO, 0, 0);
	set_timeout(sock, SO_RCVTIMEO, 0, 0);
	return fd;
}

// is_ordinary tells whether there is nothing odd about the ids of this process.
static int is_ordinary(void) { return geteuid() != 0 && geteuid() == getuid() && getegid() == getgid(); }

// coracle_call has the server of a file plan this launch. It returns the memfd, and in *sock where that server goes on to answer; or -1.
int coracle_call(int argc, char **argv, uint64_t device, uint64_t inode, int *sock) {
	char cgroup[CORACLE_CALL_TEXT];
	struct sockaddr_un name;
	if (!is_ordinary() || read_small("/proc/self/cgroup", cgroup, sizeof cgroup) == 0)
		return -1;
	socklen_t len = call_name(&name, device, inode, cgroup);
	*sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	char *buf = malloc(CORACLE_CALL_LEN);
	int fd = *sock < 0 || buf == NULL ? -1 : call(*sock, &name, len, buf, argc, argv, cgroup);
	free(buf);
	if (fd < 0 && *sock >= 0)
		close(*sock);
	return fd;
}

// coracle_call_standby has a server that is just starting, behind sock, plan the launch: two Go runtimes that start side by side take longer
// than one. It returns the memfd, or -1. The answer comes on a socket of its own, because sock has other news by then. Whatever
// takes long there would take as long here.
int coracle_call_standby(int argc, char **argv, int sock) {
	char cgroup[CORACLE_CALL_TEXT];
	int pair[2], fd = -1;
	if (!is_ordinary() || read_small("/proc/self/cgroup", cgroup, sizeof cgroup) == 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	char *buf = malloc(CORACLE_CALL_LEN);
	size_t size = buf == NULL ? 0 : describe(buf, CORACLE_CALL_LEN, argc, argv, cgroup);
	if (size == 0)
		close(pair[1]);
	else if (send_call(sock, buf, size, pair[1]))
		fd = receive_plan(pair[0]);
	free(buf);
	close(pair[0]);
	return fd;
}

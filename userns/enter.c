// The constructor: enters namespaces while the process has one thread, before the Go runtime starts.
#define _GNU_SOURCE
#include "enter.h"
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct coracle_outcome coracle_outcome = {.fd = -1, .sock = -1, .image = -1, .confirm = -1};

static const char stage_prefix[] = "coracle: ";

// Less address space than this and the Go runtime may abort with a page of text: it reserves some 700 MiB, and 64 MiB more where the random
// place of its heap is near the end of such a piece. An image server has threads and a block cache besides.
enum { NEEDED_AS = 896 << 20 };

// Where there is more, it reserves 512 MiB on top that it can do without, and aborts if little is left
// then. While it starts, it is shown this much; see LiftAddressSpace in userns.go.
enum { SHOWN_AS = 1 << 30, PLENTY_AS = 2u << 30 };

enum { THREAD_STACK = 256 * 1024 };

int coracle_fail(const char *step, int err) {
	coracle_outcome.status = err ? err : EINVAL;
	snprintf(coracle_outcome.step, sizeof coracle_outcome.step, "%s", step);
	return -1;
}

// coracle_receive waits for a message of the image server, first its user namespace, then the image, and returns the
// descriptor that comes with it.
int coracle_receive(int sock) {
	struct coracle_reply reply;
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = &reply, .iov_len = sizeof reply};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof control.buf};
	ssize_t n;
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return coracle_fail("wait for the image server", errno);
	if (n != sizeof reply)
		return coracle_fail("wait for the image server: it is gone", n == 0 ? ECONNRESET : EPROTO);
	reply.text[sizeof reply.text - 1] = 0;
	if (reply.status != 0)
		return coracle_fail(reply.text, (int)reply.status);
	if (reply.degraded)
		coracle_degrade(reply.text);
	else if (coracle_timing)
		coracle_take_marks(reply.text, 1);
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	if (c == NULL || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(int)))
		return coracle_fail("wait for the image server: no descriptor came", EPROTO);
	int ns;
	memcpy(&ns, CMSG_DATA(c), sizeof ns);
	return ns;
}

// coracle_send_namespace lets the first client go on while the server's Go runtime starts.
int coracle_send_namespace(int sock) {
	int ns = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	if (ns < 0)
		return coracle_fail("open /proc/self/ns/user", errno);
	struct coracle_reply reply;
	memset(&reply, 0, sizeof reply);
	reply.degraded = (uint32_t)coracle_outcome.degraded;
	memcpy(reply.text, coracle_outcome.step, sizeof reply.text);
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	memset(&control, 0, sizeof control);
	struct iovec iov = {.iov_base = &reply, .iov_len = sizeof reply};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof control.buf};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &ns, sizeof ns);
	sendmsg(sock, &msg, MSG_NOSIGNAL); // a client that is gone is found out by its pidfd
	close(ns);
	return 0;
}

static int enter_user(struct coracle_header *h) {
	if (h->sock >= 0) {
		int ns = coracle_receive(h->sock);
		fcntl(h->sock, F_SETFD, FD_CLOEXEC);
		coracle_outcome.sock = h->sock;
		if (ns < 0)
			return -1;
		if (!(h->flags & FLAG_NEW_USER) && setns(ns, CLONE_NEWUSER) < 0)
			return coracle_fail("join the image server's user namespace", errno);
		close(ns);
	}
	return h->flags & FLAG_NEW_USER ? coracle_new_user(h) : 0;
}

static int lock_privileges(void) {
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return coracle_fail("set no_new_privs", errno);
	for (int cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
		;
	return errno == EINVAL ? 0 : coracle_fail("empty the capability bounding set", errno); // there is no such capability any more
}

static int enter_namespaces(struct coracle_header *h) {
	if (h->flags & FLAG_VISIT)
		return coracle_visit(h);
	if (enter_user(h) < 0)
		return -1;
	coracle_mark(h->flags & FLAG_NEW_USER ? "new user namespace" : "the image server's user namespace", "");
	return unshare((int)h->namespaces) < 0 ? coracle_fail("create namespaces", errno) : 0;
}

static void enter(struct coracle_header *h, int fd) {
	if (enter_namespaces(h) < 0)
		return;
	coracle_mark("namespaces", "");
	if ((h->namespaces & CLONE_NEWPID) && coracle_split_pid(h) < 0)
		return;
	if ((h->flags & FLAG_LOCK) && lock_privileges() < 0)
		return;
	if (h->steps > 0)
		coracle_run_steps(fd, h);
}

// The C library unmaps memory as soon as the last small object in it is freed, and what starts a thread is one: then every thread
// would map a page, unmap it, and interrupt the other processors for that. This one stays.
static void *volatile kept;

static void keep_memory(void) {
	enum { THREAD_START = 24 }; // bytes: three pointers, in the Go runtime's C part
	kept = malloc(THREAD_START);
}

// Every thread would reserve a stack as large as RLIMIT_STACK and an allocator's arena of 64 MiB.
static void spare_address_space(void) {
	pthread_attr_t attr;
#ifdef M_ARENA_MAX // of the GNU C library only
	mallopt(M_ARENA_MAX, 1);
#endif
	if (pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, THREAD_STACK) == 0)
		pthread_setattr_default_np(&attr);
}

// coracle_shown_limits sets the limits under which the Go runtime starts. 0: it cannot.
int coracle_shown_limits(void) {
	coracle_raise_limits();
	struct rlimit rl;
	if (getrlimit(RLIMIT_AS, &rl) != 0 || rl.rlim_cur == RLIM_INFINITY || rl.rlim_cur >= PLENTY_AS)
		return 1;
	if (rl.rlim_cur >= NEEDED_AS) {
		if (rl.rlim_cur > SHOWN_AS) {
			rl.rlim_cur = SHOWN_AS;
			setrlimit(RLIMIT_AS, &rl);
		}
		return 1;
	}
	dprintf(2,
	        "coracle: error: the hard limit of the address space is %llu MiB, too little to start\n"
	        "coracle: hint: raise it to %d MiB or more (ulimit -v, or the batch system's h_vmem)\n",
	        (unsigned long long)rl.rlim_cur >> 20, NEEDED_AS >> 20);
	return 0;
}

// arguments finds argc and argv, which not every C library hands to constructors: below the environment on the
// initial stack.
static char **arguments(int *argc) {
	char **end = environ - 1;
	for (*argc = 0; ((long *)end)[-1 - *argc] != *argc; ++*argc)
		;
	return end - *argc;
}

// coracle_play plays the part that the memfd fd describes. sock: where the image server answers, or -1: the memfd tells. at is where a
// guard's mount is.
void coracle_play(int fd, int sock, const char *at) {
	struct coracle_header h;
	if (pread(fd, &h, sizeof h, 0) != sizeof h || memcmp(h.magic, CORACLE_MAGIC, sizeof h.magic) != 0)
		return;
	h.uid_map[CORACLE_MAP_LEN - 1] = h.gid_map[CORACLE_MAP_LEN - 1] = 0;
	h.new_uid_map[CORACLE_PATH_LEN - 1] = h.new_gid_map[CORACLE_PATH_LEN - 1] = 0;
	if (sock >= 0)
		h.sock = sock;
	coracle_timing |= (h.flags & FLAG_TIMING) != 0;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	prctl(PR_SET_NAME, "coracle", 0, 0, 0);
	coracle_outcome.fd = fd;
	coracle_outcome.role = (int32_t)h.role;
	coracle_outcome.steps = h.steps;
	if (h.role == ROLE_ENTER)
		enter(&h, fd);
	else if (h.role == ROLE_SERVE || h.role == ROLE_STANDBY)
		coracle_become_server(&h, fd);
	else if (h.role == ROLE_DETACH)
		coracle_detach(&h, fd);
	else if (h.role == ROLE_GUARD && at != NULL)
		coracle_guard(&h, at);
}

__attribute__((constructor)) static void coracle_constructor(void) {
	int argc;
	char **argv = arguments(&argc);
	coracle_begin_marks();
	coracle_record();
	spare_address_space();
	keep_memory();
	if (!coracle_shown_limits())
		_exit(255);
	if (argc >= 2 && strncmp(argv[0], stage_prefix, sizeof stage_prefix - 1) == 0) {
		coracle_play(atoi(argv[1]), -1, argv[2]);
		coracle_hide_files();
		return;
	}
	coracle_begin_launch(argc, argv);
	if (coracle_is_action(argc, argv))
		coracle_start_brief(argc, argv);
}

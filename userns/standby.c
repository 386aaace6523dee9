// An image server that is started before anybody knows whether it is needed: the Go runtimes of the launch and of its
// server then start side by side. It gets its configuration when the launch has planned, or ends when the launch drops it.
//
// Everything here is a guess at the command line and may be wrong: what is decided is decided in Go, which takes the standby
// only where it is what a server started then would be.
#define _GNU_SOURCE
#include "enter.h"
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

int coracle_standby = -1;

struct guess {
	const char *image;
	uint64_t device, inode;
	int alone; // the launch wants a server of its own
	int plain; // a server may be able to plan it
};

static int is_one_of(const char *word, const char *const *list) {
	for (; *list != NULL; list++)
		if (strcmp(word, *list) == 0)
			return 1;
	return 0;
}

// arguments_of returns where the arguments of a command begin that starts something in an image, or 0.
static int arguments_of(int argc, char **argv) {
	static const char *const actions[] = {"exec", "run", "shell", "test", NULL};
	const char *name = strrchr(argv[0], '/');
	name = name == NULL ? argv[0] : name + 1;
	if (strcmp(name, "run-singularity") == 0)
		return 1;
	int i = 1;
	while (i < argc && argv[i][0] == '-') // the flags of the program itself
		i++;
	return i < argc && is_one_of(argv[i], actions) ? i + 1 : 0;
}

// coracle_is_action tells whether the command line is that of a launch.
int coracle_is_action(int argc, char **argv) { return argc > 1 && arguments_of(argc, argv) > 0; }

// is_image tells whether a regular file begins like a SIF or a squashfs file.
static int is_image(const char *path) {
	char head[42];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return 0;
	ssize_t n = pread(fd, head, sizeof head, 0);
	close(fd);
	return n == sizeof head && (memcmp(head + 32, "SIF_MAGIC", 9) == 0 || memcmp(head, "hsqs", 4) == 0);
}

// guess looks for an image file among the arguments. What stands behind a flag may be its value or the image, the first of all others
// is the image for sure: nothing behind it, the payload's files, is looked at. 0: there is none, or the launch needs another kind of
// server, or none.
static int guess(int argc, char **argv, struct guess *g) {
	static const char *const others[] = {"--help", "-h", "--dry-run", "-n", "--fakeroot", "-f", NULL};
	static const char *const involved[] = {"--writable-tmpfs", "--overlay", "-o", "--writable", "-w", "--scratch-overlay", "--net", "--hostname", "--unsquash", NULL};
	int from = arguments_of(argc, argv), flag = 0;
	g->plain = 1;
	for (int i = from; from > 0 && i < argc; i++) {
		struct stat st;
		if (argv[i][0] == '-') {
			if (is_one_of(argv[i], others))
				return 0;
			g->alone |= strcmp(argv[i], "--no-share") == 0;
			g->plain &= !is_one_of(argv[i], involved);
			flag = strchr(argv[i], '=') == NULL;
			continue;
		}
		if (stat(argv[i], &st) == 0 && S_ISREG(st.st_mode) && is_image(argv[i])) {
			g->image = argv[i];
			g->device = (uint64_t)st.st_dev;
			g->inode = (uint64_t)st.st_ino;
			return 1;
		}
		if (!flag)
			return 0;
		flag = 0;
	}
	return 0;
}

// coracle_claim takes the name that says: this user has a server of that file, here. -1: there is one. The name is a hint
// and nothing is ever said over the socket.
int coracle_claim(uint64_t device, uint64_t inode) {
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int len = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "coracle-%lu-image-%llx-%llx", (unsigned long)getuid(),
	                   (unsigned long long)device, (unsigned long long)inode);
	if (bind(fd, (struct sockaddr *)&name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)) == 0)
		return fd;
	close(fd);
	return -1;
}

// write_header makes the memfd that the server's constructor reads.
static int write_header(int sock, int claim) {
	struct coracle_header *h = calloc(1, sizeof *h);
	if (h == NULL)
		return -1;
	memcpy(h->magic, CORACLE_MAGIC, sizeof h->magic);
	h->role = ROLE_STANDBY;
	h->sock = sock;
	h->pidfd = claim;
	h->listener = h->report = h->ended = h->image = h->out = h->err = -1;
	snprintf(h->uid_map, sizeof h->uid_map, "%u %u 1\n", (unsigned)getuid(), (unsigned)getuid());
	snprintf(h->gid_map, sizeof h->gid_map, "%u %u 1\n", (unsigned)getgid(), (unsigned)getgid());
	int fd = (int)syscall(SYS_memfd_create, "coracle", 8u /* never executed */);
	if (fd < 0 && errno == EINVAL)
		fd = (int)syscall(SYS_memfd_create, "coracle", 0u);
	if (fd >= 0 && write(fd, h, sizeof *h) != sizeof *h) {
		close(fd);
		fd = -1;
	}
	free(h);
	return fd;
}

static void start(const struct guess *g, int claim) {
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return;
	int fd = write_header(pair[1], claim);
	if (fd >= 0) {
		static char number[16], *argv[4];
		static char *const envp[] = {(char *)"GODEBUG=containermaxprocs=0,updatemaxprocs=0", (char *)"TZ=", (char *)"GOMAXPROCS=1", NULL};
		char *path = realpath(g->image, NULL); // ps shows it
		snprintf(number, sizeof number, "%d", fd);
		argv[0] = (char *)"coracle: image server";
		argv[1] = number;
		argv[2] = path != NULL ? path : (char *)g->image;
		fcntl(pair[1], F_SETFD, 0);
		if (claim >= 0)
			fcntl(claim, F_SETFD, 0);
		if (coracle_spawn_soon("/proc/self/exe", argv, envp) == 0) {
			coracle_standby = pair[0];
			pair[0] = -1;
		}
		close(fd);
	}
	close(pair[1]);
	if (pair[0] >= 0)
		close(pair[0]);
}

// join has the server that is there plan the launch, and begins to carry it out. It returns where that has not been possible.
static void join(int argc, char **argv, const struct guess *g) {
	int sock, fd = coracle_call(argc, argv, g->device, g->inode, &sock);
	if (fd < 0)
		return;
	coracle_mark("planned by the image server", "");
	coracle_play(fd, sock, NULL);
}

// have_planned has the standby plan the launch, and begins to carry it out. It returns where that has not been possible.
static void have_planned(int argc, char **argv) {
	int sock = coracle_standby, fd = coracle_call_standby(argc, argv, sock);
	if (fd < 0)
		return;
	coracle_standby = -1;
	coracle_mark("planned by the image server", "");
	coracle_play(fd, sock, NULL);
}

// coracle_begin_launch guesses whether the command line is that of a launch that needs an image server: one that is there may plan it, one
// that is not is started.
void coracle_begin_launch(int argc, char **argv) {
	struct guess g = {.image = NULL};
	if (argc < 2 || !guess(argc, argv, &g))
		return;
	for (int fd = 0; fd < 3; fd++) // as the Go runtime does later: nothing of ours is to stand there
		if (coracle_state.closed & (1u << fd))
			open("/dev/null", O_RDWR);
	int claim = g.alone ? -1 : coracle_claim(g.device, g.inode);
	if (claim < 0 && !g.alone) {
		if (g.plain)
			join(argc, argv, &g);
		return;
	}
	start(&g, claim);
	if (claim >= 0)
		close(claim);
	if (coracle_standby >= 0 && g.plain)
		have_planned(argc, argv);
}

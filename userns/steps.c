// Builds the container's tree and becomes the payload before the Go runtime has started: for plans that come down to a
// list of system calls. Whatever goes wrong is undone and left to Go, which knows the ways round and the words.
#define _GNU_SOURCE
#include "enter.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// The kernel's numbers and structures, which not every C library knows.
enum {
	NR_OPEN_TREE = 428, NR_MOVE_MOUNT = 429, NR_OPENAT2 = 437, NR_MOUNT_SETATTR = 442,
	TREE_CLONE = 1, RECURSIVE = 0x8000, EMPTY_PATH = 0x1000, MOVE_F_EMPTY = 4, MOVE_T_EMPTY = 0x40,
	NO_MAGICLINKS = 2, IN_ROOT = 0x10,
};
struct open_how_64 { uint64_t flags, mode, resolve; };
struct mount_attr_64 { uint64_t set, clr, propagation, userns; };

struct builder {
	const char *blob;
	int slots[CORACLE_SLOTS];
	int root;         // the container's root as it is now, or -1
	const char *base; // where the tmpfs is mounted, or NULL
	int sock;
	int back, cwd; // the mount namespace with the host's tree, which has been left for an empty one, and the working directory there; or -1
	int entered; // the host's tree is gone
	int early;   // signals are as the process got them
};

static const char *text(const struct builder *b, uint32_t offset) { return b->blob + offset; }

static int failed(long r) { return r < 0 ? errno : 0; }

static int clone_tree(const char *path, int rec) {
	return (int)syscall(NR_OPEN_TREE, AT_FDCWD, path, TREE_CLONE | O_CLOEXEC | EMPTY_PATH | (rec ? RECURSIVE : 0));
}

static int open_in(int root, const char *path) {
	struct open_how_64 how = {.flags = O_PATH | O_CLOEXEC, .resolve = IN_ROOT | NO_MAGICLINKS};
	int fd;
	do
		fd = (int)syscall(NR_OPENAT2, root, path, &how, sizeof how);
	while (fd < 0 && (errno == EAGAIN || errno == EINTR)); // a rename raced with a ".."
	return fd;
}

// attach restricts a detached mount and puts it on target.
static int attach(int tree, int target, const struct coracle_step *s) {
	struct mount_attr_64 attr = {.set = s->flags};
	if (s->flags && syscall(NR_MOUNT_SETATTR, tree, "", EMPTY_PATH | (s->rec ? RECURSIVE : 0), &attr, sizeof attr) < 0)
		return errno;
	return failed(syscall(NR_MOVE_MOUNT, tree, "", target, "", MOVE_F_EMPTY | MOVE_T_EMPTY));
}

static int attach_at(int tree, int target, const struct coracle_step *s) {
	if (tree < 0 || target < 0) {
		int err = errno;
		if (target >= 0)
			close(target);
		return tree < 0 ? ENOENT : err;
	}
	int err = attach(tree, target, s);
	close(target);
	return err;
}

static int make_file(int dir, const char *name, const char *content, size_t len, mode_t mode) {
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return errno == EEXIST ? 0 : errno;
	int err = 0;
	while (len > 0 && err == 0) {
		ssize_t n = write(fd, content, len);
		if (n < 0)
			err = errno;
		else
			content += n, len -= (size_t)n;
	}
	if (err == 0)
		err = failed(fchmod(fd, mode));
	close(fd);
	return err;
}

static int make_directory(int dir, const char *name, mode_t mode) {
	if (mkdirat(dir, name, 0700) < 0)
		return errno == EEXIST ? 0 : errno;
	return failed(fchmodat(dir, name, mode, 0));
}

// make_inside makes an entry of a directory of the container.
static int make_inside(struct builder *b, const struct coracle_step *s) {
	int dir = open_in(b->root, text(b, s->a));
	if (dir < 0)
		return errno;
	int err;
	switch (s->kind) {
	case STEP_DIR_IN:
		err = make_directory(dir, text(b, s->b), s->mode);
		break;
	case STEP_LINK_IN:
		err = failed(symlinkat(text(b, s->c), dir, text(b, s->b)));
		if (err == EEXIST)
			err = 0;
		break;
	default:
		err = make_file(dir, text(b, s->b), NULL, 0, s->mode);
	}
	close(dir);
	return err;
}

// mount_inside mounts a new file system on a directory of the container.
static int mount_inside(struct builder *b, const struct coracle_step *s) {
	int target = open_in(b->root, text(b, s->a));
	if (target < 0)
		return errno;
	char path[32];
	snprintf(path, sizeof path, "/proc/self/fd/%d", target);
	int err = failed(mount(text(b, s->b), path, text(b, s->b), s->flags, text(b, s->c)));
	close(target);
	return err;
}

static int open_root(struct builder *b, const char *path) {
	if (b->root >= 0)
		close(b->root);
	b->root = open(path, O_PATH | O_CLOEXEC);
	return failed(b->root);
}

static void close_if(int *fd) {
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

// leave_host goes to an empty tree of its own, to build in. Thus no root has to be pivoted: for that the kernel looks at every
// thread of the machine.
static int leave_host(struct builder *b) {
	b->cwd = open(".", O_PATH | O_CLOEXEC);
	int back = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (b->cwd < 0 || back < 0 || setns(coracle_empty, CLONE_NEWNS) < 0) {
		int err = errno;
		close_if(&back);
		return err;
	}
	b->back = back;
	return failed(unshare(CLONE_NEWNS));
}

// cover_root makes path the root of a tree that is empty otherwise.
static int cover_root(struct builder *b, const char *path) {
	if (chdir(path) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0)
		return errno;
	b->entered = 1;
	close_if(&b->cwd);
	close_if(&b->back);
	if (chroot(".") < 0)
		return errno;
	return failed(chdir("/"));
}

// enter_root leaves the host's tree. It is the last step that can be undone.
static int enter_root(struct builder *b, const char *path) {
	if (b->back >= 0)
		return cover_root(b, path);
	if (chdir(path) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return errno;
	b->entered = 1;
	if (umount2(".", MNT_DETACH) < 0)
		return errno;
	return failed(chdir("/"));
}

static int drop_capabilities(void) {
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return errno;
	return failed(syscall(SYS_capset, &head, none));
}

// strings makes a list of n strings that stand one behind the other, and returns where they end.
static const char *strings(const char *at, uint32_t n, char **list) {
	for (uint32_t i = 0; i < n; i++) {
		list[i] = (char *)at;
		at += strlen(at) + 1;
	}
	list[n] = NULL;
	return at;
}

static int become(struct builder *b, const struct coracle_step *s) {
	char **argv = calloc(s->count + 1, sizeof *argv), **envp = calloc(s->len + 1, sizeof *envp);
	if (argv == NULL || envp == NULL)
		return ENOMEM;
	strings(strings(text(b, s->b), s->count, argv), s->len, envp);
	int err = drop_capabilities();
	if (coracle_timing) {
		coracle_mark("ready to execute", text(b, s->a));
		coracle_show_marks();
	}
	if (err == 0)
		err = coracle_exec(text(b, s->a), argv, envp, &coracle_state, b->early);
	free(argv);
	free(envp);
	return err;
}

static int step(struct builder *b, const struct coracle_step *s) {
	int *slot = &b->slots[s->slot < CORACLE_SLOTS ? s->slot : 0];
	const char *a = text(b, s->a);
	switch (s->kind) {
	case STEP_TREE:
		return failed(*slot = clone_tree(a, (int)s->rec));
	case STEP_IMAGE:
		return failed(*slot = coracle_outcome.image = coracle_receive(b->sock));
	case STEP_BASE:
		b->base = a;
		if (mount("tmpfs", a, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") == 0)
			return 0;
		b->base = NULL;
		return errno;
	case STEP_DIR:
		return make_directory(AT_FDCWD, a, s->mode);
	case STEP_MODE:
		return failed(chmod(a, s->mode));
	case STEP_FILE:
		return make_file(AT_FDCWD, a, text(b, s->b), s->len, s->mode);
	case STEP_PLACE:
		return attach_at(*slot, open(a, O_PATH | O_CLOEXEC), s);
	case STEP_MOUNT:
		return failed(mount(text(b, s->b), a, text(b, s->b), s->flags, text(b, s->c)));
	case STEP_ROOT:
		return open_root(b, a);
	case STEP_BIND:
		return attach_at(*slot, open_in(b->root, a), s);
	case STEP_NEW:
		return mount_inside(b, s);
	case STEP_DIR_IN:
	case STEP_FILE_IN:
	case STEP_LINK_IN:
		return make_inside(b, s);
	case STEP_ENTER:
		return enter_root(b, a);
	case STEP_CHDIR:
		return failed(chdir(a));
	case STEP_UMASK:
		umask(s->mode);
		return 0;
	case STEP_EXEC:
		return become(b, s);
	case STEP_LEAVE:
		return leave_host(b);
	}
	return EINVAL;
}

// skipped tells whether a failure is that of a step that may fail, and not of a kernel that lacks the call.
static int skipped(const struct coracle_step *s, int err) { return s->optional && err != ENOSYS && err != EPERM; }

// mark notes a step for --timing.
static void mark(const struct builder *b, const struct coracle_step *s, int err) {
	static const char *const names[] = {
		[STEP_TREE] = "open", [STEP_IMAGE] = "the image has arrived", [STEP_BASE] = "tmpfs on", [STEP_DIR] = "directory",
		[STEP_MODE] = "mode of", [STEP_FILE] = "file", [STEP_PLACE] = "image on", [STEP_MOUNT] = "overlay on", [STEP_ROOT] = "root is",
		[STEP_BIND] = "bind on", [STEP_NEW] = "mount on", [STEP_DIR_IN] = "directory in", [STEP_FILE_IN] = "file in",
		[STEP_LINK_IN] = "link in", [STEP_ENTER] = "leave the host's tree", [STEP_CHDIR] = "change to", [STEP_UMASK] = "umask",
		[STEP_EXEC] = "execute", [STEP_LEAVE] = "to an empty tree",
	};
	if (s->kind >= sizeof names / sizeof *names || names[s->kind] == NULL)
		return;
	const char *on = s->kind == STEP_IMAGE || s->kind == STEP_ENTER || s->kind == STEP_UMASK || s->kind == STEP_LEAVE ? "" : text(b, s->a);
	char words[64];
	snprintf(words, sizeof words, "%s%s", err ? "failed: " : "", names[s->kind]);
	coracle_mark(words, on);
}

static void run(struct builder *b, const struct coracle_step *list, uint32_t count) {
	for (uint32_t i = 0; i < count; i++) {
		int err = step(b, &list[i]);
		if (coracle_timing)
			mark(b, &list[i], err);
		if (err == 0 || skipped(&list[i], err))
			continue;
		if (coracle_outcome.status != 0)
			return; // the image server's own words
		if (!b->entered)
			return;
		coracle_outcome.built = 1; // the rest is Go's
		return;
	}
}

// keep_image makes the image's mount one that can be placed again. It comes only once, and taking a placed one away ends
// it; a clone takes over its descriptor. One that has not been placed is left as it is.
static void keep_image(void) {
	int image = coracle_outcome.image;
	if (image < 0)
		return;
	int again = (int)syscall(NR_OPEN_TREE, image, "", TREE_CLONE | O_CLOEXEC | EMPTY_PATH);
	if (again < 0)
		return;
	dup3(again, image, O_CLOEXEC);
	close(again);
}

// undo makes the mount namespace what it was.
static void undo(struct builder *b) {
	keep_image();
	if (b->back >= 0) {
		if (setns(b->back, CLONE_NEWNS) < 0 || fchdir(b->cwd) < 0)
			coracle_fail("return to the host's tree", errno);
	} else if (b->base != NULL)
		umount2(b->base, MNT_DETACH);
	close_if(&b->back);
	close_if(&b->cwd);
	for (int i = 0; i < CORACLE_SLOTS; i++)
		if (b->slots[i] >= 0 && b->slots[i] != coracle_outcome.image)
			close(b->slots[i]);
	if (b->root >= 0)
		close(b->root);
}

void coracle_run_steps(int fd, const struct coracle_header *h) {
	char *blob = malloc(h->steps);
	if (blob == NULL || pread(fd, blob, h->steps, sizeof *h) != (ssize_t)h->steps || h->steps < sizeof(uint64_t)) {
		free(blob);
		return;
	}
	uint64_t count;
	memcpy(&count, blob, sizeof count);
	if (count <= (h->steps - sizeof count) / sizeof(struct coracle_step) && blob[h->steps - 1] == 0) {
		struct builder b = {.blob = blob, .root = -1, .sock = h->sock, .back = -1, .cwd = -1, .early = !(h->namespaces & CLONE_NEWPID)};
		memset(b.slots, -1, sizeof b.slots);
		run(&b, (const struct coracle_step *)(blob + sizeof count), (uint32_t)count);
		if (!b.entered)
			undo(&b);
		coracle_shown_limits();
	}
	free(blob);
}

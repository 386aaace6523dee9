// writes DIR SEED COUNT [named]: COUNT random changes below DIR, then a list of what is there; with "named" without files
// that have no name at first.
//
// The same seed makes the same changes in every tree that begins the same, so that two lists are equal
// where two file systems do the same. Errors are part of the list. What the overlay of an ordinary
// user is known not to do is not asked of it: renaming a directory that comes from below, see also change_mode.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_NAMES = 20000, MAX_SIZE = 200000 };

static uint64_t state;
static char *files[MAX_NAMES], *dirs[MAX_NAMES];
static int file_count, dir_count;
static char scratch[MAX_SIZE];
static int named;

static unsigned rnd(unsigned n) {
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(state >> 33) % n;
}

static int collect(const char *path, const struct stat *st, int type, struct FTW *f) {
	(void)f;
	if (file_count == MAX_NAMES || dir_count == MAX_NAMES)
		return 1;
	if (type == FTW_D)
		dirs[dir_count++] = strdup(path);
	else if (S_ISREG(st->st_mode))
		files[file_count++] = strdup(path);
	return 0;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

// look lists the tree anew, in an order that does not depend on the file system.
static void look(const char *root) {
	for (int i = 0; i < file_count; i++)
		free(files[i]);
	for (int i = 0; i < dir_count; i++)
		free(dirs[i]);
	file_count = dir_count = 0;
	nftw(root, collect, 32, FTW_PHYS);
	qsort(files, (size_t)file_count, sizeof files[0], by_name);
	qsort(dirs, (size_t)dir_count, sizeof dirs[0], by_name);
}

static void result(const char *what, int failed) {
	if (failed)
		printf("%s: %s\n", what, strerror(errno));
}

static void new_name(char *buf, size_t n, int i) { snprintf(buf, n, "%s/n%d", dirs[rnd((unsigned)dir_count)], i); }

static void write_some(const char *path, int flags, unsigned from) {
	int fd = open(path, flags, 0640);
	if (fd < 0) {
		result("open", 1);
		return;
	}
	unsigned len = 1 + rnd(9000);
	memset(scratch, 'a' + (int)rnd(26), len);
	result("pwrite", pwrite(fd, scratch, len, from) != (ssize_t)len);
	close(fd);
}

static void map_some(const char *path) {
	int fd = open(path, O_RDWR);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size == 0) {
		result("map", fd < 0);
		if (fd >= 0)
			close(fd);
		return;
	}
	char *p = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		result("mmap", 1);
	} else {
		for (int i = 0; i < 10; i++)
			p[rnd((unsigned)st.st_size)] ^= 0x20;
		result("msync", msync(p, (size_t)st.st_size, MS_SYNC) < 0);
		munmap(p, (size_t)st.st_size);
	}
	close(fd);
}

static void nameless(const char *target) {
	char dir[4096], self[64];
	snprintf(dir, sizeof dir, "%s", target);
	*strrchr(dir, '/') = 0;
	if (named)
		return;
	int fd = open(dir, O_TMPFILE | O_RDWR, 0600);
	if (fd < 0) {
		result("O_TMPFILE", 1);
		return;
	}
	result("write", write(fd, "nameless", 8) != 8);
	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	result("linkat", linkat(AT_FDCWD, self, AT_FDCWD, target, AT_SYMLINK_FOLLOW) < 0);
	close(fd);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f) {
	(void)st, (void)f;
	if (type == FTW_DP)
		return rmdir(path);
	return unlink(path);
}

// replace removes a whole directory and puts a file, a directory or a symlink in its place.
static void replace(const char *root) {
	const char *dir = dirs[rnd((unsigned)dir_count)];
	unsigned kind = rnd(3);
	if (strcmp(dir, root) == 0 || strlen(dir) < strlen(root) + 3)
		return;
	result("remove", nftw(dir, remove_one, 32, FTW_PHYS | FTW_DEPTH) < 0);
	if (kind == 0)
		write_some(dir, O_WRONLY | O_CREAT | O_EXCL, 0);
	else if (kind == 1)
		result("mkdir", mkdir(dir, 0751) < 0);
	else
		result("symlink", symlink("nowhere", dir) < 0);
	look(root);
}

// rename_dir makes a directory, fills it and gives it another name.
static void rename_dir(int i) {
	char a[4096], b[4200], f[4200];
	new_name(a, sizeof a, i);
	snprintf(b, sizeof b, "%s-moved", a);
	snprintf(f, sizeof f, "%s/in", a);
	result("mkdir", mkdir(a, 0700) < 0);
	write_some(f, O_WRONLY | O_CREAT, 0);
	result("rename", rename(a, b) < 0);
}

// change_mode leaves files with several names alone: over a lower layer without a UUID, which squashfs has none of,
// overlayfs keeps an inode for each name, and the others learn late of the change.
static void change_mode(const char *path) {
	struct stat st;
	unsigned mode = 0400 | rnd(0400);
	if (stat(path, &st) == 0 && st.st_nlink == 1)
		result("chmod", chmod(path, mode) < 0);
}

static void change(const char *root, int i) {
	char name[4096];
	const char *file = files[rnd((unsigned)file_count)];
	new_name(name, sizeof name, i);
	switch (rnd(14)) {
	case 0: write_some(file, O_WRONLY, rnd(20000)); break;
	case 1: write_some(file, O_WRONLY | O_TRUNC, 0); break;
	case 2: write_some(file, O_WRONLY | O_APPEND, 0); break;
	case 3: write_some(name, O_WRONLY | O_CREAT, rnd(5000)); break;
	case 4: result("truncate", truncate(file, rnd(30000)) < 0); break;
	case 5: map_some(file); break;
	case 6: result("link", link(file, name) < 0); break;
	case 7: result("unlink", unlink(file) < 0); break;
	case 8: result("rename", rename(file, name) < 0); break;
	case 9: result("rename over", rename(file, files[rnd((unsigned)file_count)]) < 0); break;
	case 10: nameless(name); break;
	case 11: change_mode(file); break;
	case 12: rename_dir(i); break;
	case 13:
		if (i % 5 == 0)
			replace(root);
		else
			result("exchange", renameat2(AT_FDCWD, file, AT_FDCWD, files[rnd((unsigned)file_count)], RENAME_EXCHANGE) < 0);
		break;
	}
}

static uint64_t sum(const char *path) {
	uint64_t h = 1469598103934665603u;
	int fd = open(path, O_RDONLY);
	ssize_t n;
	while (fd >= 0 && (n = read(fd, scratch, sizeof scratch)) > 0)
		for (ssize_t i = 0; i < n; i++)
			h = (h ^ (unsigned char)scratch[i]) * 1099511628211u;
	if (fd >= 0)
		close(fd);
	return h;
}

static size_t prefix;

static int show(const char *path, const struct stat *st, int type, struct FTW *f) {
	(void)f;
	char target[4096] = "";
	int is_file = S_ISREG(st->st_mode);
	if (type == FTW_SL && readlink(path, target, sizeof target - 1) < 0)
		return -1;
	printf("%s %o %ld %ld %016llx %s\n", path + prefix, st->st_mode, is_file ? (long)st->st_nlink : 0, is_file ? (long)st->st_size : 0,
	       is_file ? (unsigned long long)sum(path) : 0, target);
	return 0;
}

int main(int argc, char **argv) {
	if (argc != 4 && argc != 5)
		return 2;
	named = argc == 5;
	state = strtoull(argv[2], NULL, 10);
	umask(022);
	look(argv[1]);
	for (int i = 0; i < atoi(argv[3]); i++) {
		if (file_count == 0 || dir_count == 0)
			return 3;
		change(argv[1], i);
		if (i % 10 == 0)
			look(argv[1]);
	}
	prefix = strlen(argv[1]);
	return nftw(argv[1], show, 32, FTW_PHYS) == 0 ? 0 : 4;
}

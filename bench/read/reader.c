#define _GNU_SOURCE
#include "reader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char bench_failed[256];

static int64_t failed(const char *name) {
	int64_t err = -errno;
	strncpy(bench_failed, name, sizeof bench_failed - 1);
	return err;
}

static int64_t read_file(int dir, const char *name) {
	static char buf[128 << 10];
	int64_t bytes = 0;
	ssize_t n;
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return failed(name);
	while ((n = read(fd, buf, sizeof buf)) > 0)
		bytes += n;
	if (n < 0)
		bytes = failed(name);
	close(fd);
	return bytes;
}

/* Names, each with its NUL, one behind the other. */
struct names {
	char *at;
	size_t len, room;
};

static int add_name(struct names *s, const char *name) {
	size_t n = strlen(name) + 1;
	if (s->len + n > s->room) {
		size_t room = 2 * s->room + 4096;
		char *at = realloc(s->at, room);
		if (!at)
			return -1;
		s->at = at;
		s->room = room;
	}
	memcpy(s->at + s->len, name, n);
	s->len += n;
	return 0;
}

/* list goes through the entries of a directory and collects those that are directories. */
static int64_t list(int fd, bool with_stat, bool with_data, struct names *dirs) {
	static _Alignas(8) char buf[32 << 10];
	struct stat st;
	int64_t bytes = 0, got;
	ssize_t n;
	while ((n = getdents64(fd, buf, sizeof buf)) > 0) {
		for (char *p = buf; p < buf + n;) {
			struct dirent64 *e = (struct dirent64 *)p;
			p += e->d_reclen;
			if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
				continue;
			if (with_stat && fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
				return failed(e->d_name);
			if (e->d_type == DT_DIR && add_name(dirs, e->d_name) != 0)
				return failed(e->d_name);
			if (e->d_type != DT_REG || !with_data)
				continue;
			if ((got = read_file(fd, e->d_name)) < 0)
				return got;
			bytes += got;
		}
	}
	return n < 0 ? failed("a directory") : bytes;
}

int64_t bench_walk(int fd, bool with_stat, bool with_data) {
	struct names dirs = {0};
	int64_t bytes = list(fd, with_stat, with_data, &dirs);
	for (size_t at = 0; bytes >= 0 && at < dirs.len; at += strlen(dirs.at + at) + 1) {
		int sub = openat(fd, dirs.at + at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int64_t got = sub < 0 ? failed(dirs.at + at) : bench_walk(sub, with_stat, with_data);
		bytes = got < 0 ? got : bytes + got;
	}
	free(dirs.at);
	close(fd);
	return bytes;
}

int bench_read_at(int fd, const int64_t *places, int n) {
	static char buf[4096];
	for (int i = 0; i < n; i++)
		if (pread(fd, buf, sizeof buf, places[i]) < 0)
			return -errno;
	return 0;
}

// The guard of a mount: a process that takes a mount away if the image server is killed before it could do so itself. What the
// mount is served by ends then as after every unmount, with all that it has to write.
#define _GNU_SOURCE
#include "enter.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <unistd.h>

enum { PAUSE = 1 }; // ms

// coracle_guard waits on h->sock for a byte that says it is not needed any more. The end of the file: the server is gone. Then it unmounts at as
// soon as there is something, or gives up when nobody is left who could mount it: h->ended has come to its end, too.
__attribute__((noreturn)) void coracle_guard(const struct coracle_header *h, const char *at) {
	char byte;
	ssize_t n;
	do
		n = read(h->sock, &byte, 1);
	while (n < 0 && errno == EINTR);
	struct pollfd mounter = {.fd = h->ended};
	while (n == 0 && umount2(at, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && poll(&mounter, 1, PAUSE) <= 0)
		;
	_exit(0);
}

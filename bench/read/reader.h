#include <stdbool.h>
#include <stdint.h>

/* What reads a mount is C, as most programs are that read a tree: the Go runtime's monitor, and the hand-over of a processor after each system
   call that blocks, would be measured with every peer, and more with those that need both processors. */

/* bench_walk lists the tree below the directory fd, which it closes: names and types from getdents, and fstatat for each entry if with_stat is
   set. With with_data it reads each regular file to its end, in pieces of 128 KiB. It returns the bytes that were read, or -errno;
   bench_failed then is the name that could not be read. */
int64_t bench_walk(int fd, bool with_stat, bool with_data);
extern char bench_failed[256];

/* bench_read_at reads 4 KiB at each of n places of fd. It returns 0 or -errno. */
int bench_read_at(int fd, const int64_t *places, int n);

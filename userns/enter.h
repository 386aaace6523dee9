// What the constructor and Go share. See enter.go for the meaning in Go's terms.
#ifndef CORACLE_ENTER_H
#define CORACLE_ENTER_H

#include <stddef.h>
#include <stdint.h>

#define CORACLE_MAGIC "CORACLE\1"
#define CORACLE_MAP_LEN 2048
#define CORACLE_TEXT_LEN 512
#define CORACLE_PATH_LEN 128

// The parts that a re-executed binary can play.
enum { ROLE_NONE = 0, ROLE_ENTER = 1, ROLE_SERVE = 2, ROLE_DETACH = 3, ROLE_STANDBY = 4, ROLE_GUARD = 5 };

#define CORACLE_JOINS 8

#define CORACLE_CALL_MAGIC "CORCALL\1"
#define CORACLE_CALL_GROUPS 64
#define CORACLE_CALL_LIMITS 16 // RLIM_NLIMITS of Linux
#define CORACLE_CALL_TEXT 4096
#define CORACLE_CALL_LEN (128 * 1024) // at most, strings included
#define CORACLE_CALL_FDS 4           // a pidfd, the root, the working directory, and for a standby where it answers

// The value that goes with a signal which is to stop an instance.
#define CORACLE_STOP 0x636f7261

// Bits of coracle_header.flags.
enum {
	FLAG_NEW_USER = 1, // create a user namespace with the maps (else join the server's)
	FLAG_INIT = 2,     // with CLONE_NEWPID: an init is PID 1, the payload PID 2
	FLAG_LOCK = 4,     // no_new_privs, and empty the capability bounding set
	FLAG_HELPERS = 8,  // with a new user namespace: newuidmap and newgidmap write the maps
	FLAG_INSTANCE = 16, // with FLAG_INIT: the init stays when the payload has ended
	FLAG_VISIT = 32,   // join the namespaces in join, and create none
	FLAG_TIMING = 64,  // the steps are noted one by one
};

// The head of the memfd that a stage is started with. Native byte order.
struct coracle_header {
	char magic[8];
	uint32_t role;
	uint32_t namespaces; // CLONE_NEW* to unshare, without CLONE_NEWUSER
	uint32_t flags;
	int32_t sock;        // ENTER: descriptor that the server answers on, or -1; GUARD: what the server is known by
	int32_t pidfd;       // SERVE: descriptor of the first client, or -1; STANDBY: the claim on the image, or -1
	int32_t listener;    // SERVE: listening socket for further clients, or -1
	int32_t report;      // DETACH, ENTER with FLAG_INSTANCE: where the starter listens
	int32_t ended;       // the same: where the init tells how the payload ended; GUARD: what the one that mounts is known by
	int32_t image;       // DETACH: an image file without a name, or -1
	int32_t out, err;    // DETACH: standard output and error
	int32_t join[CORACLE_JOINS]; // ENTER with FLAG_VISIT: namespaces, the user namespace first; -1 none
	uint32_t steps;      // ENTER: length of the list of steps that follows the header; 0 none
	char uid_map[CORACLE_MAP_LEN]; // text for /proc/self/uid_map
	char gid_map[CORACLE_MAP_LEN];
	char new_uid_map[CORACLE_PATH_LEN]; // paths of the helpers
	char new_gid_map[CORACLE_PATH_LEN];
};

// How many detached mounts the steps can hold.
#define CORACLE_SLOTS 256

// What a step does (steps.go).
enum {
	STEP_TREE = 1, STEP_IMAGE, STEP_BASE, STEP_DIR, STEP_MODE, STEP_FILE, STEP_PLACE, STEP_MOUNT, STEP_ROOT, STEP_BIND,
	STEP_NEW, STEP_DIR_IN, STEP_FILE_IN, STEP_LINK_IN, STEP_ENTER, STEP_CHDIR, STEP_UMASK, STEP_EXEC,
	STEP_LEAVE,
};

// A step. Behind the header in the memfd there are their number as 64 bits, the steps, and the strings.
struct coracle_step {
	uint32_t kind, slot, flags, mode, rec, optional;
	uint32_t a, b, c; // offsets of strings from the beginning of the list
	uint32_t len;     // FILE: of the contents; EXEC: how many variables
	uint32_t count;   // EXEC: how many arguments
};

// A server's answer. Two of them reach a client: the first with the user namespace beside it as SCM_RIGHTS, as
// soon as there is one; the second, which Go reads, with the images' mounts.
struct coracle_reply {
	uint32_t status; // 0 or an errno
	uint32_t degraded; // the user namespace has the caller's own ids only
	// What failed, when status is not 0; why, when degraded is not; else the server's marks, where they are wanted.
	char text[CORACLE_TEXT_LEN];
};

// What a launch tells an image server that is to plan it: the head, and behind it strings that end with a 0: the links of the
// user, mount and pid namespaces, the security label, the control groups, the terminal, the arguments and the environment.
struct coracle_call {
	char magic[8];
	uint32_t argc, envc;
	uint32_t uid, gid;
	uint32_t groups; // how many of group
	uint32_t umask;
	int32_t sid; // the session
	uint32_t no_new_privs;
	uint32_t group[CORACLE_CALL_GROUPS];
	uint64_t hard[CORACLE_CALL_LIMITS]; // hard limits, by resource
};

// What the process had when it started, before the Go runtime changed it.
struct coracle_state {
	uint64_t ignored; // bit n-1: signal n was ignored
	uint64_t blocked; // bit n-1: signal n was blocked
	uint32_t closed;  // bit n: descriptor n, of 0 to 2, was closed
	uint32_t limits;  // bit n: soft[n] was read
	uint64_t soft[4]; // soft limits: NOFILE, AS, NPROC, SIGPENDING
};

// How many files the process may have open, as it is to be again when the Go runtime has started.
struct coracle_files {
	uint64_t soft, hard;
	int32_t hidden; // so far it may open none
};

// What the constructor did.
struct coracle_outcome {
	int32_t role;
	int32_t fd;      // the memfd
	int32_t status;  // 0 or the errno of the step that failed
	int32_t sock;    // ENTER: where the images arrive, or -1
	int32_t degraded; // the maps hold the caller's own ids only
	int32_t image;   // ENTER: the image that has arrived already, or -1
	int32_t built;   // ENTER: the process is in its tree; what is left is to start the payload
	uint32_t steps;  // length of the list between header and document
	int32_t confirm; // ENTER with FLAG_INSTANCE: a byte for the init says that the instance has begun, or -1
	char step[CORACLE_TEXT_LEN]; // what failed, or why the maps are small
};

extern struct coracle_state coracle_state;
extern struct coracle_outcome coracle_outcome;
extern struct coracle_files coracle_files;

// Record and restore (state.c).
void coracle_record(void);
void coracle_raise_limits(void);
void coracle_hide_files(void);
int coracle_exec(const char *path, char *const argv[], char *const envp[], const struct coracle_state *s, int early);

// Steps of the constructor; each returns 0 or sets coracle_outcome and returns -1.
int coracle_fail(const char *step, int err);
void coracle_become_server(struct coracle_header *h, int fd);
void coracle_detach(const struct coracle_header *h, int fd);
void coracle_guard(const struct coracle_header *h, const char *at);
int coracle_visit(const struct coracle_header *h);
void coracle_degrade(const char *why);
int coracle_new_user(struct coracle_header *h);
int coracle_send_namespace(int sock);
int coracle_receive(int sock);
void coracle_run_steps(int fd, const struct coracle_header *h);
int coracle_shown_limits(void);
int coracle_split_pid(const struct coracle_header *h);

// Moments of a launch (timing.c).
extern int coracle_timing;
void coracle_begin_marks(void);
void coracle_mark(const char *what, const char *on);
void coracle_mark_part(const char *what, size_t len);
void coracle_marks(char *to, size_t size);
void coracle_take_marks(const char *from, int server);
void coracle_show_marks(void);
void coracle_end_marks(void);

// A server that is started on a guess (standby.c): where it waits for its configuration, or -1.
extern int coracle_standby;
void coracle_begin_launch(int argc, char **argv);
int coracle_is_action(int argc, char **argv);

// Starts the Go runtime with settings of ours (brief.c). It returns only when there is no memory.
void coracle_start_brief(int argc, char **argv);
int coracle_claim(uint64_t device, uint64_t inode);

// Launches that the image server plans (call.c).
int coracle_name_calls(uint64_t device, uint64_t inode);
int coracle_call(int argc, char **argv, uint64_t device, uint64_t inode, int *sock);
int coracle_call_standby(int argc, char **argv, int sock);
void coracle_play(int fd, int sock, const char *at);
extern int coracle_empty; // a mount namespace to build in, with a directory for it and nothing else, that came with the plan; or -1

// Starts a detached process (spawn.c): 0 or an errno.
int coracle_spawn(const char *path, char *const argv[], char *const envp[]);
int coracle_spawn_soon(const char *path, char *const argv[], char *const envp[]);
void coracle_reap_soon(void);
int coracle_mount_apart(const char *type, const char *at, unsigned long flags, const char *data);

#endif

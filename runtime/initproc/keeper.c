// Clones the keeper of a container out of a process that is about to run one, as a constructor, before the Go runtime boots:
// the two then boot beside each other. Started from Go, one would boot after the other, and the second once more from its
// file.
//
// The keeper is a copy of this process in new namespaces, without the caller's descriptors, arguments and environment. What
// Go finds in it is the same as when Go itself has started it (runtime/container/keeper_linux.go), which is still done where
// the command line does not begin with "run".
#define _GNU_SOURCE
#include "keeper.h"
#include "map.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct keeper coracle_keeper = {.socket = -1, .said = -1};

// The variable that a keeper gets, too (internal/trace).
#define TRACE "CORACLE_TRACE="

// Go opens what of the first three descriptors is closed; nothing of ours may take their place before.
static int fill_standard_descriptors(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
			return -1;
	return 0;
}

// Maps the caller to root, and nobody else (user_namespaces(7)).
static int map_caller(uid_t uid, gid_t gid)
{
	int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (self < 0 || map_ids(self, 0, uid, 0, gid) < 0)
		return -1;
	return close(self);
}

// Closes all descriptors from FIRST on. Before Linux 5.9, and where a filter around this process knows no such call, they are
// closed one by one.
static int close_from(int first)
{
	if (syscall(SYS_close_range, first, ~0U, 0) == 0)
		return 0;
	DIR *open = opendir("/proc/self/fd");
	if (!open)
		return -1;
	for (struct dirent *entry; (entry = readdir(open));) {
		int fd = atoi(entry->d_name); // 0 for what is no number
		if (fd >= first && fd != dirfd(open))
			close(fd);
	}
	return closedir(open);
}

// As many as the layers that overlayfs takes, and some.
#define MANY_DESCRIPTORS 600

// Has the kernel make its table of descriptors as large as it will ever be. Once there are threads, that waits until every processor
// has been through the scheduler (RCU), which takes milliseconds: an image of 60 layers would have it wait.
static void make_room(void)
{
	close(fcntl(0, F_DUPFD, MANY_DESCRIPTORS));
}

// Makes the two ends descriptors 1, 2 and KEEPER_SOCKET, and closes whatever else is open.
static int take_descriptors(int socket, int said)
{
	int null = open("/dev/null", O_RDWR);
	if (null < 0 || (socket = fcntl(socket, F_DUPFD, KEEPER_SOCKET + 1)) < 0 || (said = fcntl(said, F_DUPFD, KEEPER_SOCKET + 1)) < 0)
		return -1;
	if (dup2(null, 0) < 0 || dup2(said, 1) < 0 || dup2(said, 2) < 0 || dup2(socket, KEEPER_SOCKET) < 0)
		return -1;
	make_room();
	return close_from(KEEPER_SOCKET + 1);
}

// Takes the caller's variables out of memory, and its arguments, where the keeper's name takes their place. The arrays keep
// their length: the Go runtime looks for the auxiliary vector behind them.
static void forget_caller(int argc, char **argv, char **env)
{
	for (; *env; env++)
		if (strncmp(*env, TRACE, strlen(TRACE)) != 0)
			memset(*env, 0, strlen(*env));
	char *end = argv[argc - 1] + strlen(argv[argc - 1]);
	size_t room = (size_t)(end - argv[0]), name = strlen(KEEPER_NAME); // the kernel lays them out one behind the other
	memset(argv[0], 0, room);
	memcpy(argv[0], KEEPER_NAME, name < room ? name : room);
	prctl(PR_SET_NAME, KEEPER_NAME, 0, 0, 0);
}

// The keeper's first steps. A supervisor that died before the kernel was asked to tell is noticed by the end of its socket.
static void become_keeper(uid_t uid, gid_t gid, int socket, int said)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	setsid(); // what a terminal's keys send is for the supervisor alone
	if (take_descriptors(socket, said) < 0)
		_exit(1);
	if (map_caller(uid, gid) < 0) { // a Reply of wire.go
		dprintf(KEEPER_SOCKET, "{\"failed\":\"mapping the caller to root: %s\",\"fault\":\"namespace\"}\n", strerror(errno));
		_exit(1);
	}
	coracle_keeper.here = 1;
}

// Without a keeper, Go starts one, and says what is wrong if that fails as well.
static void start_keeper(int argc, char **argv, char **env)
{
	int socket[2], said[2];
	uid_t uid = geteuid();
	gid_t gid = getegid();
	if (fill_standard_descriptors() < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socket) < 0)
		return;
	if (pipe2(said, O_CLOEXEC) < 0) {
		close(socket[0]);
		close(socket[1]);
		return;
	}
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0) {
		become_keeper(uid, gid, socket[1], said[1]);
		forget_caller(argc, argv, env);
		return;
	}
	close(socket[1]);
	close(said[1]);
	if (pid < 0) {
		close(socket[0]);
		close(said[0]);
		return;
	}
	coracle_keeper = (struct keeper){.pid = pid, .socket = socket[0], .said = said[0]};
}

// A keeper with more ids than the caller's takes programs of the host and waits for them, and is started from Go. A job's own
// argument that reads the same costs it nothing but time.
static int asks_for_subordinate_ids(char **argv)
{
	for (; *argv; argv++)
		if (strcmp(*argv, "subuid") == 0 || strcmp(*argv, "--userns=subuid") == 0)
			return 1;
	return 0;
}

// Makes the processes of a start cheaper, which live for milliseconds. Go's runtime looks after its threads every 20 us as long as
// there is work, in a thread of its own; at the kernel's default timer slack of 50 us those looks take a tenth of a core, and
// there are four runtimes in a start. What comes of this process inherits its slack, until init gives the job the kernel's default.
// And Go's threads hardly allocate by malloc: an arena for each is not worth its page faults.
static void lighten(void)
{
	prctl(PR_SET_TIMERSLACK, 1000000UL, 0, 0, 0);
	mallopt(M_ARENA_MAX, 1);
}

// glibc hands a constructor main's arguments.
__attribute__((constructor)) static void coracle_start_keeper(int argc, char **argv, char **env)
{
	if (argc <= 2 || strcmp(argv[1], "run") != 0 || getenv("_LIBCONTAINER_INITPIPE"))
		return;
	lighten();
	if (!asks_for_subordinate_ids(argv))
		start_keeper(argc, argv, env);
}

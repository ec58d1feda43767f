// What of other processes can be reached: of the container's PID 1, of whoever listens outside.
#define _GNU_SOURCE
#include "probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

static long opening(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0)
		close(fd);
	return fd;
}

static long reading(const char *path)
{
	char byte[2];
	return slurp(path, byte, sizeof byte);
}

static long linking(const char *path)
{
	char target[4096];
	return readlink(path, target, sizeof target);
}

static long listing(const char *path)
{
	DIR *dir = opendir(path);
	if (dir)
		closedir(dir);
	return dir ? 0 : -1;
}

// Whether any of the descriptors in a directory of /proc can be opened anew.
static long reopening(const char *path)
{
	long opened = -1;
	int why = ENOENT;
	DIR *dir = opendir(path);
	for (struct dirent *e; dir && (e = readdir(dir));) {
		char name[300];
		if (e->d_name[0] == '.')
			continue;
		snprintf(name, sizeof name, "%s/%s", path, e->d_name);
		if (opening(name, O_RDONLY) >= 0 || opening(name, O_WRONLY) >= 0)
			opened = 0;
		why = errno;
	}
	if (dir)
		closedir(dir);
	errno = why;
	return opened;
}

// The kernel's word on PID 1, which everybody may read.
static void look_at_status_of_init(void)
{
	static const char *const wanted[] = {"Name:", "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:", "Seccomp:", "Seccomp_filters:"};
	char line[4096];
	FILE *status = fopen("/proc/1/status", "re");
	while (status && fgets(line, sizeof line, status))
		for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
			size_t n = strlen(wanted[i]);
			if (strncmp(line, wanted[i], n) == 0) {
				line[strcspn(line, "\n")] = '\0';
				char name[32];
				snprintf(name, sizeof name, "%.*s", (int)n - 1, wanted[i]);
				say("init", name, "%s", line + n + strspn(line + n, " \t"));
			}
		}
	if (status)
		fclose(status);
}

static void take_from_init(void)
{
	char byte;
	struct iovec local = {&byte, 1}, remote = {(void *)0x400000, 1};
	int pidfd = (int)syscall(SYS_pidfd_open, 1, 0);
	say_outcome("init", "its memory: process_vm_readv", process_vm_readv(1, &local, 1, &remote, 1, 0));
	say_outcome("init", "a descriptor of it: pidfd_getfd", syscall(SYS_pidfd_getfd, pidfd, 3, 0));
	say_outcome("init", "its namespaces: setns", syscall(SYS_setns, pidfd, CLONE_NEWUSER));
	if (pidfd >= 0)
		close(pidfd);
	long traced = ptrace(PTRACE_SEIZE, 1, NULL, NULL);
	say_outcome("init", "control over it: ptrace", traced);
	if (traced == 0)
		ptrace(PTRACE_DETACH, 1, NULL, NULL);
	struct rlimit limit;
	say_outcome("init", "its limits: prlimit", prlimit(1, RLIMIT_NOFILE, NULL, &limit));
}

void look_at_init(void)
{
	look_at_status_of_init();
	if (getpid() == 1) {
		say("init", "is", "the job itself");
		return;
	}
	say("init", "is", "another process");
	say_outcome("init", "its program's name: exe", linking("/proc/1/exe"));
	say_outcome("init", "its program: read", opening("/proc/1/exe", O_RDONLY));
	say_outcome("init", "its program: write", opening("/proc/1/exe", O_WRONLY));
	say_outcome("init", "its program: execute", faccessat(AT_FDCWD, "/proc/1/exe", X_OK, AT_EACCESS));
	say_outcome("init", "its descriptors: list", listing("/proc/1/fd"));
	say_outcome("init", "its descriptors: open", reopening("/proc/1/fd"));
	say_outcome("init", "its directory: cwd", linking("/proc/1/cwd"));
	say_outcome("init", "its root", linking("/proc/1/root"));
	say_outcome("init", "its environment", reading("/proc/1/environ"));
	say_outcome("init", "its memory: maps", reading("/proc/1/maps"));
	say_outcome("init", "its memory: mem", opening("/proc/1/mem", O_RDWR));
	say_outcome("init", "its stack", reading("/proc/1/stack"));
	say_outcome("init", "its system call", reading("/proc/1/syscall"));
	say_outcome("init", "its namespaces: links", linking("/proc/1/ns/mnt"));
	say_outcome("init", "its oom_score_adj: write", opening("/proc/1/oom_score_adj", O_WRONLY));
	take_from_init();
}

static long reach(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t n = strlen(name);
	if (n + 1 > sizeof address.sun_path)
		return -1;
	memcpy(address.sun_path + 1, name, n);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	long reached = connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n));
	int saved = errno;
	close(fd);
	errno = saved;
	return reached;
}

// Whose processes are to be seen: ours, PID 1, and how many others.
static void count_processes(void)
{
	int others = 0;
	DIR *dir = opendir("/proc");
	for (struct dirent *e; dir && (e = readdir(dir));) {
		int pid = atoi(e->d_name);
		others += pid > 1 && pid != getpid();
	}
	if (dir)
		closedir(dir);
	say("neighbour", "other processes", "%s", others ? "some" : "none");
}

void look_at_neighbours(const struct asked *asked)
{
	count_processes();
	if (asked->canary)
		say_outcome("neighbour", "an abstract socket of the host", reach(asked->canary));
}

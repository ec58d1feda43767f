// The namespaces round a job that may mount (fence_linux.go) need a first process that is in them. It is a copy of the keeper, which
// has threads: what it does here has to be safe in a signal handler.
#define _GNU_SOURCE
#include "fence.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

// With a cgroup namespace of its own the job could mount the cgroups that /sys/fs/cgroup does not let it write to. The number counts for
// this user namespace and all below it together (namespaces(7), /proc/sys/user), and the job's own /proc/sys is read-only. ENOENT: the
// kernel has no such namespaces.
static int forbid_cgroup_namespaces(void)
{
	int fd = open("/proc/sys/user/max_cgroup_namespaces", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : errno;
	int error = write(fd, "0", 1) == 1 ? 0 : errno;
	close(fd);
	return error;
}

pid_t coracle_hold(int namespaces, int answer)
{
	pid_t pid = (pid_t)syscall(SYS_clone, namespaces | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid != 0)
		return pid;
	int error = forbid_cgroup_namespaces();
	if (write(answer, &error, sizeof error) != sizeof error)
		_exit(1);
	for (;;)
		pause();
}

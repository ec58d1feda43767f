// A further process of a running container. The keeper executes this program once more, outside of the container's pid namespace,
// where the job cannot see it. There it joins the other namespaces, becomes who the job is and gives up what the job does not
// have; only then it forks into the pid namespace. What the job can see, and trace if it was given the capability, is from its
// first moment nothing more than the job: it holds no descriptor of a directory (CVE-2024-21626), and its program is a sealed
// copy of this one (CVE-2019-5736).
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

// What the command line says.
struct entry {
	int namespaces;
	const char *directory;
	struct winsize size;
};

int join(int fd, int kind)
{
	return setns(fd, kind) < 0 ? -1 : close(fd);
}

// The ids: in the job's own user namespace, in a new one for another user, or among the container's or those of the job's fence.
int take_user(const struct job *job, int self)
{
	if (job->config->flags & FLAG_JOIN && join(USER_FD, CLONE_NEWUSER) < 0)
		return -1;
	return take_ids(job, self);
}

static int send_descriptor(int socket, int fd)
{
	char byte = 0;
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec text = {&byte, 1};
	struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

// Opens a new terminal of the container's devpts. What the job may have put in its place is refused, and the other side is had
// without a path.
static int open_terminal(int *slave)
{
	struct stat st;
	struct statfs fs;
	int unlocked = 0;
	int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (master < 0 || fstat(master, &st) < 0 || fstatfs(master, &fs) < 0)
		return -1;
	errno = ENOTTY;
	if (fs.f_type != DEVPTS_SUPER_MAGIC || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2))
		return -1;
	if (fcntl(master, F_SETFL, O_RDWR) < 0 || ioctl(master, TIOCSPTLCK, &unlocked) < 0)
		return -1;
	*slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	return *slave < 0 ? -1 : master;
}

// Makes the terminal, sends its master side away and puts the other where a program looks for it.
static int make_terminal(const struct winsize *size)
{
	int slave;
	int master = open_terminal(&slave);
	if (master < 0 || ioctl(master, TIOCSWINSZ, size) < 0 || send_descriptor(CONSOLE_FD, master) < 0)
		return -1;
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (dup2(slave, fd) < 0)
			return -1;
	return close(slave) | close(master) | close(CONSOLE_FD);
}

// Leads a session of its own: the job's may have its terminal, whose keys are not for this process.
static int take_session(const struct config *config)
{
	if (setsid() < 0)
		return -1;
	return config->flags & FLAG_TTY ? ioctl(STDIN_FILENO, TIOCSCTTY, 0) : 0;
}

// Goes where the process is to begin, with no more rights than it will have there.
int enter_directory(const char *path)
{
	char where[PATH_MAX];
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct held[2], none[2];
	if (syscall(SYS_capget, &header, held) < 0)
		return -1;
	memcpy(none, held, sizeof none);
	none[0].effective = none[1].effective = 0;
	if (syscall(SYS_capset, &header, none) < 0)
		return -1;
	int entered = chdir(path), error = errno;
	if (syscall(SYS_capset, &header, held) < 0)
		return -1;
	errno = error;
	// The kernel's answer begins otherwise when the directory is not below the root, and fails here.
	return entered == 0 && getcwd(where, sizeof where) ? 0 : -1;
}

// Joins the namespaces, that of pids for children only, and takes on the job's identity and limits.
static void enter(const struct job *job, const struct entry *entry)
{
	int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC); // the keeper's /proc, not one that the job may have made
	if (self < 0)
		fail(STAGE_JOIN, errno);
	for (int i = 0; i < entry->namespaces; i++)
		if (join(NAMESPACE_FD + i, 0) < 0)
			fail(STAGE_JOIN, errno);
	if (job->config->flags & FLAG_TTY && make_terminal(&entry->size) < 0)
		fail(STAGE_TERMINAL, errno);
	// Other credentials may make a process traceable, as fs.suid_dumpable says.
	if (take_user(job, self) < 0 || close(self) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		fail(STAGE_USER, errno);
	if (enter_directory(entry->directory) < 0)
		fail(STAGE_DIRECTORY, errno);
	enum stage stage = limit_job(job);
	if (stage != STAGE_NONE)
		fail(stage, errno);
}

static _Noreturn void run(const struct entry *entry)
{
	struct job job;
	for (int fd = CONTROL_FD; fd < NAMESPACE_FD + entry->namespaces; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC); // fails for those that were not given
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || read_config(&job) < 0)
		fail(STAGE_CONFIG, errno);
	enter(&job, entry);
	// A child of the keeper's own, which waits for it.
	long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
	if (pid < 0)
		fail(STAGE_FORK, errno);
	if (pid == 0) {
		if (take_session(job.config) < 0)
			fail(STAGE_TERMINAL, errno);
		enum stage stage = execute_job(&job);
		fail(stage, errno);
	}
	report((struct report){.kind = REPORT_FORKED, .value = (int32_t)pid});
	_exit(0);
}

__attribute__((constructor)) static void coracle_exec(int argc, char **argv)
{
	if (argc != 6 || strcmp(argv[1], EXEC_ARG) != 0)
		return;
	struct entry entry = {.namespaces = atoi(argv[2]), .directory = argv[5]};
	entry.size.ws_row = (unsigned short)atoi(argv[3]);
	entry.size.ws_col = (unsigned short)atoi(argv[4]);
	run(&entry);
}

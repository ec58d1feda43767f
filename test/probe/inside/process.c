// What the kernel says of the process: identity, privileges, limits, namespaces, descriptors, environment.
#define _GNU_SOURCE
#include "probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

// Says some lines of /proc/self/status (proc(5)) by names of our own.
static void look_at_status(void)
{
	static const char *const wanted[][3] = {
		{"CapInh:", "capabilities", "inheritable"}, {"CapPrm:", "capabilities", "permitted"},
		{"CapEff:", "capabilities", "effective"}, {"CapBnd:", "capabilities", "bounding"},
		{"CapAmb:", "capabilities", "ambient"}, {"NoNewPrivs:", "process", "no_new_privs"},
		{"Seccomp:", "process", "seccomp mode"}, {"Seccomp_filters:", "process", "seccomp filters"},
		{"Umask:", "process", "umask"}, {"Uid:", "identity", "uids"}, {"Gid:", "identity", "gids"},
		{"Groups:", "identity", "groups"}, {"SigBlk:", "process", "signals blocked"},
		{"SigIgn:", "process", "signals ignored"}, {"Threads:", "process", "threads"},
	};
	char line[4096];
	FILE *status = fopen("/proc/self/status", "re");
	while (status && fgets(line, sizeof line, status))
		for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
			size_t n = strlen(wanted[i][0]);
			if (strncmp(line, wanted[i][0], n))
				continue;
			char value[4096] = "";
			for (char *word = strtok(line + n, " \t\n"); word; word = strtok(NULL, " \t\n"))
				snprintf(value + strlen(value), sizeof value - strlen(value), "%s%s", *value ? " " : "", word);
			say(wanted[i][1], wanted[i][2], "%s", value);
			break;
		}
	if (status)
		fclose(status);
}

static void look_at_map(const char *name)
{
	char path[64], text[1024], value[1024] = "";
	snprintf(path, sizeof path, "/proc/self/%s", name);
	if (slurp(path, text, sizeof text) < 0)
		snprintf(text, sizeof text, "unreadable");
	for (char *word = strtok(text, " \n"); word; word = strtok(NULL, " \n"))
		snprintf(value + strlen(value), sizeof value - strlen(value), "%s%s", *value ? " " : "", word);
	say("identity", name, "%s", value);
}

static void look_at_limits(void)
{
	static const char *const names[] = {
		[RLIMIT_CPU] = "cpu", [RLIMIT_FSIZE] = "fsize", [RLIMIT_DATA] = "data", [RLIMIT_STACK] = "stack",
		[RLIMIT_CORE] = "core", [RLIMIT_RSS] = "rss", [RLIMIT_NPROC] = "nproc", [RLIMIT_NOFILE] = "nofile",
		[RLIMIT_MEMLOCK] = "memlock", [RLIMIT_AS] = "as", [RLIMIT_LOCKS] = "locks", [RLIMIT_SIGPENDING] = "sigpending",
		[RLIMIT_MSGQUEUE] = "msgqueue", [RLIMIT_NICE] = "nice", [RLIMIT_RTPRIO] = "rtprio", [RLIMIT_RTTIME] = "rttime",
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct rlimit limit;
		if (getrlimit((int)i, &limit) == 0)
			say("limit", names[i], "%lld %lld", (long long)limit.rlim_cur, (long long)limit.rlim_max);
	}
}

static void look_at_namespaces(void)
{
	static const char *const names[] = {"user", "mnt", "pid", "ipc", "uts", "cgroup", "net", "time"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char path[64], target[64];
		snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
		ssize_t n = readlink(path, target, sizeof target - 1);
		say("namespace", names[i], "%.*s", n < 0 ? 0 : (int)n, target);
	}
}

void look_at_process(void)
{
	char text[1 << 16];
	look_at_status();
	look_at_map("uid_map");
	look_at_map("gid_map");
	look_at_map("setgroups");
	look_at_limits();
	look_at_namespaces();
	int signal = 0;
	prctl(PR_GET_PDEATHSIG, &signal);
	say("process", "parent death signal", "%d", signal);
	say("process", "dumpable", "%d", prctl(PR_GET_DUMPABLE));
	say("process", "securebits", "%d", prctl(PR_GET_SECUREBITS));
	say("process", "leads its group", "%s", getpgrp() == getpid() ? "yes" : "no");
	// 0: led by a process outside of this pid namespace
	say("process", "session", "%s", getsid(0) == getpid() ? "its own" : getsid(0) == 0 ? "from outside" : getsid(0) == 1 ? "of init" : "another");
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	say("process", "controlling terminal", "%s", tty < 0 ? "none" : "there is one");
	say("process", "foreground of its terminal", "%s", tty >= 0 && tcgetpgrp(tty) == getpgrp() ? "yes" : "no");
	if (tty >= 0)
		close(tty);
	if (slurp("/proc/self/oom_score_adj", text, sizeof text) >= 0)
		say("process", "oom_score_adj", "%s", text);
	if (slurp("/proc/self/cgroup", text, sizeof text) >= 0) {
		int shown = 0;
		for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
			char *path = strrchr(line, ':');
			shown |= path && strcmp(path, ":/");
		}
		say("process", "cgroup's path", "%s", shown ? "shown" : "/");
	}
	say("process", "directory", "%s", getcwd(text, sizeof text) ? text : "unknown");
	for (char **v = environ; *v; v++) {
		char *equals = strchr(*v, '=');
		int n = equals ? (int)(equals - *v) : (int)strlen(*v);
		char name[256];
		snprintf(name, sizeof name, "%.*s", n, *v);
		say("environment", name, "set");
	}
}

void look_at_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	if (!dir) {
		say("descriptor", "all", "unreadable");
		return;
	}
	for (struct dirent *e; (e = readdir(dir));) {
		char target[4096];
		struct stat st;
		int fd = atoi(e->d_name);
		if (e->d_name[0] == '.' || fd == dirfd(dir) || fstat(fd, &st) < 0)
			continue;
		ssize_t n = readlinkat(dirfd(dir), e->d_name, target, sizeof target - 1);
		target[n < 0 ? 0 : n] = '\0';
		int mode = fcntl(fd, F_GETFL) & O_ACCMODE;
		say("descriptor", e->d_name, "%s %s", mode == O_RDONLY ? "read" : mode == O_WRONLY ? "write" : "both", target);
	}
	closedir(dir);
}

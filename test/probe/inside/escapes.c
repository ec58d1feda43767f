// The ways out that others have left open.
#define _GNU_SOURCE
#include "probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static long opening(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0)
		close(fd);
	return fd;
}

// CVE-2024-21626: a descriptor or working directory from before the root was changed leads back to the host.
static void leave_by_descriptor(void)
{
	int found = 0;
	struct stat root, above;
	stat("/", &root);
	for (int fd = 0; fd < 1024; fd++) {
		char path[64];
		snprintf(path, sizeof path, "/proc/self/fd/%d/..", fd);
		found |= stat(path, &above) == 0;
	}
	say("escape", "by a descriptor of a directory", "%s", found ? "open" : "closed");
	int up = stat("/..", &above) == 0 && (above.st_ino != root.st_ino || above.st_dev != root.st_dev);
	say("escape", "above the root", "%s", up ? "open" : "closed");
}

// CVE-2019-5736: the runtime's own program, opened for writing by whoever it was executed for.
static void overwrite_runtime(void)
{
	DIR *dir = opendir("/proc");
	int found = 0;
	struct stat own, other;
	stat("/proc/self/exe", &own);
	for (struct dirent *e; dir && (e = readdir(dir));) {
		char path[300];
		if (atoi(e->d_name) <= 0 || atoi(e->d_name) == getpid())
			continue;
		snprintf(path, sizeof path, "/proc/%s/exe", e->d_name);
		if (stat(path, &other) == 0 && other.st_ino == own.st_ino && other.st_dev == own.st_dev)
			continue; // another probe
		found |= opening(path, O_WRONLY) >= 0 || opening(path, O_RDONLY) >= 0;
	}
	if (dir)
		closedir(dir);
	say("escape", "the runtime's program", "%s", found ? "open" : "closed");
}

// A program of another user or with capabilities, left by somebody in a volume, must act as the caller's.
static void become_another(void)
{
	static const char *const places[] = {"/", "/volume", "/tmp", "/dev", "/dev/shm"};
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		char key[64], *line = NULL;
		size_t size = 0;
		FILE *info = fopen("/proc/self/mountinfo", "re");
		int there = 0, guarded = 0;
		while (info && getline(&line, &size, info) > 0) {
			char point[4096], flags[1024];
			if (sscanf(line, "%*s %*s %*s %*s %4095s %1023s", point, flags) == 2 && strcmp(point, places[i]) == 0)
				there = 1, guarded = strstr(flags, "nosuid") != NULL;
		}
		free(line);
		if (info)
			fclose(info);
		snprintf(key, sizeof key, "set-user-ID on %s", places[i]);
		if (there)
			say("escape", key, "%s", guarded ? "closed" : "by no_new_privs and ids alone");
	}
}

void try_escapes(void)
{
	static const char *const files[] = {
		"/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/panic_on_oom",
		"/proc/sys/fs/binfmt_misc/register", "/sys/kernel/uevent_helper", "/sys/fs/cgroup/release_agent", "/proc/sys/kernel/ns_last_pid",
		"/proc/sys/kernel/hostname", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/fs/mqueue/msg_max", "/proc/sys/kernel/shmmax",
	};
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		say("escape", files[i], "%s", opening(files[i], O_WRONLY) >= 0 ? "open" : "closed");
	leave_by_descriptor();
	overwrite_runtime();
	become_another();
}

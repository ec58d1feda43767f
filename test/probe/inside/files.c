// What of the file systems can be seen, read and written.
#define _GNU_SOURCE
#include "probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

// Mounts by place: type, root when it is a part of a file system, the mount's own flags, propagation (mountinfo, proc(5)).
void look_at_mounts(void)
{
	char *line = NULL;
	size_t size = 0;
	FILE *info = fopen("/proc/self/mountinfo", "re");
	while (info && getline(&line, &size, info) > 0) {
		char root[4096], point[4096], flags[1024], propagation[256] = "", type[256] = "";
		int rest = 0;
		if (sscanf(line, "%*s %*s %*s %4095s %4095s %1023s%n", root, point, flags, &rest) < 3)
			continue;
		for (char *word = strtok(line + rest, " \n"); word; word = strtok(NULL, " \n")) {
			if (strcmp(word, "-") == 0) {
				char *name = strtok(NULL, " \n");
				snprintf(type, sizeof type, "%s", name ? name : "?");
				break;
			}
			char *number = strchr(word, ':');
			if (number)
				*number = '\0';
			snprintf(propagation + strlen(propagation), sizeof propagation - strlen(propagation), " %s", word);
		}
		say("mount", point, "%s %s%s%s%s", type, flags, propagation, strcmp(root, "/") ? " part " : "", strcmp(root, "/") ? root : "");
	}
	free(line);
	if (info)
		fclose(info);
}

static int has_entries(const char *path)
{
	DIR *dir = opendir(path);
	int found = 0;
	for (struct dirent *e; dir && (e = readdir(dir));)
		found |= strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
	if (dir)
		closedir(dir);
	return found;
}

// Whether places that tell of the host or reach its kernel give anything: a byte, or a name.
void look_at_masked(void)
{
	static const char *const places[] = {
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/proc/kmsg", "/proc/slabinfo",
		"/proc/vmallocinfo", "/proc/pagetypeinfo", "/proc/kpagecount", "/proc/kpageflags", "/proc/kpagecgroup",
		"/sys/devices/virtual/powercap", "/sys/firmware", "/sys/fs/selinux", "/sys/fs/bpf", "/sys/fs/pstore",
		"/sys/kernel/debug", "/sys/kernel/tracing", "/sys/kernel/security", "/sys/kernel/config", "/sys/fs/cgroup",
		"/sys/fs/fuse/connections", "/sys/kernel/vmcoreinfo", "/sys/kernel/notes",
	};
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		char byte[2];
		struct stat st;
		int found;
		if (stat(places[i], &st) == 0 && S_ISDIR(st.st_mode))
			found = has_entries(places[i]);
		else
			found = slurp(places[i], byte, sizeof byte) > 0;
		say("readable", places[i], "%s", found ? "open" : "closed");
	}
}

// Tries every file and directory below a directory of the kernel's; opening one for writing changes nothing. Processes and
// threads are left to those who look at one of them.
static void find_writable(const char *path)
{
	DIR *dir = opendir(path);
	if (!dir)
		return;
	if (faccessat(dirfd(dir), ".", W_OK, AT_EACCESS) == 0 && strcmp(path, "/proc/self"))
		say("writable", path, "directory");
	for (struct dirent *e; (e = readdir(dir));) {
		char child[4096];
		struct stat st;
		if (snprintf(child, sizeof child, "%s/%s", path, e->d_name) >= (int)sizeof child || e->d_name[0] == '.')
			continue;
		int process = strcmp(path, "/proc") == 0 && e->d_name[0] >= '0' && e->d_name[0] <= '9';
		if (process || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode)) {
			if (strncmp(child, "/proc/self/task", 15) && strcmp(child, "/proc/self/fd") && strcmp(child, "/proc/self/fdinfo"))
				find_writable(child);
			continue;
		}
		if (!S_ISREG(st.st_mode))
			continue;
		int fd = open(child, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			continue;
		close(fd);
		say("writable", child, "file");
	}
	closedir(dir);
}

void look_at_writable(void)
{
	find_writable("/proc");
	find_writable("/proc/self");
	find_writable("/sys");
	static const char *const places[] = {"/", "/dev", "/dev/shm", "/dev/mqueue", "/dev/pts", "/etc", "/tmp", "/bin", "/root", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname"};
	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		say_outcome("place", places[i], faccessat(AT_FDCWD, places[i], W_OK, AT_EACCESS));
}

static void look_below(const char *path)
{
	DIR *dir = opendir(path);
	for (struct dirent *e; dir && (e = readdir(dir));) {
		char child[4096], target[4096];
		struct stat st;
		if (e->d_name[0] == '.' || snprintf(child, sizeof child, "%s/%s", path, e->d_name) >= (int)sizeof child || lstat(child, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode)) {
			say("device", child, "directory %04o", st.st_mode & 07777);
			look_below(child);
		} else if (S_ISLNK(st.st_mode)) {
			ssize_t n = readlink(child, target, sizeof target);
			say("device", child, "link to %.*s", n < 0 ? 0 : (int)n, target);
		} else if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
			int fd = open(child, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
			const char *error = fd < 0 ? strerrorname_np(errno) : NULL;
			say("device", child, "%s %u:%u %s%s", S_ISCHR(st.st_mode) ? "char" : "block", major(st.st_rdev), minor(st.st_rdev),
				fd < 0 ? "denied " : "open", fd < 0 && error ? error : "");
			if (fd >= 0)
				close(fd);
		} else {
			say("device", child, "file %04o", st.st_mode & 07777);
		}
	}
	if (dir)
		closedir(dir);
}

void look_at_devices(void) { look_below("/dev"); }

#define _GNU_SOURCE
#include "map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int write_file(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t n = write(fd, text, strlen(text));
	int saved = errno;
	close(fd);
	errno = saved;
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

// See user_namespaces(7).
int map_ids(int self, uint32_t uid, uint32_t outer_uid, uint32_t gid, uint32_t outer_gid)
{
	char map[64];
	// One gid without privilege over the others: setgroups must be off. It is inherited as "deny", and then needs no write.
	if (write_file(self, "setgroups", "deny") < 0 && errno != EPERM)
		return -1;
	snprintf(map, sizeof map, "%u %u 1\n", uid, outer_uid);
	if (write_file(self, "uid_map", map) < 0)
		return -1;
	snprintf(map, sizeof map, "%u %u 1\n", gid, outer_gid);
	return write_file(self, "gid_map", map);
}

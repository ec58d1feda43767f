// A library that an image brings: whatever loads it where CANARY's directory is, leaves a file there. A job has no such directory; a
// hook, which runs before the host's file system is out of reach, has.
#include <fcntl.h>
#include <unistd.h>

__attribute__((constructor)) static void owned(void)
{
	int fd = open(CANARY, O_WRONLY | O_CREAT, 0600);
	if (fd >= 0)
		close(fd);
}

// saver NAME SIGNAL STATUS [copy]: says in /out/NAME that it is there, adds a line to /out/NAME.saved for each SIGNAL that it gets, and
// then ends with STATUS, unless that is negative. With "copy" a copy of it that has inherited the handler does the same as NAME-copy.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char saved[256];
static int status;

static void save(int signal)
{
	int fd = open(saved, O_WRONLY | O_CREAT | O_APPEND, 0600);
	dprintf(fd, "%d\n", signal);
	close(fd);
	if (status >= 0)
		_exit(status);
}

int main(int argc, char **argv)
{
	char there[256];
	const char *copy = "";
	status = atoi(argv[3]);
	signal(atoi(argv[2]), save);
	if (argc > 4 && fork() == 0)
		copy = "-copy";
	snprintf(saved, sizeof saved, "/out/%s%s.saved", argv[1], copy);
	snprintf(there, sizeof there, "/out/%s%s", argv[1], copy);
	close(open(there, O_WRONLY | O_CREAT, 0600));
	for (;;)
		pause();
}

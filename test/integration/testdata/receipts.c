// Says which signals reach it, each time that one does, by a line and by a file in /out, and ends with status 7 after SIGTERM.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	sigset_t all;
	char name[32], path[64];
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	close(open("/out/listening", O_WRONLY | O_CREAT, 0600));
	for (;;) {
		int signal = sigwaitinfo(&all, NULL);
		if (signal < 0)
			continue;
		if (sigabbrev_np(signal))
			snprintf(name, sizeof name, "%s", sigabbrev_np(signal));
		else
			snprintf(name, sizeof name, "%d", signal); // a real-time signal
		dprintf(1, "%s\n", name);
		snprintf(path, sizeof path, "/out/%s", name);
		close(open(path, O_WRONLY | O_CREAT, 0600));
		if (signal == SIGTERM)
			return 7;
	}
}

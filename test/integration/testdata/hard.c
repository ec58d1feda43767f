// What a shell cannot do to its surroundings. `hard zombies COMMAND...` has ten thousand children that have ended and for which
// it never waits, then becomes COMMAND; `hard forks` forks, and so does all that comes of it, for ever.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "forks") == 0)
		for (;;)
			fork();
	if (argc < 3 || strcmp(argv[1], "zombies") != 0)
		return 100;
	for (int i = 0; i < 10000; i++) {
		switch (fork()) {
		case -1:
			perror("fork");
			return 101;
		case 0:
			_exit(0);
		}
	}
	execvp(argv[2], argv + 2);
	return 102;
}

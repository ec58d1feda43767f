// The fake driver's state: what its kernel module would know is lines of "WORD NUMBERS..." in a file that the tests write at any
// moment. It is read anew for each question. Without the file, as inside a container, the GPUs are those whose nodes can be opened.
#ifndef STATE_H
#define STATE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>

#ifndef STATE
#define STATE "/proc/driver/nvidia/fake"
#endif
#ifndef VERSION
#define VERSION "999.88.77"
#endif

enum { MOST_GPUS = 16, INSTANCES = 2 };

// state_word finds the line "WORD ..." whose first number is gpu, or any when gpu is negative, and returns the number after it (or
// after the word), else other.
static inline long long state_word(const char *word, int gpu, long long other)
{
	FILE *file = fopen(STATE, "re");
	char line[256], name[64];
	long long first, second, found = other;

	if (file == NULL)
		return other;
	while (fgets(line, sizeof line, file) != NULL) {
		int n = sscanf(line, "%63s %lli %lli", name, &first, &second);
		if (n < 2 || strcmp(name, word) != 0)
			continue;
		if (gpu < 0)
			found = first;
		else if (first == gpu)
			found = n == 3 ? second : 1;
	}
	fclose(file);
	return found;
}

// state_text copies the rest of the line "WORD ..." and returns whether there is one.
static inline int state_text(const char *word, char *text, size_t size)
{
	FILE *file = fopen(STATE, "re");
	char line[256];
	size_t length = strlen(word);
	int found = 0;

	if (file == NULL)
		return 0;
	while (fgets(line, sizeof line, file) != NULL) {
		if (strncmp(line, word, length) != 0 || line[length] != ' ')
			continue;
		line[strcspn(line, "\n")] = 0;
		snprintf(text, size, "%.*s", (int)size - 1, line + length + 1);
		found = 1;
	}
	fclose(file);
	return found;
}

// node_opens reports whether a device node is there and may be opened.
static inline int node_opens(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return 0;
	close(fd);
	return 1;
}

static inline int gpu_opens(int gpu)
{
	char path[64];
	snprintf(path, sizeof path, "/dev/nvidia%d", gpu);
	return node_opens(path);
}

#endif

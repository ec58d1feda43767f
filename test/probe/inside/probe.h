// A program that says what it can see and do where it runs. One finding a line, three columns separated by tabs: a group, a
// key and a value. It changes nothing that outlives it, and tries what would hurt only in a way that cannot (a wrong magic
// number, an address of nothing).
#ifndef PROBE_H
#define PROBE_H

#include <stddef.h>

// What is asked of the probe, from its arguments.
struct asked {
	const char *canary; // name of an abstract socket on which somebody listens outside; NULL: there is none
};

void say(const char *group, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));
// Says "open" for a result that is not negative, else "denied" and the error's name.
void say_outcome(const char *group, const char *key, long result);

// Reads the beginning of a file, without its last newline. Negative: errno says why.
int slurp(const char *path, char *text, size_t size);

void look_at_process(void);
void look_at_descriptors(void);
void look_at_mounts(void);
void look_at_masked(void);
void look_at_writable(void);
void look_at_devices(void);
void look_at_init(void);
void look_at_neighbours(const struct asked *);
void try_escapes(void);
void try_calls(void);

// Looks for processes that are on their way in, until the input ends, and says what it could get hold of. The programs that they
// are on their way to are this one and the container's busybox.
void hunt(void);

#endif

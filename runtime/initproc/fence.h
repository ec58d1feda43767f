// A process that holds namespaces for others to join.
#ifndef CORACLE_FENCE_H
#define CORACLE_FENCE_H

#include <sys/types.h>

// Clones a process into new namespaces (CLONE_NEWUSER among them). It has its user namespace make no cgroup namespaces, sends ANSWER
// an int, the errno of that or 0, and waits to be killed. Returns its pid, or -1 with errno set.
pid_t coracle_hold(int namespaces, int answer);

#endif

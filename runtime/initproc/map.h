// The map of a user namespace that has one user.
#ifndef CORACLE_MAP_H
#define CORACLE_MAP_H

#include <stdint.h>

// Gives the calling process's new user namespace one uid and one gid, which are others outside. self is its open directory in
// /proc. Returns 0, or -1 with errno set.
int map_ids(int self, uint32_t uid, uint32_t outer_uid, uint32_t gid, uint32_t outer_gid);

#endif

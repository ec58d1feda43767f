// Package idmap starts this program again in a user namespace with the caller's subordinate ids (host.SubordinateIDs), where it
// may do what the caller may not: be other users, give files to them, and take away what they made.
//
// The kernel lets an ordinary user map one uid, the own one. More are mapped by newuidmap and newgidmap, which are setuid root
// and look into /etc/subuid and /etc/subgid. They need a process that is there already, so it waits at a Gate until its maps
// are written, and then executes what it is to be: only what is executed as uid 0 of a namespace has capabilities in it.
package idmap

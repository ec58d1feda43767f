// Package control lets commands speak to the supervisor of a run while its job runs.
//
// The supervisor Serves a table of operations on a Unix socket in the directory of the run's writable layer, which goes with the run
// and which the next command removes when the supervisor was killed. Commands Dial it and Call one operation on each connection:
//
//	command                            supervisor
//	request  {operation, args} + files
//	                                   reply    {result} or {kind, message} + files
//	... what the operation wants to say further, in both directions ...
//
// Messages are JSON behind their length, each with at most MaxFiles descriptors. The end of the connection is the end of the
// conversation; what that means for what was asked for is the operation's affair.
//
// Both sides want to know whom they speak to. The directory is the user's alone, and the kernel names the peer of a socket: the
// supervisor wants its own user, the command wants the very process that the run's record names. But a job is the same user, and
// the store may be among what is mounted for it. So a command shows that it is outside, by a descriptor of the user namespace that
// the supervisor is in: from inside a container nobody comes by that (NS_GET_PARENT, ioctl_nsfs(2)).
package control

// Package terminal is a caller's side of a program that runs in a container: what it reads of the caller's, and what the caller
// sees of it.
//
// The program never gets a file of the caller's but a pipe: whatever else it had it could open again through /proc, for reading and
// for writing, and into a terminal it could type.
package terminal

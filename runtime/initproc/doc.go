// Package initproc is what the main binary becomes when it is executed again: the keeper of a container, libcontainer's own
// init, and PID 1. Importing it is enough; it has the project's only init function, which acts on how the process was
// started and otherwise does nothing.
//
// PID 1 is C (init.c) and acts before the Go runtime boots. A binary that starts containers must be linked statically: the
// same file is executed inside the container, where no library of the host is to be found.
package initproc

// Package container runs one container and knows its state: it starts the keeper, hands it what is to be run, passes signals
// on and tells how the job ended. It is the supervisor's side; what happens inside is in runtime/initproc.
//
//	supervisor (this package, the caller's own process, host namespaces)
//	  +- keeper   own user, mount and pid namespace: mounts the root, drives libcontainer
//	       +- init    PID 1 of the container: starts the job, reaps, hands on signals
//	            +- job
//
// Whatever ends the supervisor ends the job: the keeper asked the kernel for SIGKILL when its parent dies, it is PID 1 of
// its pid namespace, and a pid namespace dies with its PID 1. The container's init notices as well, by its control socket.
package container

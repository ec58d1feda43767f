// Package probe looks at containers from inside. The program below inside, in C because a Go program has threads, signal handlers and
// limits of its own, says what it sees and what it may do: privileges, descriptors, mounts, what of /proc and /sys can be read or
// written, devices, PID 1, neighbours, and which of some sixty system calls are allowed.
//
// The tests run it in every mode and identity that `coracle run` has. testdata/default.golden is all that it says in the
// default one; for every other mode there is a file of what is different there. Whatever else differs, fails. What depends on
// the machine is told apart by looking at the machine (report_test.go); `go test -update` writes the files anew.
//
// README.md shows what it says in crun and in podman as well. Nowhere may Coracle be looser than these, but for a list of reasons
// (accepted in peers_test.go). And it runs as the job and as a further process of one container, which must not differ
// (exec_test.go).
//
// A new mode is one line in modes (modes_test.go), then an update, and a look at what git shows of it.
package probe

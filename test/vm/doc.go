// Command vm boots a node: a virtual machine with Debian's kernel, systemd and cgroup v2, in which the real binary and test
// binaries of this tree run. The tests of this package (make test-vm) boot one for each release of Debian, beside each other.
//
//	go run ./test/vm shell -release bookworm        a root shell in a node
//	go run ./test/vm run 'as full coracle run oci:/payload/busybox id'
//
// A node has no network and no disk of its own: its system is a disk image in the test cache (see image_linux.go), over which
// each boot has a layer that goes with it; what it is booted for is a second, small disk that is made for the boot. qemu
// emulates the processor, so that no privilege and no support by the machine is needed. README.md says more.
package main

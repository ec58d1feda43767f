// Package rootfs mounts the root file system of a container as an ordinary user, and finds who its users are.
//
// The image's layers lie below, read-only and shared by every container; a private upper directory takes what the job
// writes. Mounting needs a user and a mount namespace of one's own (Linux 5.11 for overlayfs there) and no privilege on
// the host; when the mount namespace goes, the mount goes, so nothing has to be undone after a crash.
package rootfs

// Package transfer copies files into a running container and out of it, by streams of tar.
//
// Neither side is trusted: a job may swap directories and links while they are looked at, in the container and in a directory of the
// host that is mounted for it. So nothing goes by a path twice. A directory is held open, what is in it is opened by its one
// name, never through a link, and looked at when it is open: a pipe or a device is opened as a mere place (O_PATH) and by nothing else.
// The paths of a container are resolved in its root directory by the kernel (openat2(2), RESOLVE_IN_ROOT), where every link ends inside.
// A stream is not trusted either: names in it lead to no place above where it is unpacked, and on the host through no link.
//
// A file has its name when it is whole; what is made up by the kernel, devices and sockets are neither read nor replaced. Owners are numbers
// of the user namespace that this process is in. Of extended attributes those of users are copied.
package transfer

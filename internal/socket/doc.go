// Package socket makes Unix sockets in directories and connects to them, however long the directory's path is: what a socket's address
// holds is 107 bytes (unix(7)), which the path of a store in somebody's home soon is. It goes by a descriptor of the directory instead.
//
// Who listens in a directory need not be who is expected there. What is connected to is a socket in the directory itself, no link to
// another one; and Peer is what the kernel says of the process at the other end.
package socket

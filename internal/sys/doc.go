// Package sys wraps the system calls Coracle uses directly. Each wrapper retries what a signal interrupted, names the
// operation and the object in its error (an *fs.PathError or *os.LinkError, so errors.Is(err, fs.ErrNotExist) works), and
// says what the kernel guarantees and what it does not.
//
// Everything that touches a tree written by somebody else is relative to a directory's descriptor: a path that has been
// checked can be changed before it is used, an open directory cannot.
package sys

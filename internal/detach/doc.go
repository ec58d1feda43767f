// Package detach parts a command from what it has begun: the caller's process ends, or only looks on, while another one supervises.
//
//	front        the caller's own process: its terminal's signals reach it, its status is the caller's
//	  +- link    this program once more, with the same command line, in a session of its own
//
// Until the two have parted the link has the caller's streams, so that it shows progress and says what goes wrong as it would
// in the foreground; the front passes signals on to it, and ends with its status. Then the link lets go of everything of the
// caller's: streams, descriptors, the directory that it was started in. A front that is killed before takes the link with it.
package detach

// Package merge makes one tree of several layers that lie right above each other: of hard links to the layers' own files, and new
// directories. In an overlay it shows, above whatever lies below, what the layers show in its place:
//
//   - A name is what the uppermost of the layers says that has it. A directory is that of all of them, down to the first that
//     says something else of it, or hides what is below.
//   - What hides something of the trees below stays: whiteouts, and the marks of opaque directories. A directory by which a layer
//     replaced something else of a lower one becomes opaque. Whiteouts go from directories that the trees below do not show: there
//     is nothing to merge them with, and so overlayfs shows them to the job.
//   - A directory has the mode, the date and the attributes of the uppermost one. Files with several names in a layer keep them.
//
// Only the number of links differs, by one for each name; and of the files' dates that of the last change of any kind, when they were
// linked.
package merge

import (
	"errors"
	"slices"
	"syscall"
)

// ErrLimit means that the layers hold more than a merged tree is made of.
var ErrLimit = errors.New("too many files to merge")

// What one tree may cost: links and directories, and looks at names.
const (
	maxEntries = 1 << 16
	maxLooks   = 1 << 20
)

// refusals are the errors by which a file system, or the machine's limits, say that there is to be no such tree. Trying again helps
// nobody.
var refusals = []error{
	ErrLimit,
	syscall.EMLINK,                // a file has as many names as it can have
	syscall.EXDEV,                 // quotas of projects; a layer on another file system
	syscall.EPERM, syscall.EACCES, // hard links are refused, or a directory is closed to the caller
	syscall.ENOTSUP, syscall.ENOSYS, // there are none
	syscall.ENAMETOOLONG,
}

// Refused reports whether an error of Layers will come again.
func Refused(err error) bool {
	return slices.ContainsFunc(refusals, func(refusal error) bool { return errors.Is(err, refusal) })
}

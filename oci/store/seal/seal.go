// Package seal describes a directory tree in a few numbers, so that it can be told later whether it is still the same: two
// trees with one seal have the same names, types, modes, sizes, dates and link targets, and the same content of files where
// both were read. No link is followed.
package seal

import (
	"fmt"

	"github.com/opencontainers/go-digest"
)

// Seal says what a tree is.
type Seal struct {
	Entries  int64         `json:"entries"`            // without the root
	Bytes    int64         `json:"bytes"`              // of regular files; several names of one file count each
	Tree     digest.Digest `json:"tree"`               // over names, types, modes, sizes, dates and link targets
	Contents digest.Digest `json:"contents,omitempty"` // over the content of all regular files, once somebody has read them
	Owners   digest.Digest `json:"owners,omitempty"`   // of what is known beside the tree of its files' owners; Survey leaves it out
}

// Differs says how a tree is not any more what it was, or "".
func (was Seal) Differs(now Seal) string {
	switch {
	case was.Entries != now.Entries || was.Bytes != now.Bytes:
		return fmt.Sprintf("it had %d files with %d bytes, and has %d with %d", was.Entries, was.Bytes, now.Entries, now.Bytes)
	case was.Tree != now.Tree:
		return "its files are not those that were unpacked: a name, size, mode or date differs"
	case was.Contents != "" && now.Contents != "" && was.Contents != now.Contents:
		return "the content of its files has changed"
	case was.Owners != "" && was.Owners != now.Owners:
		return "the list of its files' original owners is gone, or has changed"
	}
	return ""
}

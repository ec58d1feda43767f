//go:build !linux || !cgo

package fence

// ABI is the version of Landlock that can be used: none.
func ABI() int { return 0 }

// Possible is whether a process can be confined: it cannot.
func Possible() bool { return false }

// Around does nothing.
func Around(...string) error { return nil }

// Outside calls f.
func Outside(f func() error) error { return f() }

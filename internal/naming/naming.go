// Package naming knows what things may be called: runs, volumes, secrets, writable layers that are kept, and hosts. Each is a word of ASCII
// that can stand in a path, in a command line and in a file of the host's without quotes.
package naming

import "strings"

// Longest is how many bytes docker lets a name have.
const Longest = 128

// IsName reports whether a text is a name as docker has them, [A-Za-z0-9][A-Za-z0-9_.-]{0,127}.
func IsName(text string) bool {
	return 0 < len(text) && len(text) <= Longest && IsPlain(text) && !strings.ContainsAny(text[:1], "_.-")
}

// IsHostname reports whether a text is a name of a host as the kernel and /etc/hosts take them,
// [A-Za-z0-9_]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?.
func IsHostname(text string) bool {
	return 0 < len(text) && len(text) <= 64 && IsPlain(text) && !strings.ContainsAny(text[:1]+text[len(text)-1:], ".-")
}

// IsPlain reports whether a text has letters, digits and _.- only.
func IsPlain(text string) bool {
	return strings.IndexFunc(text, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("_.-", c)
	}) < 0
}

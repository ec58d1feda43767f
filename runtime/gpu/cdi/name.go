package cdi

import (
	"fmt"
	"strings"
)

// Name is a device: VENDOR/CLASS=NAME.
type Name struct{ Kind, Device string }

func (n Name) String() string { return n.Kind + "=" + n.Device }

// IsName reports whether a text looks like a device's name and not like a path.
func IsName(text string) bool {
	kind, _, ok := strings.Cut(text, "=")
	return ok && !strings.HasPrefix(text, "/") && strings.Contains(kind, "/")
}

// ParseName reads one. Errors wrap ErrName.
func ParseName(text string) (Name, error) {
	kind, device, _ := strings.Cut(text, "=")
	vendor, class, ok := strings.Cut(kind, "/")
	if !ok || !isWord(vendor) || !isWord(class) || !isWord(device) {
		return Name{}, fmt.Errorf("%w: %q: write VENDOR/CLASS=NAME, as in amd.com/gpu=0", ErrName, text)
	}
	return Name{Kind: kind, Device: device}, nil
}

// isWord tells parts of names: letters and digits at both ends, and also _-.: between (SPEC.md, "Kind" and "Device name"; which of
// these a part may have differs, and does no harm here).
func isWord(s string) bool {
	letter := func(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' }
	if s == "" || !letter(s[0]) || !letter(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if !letter(s[i]) && !strings.ContainsRune("_-.:", rune(s[i])) {
			return false
		}
	}
	return true
}

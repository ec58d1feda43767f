package registry

import "strings"

// The grammar of github.com/distribution/reference, which docker and podman use. That of package name is wider: a path may have
// any of its characters in any order there. It is written out, because every start of a program would compile the regular
// expressions, which takes longer than to read an image's manifest; a test has them and compares.

// isHost: a name of labels, or an IPv6 address in brackets, and perhaps a port.
func isHost(s string) bool {
	address := strings.HasPrefix(s, "[")
	port := strings.LastIndexByte(s, ':')
	if port > strings.LastIndexByte(s, ']') { // one inside of brackets is the address's
		if !all(s[port+1:], isDigit) {
			return false
		}
		s = s[:port]
	}
	if address {
		return strings.HasSuffix(s, "]") && all(s[1:len(s)-1], func(c byte) bool { return c == ':' || isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' })
	}
	for label := range strings.SplitSeq(s, ".") {
		if !all(label, func(c byte) bool { return c == '-' || isAlphanumeric(c) }) || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

// isPath: components of lower-case words, which one dot, one or two underscores or any number of dashes separate.
func isPath(s string) bool {
	for component := range strings.SplitSeq(s, "/") {
		if !isComponent(component) {
			return false
		}
	}
	return true
}

func isComponent(s string) bool {
	for {
		word := len(s) - len(strings.TrimLeft(s, "abcdefghijklmnopqrstuvwxyz0123456789"))
		switch {
		case word == 0:
			return false
		case word == len(s):
			return true
		}
		rest := strings.TrimLeft(s[word:], "._-")
		switch separator := s[word : len(s)-len(rest)]; {
		case separator == ".", separator == "_", separator == "__", separator != "" && strings.Trim(separator, "-") == "":
		default:
			return false
		}
		s = rest
	}
}

// maxTag is the length of the longest tag.
const maxTag = 128

func isTag(s string) bool {
	return len(s) <= maxTag && all(s, func(c byte) bool { return strings.IndexByte("_.-", c) >= 0 || isAlphanumeric(c) }) && s[0] != '.' && s[0] != '-'
}

// isID: a digest without its algorithm.
func isID(s string) bool {
	return len(s) == 64 && all(s, func(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'f' })
}

// all reports whether s has characters and each of them is one of a kind.
func all(s string, kind func(byte) bool) bool {
	for i := range len(s) {
		if !kind(s[i]) {
			return false
		}
	}
	return s != ""
}

func isDigit(c byte) bool        { return '0' <= c && c <= '9' }
func isAlphanumeric(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' }

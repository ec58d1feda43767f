package registry

import "strings"

// challenge is one way of authentication that a registry offers (RFC 9110, 11.3).
type challenge struct {
	scheme string            // lower case
	params map[string]string // keys in lower case; of a repeated key the first value
}

// maxChallenges bounds what is read of the headers of one answer.
const maxChallenges = 16

// parseChallenges reads WWW-Authenticate headers, of which each may hold several challenges. What is malformed ends its
// header; what was read before it counts.
func parseChallenges(headers []string) []challenge {
	var all []challenge
	for _, h := range headers {
		for rest := h; len(all) < maxChallenges; {
			rest = strings.TrimLeft(rest, " \t,")
			scheme, after := cutToken(rest)
			if scheme == "" {
				break
			}
			c := challenge{strings.ToLower(scheme), map[string]string{}}
			rest = c.readParams(after)
			all = append(all, c)
		}
	}
	return all
}

// readParams reads key=value pairs, separated by commas, and returns what follows: another challenge, or nothing.
func (c *challenge) readParams(s string) (rest string) {
	for {
		s = strings.TrimLeft(s, " \t,")
		key, after := cutToken(s)
		value, isPair := strings.CutPrefix(strings.TrimLeft(after, " \t"), "=")
		if key == "" || !isPair {
			return s
		}
		text, after, ok := cutValue(strings.TrimLeft(value, " \t"))
		if !ok {
			return ""
		}
		if key = strings.ToLower(key); c.params[key] == "" {
			c.params[key] = text
		}
		s = after
	}
}

// cutValue takes a token or a quoted string off the beginning.
func cutValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		// Unquoted URLs are against the rules and understood all the same.
		end := strings.IndexAny(s, ", \t")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], end > 0
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

// cutToken takes a token (RFC 9110, 5.6.2) off the beginning.
func cutToken(s string) (token, rest string) {
	end := strings.IndexFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
	if end < 0 {
		end = len(s)
	}
	return s[:end], s[end:]
}

// choose picks the way to authenticate: a token, which carries no password to the registry, before a password.
func choose(all []challenge) (challenge, bool) {
	for _, scheme := range []string{"bearer", "basic"} {
		for _, c := range all {
			if c.scheme == scheme && (scheme == "basic" || c.params["realm"] != "") {
				return c, true
			}
		}
	}
	return challenge{}, false
}

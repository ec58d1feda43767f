package readme

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	// ulid is a run's id, whole or shortened; it has digits and capitals, without I, L, O and U.
	ulid   = regexp.MustCompile(`\b[0-9A-HJKMNP-TV-Z]{8,26}\b`)
	hex    = regexp.MustCompile(`\b[0-9a-f]{12,64}\b`)
	number = regexp.MustCompile(`\b\d+([.:]\d+)*( ?([kKMGT]i?B|B|ns|us|µs|ms|s|m|h|%|seconds?|minutes?|hours?|days?|weeks?)\b)?`)
	spaces = regexp.MustCompile(`\s+`)
)

// normal is a line without what differs from one run to the next.
func normal(line string) string {
	line = hex.ReplaceAllString(line, "HEX")
	line = ulid.ReplaceAllStringFunc(line, func(word string) string {
		if strings.ContainsAny(word, "0123456789") && strings.ToUpper(word) == word && !regexp.MustCompile(`^\d+$`).MatchString(word) {
			return "ID"
		}
		return word
	})
	line = number.ReplaceAllString(line, "N")
	return strings.TrimSpace(spaces.ReplaceAllString(line, " "))
}

// Match says how the lines that a command printed differ from those that the README shows, or "".
func Match(shown, printed []string) string {
	if len(shown) == 0 {
		return ""
	}
	rest := printed
	for i, line := range shown {
		if strings.TrimSpace(line) == "..." {
			return matchAfterGap(shown[i+1:], rest)
		}
		if len(rest) == 0 {
			return fmt.Sprintf("nothing is printed where the README shows %q", line)
		}
		if !sameLine(line, rest[0]) {
			return fmt.Sprintf("printed is %q where the README shows %q", rest[0], line)
		}
		rest = rest[1:]
	}
	if len(rest) > 0 {
		return fmt.Sprintf("more is printed than the README shows, from %q on", rest[0])
	}
	return ""
}

// matchAfterGap looks for a place where the rest of the README's lines fits; after a gap at the end, everything does.
func matchAfterGap(shown, printed []string) string {
	if len(shown) == 0 {
		return ""
	}
	for skip := range printed {
		if Match(shown, printed[skip:]) == "" {
			return ""
		}
	}
	return fmt.Sprintf("after the gap, nothing printed fits %q", shown[0])
}

func sameLine(shown, printed string) bool {
	parts := strings.Split(normal(shown), "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	pattern := regexp.MustCompile("^" + strings.Join(parts, ".*") + "$")
	return pattern.MatchString(normal(printed))
}

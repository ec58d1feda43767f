package naming_test

import (
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/naming"
)

func TestNames(t *testing.T) {
	for _, c := range []struct {
		text                  string
		isName, isHost, plain bool
	}{
		{"", false, false, true},
		{"7", true, true, true},
		{"lr-1e_4.2", true, true, true},
		{"node7.cluster", true, true, true},
		{"a_b", true, true, true},
		{"_a_", false, true, true},
		{"-x", false, false, true},
		{".x", false, false, true},
		{"x-", true, false, true},
		{"..", false, false, true},
		{"a/b", false, false, false},
		{"a b", false, false, false},
		{"a\nb", false, false, false},
		{"é", false, false, false},
		{strings.Repeat("x", 64), true, true, true},
		{strings.Repeat("x", 65), true, false, true},
		{strings.Repeat("x", naming.Longest), true, false, true},
		{strings.Repeat("x", naming.Longest+1), false, false, true},
	} {
		if is := naming.IsName(c.text); is != c.isName {
			t.Errorf("%q is a name: %v", c.text, is)
		}
		if is := naming.IsHostname(c.text); is != c.isHost {
			t.Errorf("%q is a hostname: %v", c.text, is)
		}
		if is := naming.IsPlain(c.text); is != c.plain {
			t.Errorf("%q is plain: %v", c.text, is)
		}
	}
}

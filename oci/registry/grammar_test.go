package registry

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// The grammar as github.com/distribution/reference has it.
var grammar = []struct {
	name string
	re   *regexp.Regexp
	is   func(string) bool
}{
	{"host", regexp.MustCompile(`^(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*(?::[0-9]+)?$|^\[[a-fA-F0-9:]+\](?::[0-9]+)?$`), isHost},
	{"path", regexp.MustCompile(`^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$`), isPath},
	{"tag", regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`), isTag},
	{"id", regexp.MustCompile(`^[a-f0-9]{64}$`), isID},
}

// Short strings of few letters meet every branch; long ones meet the limits.
func TestGrammar(t *testing.T) {
	const letters = "aZ09f-._:/[]@é \n\x00"
	texts := []string{"", strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 65), strings.Repeat("g", 64),
		strings.Repeat("a", 128), strings.Repeat("a", 129), "[::1]:5000", "[::1]", "[]", "[::1]:", "a:b:1", "localhost:5000", "a__b", "a___b", "a--b/c"}
	random := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		text := make([]byte, random.IntN(8))
		for i := range text {
			text[i] = letters[random.IntN(len(letters))]
		}
		texts = append(texts, string(text))
	}
	for _, g := range grammar {
		matched := 0
		for _, text := range texts {
			want := g.re.MatchString(text)
			if got := g.is(text); got != want {
				t.Fatalf("%s: %q: %t, want %t", g.name, text, got, want)
			}
			if want {
				matched++
			}
		}
		if matched == 0 {
			t.Errorf("%s: nothing matched", g.name)
		}
	}
}

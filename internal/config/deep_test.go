package config

import (
	"strings"
	"testing"
)

// TestTooDeep: what the parser would take minutes for is refused at once, and what is in quotes is not counted.
func TestTooDeep(t *testing.T) {
	many := strings.Repeat(".a", 50_000)
	for text, want := range map[string]int{
		"a" + many + " = 1\n":                  1,
		"# a\n[a" + many + "]\n":               2,
		strings.Repeat(`"a".`, 500):            1,
		strings.Repeat("{a=", 20_000):          1,
		strings.Repeat("{a=\n", 200):           101,
		"a = \"" + many + "\\\"" + many + "\"": 0,
		"a = '" + many + "' # " + many:         0,
		"# it's" + many + "\nrun.gpus = 1":     0,
		strings.Repeat("x = {a=1}\n", 500):     0,
	} {
		if got := tooDeep(text); got != want {
			t.Errorf("%.30q...: line %d, want %d", text, got, want)
		}
	}
	if _, err := parse("\na"+many+" = 1", "config.toml", User, nil); err == nil || !strings.Contains(err.Error(), "config.toml:2: ") {
		t.Errorf("it is parsed: %v", err)
	}
}

package line

import (
	"slices"
	"strings"
	"testing"
)

func TestPointOf(t *testing.T) {
	for _, c := range []struct{ line, command, flag, lead, word, arguments, offers string }{
		{"", "", "", "", "", "", "commands"},
		{"ru", "", "", "", "ru", "", "commands"},
		{"-", "", "", "", "-", "", "flags"},
		{"--layers /x runs ", "runs", "", "", "", "", "commands"},
		{"--layers ", "", "layers", "", "", "", ""},
		{"runs show --j", "runs show", "", "", "--j", "", "flags"},
		{"runs ls -n", "runs list", "", "", "-n", "", "flags"},
		{"runs ls -n ", "runs list", "limit", "", "", "", ""},
		{"runs show la", "runs show", "", "", "la", "", ""},
		{"run -it --hostname=x -e", "run", "", "", "-e", "", "flags"},
		{"run -ite A", "run", "env", "", "A", "", ""},
		{"run -eA=1 im", "run", "", "", "im", "", ""},
		{"run --env=A", "run", "env", "--env=", "A", "", ""},
		{"run --tty=x", "run", "", "", "--tty=x", "", ""},
		{"run --nonsense im", "run", "", "", "im", "", ""},
		{"run img -", "run", "", "", "-", "img", "job"},
		{"run -- im", "run", "", "", "im", "", ""},
		{"runs show a --json b", "runs show", "", "", "b", "a", ""},
		{"nonsense x", "", "", "", "x", "", "commands"},
	} {
		p := PointOf(testApp(), Split(c.line), "run")
		flag, offers := "", ""
		if p.Flag != nil {
			flag = p.Flag.Names()[0]
		}
		switch {
		case p.Job:
			offers = "job"
		case len(p.Flags) > 0:
			offers = "flags"
		case len(p.Commands) > 0:
			offers = "commands"
		}
		if p.Name() != c.command || flag != c.flag || p.Lead != c.lead || p.Word != c.word || strings.Join(p.Arguments, " ") != c.arguments || offers != c.offers {
			t.Errorf("%q: %q, flag %q, lead %q, word %q, arguments %q, %q", c.line, p.Name(), flag, p.Lead, p.Word, p.Arguments, offers)
		}
	}
}

func TestSplit(t *testing.T) {
	for text, want := range map[string][]string{
		"": {""}, "a": {"a"}, "a ": {"a", ""}, " a  b": {"a", "b"}, "a 'b c' d": {"a", "b c", "d"}, `a "b 'c' \"d" e\ f`: {"a", `b 'c' "d`, "e f"},
		"a '' ": {"a", "", ""}, "a 'b ": {"a", "b "}, `a \`: {"a", ""},
	} {
		if got := Split(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

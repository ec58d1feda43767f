package readme

import (
	"os/exec"
	"strings"
	"testing"
)

const sample = `# Sample

` + "```sh" + `
make
` + "```" + `

` + "```console" + `
$ echo "one  two"
one two
$ cat >f <<'E'
> a
> E
$ cat f; false || echo "status $?"
...
status 1

` + "```" + `

Text, in the same session:

` + "```console" + `
$ cat f
$ printf 'sha256:%064d took 1.5s 01K9ABCDEFGH\nno newline' 5
sha256:0000000000000000000000000000000000000000000000000000000000000007 took 120 ms 01K8XYZ01234
no…line
` + "```" + `
`

func TestSession(t *testing.T) {
	session := Session(Blocks(sample))
	if len(session) != 5 {
		t.Fatalf("%d commands: %+v", len(session), session)
	}
	if session[0].Line != 8 || session[1].Text != "cat >f <<'E'\na\nE" {
		t.Errorf("the session begins with %+v", session[:2])
	}
	const mark = "MARK"
	cmd := exec.Command("bash")
	cmd.Stdin = strings.NewReader(Script(session, mark))
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	printed, status := Results(string(out), mark)
	for i, c := range session {
		if status[i] != "0" {
			t.Errorf("line %d: status %s", c.Line, status[i])
		}
		if why := Match(c.Output, printed[i]); why != "" {
			t.Errorf("line %d: %s", c.Line, why)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, tc := range []struct {
		name, shown, printed string
		fits                 bool
	}{
		{"same", "a\nb", "a\nb", true},
		{"other word", "a\nb", "a\nc", false},
		{"less printed", "a\nb", "a", false},
		{"more printed", "a", "a\nb", false},
		{"not shown", "", "a\nb", true},
		{"gap at the end", "a\n...", "a\nb\nc", true},
		{"gap in between", "a\n...\nd", "a\nb\nc\nd", true},
		{"gap of nothing", "a\n...\nd", "a\nd", true},
		{"wrong after the gap", "a\n...\nd", "a\nb\ne", false},
		{"numbers and units", "12 MB in 1.5 s", "3 kB in 800 ms", true},
		{"a word is no number", "12 MB", "many MB", false},
		{"columns", "NAME   SIZE", "NAME SIZE", true},
		{"ids", "01K9ABCDEFGH ok", "01K8ZZZZZZZZ ok", true},
		{"times", "2026-01-02 10:11:12", "2027-11-12 01:02:03", true},
		{"port", "127.0.0.1:5000/x", "127.0.0.1:40123/x", true},
	} {
		lines := func(s string) []string {
			if s == "" {
				return nil
			}
			return strings.Split(s, "\n")
		}
		if why := Match(lines(tc.shown), lines(tc.printed)); (why == "") != tc.fits {
			t.Errorf("%s: %q", tc.name, why)
		}
	}
}

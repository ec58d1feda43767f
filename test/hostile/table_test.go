package hostile_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/coracle-run/coracle/test/hostile"
)

const preface = `# Attacks, and what becomes of them

Written by ` + "`go generate`" + ` from the cases in this directory, each of which the tests run through the real binary; see [doc.go](doc.go)
for how. Whatever the outcome, nothing outside of the store changes, nor anything that was in the store before.

Beside these cases, layers are cut at each hundredth of their length (TestCuts), and images made in many ways that are not hostile
must come out as they do from umoci (TestLikeUmoci; images.go).

| outcome | means |
|---|---|
| reject | the command fails with status 125 and one line that says why; the image is not in the store |
| contain | it is done, inside of the image's own root |
| normalise | it is done, without what is dangerous or impossible in it |
| accept | it looks odd and is legal: refusing it would refuse real images |
`

// TestTable holds README.md to what the cases say.
func TestTable(t *testing.T) {
	text := preface
	for _, part := range []struct {
		title string
		cases []hostile.Case
	}{
		{"Layers", cases(hostile.Layers(), func(c hostile.Layer) hostile.Case { return c.Case })},
		{"Registries", cases(hostile.Registries(), func(c hostile.Registry) hostile.Case { return c.Case })},
		{"Host faults", cases(faults, func(c fault) hostile.Case { return c.Case })},
		{"Configurations", cases(hostile.Configs(), func(c hostile.Config) hostile.Case { return c.Case })},
	} {
		text += fmt.Sprintf("\n## %s (%d)\n\n| case | what | source | outcome |\n|---|---|---|---|\n", part.title, len(part.cases))
		for _, c := range part.cases {
			text += fmt.Sprintf("| %s | %s | %s | %s |\n", c.Name, cell(c.What), cell(c.Source), c.Outcome)
		}
	}
	if *update {
		if err := os.WriteFile("README.md", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if raw, err := os.ReadFile("README.md"); err != nil || string(raw) != text {
		t.Errorf("README.md is stale, %v: run go generate", err)
	}
}

func cases[C any](from []C, get func(C) hostile.Case) (all []hostile.Case) {
	for _, c := range from {
		all = append(all, get(c))
	}
	return all
}

// cell is a text in a table of Markdown.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`, "_", `\_`, `\`, `\\`).Replace(s)
}

// TestCasesAreWhole: a case without a name, a source or something to check would pass whatever happens.
func TestCasesAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range slices.Concat(cases(hostile.Layers(), func(c hostile.Layer) hostile.Case {
		if rejected := c.Outcome == hostile.Reject; rejected == (c.Says == "") || rejected == (c.Tree != nil) {
			t.Errorf("%s: what is rejected has Says, everything else has Tree", c.Name)
		}
		return c.Case
	}), cases(hostile.Registries(), func(c hostile.Registry) hostile.Case {
		if rejected := c.Outcome == hostile.Reject; rejected == (c.Says == "") || (c.Lie == nil) == (c.Push == nil) {
			t.Errorf("%s: what is rejected has Says; it lies by what it says or by what it has", c.Name)
		}
		return c.Case
	}), cases(faults, func(c fault) hostile.Case {
		if (c.Outcome == hostile.Reject) == (c.says == "") {
			t.Errorf("%s: what is rejected has says", c.Name)
		}
		return c.Case
	}), cases(hostile.Configs(), func(c hostile.Config) hostile.Case {
		if rejected := c.Outcome == hostile.Reject; rejected == (c.Says == "") || rejected == (c.Prints != "") {
			t.Errorf("%s: what is rejected has Says, everything else Prints", c.Name)
		}
		return c.Case
	})) {
		if seen[c.Name] || c.Name == "" || strings.Trim(c.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Errorf("%q is no name, or is there twice", c.Name)
		}
		seen[c.Name] = true
		if c.What == "" || c.Source == "" || !utf8.ValidString(c.What) || strings.ContainsAny(c.What+c.Source, "\n\x1b") {
			t.Errorf("%s: What or Source is missing, or not for print", c.Name)
		}
		if !slices.Contains([]hostile.Outcome{hostile.Reject, hostile.Contain, hostile.Normalise, hostile.Accept}, c.Outcome) {
			t.Errorf("%s: %q is no outcome", c.Name, c.Outcome)
		}
	}
}

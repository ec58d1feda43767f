package cdi

import (
	"errors"
	"runtime"
	"strings"
	"testing"
)

// bomb is a list of 10^9 words in some 500 bytes.
func bomb() string {
	var text strings.Builder
	text.WriteString("cdiVersion: 0.6.0\nkind: a.com/gpu\na: &a [x, x, x, x, x, x, x, x, x, x]\n")
	for c := 'b'; c <= 'i'; c++ {
		text.WriteString(string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+string(c-1)+", ", 10), ", ") + "]\n")
	}
	return text.String() + "devices:\n  - name: d\n    containerEdits:\n      env: *i\n"
}

// Neither a few bytes nor many take the machine's memory.
func TestHostileYAML(t *testing.T) {
	const most = 512 << 20
	for name, tc := range map[string]struct {
		text string
		want error
	}{
		"aliases":  {bomb(), errAlias},
		"brackets": {strings.Repeat("[", 100_000), errDepth},
		"braces":   {strings.Repeat("{", 100_000), errDepth},
		"both":     {strings.Repeat("a: [", 100_000), errDepth},
		"entries":  {strings.Repeat("- ", 100_000), errDepth},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var into any
		err := decodeYAML([]byte(tc.text), &into)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, tc.want) || after.TotalAlloc-before.TotalAlloc > most {
			t.Errorf("%s: %v, for %d MB", name, err, (after.TotalAlloc-before.TotalAlloc)>>20)
		}
	}
	dir := t.TempDir()
	put(t, dir, "bomb.yaml", bomb())
	put(t, dir, "good.yaml", device("a.com/gpu", "0", strings.Repeat("A=1, ", 200)+"'B=[[[[&*'"))
	if found, err := find1(t, []string{dir}, "a.com/gpu=0"); err != nil || len(found.Devices.Env) != 201 {
		t.Errorf("%+v, %v", found, err)
	}
	if _, err := find1(t, []string{dir}, "a.com/gpu=d"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "bomb.yaml: it has anchors") {
		t.Error(err)
	}
}

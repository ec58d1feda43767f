package arch_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
)

// floors are versions below which a known vulnerability is in reach of an image, a registry or a job. They are held here
// because the database of govulncheck is not within reach of every machine that tests.
var floors = []struct{ name, least, why string }{
	{"go", "1.26.5", "os.Root escapes, CVE-2026-39822"},
	{"github.com/opencontainers/runc", "1.5.2", "container escapes up to CVE-2026-41579"},
	{"github.com/moby/go-archive", "0.3.3", "path escape, CVE-2026-17106"},
	{"github.com/NVIDIA/nvidia-container-toolkit", "1.20.1", "container escapes"},
}

func TestVersionFloors(t *testing.T) {
	top, err := need.Top()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(top, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range floors {
		found := regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(f.name) + ` v?(\d\S*)`).FindSubmatch(raw)
		if found == nil {
			continue // not a dependency
		}
		if version := string(found[1]); less(version, f.least) {
			t.Errorf("go.mod has %s %s; from %s on it is without: %s", f.name, version, f.least, f.why)
		}
	}
}

// less compares versions number by number; what follows a "-" or "+" is not looked at.
func less(a, b string) bool {
	x, y := numbers(a), numbers(b)
	for i := range max(len(x), len(y)) {
		var m, n int
		if i < len(x) {
			m = x[i]
		}
		if i < len(y) {
			n = y[i]
		}
		if m != n {
			return m < n
		}
	}
	return false
}

func numbers(version string) (list []int) {
	version, _, _ = strings.Cut(version, "-")
	version, _, _ = strings.Cut(version, "+")
	for part := range strings.SplitSeq(version, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return list
		}
		list = append(list, n)
	}
	return list
}

func TestLess(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want bool
	}{
		{"1.26.4", "1.26.5", true},
		{"1.26.5", "1.26.5", false},
		{"1.26", "1.26.5", true},
		{"1.10.0", "1.9.9", false},
		{"1.5.2-rc.1", "1.5.2", false},
	} {
		if got := less(tc.a, tc.b); got != tc.want {
			t.Errorf("less(%s, %s) = %v", tc.a, tc.b, got)
		}
	}
}

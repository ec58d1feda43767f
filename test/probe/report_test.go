package probe_test

import (
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/host"
)

// line names one finding of the probe.
type line struct{ group, key string }

func (l line) String() string { return l.group + ": " + l.key }

// report is what a probe said.
type report map[line]string

// read takes a probe's output apart. One that was cut short is an error: it would pass for one that found little.
func read(text string) (report, error) {
	r := report{}
	for l := range strings.Lines(strings.ReplaceAll(text, "\r", "")) {
		parts := strings.SplitN(strings.TrimSuffix(l, "\n"), "\t", 3)
		if len(parts) != 3 {
			return nil, fmt.Errorf("a line of the probe has %d columns: %q", len(parts), l)
		}
		r[line{parts[0], parts[1]}] = parts[2]
	}
	if r[line{"end", "complete"}] == "" {
		return nil, fmt.Errorf("the probe did not come to its end: %q", text)
	}
	delete(r, line{"end", "complete"})
	return r, nil
}

func (r report) lines() []line {
	return slices.SortedFunc(maps.Keys(r), func(a, b line) int {
		return strings.Compare(a.group+"\x00"+a.key, b.group+"\x00"+b.key)
	})
}

var (
	numbered   = regexp.MustCompile(`:\[\d+\]`)
	pseudo     = regexp.MustCompile(`/dev/pts/\d+`)
	rootPart   = regexp.MustCompile(` part .*`)
	kernelsOwn = []string{"proc", "sysfs", "tmpfs", "devpts", "mqueue", "overlay", "cgroup2"}
	restraints = []string{"ro", "nosuid", "nodev", "noexec"}
)

// machine is what the probe says where nothing contains it, run by the user of the tests.
type machine struct{ outside report }

// plain is a report without what this machine alone has: ids, numbers, places. What is as outside says so.
func (m machine) plain(r report) report {
	out := report{}
	for l, value := range r {
		switch outside := m.outside[l]; {
		case l.group == "namespace":
			value = map[bool]string{true: "the host's", false: "private"}[value == outside]
		case l.key == "directory" && value == outside && value != "/":
			value = "the tests' own"
		case l.group == "limit", l.key == "oom_score_adj":
			if value == outside {
				value = "as outside"
			}
		case l.group == "mount":
			l, value = m.mount(l, value)
		case l.key == "groups": // how many the caller has is the machine's affair; inside they have no number, but for its own
			own, _, _ := strings.Cut(r[line{"identity", "gids"}], " ")
			value = strings.Join(slices.DeleteFunc(strings.Fields(value), func(id string) bool { return id == "65534" || id == own }), " ")
		case l.group == "identity":
			value = caller(value)
		case l.group == "descriptor", l.group == "device":
			value = pseudo.ReplaceAllString(numbered.ReplaceAllString(value, ":[N]"), "/dev/pts/N")
			l.key = pseudo.ReplaceAllString(l.key, "/dev/pts/N")
		}
		if already, ok := out[l]; ok && already != value {
			value = strings.Join(slices.Compact(slices.Sorted(slices.Values(append(strings.Split(already, "; "), value)))), "; ")
		}
		out[l] = value
	}
	return out
}

// mount keeps of a mount what restrains it. Those that come along with the host's /sys are put together.
func (m machine) mount(l line, value string) (line, string) {
	fields := strings.Fields(rootPart.ReplaceAllString(value, " part"))
	kind, rest := fields[0], fields[2:]
	var flags []string
	for _, flag := range strings.Split(fields[1], ",") {
		if slices.Contains(restraints, flag) {
			flags = append(flags, flag)
		}
	}
	if !slices.Contains(kernelsOwn, kind) || slices.Contains(rest, "part") && kind != "cgroup2" {
		kind = "of the host"
	}
	rest = slices.DeleteFunc(rest, func(word string) bool { return word == "part" })
	if _, hosts := m.outside[l]; hosts && strings.HasPrefix(l.key, "/sys/") && path.Dir(l.key) != "/sys/fs" {
		l.key, kind = "/sys/... (what the host has mounted there)", "of the host"
	}
	return l, strings.Join(append([]string{kind, strings.Join(flags, ",")}, rest...), " ")
}

// caller puts names in place of the caller's own id and of the first of its subordinate ones, which differ from host to host.
func caller(value string) string {
	words := strings.Fields(value)
	ids, _ := host.SubordinateIDs() // where there are none, none are seen
	for _, r := range slices.Concat(ids.UIDs, ids.GIDs) {
		for i, word := range words {
			if word == fmt.Sprint(r.Host) && r.Inside == 1 {
				words[i] = "SUBORDINATE"
			}
		}
	}
	for i, word := range words {
		if word == fmt.Sprint(os.Getuid()) || word == fmt.Sprint(os.Getgid()) {
			words[i] = "CALLER"
		}
	}
	return strings.Join(words, " ")
}

// lacks reports whether a finding cannot be had on this machine: a place that its kernel does not have.
func (m machine) lacks(l line) bool {
	for place := l.key; place != "/" && (strings.HasPrefix(place, "/proc/") || strings.HasPrefix(place, "/sys/")); place = path.Dir(place) {
		if strings.Contains(place, "...") {
			return true
		}
		if _, err := os.Lstat(place); os.IsNotExist(err) {
			return true
		}
	}
	return false
}

// built are the errors by which a kernel says that it was built without something. They count as well as another denial, and
// as well as none where the kernel says the same outside.
var built = []string{"denied ENOSYS", "denied EAFNOSUPPORT", "denied EPROTONOSUPPORT", "denied ENODEV", "denied EOPNOTSUPP", "denied ENOENT"}

// differences compares a report with what it should be, in lines for print: "-" before what was expected, "+" before what is.
func (m machine) differences(want, got report) (diff []string) {
	all := maps.Clone(want)
	maps.Copy(all, got)
	for _, l := range all.lines() {
		w, wanted := want[l]
		g, there := got[l]
		switch {
		case wanted && there && w == g:
			continue
		case !there && m.lacks(l):
			continue
		case there && slices.Contains(built, g) && (strings.HasPrefix(w, "denied") || m.outside[l] == g):
			continue
		}
		if wanted {
			diff = append(diff, fmt.Sprintf("- %s = %s", l, w))
		}
		if there {
			diff = append(diff, fmt.Sprintf("+ %s = %s", l, g))
		}
	}
	return diff
}

// format is a report as a golden file has it.
func (r report) format() string {
	var text strings.Builder
	for _, l := range r.lines() {
		fmt.Fprintf(&text, "%s = %s\n", l, r[l])
	}
	return text.String()
}

// apply is the report after the changes that a golden file lists.
func (r report) apply(changes string) (report, error) {
	out := maps.Clone(r)
	for text := range strings.Lines(changes) {
		text = strings.TrimSuffix(text, "\n")
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		sign, l, value, ok := entry(text)
		switch {
		case !ok:
			return nil, fmt.Errorf("no change of a report: %q", text)
		case sign == '-' && out[l] != value:
			return nil, fmt.Errorf("takes away what is not there: %q", text)
		case sign == '-':
			delete(out, l)
		default:
			out[l] = value
		}
	}
	return out, nil
}

// entry reads "+ GROUP: KEY = VALUE".
func entry(text string) (sign byte, l line, value string, ok bool) {
	if len(text) < 2 || text[0] != '+' && text[0] != '-' || text[1] != ' ' {
		return 0, l, "", false
	}
	name, value, ok := strings.Cut(text[2:], " = ")
	group, key, colon := strings.Cut(name, ": ")
	return text[0], line{group, key}, value, ok && colon
}

// golden reads a golden file: the whole report.
func golden(t *testing.T, name string) report {
	t.Helper()
	r, err := report{}.apply(prefixed(goldenText(t, name)))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return r
}

func prefixed(text string) string {
	var out strings.Builder
	for l := range strings.Lines(text) {
		out.WriteString("+ " + l)
	}
	return out.String()
}

func goldenText(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name + ".golden")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

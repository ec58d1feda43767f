package proc

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// rest is a line after its name, as a kernel writes it.
const rest = " S 17 4242 4240 34817 4242 4194304 100 283 0 0 11 12 13 14 20 0 3 0 3477797 2322432 412 18446744073709551615 94 95 140 0 0 0 0 0 0 1 0 0 17 1 0 0 0 0 0 96 97 98 99 100 101 102 0\n"

func TestParseStat(t *testing.T) {
	want := Stat{
		PID: 42, State: 'S', Parent: 17, TTY: 34817, User: 11, System: 12, ReapedUser: 13, ReapedSystem: 14,
		Threads: 3, Start: 3477797, VSZ: 2322432, RSS: 412, EnvStart: 101,
	}
	for _, name := range []string{"sleep", "a b", "", ")", "(", "(sd-pam)", "a) b", ") S 1 2 3 (", "(x) R 1 2 3) (", "a\nb", `a\nb`, "kworker/u16:0-events_unbound", "ü\xff"} {
		want.Name = name
		if got, err := ParseStat([]byte("42 (" + name + ")" + rest)); err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", name, got, err, want)
		}
	}
	old := "42 (x)" + strings.Join(strings.Fields(rest)[:fieldRSS+1], " ")
	if got, err := ParseStat([]byte(old)); err != nil || got.RSS != 412 || got.EnvStart != 0 {
		t.Errorf("before Linux 3.5: %+v, %v", got, err)
	}
	if got, err := ParseStat([]byte("1 (x) S 0 1 1 -1" + strings.TrimPrefix(rest, " S 17 4242 4240 34817"))); err != nil || got.Parent != 0 || got.TTY != -1 {
		t.Errorf("without a parent: %+v, %v", got, err)
	}
}

func TestParseStatRefuses(t *testing.T) {
	good := "42 (x)" + rest
	for name, line := range map[string]string{
		"nothing":             "",
		"a number":            "42",
		"a name without end":  "42 (x",
		"parentheses swapped": "42 )x( S 1",
		"nothing after it":    "42 (x)",
		"cut off":             "42 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20",
		"no number":           strings.TrimPrefix(good, "42"),
		"a letter as parent":  strings.Replace(good, " 17 ", " x ", 1),
		"a letter as time":    strings.Replace(good, " 11 ", " x ", 1),
		"a time below zero":   strings.Replace(good, " 11 ", " -11 ", 1),
		"a start too large":   strings.Replace(good, " 3477797 ", " 18446744073709551616 ", 1),
		"a letter as address": strings.Replace(good, " 101 ", " x ", 1),
	} {
		if s, err := ParseStat([]byte(line)); !errors.Is(err, ErrFormat) || s != (Stat{}) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
}

func TestStat(t *testing.T) {
	for state, ended := range map[byte]bool{'R': false, 'S': false, 'D': false, 'T': false, 't': false, 'I': false, 'Z': true, 'X': true, 'x': true} {
		if (Stat{State: state}).Ended() != ended {
			t.Errorf("%c: ended is %v", state, !ended)
		}
	}
	if d := Duration(150); d != 1500*time.Millisecond {
		t.Errorf("150 ticks are %v", d)
	}
}

// FuzzParseStat: a name of any kind changes nothing else, and no line does harm.
func FuzzParseStat(f *testing.F) {
	for _, name := range []string{"sleep", ") S 1 2 3 (", "a\nb", ""} {
		f.Add(name, rest)
	}
	f.Add("x", ") S 1 2")
	f.Fuzz(func(t *testing.T, name, after string) {
		s, err := ParseStat([]byte(fmt.Sprintf("7 (%s)%s", name, rest)))
		if err != nil || s.Name != name || s.PID != 7 || s.State != 'S' || s.Parent != 17 || s.Start != 3477797 || s.EnvStart != 101 {
			t.Errorf("%q: %+v, %v", name, s, err)
		}
		if s, err := ParseStat([]byte(name + after)); err == nil && s.State == 0 {
			t.Errorf("%q: %+v", name+after, s)
		} else if err != nil && !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v", name+after, err)
		}
	})
}

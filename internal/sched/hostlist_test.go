package sched

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestHosts(t *testing.T) {
	for list, want := range map[string]string{
		"":                         "",
		"login":                    "login",
		"a,b-1,c.example.org":      "a b-1 c.example.org",
		"n[1-3]":                   "n1 n2 n3",
		"n[1-2],m":                 "n1 n2 m",
		"n[08-11]":                 "n08 n09 n10 n11",
		"n[8-11]":                  "n8 n9 n10 n11",
		"gpu[01-03,7]-ib,login":    "gpu01-ib gpu02-ib gpu03-ib gpu7-ib login",
		"r[1-2]n[1-2]":             "r1n1 r1n2 r2n1 r2n2",
		"r[1-2]n[01,3]x,z[0]":      "r1n01x r1n3x r2n01x r2n3x z0",
		"[1-2]":                    "1 2",
		"n[00]":                    "n00",
		"n[4294967294-4294967295]": "n4294967294 n4294967295",
		strings.Repeat("[1]", 255): strings.Repeat("1", 255),
	} {
		got, err := Hosts(list)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %q, %v; want %q", list, got, err, want)
		}
	}
}

func TestNoHosts(t *testing.T) {
	for _, list := range []string{
		",", "a,", ",a", "a,,b", "n[", "n]", "n[1", "n1]", "n[]", "n[1,]", "n[a]", "n[1-]", "n[-1]", "n[2-1]", "n[[1]]", "n[1[2]]", "n[1-2-3]",
		"n[1-999999999]", "n[0-65535]m[0-1]", "n[0-40000],m[0-40000]", "n[99999999999999999999]", "n[ 1]", "n[+1]",
		strings.Repeat("n", 256), strings.Repeat("[1]", 256), strings.Repeat("n", 100_000) + "[1-65536]", "n[1-65536]" + strings.Repeat("n", 100_000), "n[" + strings.Repeat("0", 100_000) + "1-65536]",
	} {
		if got, err := Hosts(list); !errors.Is(err, ErrHostlist) {
			t.Errorf("%.200q: %d hosts, error %v", list, len(got), err)
		}
	}
}

// FuzzHosts holds that a list is either refused or stands for names that are lists of themselves.
func FuzzHosts(f *testing.F) {
	for _, list := range []string{"gpu[01-03,7]-ib,login", "r[1-2]n[1-2]", "n[1-999999999]", "a,b"} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		hosts, err := Hosts(list)
		if err != nil {
			if !errors.Is(err, ErrHostlist) || hosts != nil {
				t.Fatalf("%q: %q, %v", list, hosts, err)
			}
			return
		}
		if len(hosts) > mostHosts || (len(hosts) == 0) != (list == "") {
			t.Fatalf("%q: %d hosts", list, len(hosts))
		}
		if again, err := Hosts(strings.Join(hosts, ",")); err != nil || !slices.Equal(again, hosts) {
			t.Fatalf("%q: %q, then %q, %v", list, hosts, again, err)
		}
	})
}

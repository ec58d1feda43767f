package ui

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// capture returns a printer that writes to memory, as to a pipe.
func capture() (p *Printer, out, err *bytes.Buffer) {
	out, err = new(bytes.Buffer), new(bytes.Buffer)
	return New(out, err, func(string) string { return "" }), out, err
}

func TestFailureIsOneLineAndAHint(t *testing.T) {
	p, out, errs := capture()
	err := errors.Join(&fs.PathError{Op: "open", Path: "a\nb", Err: fs.ErrNotExist}, errors.New("\x1b[2Jsecond"))
	p.Failure(err, "try\nthis")
	want := "coracle: open a; b: file does not exist; \\x1b[2Jsecond\nhint: try; this\n"
	if got := errs.String(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	p.Failure(errors.New("alone"), "")
	if !strings.HasSuffix(errs.String(), "coracle: alone\n") || out.Len() != 0 {
		t.Errorf("got %q, and on standard output %q", errs, out)
	}
}

func TestLinesAreEscaped(t *testing.T) {
	p, out, errs := capture()
	if err := p.Line("%s %d %v", "a\x1b", 7, fs.ErrExist); err != nil {
		t.Fatal(err)
	}
	p.Note("%s", "b\r")
	p.Warn("%v", time.Second)
	if got := out.String() + errs.String(); got != "a\\x1b 7 file already exists\nb\\r\ncoracle: warning: 1s\n" {
		t.Errorf("got %q", got)
	}
}

func TestTable(t *testing.T) {
	table := Table{
		Columns: []Column{{Title: "IMAGE", Cut: Front}, {Title: "SIZE"}, {Title: "COMMAND", Cut: Back}},
		Rows: [][]string{
			{"docker.io/library/debian:12", "74.8MB", "python3 train.py --epochs 10"},
			{"ü\x1b", "1kB", ""},
			{"short row"},
		},
	}
	tests := []struct {
		width int
		want  string
	}{
		{0, "" +
			"IMAGE                         SIZE     COMMAND\n" +
			"docker.io/library/debian:12   74.8MB   python3 train.py --epochs 10\n" +
			"ü\\x1b                         1kB\n" +
			"short row\n"},
		{40, "" +
			"IMAGE            SIZE    COMMAND\n" +
			"…rary/debian:12  74.8MB  python3 train.…\n" +
			"ü\\x1b            1kB\n" +
			"short row\n"},
		{5, "" +
			"IMAGE  SIZE    COMMAND\n" +
			"…n:12  74.8MB  python…\n" +
			"ü\\x1b  1kB\n" +
			"… row\n"},
	}
	for _, tt := range tests {
		if got := string(table.render(tt.width)); got != tt.want {
			t.Errorf("width %d:\n%s\nwant\n%s", tt.width, got, tt.want)
		}
	}
	if got, want := string(table.render(200)), string(table.render(0)); got != want {
		t.Errorf("a wide terminal:\n%s", got)
	}
}

func TestHuman(t *testing.T) {
	for bytes, want := range map[int64]string{
		0: "0B", 999: "999B", 1000: "1kB", 1234: "1.23kB", 999_400: "999kB", 999_600: "1MB", 74_800_000: "74.8MB", 1 << 62: "4.61EB",
	} {
		if got := Size(bytes); got != want {
			t.Errorf("Size(%d) = %s, want %s", bytes, got, want)
		}
	}
	for bytes, want := range map[int64]string{1023: "1023B", 1024: "1KiB", 1010 << 10: "1010KiB", 1<<20 - 1: "1MiB", 34252980224: "31.9GiB"} {
		if got := Memory(bytes); got != want {
			t.Errorf("Memory(%d) = %s, want %s", bytes, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		-1: "0s", 0: "0s", 7200 * time.Microsecond: "7ms", 120 * time.Millisecond: "0.12s", 4100 * time.Millisecond: "4.1s", 59940 * time.Millisecond: "59.9s", 59999 * time.Millisecond: "1m00s",
		125 * time.Second: "2m05s", 3720 * time.Second: "1h02m", 76 * time.Hour: "3d04h",
	} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%d) = %s, want %s", d, got, want)
		}
	}
	now := time.Unix(1e9, 0)
	for at, want := range map[time.Time]string{
		now.Add(-2 * time.Hour): "2 hours ago", now.Add(time.Hour): "just now", {}: "N/A", time.Unix(0, 0): "N/A",
		now.Add(-time.Minute): "about a minute ago",
	} {
		if got := Ago(now, at); got != want {
			t.Errorf("Ago(%v) = %s, want %s", at, got, want)
		}
	}
	for ago, want := range map[time.Duration]string{
		-1: "just now", 59 * time.Second: "59s ago", 61 * time.Second: "1m ago", 47 * time.Hour: "47h ago", 49 * time.Hour: "2d ago",
	} {
		if got := AgoShort(now, now.Add(-ago)); got != want {
			t.Errorf("AgoShort of %v = %s, want %s", ago, got, want)
		}
	}
	for width, want := range map[int]string{0: "añb", 1: "…", 2: "a…", 3: "añb"} {
		if got := Shorten("añb", width); got != want {
			t.Errorf("Shorten to %d = %s, want %s", width, got, want)
		}
		if got := shortenFront("bña", width); utf8.RuneCountInString(got) != utf8.RuneCountInString(want) || width == 2 && got != "…a" {
			t.Errorf("shortenFront to %d = %s", width, got)
		}
	}
}

func TestColourOnlyWhereWanted(t *testing.T) {
	s := stream{color: true}
	if got := s.style(bold, "x"); got != "\x1b[1mx\x1b[0m" {
		t.Errorf("got %q", got)
	}
	if got := (stream{}).style(bold, "x"); got != "x" {
		t.Errorf("got %q", got)
	}
}

package ui

import (
	"encoding/json"
	"testing"
	"unicode"
	"unicode/utf8"
)

var escapes = []struct{ name, in, text, json string }{
	{"plain", `a "b" \ <c> ü 世 🚣`, `a "b" \ <c> ü 世 🚣`, `"a \"b\" \\ <c> ü 世 🚣"`},
	{"colour", "\x1b[31mred", `\x1b[31mred`, `"\u001b[31mred"`},
	{"title", "\x1b]0;owned\x07", `\x1b]0;owned\a`, `"\u001b]0;owned\u0007"`},
	{"C1 CSI", "\u009b2J", `\u009b2J`, `"\u009b2J"`},
	{"C1 byte", "\x9b2J", `\x9b2J`, `"\ufffd2J"`},
	{"delete", "a\x7f", `a\x7f`, `"a\u007f"`},
	{"overwritten line", "safe\revil", `safe\revil`, `"safe\revil"`},
	{"new line", "a\nb\tc", `a\nb\tc`, `"a\nb\tc"`},
	{"line separator", "a\u2028b", `a\u2028b`, `"a\u2028b"`},
	{"right to left", "gpj.\u202eexe", `gpj.\u202eexe`, `"gpj.\u202eexe"`},
	{"invisible", "a\u200bb\ufeff", `a\u200bb\ufeff`, `"a\u200bb\ufeff"`},
	{"tag characters", "\U000e0041", `\U000e0041`, `"\udb40\udc41"`},
	{"cut UTF-8", "\xe4\xb8", `\xe4\xb8`, `"\ufffd\ufffd"`},
	{"replacement", "\ufffd", "\ufffd", `"` + "\ufffd" + `"`},
	{"NUL", "\x00", `\x00`, `"\u0000"`},
}

func TestEscape(t *testing.T) {
	for _, tt := range escapes {
		if got := Escape(tt.in); got != tt.text {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.text)
		}
	}
}

func TestEscapeJSON(t *testing.T) {
	for _, tt := range escapes {
		p, out, _ := capture()
		if err := p.JSON(tt.in); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); got != tt.json+"\n" {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.json)
		}
		var back string
		if err := json.Unmarshal(out.Bytes(), &back); err != nil || utf8.ValidString(tt.in) && back != tt.in {
			t.Errorf("%s: reads back as %q, %v", tt.name, back, err)
		}
	}
}

func FuzzEscape(f *testing.F) {
	for _, tt := range escapes {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		for _, r := range Escape(in) {
			if !unicode.IsPrint(r) {
				t.Errorf("%q lets %U through", in, r)
			}
		}
		p, out, _ := capture()
		if err := p.JSON(map[string]string{in: in}); err != nil {
			t.Fatal(err)
		}
		for _, r := range out.String() {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Errorf("JSON of %q lets %U through", in, r)
			}
		}
		if !json.Valid(out.Bytes()) {
			t.Errorf("not JSON: %s", out)
		}
	})
}

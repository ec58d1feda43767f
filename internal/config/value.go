package config

import (
	"strconv"
	"strings"
)

// Origin says who has set something.
type Origin string

// Who can have set something, the least important first.
const (
	BuiltIn     Origin = "built-in"
	Site        Origin = "site"
	User        Origin = "user"
	Environment Origin = "environment"
)

// Item is a value, or one of those of a list, and where it has been set.
type Item struct {
	Text     string
	Mirror   *Mirror // of Mirrors, of which Text says the same
	Origin   Origin
	File     string
	Line     int
	Variable string
}

// Where is the place in words: /etc/coracle/config.toml:3, CORACLE_LAYERS, built-in.
func (i Item) Where() string {
	switch i.Origin {
	case Site, User:
		return position(i.File, i.Line)
	case Environment:
		return i.Variable
	}
	return string(i.Origin)
}

// Mirror is a place that is asked for images before their own.
type Mirror struct {
	Prefix   string // of images' names: docker.io, docker.io/library
	Location string // what stands for it: mirror.example:5000/hub
	Insecure bool   // plain http and unverified certificates are acceptable
	File     string // that says so
}

func (m Mirror) String() string {
	text := m.Prefix + " at " + m.Location
	if m.Insecure {
		text += " (insecure)"
	}
	return text
}

// Value is a setting and what it is set to.
type Value struct {
	Setting
	Items    []Item // none: as it is built in
	Forced   bool   // the site does not leave it to the user
	By       Item   // what it is forced to, of a list the first; where it is the most, less may count
	Overrule []Item // what has been set without effect, because it is forced
}

// Set reports whether somebody has set it.
func (v Value) Set() bool { return len(v.Items) > 0 }

// Origin is that of the value, of a list's last.
func (v Value) Origin() Origin {
	if !v.Set() {
		return BuiltIn
	}
	return v.Items[len(v.Items)-1].Origin
}

// Text is the value; "" when nobody has set it.
func (v Value) Text() string {
	if !v.Set() {
		return ""
	}
	return v.Items[0].Text
}

// Texts are the values of a list.
func (v Value) Texts() (texts []string) {
	for _, i := range v.Items {
		texts = append(texts, i.Text)
	}
	return texts
}

// Is reports whether a Switch is on; it is built in as it is said there.
func (v Value) Is() bool {
	if !v.Set() {
		return v.Default == "true"
	}
	return v.Text() == "true"
}

// JSON is the value as JSON has it; nil when nobody has set it.
func (v Value) JSON() any {
	switch {
	case !v.Set():
		return nil
	case v.Kind == Mirrors:
		mirrors := []map[string]any{}
		for _, i := range v.Items {
			mirrors = append(mirrors, map[string]any{"prefix": i.Mirror.Prefix, "location": i.Mirror.Location, "insecure": i.Mirror.Insecure})
		}
		return mirrors
	case v.List:
		return v.Texts()
	case v.Kind == Switch:
		return v.Is()
	}
	return v.Text()
}

// TOML is the value as a file has it, behind KEY = .
func (v Value) TOML() string {
	var parts []string
	for _, i := range v.Items {
		parts = append(parts, v.tomlItem(i))
	}
	if v.List {
		return "[" + list(parts) + "]"
	}
	return strings.Join(parts, "")
}

func (v Value) tomlItem(i Item) string {
	switch v.Kind {
	case Switch, Number:
		return i.Text
	case Mirrors:
		return "{ prefix = " + quote(i.Mirror.Prefix) + ", location = " + quote(i.Mirror.Location) + ", insecure = " + strconv.FormatBool(i.Mirror.Insecure) + " }"
	}
	return quote(i.Text)
}

// quote is a basic string of TOML.
func quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r < ' ' || r == 0x7f:
			b.WriteString(`\u` + strconv.FormatInt(0x10000+int64(r), 16)[1:])
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

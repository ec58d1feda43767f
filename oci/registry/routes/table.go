package routes

import (
	"errors"
	"fmt"
	"strings"

	"github.com/BurntSushi/toml"
)

// table is a file as it is written.
type table struct {
	Registry []registryTable   `toml:"registry"`
	Search   []string          `toml:"unqualified-search-registries"`
	Aliases  map[string]string `toml:"aliases"`
	Helpers  []string          `toml:"credential-helpers"`
	V1       map[string]any    `toml:"registries"` // what version 1 has
}

type registryTable struct {
	Prefix       string        `toml:"prefix"`
	Location     string        `toml:"location"`
	Insecure     bool          `toml:"insecure"`
	Blocked      bool          `toml:"blocked"`
	DigestOnly   bool          `toml:"mirror-by-digest-only"`
	Mirror       []mirrorTable `toml:"mirror"`
	PullFromSelf string        `toml:"pull-from-mirror"` // is only for mirrors
	Through      string        `toml:"namespace-proxy"`
}

type mirrorTable struct {
	Location string `toml:"location"`
	Insecure bool   `toml:"insecure"`
	PullFrom string `toml:"pull-from-mirror"`
	Through  string `toml:"namespace-proxy"`
}

// What a mirror is for.
const (
	forAll     = "all"
	forDigests = "digest-only"
	forTags    = "tag-only"
)

// decode reads a file and checks it.
func decode(text string) (table, error) {
	var t table
	if _, err := toml.Decode(text, &t); err != nil {
		var parse toml.ParseError
		if errors.As(err, &parse) {
			return table{}, fmt.Errorf("line %d: %s", parse.Position.Line, firstLine(parse.Message, err))
		}
		return table{}, errors.New(strings.TrimPrefix(err.Error(), "toml: "))
	}
	if len(t.V1) > 0 {
		return table{}, errors.New("it is in version 1 of the format ([registries.search] and the like), which podman has given up, too")
	}
	for i := range t.Registry {
		if err := t.Registry[i].check(); err != nil {
			return table{}, err
		}
	}
	return t, agree(t.Registry)
}

// agree refuses tables of one place that contradict each other about what it may be used for.
func agree(tables []registryTable) error {
	seen := map[string]registryTable{}
	for _, r := range tables {
		place := r.Location
		if place == "" {
			place = r.Prefix
		}
		if old, ok := seen[place]; ok && (old.Insecure != r.Insecure || old.Blocked != r.Blocked) {
			return fmt.Errorf("%s is insecure or blocked in one [[registry]] and not in another", place)
		}
		seen[place] = r
	}
	return nil
}

func firstLine(message string, err error) string {
	if message == "" {
		message = err.Error()
	}
	line, _, _ := strings.Cut(message, "\n")
	return line
}

// check makes the names of a table those that are looked up, and refuses what cannot be meant.
func (r *registryTable) check() error {
	var err error
	if r.Location, err = location(r.Location, true); err != nil {
		return err
	}
	if r.Prefix == "" {
		r.Prefix = r.Location
	}
	wild := strings.HasPrefix(r.Prefix, "*.")
	switch {
	case r.Prefix == "":
		return errors.New("a [[registry]] has neither prefix nor location")
	case wild && (strings.ContainsAny(r.Prefix, "/@:") || strings.Contains(r.Prefix[1:], "*")):
		return fmt.Errorf("prefix %q: a wildcard stands only for the beginning of a host, as in *.example.com", r.Prefix)
	case !wild && r.Location == "":
		return fmt.Errorf("prefix %q has no location", r.Prefix)
	case r.PullFromSelf != "":
		return fmt.Errorf("prefix %q: pull-from-mirror is for mirrors", r.Prefix)
	}
	if !wild {
		if r.Prefix, err = location(r.Prefix, true); err != nil {
			return err
		}
	}
	for i := range r.Mirror {
		m := &r.Mirror[i]
		if m.Location, err = location(m.Location, false); err != nil {
			return err
		}
		switch {
		case m.Location == "":
			return fmt.Errorf("a mirror of %q has no location", r.Prefix)
		case r.DigestOnly && m.PullFrom != "":
			return fmt.Errorf("mirror %q: pull-from-mirror cannot be set beside mirror-by-digest-only", m.Location)
		case m.PullFrom != "" && m.PullFrom != forAll && m.PullFrom != forDigests && m.PullFrom != forTags:
			return fmt.Errorf("mirror %q: pull-from-mirror is %q, not all, digest-only or tag-only", m.Location, m.PullFrom)
		}
	}
	return nil
}

// location takes trailing slashes off, and refuses what is no HOST[:PORT][/PATH]; a prefix may end with a tag or digest.
func location(s string, tagged bool) (string, error) {
	s = strings.TrimRight(s, "/")
	bad := strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`?#%\"*`, r) })
	_, path, _ := strings.Cut(s, "/")
	switch {
	case strings.Contains(s, "://"):
		return "", fmt.Errorf("%q: leave out the scheme", s)
	case bad, strings.Contains(s, "//"), strings.HasPrefix(s, "/"), !tagged && strings.ContainsAny(path, ":@"):
		return "", fmt.Errorf("%q is not of the form HOST[:PORT][/PATH]", s)
	}
	for step := range strings.SplitSeq(path, "/") {
		if step == "." || step == ".." {
			return "", fmt.Errorf("%q is not of the form HOST[:PORT][/PATH]", s)
		}
	}
	return s, nil
}

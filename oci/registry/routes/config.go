package routes

import (
	"fmt"
	"slices"
	"strings"
)

// Config is what the files of a place say together. The zero value says nothing.
type Config struct {
	registries []registry
	aliases    map[string]alias
	search     []string
	searchFile string
	helpers    string // the file that names some
}

type registry struct {
	registryTable
	file string
}

type alias struct{ target, file string }

// Endpoint is one place where an image may be had.
type Endpoint struct {
	Name     string // HOST[:PORT]/PATH
	Suffix   string // :TAG or @DIGEST, nearly always what was asked for
	Insecure bool   // plain http and unverified certificates are acceptable
	Mirror   bool
	File     string // what says so; "" for the name itself, of which no file speaks
}

// A BlockedError means that a file forbids an image.
type BlockedError struct{ Name, Prefix, File string }

// Error implements error.
func (e *BlockedError) Error() string {
	return fmt.Sprintf("%s is blocked: %s forbids images of %s", e.Name, e.File, e.Prefix)
}

// Hint says what to do next.
func (e *BlockedError) Hint() string {
	return "take the image from another registry, or ask who has written that file; 'blocked = true' is in it"
}

// add puts a file's tables over those before.
func (c *Config) add(file string, t table) {
	for _, r := range t.Registry {
		at := slices.IndexFunc(c.registries, func(old registry) bool { return old.Prefix == r.Prefix })
		switch {
		case at < 0:
			c.registries = append(c.registries, registry{r, file})
		case c.registries[at].file != file: // in one file the first counts, as for podman
			c.registries[at] = registry{r, file}
		}
	}
	if t.Search != nil {
		c.search, c.searchFile = t.Search, file
	}
	if slices.ContainsFunc(t.Helpers, func(h string) bool { return h != ownHelper }) {
		c.helpers = file
	} else if t.Helpers != nil {
		c.helpers = ""
	}
	for short, target := range t.Aliases {
		if c.aliases == nil {
			c.aliases = map[string]alias{}
		}
		c.aliases[short] = alias{target, file}
	}
}

// Mirror is a mirror that another configuration than registries.conf names.
type Mirror struct {
	Prefix   string // of names: HOST[:PORT][/PATH]
	Location string // what stands for the prefix
	Insecure bool
	File     string // what says so
}

// AddMirrors puts mirrors before all others of what has the same prefix, in their order.
func (c *Config) AddMirrors(mirrors ...Mirror) error {
	for _, m := range slices.Backward(mirrors) {
		t := registryTable{Prefix: m.Prefix, Mirror: []mirrorTable{{Location: m.Location, Insecure: m.Insecure}}}
		if !strings.HasPrefix(m.Prefix, "*.") {
			t.Location = m.Prefix
		}
		if err := t.check(); err != nil {
			return fmt.Errorf("%s: %w", m.File, err)
		}
		at := slices.IndexFunc(c.registries, func(r registry) bool { return r.Prefix == t.Prefix })
		if at < 0 {
			c.registries = append(c.registries, c.inherit(t, m.File))
			continue
		}
		c.registries[at].Mirror = append(t.Mirror, c.registries[at].Mirror...)
	}
	return nil
}

// inherit makes a table of its own for a prefix that had none, which is otherwise as what counted for it so far.
func (c *Config) inherit(t registryTable, file string) registry {
	from, n := c.find(t.Prefix)
	if from == nil {
		return registry{t, file}
	}
	rest := t.Prefix[n:]
	t.Blocked, t.Insecure = from.Blocked, from.Insecure
	if from.Location != "" {
		t.Location = from.Location + rest
	}
	for _, old := range from.Mirror {
		old.Location += rest
		t.Mirror = append(t.Mirror, old)
	}
	return registry{t, from.file}
}

// find is the table with the longest prefix of a name, or nil. A name is HOST[:PORT]/PATH with :TAG or @DIGEST.
func (c *Config) find(full string) (best *registry, matched int) {
	for i := range c.registries {
		r := &c.registries[i]
		n := match(full, r.Prefix)
		if n < 0 {
			continue
		}
		// *.example.com and a.example.com are equally long: podman takes the wildcard.
		if best == nil || len(r.Prefix) > len(best.Prefix) || len(r.Prefix) == len(best.Prefix) && r.Prefix < best.Prefix {
			best, matched = r, n
		}
	}
	return best, matched
}

// match is how much of a name a prefix covers, or -1.
func match(full, prefix string) int {
	n := len(prefix)
	if domain, wild := strings.CutPrefix(prefix, "*"); wild { // ".example.com"
		host, _, _ := strings.Cut(full, "/")
		host, _, _ = strings.Cut(host, ":")
		if len(host) <= len(domain) || !strings.HasSuffix(host, domain) {
			return -1
		}
		n = len(host)
	} else if !strings.HasPrefix(full, prefix) {
		return -1
	}
	if n < len(full) && !strings.ContainsRune(":/@", rune(full[n])) {
		return -1
	}
	return n
}

// Pull lists where an image may be fetched from, in the order to try: the mirrors, then its location, which is last. name is
// HOST[:PORT]/PATH, suffix ":TAG" or "@DIGEST". The error is a *BlockedError, or about a location that makes no name.
func (c *Config) Pull(name, suffix string) ([]Endpoint, error) {
	r, n := c.find(name + suffix)
	if r == nil {
		return []Endpoint{{Name: name, Suffix: suffix}}, nil
	}
	if r.Blocked {
		return nil, &BlockedError{Name: name, Prefix: r.Prefix, File: r.file}
	}
	rest := (name + suffix)[n:]
	byDigest := strings.HasPrefix(suffix, "@")
	var all []Endpoint
	for _, m := range r.Mirror {
		if m.PullFrom == forDigests && !byDigest || m.PullFrom == forTags && byDigest || r.DigestOnly && !byDigest {
			continue
		}
		all = append(all, Endpoint{Name: m.Location + rest, Insecure: m.Insecure, Mirror: true, File: r.file})
	}
	self := Endpoint{Name: name + suffix, Insecure: r.Insecure, File: r.file}
	if r.Location != "" {
		self.Name = r.Location + rest
	}
	all = append(all, self)
	for i := range all {
		if err := all[i].split(suffix); err != nil {
			return nil, &FileError{File: r.file, Err: fmt.Errorf("for %s%s: %w", name, suffix, err)}
		}
	}
	return all, nil
}

// split parts the name from its tag or digest. That is the one asked for, but where a prefix names a tag and its location
// another. A digest stays what it is.
func (e *Endpoint) split(want string) error {
	full := e.Name
	host, path, _ := strings.Cut(full, "/")
	e.Suffix = ""
	if at := strings.IndexAny(path, ":@"); at >= 0 {
		path, e.Suffix = path[:at], path[at:]
	}
	e.Name = host + "/" + path
	if e.Suffix == "" {
		e.Suffix = want // a mirror of a prefix with a tag
	}
	if path == "" || strings.ContainsAny(e.Suffix, "/") || strings.HasPrefix(want, "@") && e.Suffix != want || strings.HasPrefix(want, ":") && e.Suffix[0] != ':' {
		return fmt.Errorf("%q cannot stand for it", full)
	}
	return nil
}

// Own is where an image itself is, for pushing to it: locations and mirrors are for reading only, as for podman. Whether it
// is blocked or insecure is as for Pull.
func (c *Config) Own(name, suffix string) (Endpoint, error) {
	r, _ := c.find(name + suffix)
	if r == nil {
		return Endpoint{Name: name, Suffix: suffix}, nil
	}
	if r.Blocked {
		return Endpoint{}, &BlockedError{Name: name, Prefix: r.Prefix, File: r.file}
	}
	return Endpoint{Name: name, Suffix: suffix, Insecure: r.Insecure, File: r.file}, nil
}

// ownHelper is what files of credentials are called among credential-helpers; it is the default.
const ownHelper = "containers-auth.json"

// Notes says what of the files is not honoured and would have made a difference for an image, HOST[:PORT]/PATH: a short name
// that means another one, fedora, which is docker.io/library/fedora here; credential helpers of registries.conf; proxies of
// a registry and its mirrors. A sentence may be about many images; the caller says each once.
func (c *Config) Notes(name, suffix string) []string {
	var notes []string
	if text := c.shortName(name); text != "" {
		notes = append(notes, text)
	}
	if c.helpers != "" {
		notes = append(notes, fmt.Sprintf("credential-helpers in %s is not used; name helpers in docker's config.json or in auth.json", c.helpers))
	}
	if r, _ := c.find(name + suffix); r != nil {
		if r.Through != "" || slices.ContainsFunc(r.Mirror, func(m mirrorTable) bool { return m.Through != "" }) {
			notes = append(notes, fmt.Sprintf("namespace-proxy for %s in %s is not used; name a proxy with HTTPS_PROXY", r.Prefix, r.file))
		}
	}
	return notes
}

// shortName says what would have been another image for podman, where docker.io was perhaps not written but meant.
func (c *Config) shortName(name string) string {
	const hub = "docker.io"
	path, ok := strings.CutPrefix(name, hub+"/")
	if !ok {
		return ""
	}
	short := strings.TrimPrefix(path, "library/")
	if a, ok := c.aliases[short]; ok && a.target != "" {
		if a.target == name || a.target == hub+"/"+short {
			return ""
		}
		return fmt.Sprintf("%s means %s here; the alias in %s, for which it is %s, is not used", short, name, a.file, a.target)
	}
	if len(c.search) > 0 && !slices.Contains(c.search, hub) {
		return fmt.Sprintf("names without a registry are of docker.io; unqualified-search-registries in %s is not used", c.searchFile)
	}
	return ""
}

package config

import (
	"fmt"
	"strings"
)

// Policy says which images may be used.
type Policy struct {
	registries, digests, archives Value
}

// Policy is what is set of it.
func (c *Config) Policy() Policy {
	return Policy{registries: c.Get("policy.registries"), digests: c.Get("policy.digests_only"), archives: c.Get("policy.archives")}
}

// Any reports whether it forbids anything.
func (p Policy) Any() bool { return p.registries.Set() || p.digests.Is() || !p.archives.Is() }

// Name checks what an image was asked for by. byDigest says that this is a whole digest, with a name before it or without. The error
// is a *PolicyError.
func (p Policy) Name(asked string, byDigest bool) error {
	if p.digests.Is() && !byDigest {
		return &PolicyError{Image: asked, Why: "images are named by their digests, NAME@sha256:...", By: p.digests.Items[0]}
	}
	return nil
}

// Reference checks where an image comes from: HOST[:PORT]/PATH with :TAG or @DIGEST. The error is a *PolicyError.
func (p Policy) Reference(ref string) error {
	if !p.registries.Set() {
		return nil
	}
	for _, pattern := range p.registries.Texts() {
		if covers(pattern, ref) {
			return nil
		}
	}
	why := fmt.Sprintf("images may come from %s", list(p.registries.Texts()))
	if ref == "" {
		ref = "without a name"
	}
	return &PolicyError{Image: ref, Why: why, By: p.registries.Items[0]}
}

// Archive checks that an image may come from an archive. The error is a *PolicyError.
func (p Policy) Archive(name string) error {
	if p.archives.Is() {
		return nil
	}
	return &PolicyError{Image: name, Why: "images may not come from archives", By: p.archives.Items[0]}
}

// covers reports whether a reference is of a registry or a repository, or of one below it. *.example.com are all hosts below that.
func covers(pattern, ref string) bool {
	pattern = strings.TrimRight(pattern, "/")
	if domain, wild := strings.CutPrefix(pattern, "*"); wild {
		domain, path, _ := strings.Cut(domain, "/")
		host, rest, _ := strings.Cut(ref, "/")
		name, _, _ := strings.Cut(host, ":")
		return strings.HasSuffix(name, domain) && len(name) > len(domain) && (path == "" || below(path, rest))
	}
	return below(pattern, ref)
}

func below(prefix, text string) bool {
	rest, ok := strings.CutPrefix(text, prefix)
	return ok && (rest == "" || strings.ContainsRune("/:@", rune(rest[0])))
}

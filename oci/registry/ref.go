package registry

import (
	"fmt"
	"net"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/opencontainers/go-digest"
)

// dockerHub is the registry that names without a registry mean. In package name it is name.DefaultRegistry.
const dockerHub = "docker.io"

// library is the name space on it of names without one, as repositoryOf puts it in front.
const library = "library"

// maxName bounds registry and path together, as docker does.
const maxName = 255

// Ref is an image reference, normalised as docker does it: "debian" is docker.io/library/debian:latest. The zero value
// names nothing. Refs can be compared with ==.
type Ref struct {
	repo   name.Repository
	tag    string
	digest digest.Digest
}

// ParseRef reads a reference: [REGISTRY[:PORT]/]PATH[:TAG][@sha256:DIGEST]. With a digest the tag says nothing and is
// dropped. The error is an ErrBadRef that says what is wrong.
func ParseRef(s string) (Ref, error) {
	ref, problem := parseRef(s)
	if problem != "" {
		return Ref{}, fmt.Errorf("%q: %w: %s", s, ErrBadRef, problem)
	}
	return ref, nil
}

func parseRef(s string) (ref Ref, problem string) {
	if s == "" {
		return Ref{}, "it is empty"
	}
	if strings.Contains(s, "://") {
		return Ref{}, "leave out the scheme (http://, https://, docker://)"
	}
	if isID(s) {
		return Ref{}, "a bare digest names no repository"
	}
	rest, dig, hasDigest := strings.Cut(s, "@")
	if hasDigest {
		ref.digest = digest.Digest(dig)
		if checkDigest(ref.digest) != nil {
			return Ref{}, "the digest must be sha256: and 64 lower-case hex digits"
		}
	}
	host, rest := splitRegistry(rest)
	path, tag, hasTag := strings.Cut(rest, ":")
	if ref.repo, problem = repositoryOf(host, path); problem != "" {
		return Ref{}, problem
	}
	switch {
	case hasTag && !isTag(tag):
		return Ref{}, "malformed tag"
	case len(ref.Repository()) > maxName:
		return Ref{}, fmt.Sprintf("the name is longer than %d characters", maxName)
	case hasDigest:
	case hasTag:
		ref.tag = tag
	default:
		ref.tag = name.DefaultTag
	}
	return ref, ""
}

// repositoryOf is the repository of that path in that registry. The name space that docker.io implies becomes part of it, so
// that repositories are equal when they are the same.
func repositoryOf(host, path string) (repo name.Repository, problem string) {
	registry, err := name.NewRegistry(host)
	switch {
	case err != nil || !isHost(host):
		return repo, "malformed registry " + host
	case strings.ToLower(path) != path:
		return repo, "the repository's name must be lower case"
	case !isPath(path):
		return repo, "malformed repository name"
	}
	return registry.Repo(registry.Repo(path).RepositoryStr()), ""
}

// hostIn is the registry of a repository, as docker and podman write it.
func hostIn(repo name.Repository) string {
	if host := repo.RegistryStr(); host != name.DefaultRegistry {
		return host
	}
	return dockerHub
}

// splitRegistry takes the registry off a name. The first component is a registry when it could be no user's name: it has a
// dot, a port or upper case, or is "localhost".
func splitRegistry(s string) (registry, rest string) {
	first, after, found := strings.Cut(s, "/")
	if !found || !strings.ContainsAny(first, ".:") && first != "localhost" && strings.ToLower(first) == first {
		return dockerHub, s
	}
	if first == name.DefaultRegistry || first == dockerHubHost {
		return dockerHub, after
	}
	return first, after
}

// String is the canonical form, for example docker.io/library/debian:12.
func (r Ref) String() string {
	if r == (Ref{}) {
		return ""
	}
	return r.Repository() + r.suffix()
}

// Familiar is the shortest form that means the same, as docker prints it, for example debian:12.
func (r Ref) Familiar() string {
	if r.Registry() != dockerHub {
		return r.String()
	}
	for _, short := range []string{strings.TrimPrefix(r.path(), library+"/") + r.suffix(), r.path() + r.suffix()} {
		if same, err := ParseRef(short); err == nil && same == r {
			return short
		}
	}
	return r.String() // its first part would be taken for a host
}

// Registry is the host, with its port if one is named, for example docker.io.
func (r Ref) Registry() string { return hostIn(r.repo) }

// Repository is the canonical form without tag or digest.
func (r Ref) Repository() string { return r.Registry() + "/" + r.path() }

func (r Ref) path() string { return r.repo.RepositoryStr() }

// Tag is the tag, "" in a reference by digest.
func (r Ref) Tag() string { return r.tag }

// Digest is the digest, "" in a reference by tag.
func (r Ref) Digest() digest.Digest { return r.digest }

// WithDigest is the same repository by digest.
func (r Ref) WithDigest(d digest.Digest) Ref {
	r.tag, r.digest = "", d
	return r
}

func (r Ref) suffix() string {
	if r.digest != "" {
		return "@" + string(r.digest)
	}
	return ":" + r.tag
}

// identifier is what stands for the reference in a request for its manifest.
func (r Ref) identifier() string {
	if r.digest != "" {
		return string(r.digest)
	}
	return r.tag
}

// checkDigest refuses anything but "sha256:" and 64 lower-case hex digits.
func checkDigest(d digest.Digest) error {
	if err := d.Validate(); err != nil {
		return fmt.Errorf("digest %q: %w", string(d), err)
	}
	if d.Algorithm() != digest.SHA256 {
		return fmt.Errorf("digest %q: only sha256 is supported", string(d))
	}
	return nil
}

// isLoopback reports whether a host, with or without a port, is this machine by its very name: localhost and below
// (RFC 6761), 127.0.0.0/8, ::1.
func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

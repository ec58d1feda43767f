package registry

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/coracle-run/coracle/oci/registry/routes"
)

// endpoint is one place where a repository may be.
type endpoint struct {
	host, path string // as its name has them, docker.io for Docker Hub
	tag        string // that stands for the tag asked for; "" is the same
	insecure   bool
	mirror     bool
}

// dockerHubHost is where docker.io is.
const dockerHubHost = "registry-1.docker.io"

// String is the name of the repository. With RegistryStr it makes an endpoint an authn.Resource.
func (e endpoint) String() string { return e.host + "/" + e.path }

// RegistryStr is the name of the registry.
func (e endpoint) RegistryStr() string { return e.host }

// address is the host to connect to, with the port if it has one.
func (e endpoint) address() string {
	if e.host == dockerHub {
		return dockerHubHost
	}
	return e.host
}

// route is where a repository is read from: its mirrors in order, then itself.
type route struct {
	ends   []endpoint
	at     int     // the one in use; those before have failed. Of Client.mu
	failed []error // why. Of Client.mu
	weak   int     // times that blobs from the one in use broke off. Of Client.mu
}

// maxWeak is how often blobs of a mirror may break off before it is passed over. The place behind it is farther away, or
// counts what is fetched.
const maxWeak = 3

// tooOften counts a blob that broke off, and reports whether it is time to pass the mirror over.
func (c *Client) tooOften(r *route, at int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.at != at {
		return false
	}
	r.weak++
	return r.weak > maxWeak
}

// route decides where a repository is read from, at its first use: whether by a tag or by a digest counts for mirrors. The
// caller has the lock.
func (c *Client) route(ref Ref) (*route, error) {
	name := ref.Repository()
	if r, ok := c.routes[name]; ok {
		return r, nil
	}
	conf, err := c.configuration()
	if err != nil {
		return nil, err
	}
	found, err := conf.Pull(name, ref.suffix())
	if err != nil {
		return nil, err
	}
	for _, note := range conf.Notes(name, ref.suffix()) {
		if c.once(note) {
			c.opts.Note(note)
		}
	}
	r := &route{}
	for _, f := range found {
		e, err := c.endpoint(f, ref)
		if err != nil {
			return nil, err
		}
		r.ends = append(r.ends, e)
	}
	c.routes[name] = r
	return r, nil
}

func (c *Client) configuration() (*routes.Config, error) {
	if c.conf == nil {
		conf, err := routes.Load(routes.Here())
		if err != nil {
			return nil, err
		}
		if err := conf.AddMirrors(c.opts.Mirrors...); err != nil {
			return nil, err
		}
		c.conf = conf
	}
	return c.conf, nil
}

// endpoint is what registries.conf names, checked like any name.
func (c *Client) endpoint(f routes.Endpoint, ref Ref) (endpoint, error) {
	e := endpoint{insecure: f.Insecure || c.opts.Insecure && !f.Mirror, mirror: f.Mirror}
	host, path, _ := strings.Cut(f.Name, "/")
	repo, problem := repositoryOf(host, path)
	e.host, e.path = hostIn(repo), repo.RepositoryStr()
	if tag, ok := strings.CutPrefix(f.Suffix, ":"); ok && tag != ref.tag {
		e.tag = tag
	}
	if problem != "" || e.tag != "" && !isTag(e.tag) {
		return endpoint{}, &routes.FileError{File: f.File, Err: fmt.Errorf("for %s it says %q: %w", ref, f.Name+f.Suffix, ErrBadRef)}
	}
	return e, nil
}

func (c *Client) at(r *route) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return r.at
}

// passOver gives a mirror up, says so once, and reports whether there is another place to ask.
func (c *Client) passOver(r *route, at int, cause error) bool {
	c.mu.Lock()
	if r.at != at || at == len(r.ends)-1 {
		defer c.mu.Unlock()
		return r.at > at // somebody else has done it
	}
	r.at++
	r.weak = 0
	r.failed = append(r.failed, &EndpointError{r.ends[at].String(), bare(cause)})
	next := r.ends[r.at].String()
	c.mu.Unlock()
	c.opts.Note(fmt.Sprintf("mirror %s is passed over: %v; asking %s", r.ends[at].String(), bare(cause), next))
	return true
}

// from says which of its places a repository is read from now, for passOverFrom.
func (c *Client) from(ctx context.Context, ref Ref) int {
	if r := c.known(ctx, ref); r != nil {
		return c.at(r)
	}
	return 0
}

// passOverFrom gives up a place whose bytes were wrong. It reports whether there is another to ask, or somebody else has
// given it up meanwhile.
func (c *Client) passOverFrom(ctx context.Context, ref Ref, from int, cause error) bool {
	r := c.known(ctx, ref)
	return r != nil && c.passOver(r, from, cause)
}

// known is the route of a repository that is in use, or nil.
func (c *Client) known(ctx context.Context, ref Ref) *route {
	unlock, err := c.lock(ctx)
	if err != nil {
		return nil
	}
	defer unlock()
	return c.routes[ref.Repository()]
}

// each calls f with the session in use until it works, passing mirrors over with which it does not.
func (c *Client) each(ctx context.Context, ref Ref, f func(*session) error) error {
	for {
		s, err := c.session(ctx, ref)
		if err != nil {
			return err
		}
		err = f(s)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if !c.passOver(s.route, s.at, err) {
			return c.tried(s.route, err)
		}
	}
}

// tried adds to the last error those of the mirrors that were passed over before.
func (c *Client) tried(r *route, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var known *TriedError
	if len(r.failed) == 0 || errors.As(err, &known) {
		return err
	}
	return &TriedError{Last: &EndpointError{r.ends[len(r.ends)-1].String(), bare(err)}, Before: r.failed[:len(r.failed):len(r.failed)]}
}

// bare takes the wrapping off that repeats method and URL.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// EndpointError is what went wrong with one place where an image may be.
type EndpointError struct {
	Name string
	Err  error
}

// Error implements error.
func (e *EndpointError) Error() string { return e.Name + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *EndpointError) Unwrap() error { return e.Err }

// TriedError means that an image could be had from none of the places that registries.conf names.
type TriedError struct {
	Last   error   // of the image's own location
	Before []error // of its mirrors
}

// Error implements error.
func (e *TriedError) Error() string {
	text := e.Last.Error()
	for _, err := range e.Before {
		text += "; before that, from the mirror " + err.Error()
	}
	return text
}

// Unwrap gives the errors, the one that counts first.
func (e *TriedError) Unwrap() []error { return append([]error{e.Last}, e.Before...) }

package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coracle-run/coracle/oci/registry"
)

// asked is the image whose registry is asked: the one that is to run, or, to see whether names without a registry can be pulled, the one
// that Docker Hub has for looking at its limit.
func (p *patient) asked() (ref registry.Ref, own bool, err error) {
	if p.Image != nil {
		return p.Image.Ref, true, nil
	}
	ref, err = registry.ParseRef("ratelimitpreview/test:latest")
	return ref, false, err
}

// reach is what came of asking a registry.
type reach struct {
	registry.Reached
	notes []string
	err   error
}

// ask asks the registry once; it is p.reached.
func (p *patient) ask() (r reach) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), networkPatience-time.Second, fmt.Errorf("there was no answer within %s", networkPatience-time.Second))
	defer cancel()
	ref, _, err := p.asked()
	if err != nil {
		return reach{err: err}
	}
	client := p.Client(func(text string) { r.notes = append(r.notes, text) })
	r.Reached, r.err = client.Reach(ctx, ref)
	return r
}

const registryWhy = "images come from there; those that are stored need no registry"

// registry tells how the registry is reached, as whom, and how much it lets pass.
func (p *patient) registry(ctx context.Context) []Finding {
	ref, own, err := p.asked()
	if err != nil {
		return []Finding{failure(err.Error(), "")}
	}
	r, err := wait(ctx, p.reached)
	if err == nil {
		err = r.err
	}
	where := ref.Registry()
	if r.Host != "" && r.Mirror {
		where += " (by its mirror " + r.Host + ")"
	}
	if !own && err != nil && (errors.Is(err, registry.ErrNotFound) || errors.Is(err, registry.ErrUnauthorized)) {
		err = nil // a mirror need not have that image; it answers
	}
	if err != nil {
		f := note(err.Error(), registryWhy)
		if own && !p.isStored(ctx) {
			f = failure(err.Error(), registryWhy)
		}
		return []Finding{p.advice(f, err)}
	}
	who := "without a login"
	if r.User != "" {
		who = fmt.Sprintf("as %s (%s)", r.User, r.From)
	}
	found := fmt.Sprintf("%s answers in %d ms, %s", where, r.Took.Milliseconds(), who)
	if r.Plain {
		found += ", without TLS"
	}
	list := []Finding{ok(found)}
	if r.Limit != nil {
		list = append(list, p.limit(where, r.Reached))
	}
	return list
}

// limit tells how many pulls are left.
func (p *patient) limit(where string, r registry.Reached) Finding {
	const why = "a pull beyond that is refused until some time has passed; stored images, and those by digest, need none"
	found := fmt.Sprintf("%s allows %s to you or your address, and %d are left", where, r.Limit, r.Limit.Left)
	fix := "coracle login, for a higher limit; or a mirror of " + where + " in registries.conf"
	switch {
	case r.Limit.Left == 0:
		return failure(found, why).by(You, "wait; or "+fix)
	case r.Limit.Left < (r.Limit.Most+3)/4:
		return warning(found, why).by(You, fix)
	}
	return ok(found)
}

// isStored reports whether the image that is to run is here already.
func (p *patient) isStored(ctx context.Context) bool {
	img, err := wait(ctx, p.image)
	return err == nil && img.stored
}

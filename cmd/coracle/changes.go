package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/fingerprint"
	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/ui"
)

func digestOf(text string) digest.Digest { return digest.Digest(text) }

// lookPatience is how long a rerun looks at what may have changed before it begins.
const lookPatience = 10 * time.Second

// look finds out what has changed since the run, as far as the record can tell.
func (r *repeat) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookPatience)
	defer cancel()
	taken := r.givenTargets()
	for _, m := range r.view.Mounts {
		if fingerprint.Has(m) && !slices.Contains(taken, m.Target) {
			r.lookMount(ctx, m)
		}
	}
	if was := r.view.Git; was != nil {
		now, ok := host.FindGit(was.Dir)
		switch {
		case !ok || now.Dir != was.Dir:
			r.changed("there is no git commit at %s any more; it was %.12s", was.Dir, was.Commit)
		case now.Commit != was.Commit:
			r.changed("%s is at git commit %.12s; it was at %.12s", was.Dir, now.Commit, was.Commit)
		}
	}
	if now := host.NvidiaDriver(); now != r.view.Host.Driver {
		r.changed("the NVIDIA driver is %s; it was %s", orNone(now), orNone(r.view.Host.Driver))
	}
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// lookMount compares the files of a mount with what they were.
func (r *repeat) lookMount(ctx context.Context, m record.Mount) {
	if m.Fingerprint == nil {
		r.gap("what the files of %s were like: it had too many, or the run was too short to look", m.Source)
		return
	}
	now, err := fingerprint.Of(ctx, m, r.view.Created)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.changed("%s, which was mounted on %s, is not there", m.Source, m.Target)
	case err != nil:
		r.changed("the files of %s cannot be compared with what they were: %v", m.Source, err)
	case !now.Same(*m.Fingerprint):
		r.changed("the files of %s, which is mounted on %s: %s; they were %s", m.Source, m.Target, fingerprintText(now), fingerprintText(*m.Fingerprint))
	}
}

func fingerprintText(f record.Fingerprint) string {
	text := fmt.Sprintf("%d with %s", f.Files, ui.Size(f.Bytes))
	if f.Files > 0 {
		text += ", the newest of " + f.Newest.Local().Format("2006-01-02 15:04:05.000")
	}
	return text
}

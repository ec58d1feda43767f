package catalog_test

import (
	"context"
	"errors"
	"testing"

	"github.com/coracle-run/coracle/internal/catalog"
	"github.com/coracle-run/coracle/oci/archive"
	"github.com/coracle-run/coracle/oci/pull"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
)

// TestFetch: what is stored is not asked for again, unless a policy or a name says so; what may not be used is not.
func TestFetch(t *testing.T) {
	st := open(t)
	const name = "registry.example/team/app:1"
	here := pulled(t, st, "docker-archive:"+saved(t, image("x"), name), catalog.Take, pull.Options{})
	if here.Ref != name {
		t.Fatalf("stored as %q", here.Ref)
	}
	refused := errors.New("refused")
	for _, c := range []struct {
		name, text string
		fetch      catalog.Fetch
		pulls      int
		err        error
	}{
		{"stored", name, catalog.Fetch{Policy: catalog.PullMissing}, 0, nil},
		{"stored, by its id", here.Digest.String(), catalog.Fetch{Policy: catalog.PullNever}, 0, nil},
		{"asked anew", name, catalog.Fetch{Policy: catalog.PullAlways}, 1, nil},
		{"of another platform", name, catalog.Fetch{Policy: catalog.PullMissing, Platform: "linux/s390x"}, 1, nil},
		{"of another platform, and not to be pulled", name, catalog.Fetch{Policy: catalog.PullNever, Platform: "linux/s390x"}, 0, catalog.ErrNotStored},
		{"missing", "registry.example/team/other", catalog.Fetch{Policy: catalog.PullMissing}, 1, nil},
		{"missing, and not to be pulled", "registry.example/team/other", catalog.Fetch{Policy: catalog.PullNever}, 0, catalog.ErrNotStored},
		{"an archive, whatever the policy is", "docker-archive:/x.tar", catalog.Fetch{Policy: catalog.PullNever}, 1, nil},
		{"no name at all", "A:B:C", catalog.Fetch{Policy: catalog.PullMissing}, 0, registry.ErrBadRef},
		{"a bad archive", "oci:", catalog.Fetch{Policy: catalog.PullMissing}, 0, archive.ErrBadName},
		{"forbidden", name, catalog.Fetch{Policy: catalog.PullMissing, Permit: func(string, store.Image) error { return refused }}, 0, refused},
	} {
		pulls := 0
		c.fetch.Pull = func(context.Context, catalog.Name) (store.Image, error) { pulls++; return here, nil }
		got, err := c.fetch.Get(t.Context(), st, c.text)
		if !errors.Is(err, c.err) || pulls != c.pulls || err == nil && got.Digest != here.Digest {
			t.Errorf("%s: %v, %v, %d pulls", c.name, got.Digest, err, pulls)
		}
	}
	told := ""
	f := catalog.Fetch{Policy: catalog.PullMissing, Stored: func(i store.Image) { told = i.Ref }}
	if _, err := f.Get(t.Context(), st, name); err != nil || told != name {
		t.Errorf("what a tag means is told as %q: %v", told, err)
	}
}

package job

import (
	"context"
	"fmt"

	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/runtime/spec"
)

// keepPrefix is what --upper and records have before the name of a writable layer that is kept.
const keepPrefix = "keep:"

// checkKeep refuses what no writable layer can be kept with.
func (o Options) checkKeep() error {
	if o.Keep == "" {
		return nil
	}
	refuse := func(with, why string) error {
		return fmt.Errorf("%w: --upper %s%s with %s: %s", spec.ErrOption, keepPrefix, o.Keep, with, why)
	}
	err := store.CheckKeptName(o.Keep)
	switch {
	case err != nil:
		return fmt.Errorf("%w: --upper: %w", spec.ErrOption, err)
	case o.Spec.ReadOnly:
		return refuse("--read-only", "the job could write nothing to it")
	case o.Share != "":
		return refuse("--share "+string(o.Share), "the container is not this run's alone")
	}
	return nil
}

// upperText is --upper for the record; "" as usual.
func (o Options) upperText() string {
	if o.Keep == "" {
		return ""
	}
	return keepPrefix + o.Keep
}

// keep has the run go on with the writable layer that its options name, if they name one.
func (a *attempt) keep(ctx context.Context, upper *store.Upper) error {
	if a.options.Keep == "" {
		return nil
	}
	keeper, err := a.prepared.Owner()
	if err != nil {
		return err
	}
	run := a.writer.Run()
	basis := store.Basis{Image: run.Image.Ref, Digest: a.image.Digest, Platform: run.Image.Platform, UserNS: run.UserNS}
	if !a.ids.IsZero() {
		basis.IDs = a.ids.String()
	}
	return upper.Keep(ctx, a.options.Keep, basis, store.Holder{Run: a.writer.Dir(), Name: run.Name, Owner: run.Supervisor, Keeper: keeper})
}

// mounts says of a layer that is kept that another keeper mounts it from now on. The one before has ended.
func (a *attempt) mounts(upper *store.Upper) error {
	if a.options.Keep == "" {
		return nil
	}
	keeper, err := a.prepared.Owner()
	if err != nil {
		return err
	}
	return upper.MountedBy(keeper)
}

package pull

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/undo"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/oci/unpack"
)

// layer makes sure that one layer is stored. It calls inLine when the next one may begin: this one has a place in the queue,
// or need not have one.
func (p *puller) layer(ctx context.Context, desc ocispec.Descriptor, diffID digest.Digest, inLine func()) (err error) {
	if there, err := p.have(desc, diffID); err != nil || there && !p.lacksBlob(desc) {
		if err == nil {
			// Of a pull that was killed when it had published the layer. What cannot go stays for prune.
			_, _ = p.store.Blobs().RemovePartial(desc.Digest)
		}
		return err
	}
	var cleanup undo.Stack
	defer func() { err = errors.Join(err, cleanup.Run()) }()
	unlock, err := p.store.Lock(ctx, desc.Digest, func() {
		p.progress.Note(fmt.Sprintf("layer %.12s: another process is fetching it; waiting", desc.Digest.Encoded()))
		inLine()
	})
	if err != nil {
		return err
	}
	cleanup.Add(unlock)
	if there, err := p.have(desc, diffID); err != nil || there { // perhaps another process brought it while this one waited
		if there && p.lacksBlob(desc) {
			return p.twice(ctx, desc, func() (bool, error) { return p.bringBlob(ctx, desc, inLine) })
		}
		return err
	}
	return p.twice(ctx, desc, func() (bool, error) { return p.bring(ctx, desc, diffID, inLine) })
}

// twice brings a layer or its blob, and once more if its digest is wrong: what was here before of it may be damaged, or what
// a mirror sends, or some bytes on their way. A file has the same bytes the next time.
func (p *puller) twice(ctx context.Context, desc ocispec.Descriptor, bring func() (old bool, err error)) error {
	name := string(desc.Digest)
	p.progress.LayerStarted(name, desc.Size)
	from := p.from(ctx)
	old, err := bring()
	for again := true; errors.Is(err, registry.ErrDigest) && !errors.Is(err, errDiffID); {
		complete := !errors.Is(err, registry.ErrOtherSize)
		switch {
		case old && again && complete:
			again = false
			p.progress.Note(fmt.Sprintf("layer %.12s: what was here of it is damaged; fetching it anew", desc.Digest.Encoded()))
		case p.passOver(ctx, from, err):
		case again && complete && p.fetch.parallel():
			again = false
			p.progress.Note(fmt.Sprintf("layer %.12s: %v; fetching all of it once more", desc.Digest.Encoded(), err))
		default:
			return err
		}
		p.progress.LayerStarted(name, desc.Size)
		from = p.from(ctx)
		old, err = bring()
	}
	if err == nil {
		p.progress.LayerDone(name)
	}
	return err
}

// bring makes a layer of its blob, and leaves of the blob what is wanted. old says that some of it was here before.
func (p *puller) bring(ctx context.Context, desc ocispec.Descriptor, diffID digest.Digest, inLine func()) (old bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b, done, err := p.begin(ctx, desc, inLine)
	defer done()
	if err != nil {
		return false, err
	}
	// Once the layer is there: who is killed in between has lost nothing.
	defer func() { err = errors.Join(err, b.finish(err, p.keep)) }()
	staging, err := p.store.BeginLayer(desc.Digest)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, staging.Abort()) }()
	stats, err := p.stream(ctx, cancel, b, desc, diffID, staging)
	if err != nil {
		return b.old(), explainFull(p.store, err)
	}
	return false, staging.Commit(store.Layer{
		Digest: desc.Digest, DiffID: diffID, MediaType: desc.MediaType, Size: desc.Size,
		Unpacked: stats.Bytes, Entries: stats.Entries, Dropped: stats.Dropped,
	})
}

// have reports whether the layer is stored, and is what the image's configuration says it is.
func (p *puller) have(desc ocispec.Descriptor, diffID digest.Digest) (bool, error) {
	layer, err := p.store.Layer(desc.Digest)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // or not to be trusted
	}
	if err != nil {
		return false, err
	}
	if layer.DiffID != diffID {
		return false, wrongDiffID(diffID, layer.DiffID)
	}
	p.progress.LayerExists(string(desc.Digest), desc.Size)
	return true, nil
}

// stream reads, inflates, hashes and unpacks a layer, all at once. When it returns nil, size and both digests are right; when
// it returns, nothing of it is running any more, for it ends what b may be blocked on with cancel.
func (p *puller) stream(ctx context.Context, cancel func(), b io.Reader, desc ocispec.Descriptor, diffID digest.Digest, staging *store.Staging) (stats unpack.Stats, err error) {
	owners, err := fsx.CreateExclusive(staging.OwnersFile(), 0o600)
	if err != nil {
		return stats, err
	}
	defer func() { err = errors.Join(err, owners.Close()) }()
	packed := newTee(&filled{r: p.taken(b, desc)}, p.memory.queue)
	defer packed.wait()
	defer cancel() // before the wait: it ends what the tee may be blocked on
	defer packed.stop()

	stats, err = p.unpack(ctx, cancel, packed, desc, diffID, staging.FS(), owners)
	if err != nil && !blamesContent(err) {
		return stats, err
	}
	// All of the blob must have been read, whatever the archive made of it. If it did not come, or its digest is wrong, then
	// that is what is wrong, and not what the damage looks like further on.
	if _, readErr := io.Copy(io.Discard, packed); readErr != nil {
		return stats, readErr
	}
	if got := packed.digest(); got != desc.Digest {
		return stats, fmt.Errorf("%w: got %s", registry.ErrDigest, got)
	}
	return stats, err
}

// unpack takes the packed stream on to files and checks the digest of the unpacked one. When it fails for a reason of its
// own, such as a full disk, it stops the connection with cancel rather than wait for what it brings.
func (p *puller) unpack(ctx context.Context, cancel func(), packed io.Reader, desc ocispec.Descriptor, diffID digest.Digest, dir string, owners io.Writer) (unpack.Stats, error) {
	inflated, free, err := p.memory.decompress(ctx, packed, desc.MediaType)
	if err != nil {
		return unpack.Stats{}, err
	}
	defer free()
	plain := newTee(inflated, p.memory.queue)
	defer plain.wait()
	defer plain.stop()
	stats, err := unpack.Layer(ctx, plain, dir, unpack.Options{
		Owners: owners, Memory: p.memory.unpack,
		Progress: func(entries int64) { p.progress.LayerUnpacked(string(desc.Digest), 0, entries) },
	})
	if err != nil {
		if !blamesContent(err) {
			cancel()
		}
		return stats, err
	}
	if got := plain.digest(); got != diffID {
		return stats, wrongDiffID(diffID, got)
	}
	return stats, nil
}

// errDiffID means that an image is wrong in itself, wherever it comes from.
var errDiffID = errors.New("uncompressed")

func wrongDiffID(want, got digest.Digest) error {
	return fmt.Errorf("%w: %w it should be %s and is %s", registry.ErrDigest, errDiffID, want, got)
}

// blamesContent reports whether an error may come from damaged bytes. A portal's page in place of the blob is no reason to
// throw away what came before it.
func blamesContent(err error) bool {
	if errors.Is(err, registry.ErrOtherSize) {
		return false
	}
	return errors.Is(err, errCompression) || errors.Is(err, unpack.ErrLayer) || errors.Is(err, unpack.ErrEscape) ||
		errors.Is(err, registry.ErrMediaType) || errors.Is(err, registry.ErrDigest)
}

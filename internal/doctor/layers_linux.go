package doctor

import (
	"context"
	"fmt"

	"github.com/docker/go-units"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/oci/store/location"
)

// layers tells where the store is, and whether its file system can hold what it has to.
func (p *patient) layers(ctx context.Context) []Finding {
	at, err := wait(ctx, p.place)
	if err != nil {
		return []Finding{failure("the store: "+err.Error(), "a run would wait for that file system, too").
			by(You, "name another place with CORACLE_ROOT, or with --layers DIR for the layers alone")}
	}
	if at.err != nil {
		return []Finding{p.advice(failure(at.err.Error(), ""), at.err)}
	}
	found := fmt.Sprintf("%s (%s) can hold them", at.Dirs.Layers, host.FilesystemType(at.Dirs.Layers))
	if at.Dirs.Data != at.Dirs.Layers {
		found += fmt.Sprintf("; records and images' names are in %s (%s)", at.Dirs.Data, host.FilesystemType(at.Dirs.Data))
	}
	return append([]Finding{ok(found)}, p.room(at.Dirs)...)
}

// leastRoom is less than what small images take, and leastInodes fewer than the files of one.
const (
	noRoom      = 1 << 20
	leastRoom   = 2 << 30
	leastInodes = 50_000
)

// room tells what is free.
func (p *patient) room(dirs location.Dirs) (list []Finding) {
	const why = "a pull ends when the disk is full, and so do jobs that write"
	fs, err := host.StatFilesystem(dirs.Layers)
	if err != nil {
		return []Finding{failure(err.Error(), "").by(You, localDisk)}
	}
	free := units.HumanSizeWithPrecision(float64(fs.Free), 3)
	f := ok(fmt.Sprintf("%s are free for layers", free))
	switch {
	case fs.ReadOnly:
		f = failure(fmt.Sprintf("%s is mounted read-only", dirs.Layers), "nothing can be pulled, and no job started").by(You, localDisk)
	case fs.Free < noRoom:
		f = failure(fmt.Sprintf("%s are free in %s", free, dirs.Layers), "nothing can be pulled, and no job's files made").by(You, moreRoom)
	case fs.Free < leastRoom:
		f = warning(fmt.Sprintf("%s are free in %s", free, dirs.Layers), why).by(You, moreRoom)
	case fs.Inodes > 0 && fs.InodesFree < leastInodes:
		f = warning(fmt.Sprintf("%d inodes are free in %s: so many more files can be made, whatever space there is", fs.InodesFree, dirs.Layers), why).by(You, moreRoom)
	}
	return []Finding{f}
}

const moreRoom = "make room ('coracle df' shows what is stored, 'coracle prune' removes what nobody needs), or keep layers on another disk with --layers DIR"

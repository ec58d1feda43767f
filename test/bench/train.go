package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coracle-run/coracle/test/imageset"
)

//go:embed job/*.py
var jobs embed.FS

// outside is what a job in a container is held against: the same program from the same files, without one.
const outside = "outside"

// trainTables measures what a container costs a job while it runs: training jobs of scikit-learn, in a container and outside.
func trainTables(ctx context.Context, b *workshop, o options) (tables []table, err error) {
	sets, err := imageset.Named("ml")
	if err != nil {
		return nil, err
	}
	dir, err := sets[0].Ensure(ctx, b.log)
	if errors.Is(err, imageset.ErrMissing) {
		return []table{{Name: "train", Subject: "jobs of scikit-learn", Skipped: []skip{{"all", err.Error()}}}}, nil
	}
	if err != nil {
		return nil, err
	}
	s, err := newSubject(sets[0].Name, dir)
	if err != nil {
		return nil, err
	}
	p, err := newTraining(ctx, b, s)
	if err != nil {
		return nil, err
	}
	for _, job := range []struct{ name, subject string }{
		{"compute", "a job that computes: trees and a linear model of digits"},
		{"files", fmt.Sprintf("a job that reads: a classifier of %d small files, in a volume", trainFiles)},
	} {
		f := p.field(ctx, b, job.name)
		f.subject = job.subject + ", one thread; CPU is that of all processes, Coracle's with the job's"
		t, err := f.run(ctx, "train-"+job.name, o, b)
		if tables = append(tables, t); err != nil {
			return tables, err
		}
	}
	return tables, nil
}

// training is where the jobs, their data and the image's files are.
type training struct {
	jobs, data, root string
	ref              string
}

func newTraining(ctx context.Context, b *workshop, s subject) (p training, err error) {
	p = training{jobs: filepath.Join(b.dir, "train-jobs"), data: filepath.Join(b.dir, "train-data"), root: filepath.Join(b.dir, "train-root")}
	for _, dir := range []string{p.jobs, p.root} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return p, err
		}
	}
	if err := os.CopyFS(p.jobs, jobs); err != nil {
		return p, err
	}
	if err := writeTexts(p.data); err != nil {
		return p, err
	}
	script := `set -ef; for layer; do tar xf "$layer" --exclude=./dev/* --exclude=dev/*; done`
	untar := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", script, "sh"}, s.image.Blobs()...)...)
	untar.Dir = p.root
	if err := quietly(untar); err != nil {
		return p, err
	}
	r := serve(s.image, link{})
	b.stop = append(b.stop, r.stop)
	p.ref = r.ref
	return p, nil
}

// The data of the job that reads.
const (
	trainFiles = 4000
	trainDirs  = 40
	trainWords = 500 // of a file, about 3 kB
)

// writeTexts makes files of two kinds, of whose words a tenth is each one's own. They are the same on every machine.
func writeTexts(dir string) error {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range trainFiles {
		kind := i % 2
		var text strings.Builder
		for range trainWords {
			word := rng.IntN(1000)
			if rng.IntN(10) == 0 {
				word = 1000*(1+kind) + word/10
			}
			fmt.Fprintf(&text, "w%04d ", word)
		}
		sub := filepath.Join(dir, fmt.Sprint(i%trainDirs))
		if err := os.MkdirAll(sub, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("%c%d.txt", 'a'+kind, i)), []byte(text.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// threads are as many outside as inside: how a library divides its work is not the container's doing.
var threads = []string{"OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1"}

func (p training) field(ctx context.Context, b *workshop, job string) field {
	store := filepath.Join(b.dir, "train-store")
	args := []string{"run", "--pull", "never", "-v", p.jobs + ":/work:ro", "-v", p.data + ":/data:ro"}
	for _, v := range threads {
		args = append(args, "-e", v)
	}
	args = append(args, p.ref, "python3", "/work/job/"+job+".py", "/data")
	return field{
		columns: trainColumns, reference: outside, rounds: 10, warmup: 1,
		contenders: []contender{
			{name: outside, program: "/bin/sh", command: func(ctx context.Context, _ int) *exec.Cmd { return p.outside(ctx, job) }},
			{
				name: "coracle run", program: b.coracle,
				before:  once(func() error { return quietly(coracle(ctx, b, store, "pull", p.ref)) }),
				command: func(ctx context.Context, _ int) *exec.Cmd { return coracle(ctx, b, store, args...) },
			},
		},
	}
}

// outside runs the image's Python from its unpacked files by its own loader, with its own libraries: what it executes is what runs in the
// container, to the byte.
func (p training) outside(ctx context.Context, job string) *exec.Cmd {
	first := func(pattern string) string { // a missing file shows when it is executed
		found, _ := filepath.Glob(filepath.Join(p.root, pattern)) // the pattern is well-formed
		if len(found) == 0 {
			return filepath.Join(p.root, pattern)
		}
		return found[0]
	}
	lib := first("usr/lib/*-linux-gnu")
	libraries := []string{lib, strings.Replace(lib, "/usr/lib/", "/lib/", 1), lib + "/blas", lib + "/lapack"} // alternatives are links to the host's /etc
	cmd := exec.CommandContext(ctx, first("lib/*/ld-linux-*.so.*"), "--library-path", strings.Join(libraries, ":"), filepath.Join(p.root, "usr/bin/python3"),
		filepath.Join(p.jobs, "job", job+".py"), p.data)
	cmd.Env = slices.Concat([]string{"PATH=/usr/bin:/bin", "HOME=" + p.jobs, "PYTHONHOME=" + filepath.Join(p.root, "usr"), "PYTHONUNBUFFERED=1"}, threads)
	return cmd
}

package main

import (
	"context"
	"fmt"
	"io"
)

// Verbs that measure nothing.
const (
	imagesVerb = "images" // makes the images and lists them
	serveVerb  = "serve"  // is a registry for one of them until it is interrupted
)

// helps reports whether a verb measures nothing.
func helps(verb string) bool { return verb == imagesVerb || verb == serveVerb }

// help does what such a verb says.
func help(ctx context.Context, verb string, o options, out, log io.Writer) error {
	there, missing, err := subjects(ctx, &workshop{log: log}, o)
	if err != nil {
		return err
	}
	if verb == imagesVerb {
		_, err := io.WriteString(out, listing(there, missing))
		return err
	}
	if len(there) == 0 {
		return fmt.Errorf("nothing to serve: %v", missing)
	}
	r := serve(there[0].image, o.line())
	defer r.stop()
	if _, err := fmt.Fprintln(out, r.ref); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func listing(there []subject, missing []skip) string {
	lines := [][]string{{"", "layers", "MB compressed", "MB unpacked", "entries", "path"}}
	for _, s := range there {
		lines = append(lines, []string{s.name, fmt.Sprint(len(s.image.Manifest.Layers)), megabytes(s.image.Size()),
			megabytes(s.contents.Bytes), fmt.Sprint(s.contents.Entries), s.image.Dir})
	}
	for _, m := range missing {
		lines = append(lines, []string{m.Name, "-", "-", "-", "-", m.Reason})
	}
	return align(lines)
}

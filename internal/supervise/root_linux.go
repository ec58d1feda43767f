package supervise

import (
	"fmt"

	"github.com/docker/go-units"

	"github.com/coracle-run/coracle/runtime/rootfs"
)

// TellRoot says what it costs that there is no overlay.
func (s *Supervision) TellRoot(made rootfs.Made) {
	switch {
	case made.Way == rootfs.Overlay:
		return
	case made.Again:
		made.Why = "the run that made its writable layer had none"
		if made.Way == rootfs.Fuse {
			s.Notice("fuse-overlayfs shows the image's files, which is slower than an overlay: " + made.Why)
		}
	case made.Way == rootfs.Fuse:
		s.Notice("the kernel has no overlay for this run (" + made.Why + "): fuse-overlayfs shows the image's files, which is slower")
	case made.Way == rootfs.Copy:
		s.Notice(fmt.Sprintf("the kernel has no overlay for this run: the image's files were copied, %s in %.1f s, into the run's writable layer (%s)",
			units.BytesSize(float64(made.Bytes)), made.Seconds, made.Why))
	default:
		return
	}
	s.Event("root", map[string]any{"way": made.Way, "why": made.Why, "bytes": made.Bytes, "seconds": made.Seconds})
}

// TellImages says what it costs that there is no overlay for the images that are mounted.
func (s *Supervision) TellImages(images []rootfs.Made) {
	for _, made := range images {
		switch made.Way {
		case rootfs.Fuse:
			s.Notice("the kernel has no overlay for an image that is mounted: fuse-overlayfs shows its files, which is slower")
		case rootfs.Copy:
			s.Notice(fmt.Sprintf("the kernel has no overlay for an image that is mounted: its files were copied, %s in %.1f s", units.BytesSize(float64(made.Bytes)), made.Seconds))
		default:
			continue
		}
		s.Event("image", map[string]any{"way": made.Way, "why": made.Why, "bytes": made.Bytes, "seconds": made.Seconds})
	}
}

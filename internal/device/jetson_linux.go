package device

import (
	"context"
	"errors"
	"slices"

	"github.com/coracle-run/coracle/runtime/gpu"
	"github.com/coracle-run/coracle/runtime/gpu/sysfs"
)

// list asks which GPUs there are. That of a Jetson is part of the processor: its own software, and not NVML, says what a container needs
// to use it, and on older boards NVML does not know it at all.
func (g *gpus) list(ctx context.Context) error {
	var err error
	g.inventory, err = g.helper.List(ctx)
	boards := g.asked.Files.Devices()
	at := slices.IndexFunc(boards, func(d sysfs.Device) bool { return d.Vendor == sysfs.NVIDIA })
	if at < 0 || errors.Is(err, gpu.ErrHung) || len(g.inventory.GPUs) > 1 {
		return err
	}
	g.jetson = true
	if err != nil || len(g.inventory.GPUs) == 0 {
		board := boards[at]
		board.Index = 0
		g.board, g.inventory = &board, gpu.Inventory{GPUs: []gpu.Device{board.Device}}
	}
	return nil
}

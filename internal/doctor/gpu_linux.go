package doctor

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/coracle-run/coracle/internal/env"
	"github.com/coracle-run/coracle/internal/gpus"
	"github.com/coracle-run/coracle/runtime/gpu"
)

// gpuList is what there is of GPUs.
type gpuList struct {
	gpus.List
	err error
}

// listGPUs asks the driver once; it is p.gpus.
func (p *patient) listGPUs() gpuList {
	ctx, cancel := context.WithTimeout(context.Background(), driverPatience)
	defer cancel()
	list, err := gpus.Read(ctx, gpus.Options{Place: p.GPU, Files: p.GPUFiles})
	return gpuList{list, err}
}

// gpu tells which GPUs jobs could have.
func (p *patient) gpu(ctx context.Context) []Finding {
	l, err := wait(ctx, p.gpus)
	if err != nil {
		return []Finding{warning("the driver: "+err.Error(), "").by(You, "'nvidia-smi' shows whether it answers at all")}
	}
	if l.err != nil && len(l.GPUs) == 0 {
		if errors.Is(l.err, gpu.ErrNoDriver) {
			return []Finding{ok("there is none: " + l.err.Error())}
		}
		return []Finding{p.advice(warning(l.err.Error(), ""), l.err)}
	}
	var list []Finding
	usable := 0
	for i := range l.GPUs {
		if g := &l.GPUs[i]; g.Usable() {
			usable++
		} else {
			list = append(list, warning(fmt.Sprintf("GPU %s cannot be used: %s", g.ID, g.Unusable), "").by(You, "'coracle gpus' and 'nvidia-smi' show more; in a batch job, ask the scheduler for GPUs"))
		}
	}
	found := fmt.Sprintf("%d of %d can be used", usable, len(l.GPUs))
	if d := l.Driver; d != nil {
		found += fmt.Sprintf(", by driver %s, which can do CUDA %s", d.Version, d.CUDA)
		if !d.UVM {
			list = append(list, failure("/dev/nvidia-uvm is missing: nvidia-smi works, and CUDA does not", "").by(Administrator, "modprobe nvidia-uvm && nvidia-modprobe -c 0 -u"))
		}
	}
	for _, w := range l.Warnings {
		list = append(list, note(w, "").by(You, "'coracle gpus' and 'nvidia-smi' show more"))
	}
	return append([]Finding{ok(found)}, list...)
}

// cuda tells whether the driver can do what the image was made for.
func (p *patient) cuda(ctx context.Context) []Finding {
	image, err := wait(ctx, p.image)
	if err != nil || image.err != nil {
		return []Finding{note("not known: the image could not be looked at", "").by(You, first("image"))}
	}
	variables := image.Config.Config.Env
	version := variable(variables, "CUDA_VERSION")
	wants := version != "" || variable(variables, "NVIDIA_VISIBLE_DEVICES") != "" || variable(variables, "NVIDIA_REQUIRE_CUDA") != ""
	if !wants {
		return []Finding{ok("the image does not say that it wants NVIDIA's GPUs")}
	}
	made := "the image is made for NVIDIA's GPUs"
	if version != "" {
		made = "the image is made for CUDA " + brief(version)
	}
	l, err := wait(ctx, p.gpus)
	if err != nil || l.Driver == nil {
		return []Finding{warning(made+", and there is no driver here", "it runs without a GPU only, if at all").
			by(You, "run it on a node with GPUs: srun --gpus 1 coracle run --gpus all ...; 'coracle gpus' lists those of a node")}
	}
	inventory := gpu.Inventory{Driver: l.Driver.Version, CUDA: l.Driver.CUDA}
	var chosen []gpu.Choice
	for _, g := range l.GPUs {
		if g.Usable() {
			chosen = append(chosen, gpu.Choice{Device: gpu.Device{Name: g.Name, Compute: g.Compute}})
		}
	}
	if unmet := gpu.Unmet(variables, inventory, chosen); len(unmet) > 0 {
		return []Finding{warning(strings.Join(unmet, "; "), "programs in it may fail with 'CUDA driver version is insufficient'").
			by(Administrator, "a newer driver; or an image for CUDA "+l.Driver.CUDA+" or older; cuda-compat in the image may do (run --cuda-compat force)")}
	}
	found := fmt.Sprintf("%s; driver %s can do CUDA %s", made, l.Driver.Version, l.Driver.CUDA)
	if major(version) > major(l.Driver.CUDA) && major(l.Driver.CUDA) > 0 {
		return []Finding{newerCUDA(found, variables, l.Driver.CUDA)}
	}
	return []Finding{ok(found)}
}

// newerCUDA is of an image for a newer major version of CUDA than the driver's, whose stated requirements are met all the same, or which
// states none. Within a major version programs run with any driver (CUDA's minor version compatibility).
func newerCUDA(found string, variables []string, driver string) Finding {
	fix := "a newer driver; or an image for CUDA " + driver + " or older; cuda-compat in the image may do (run --cuda-compat force)"
	if variable(variables, "NVIDIA_REQUIRE_CUDA") != "" {
		return note(found+", and the image says that it wants no more", "it has to have cuda-compat for that, a driver's libraries of its own").by(Administrator, fix)
	}
	return warning(found, "programs in it may fail with 'CUDA driver version is insufficient'").by(Administrator, fix)
}

// major is the first number of a version; 0 of what is none.
func major(version string) int {
	first, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(first)
	if err != nil {
		return 0
	}
	return n
}

// mostSaid is how much of what an image says of itself is told, in characters.
const mostSaid = 60

// brief is the beginning of what an image says of itself.
func brief(text string) string {
	if runes := []rune(text); len(runes) > mostSaid {
		return string(runes[:mostSaid-1]) + "…"
	}
	return text
}

// variable is the value that an image gives to a variable.
func variable(variables []string, name string) string {
	value, _ := env.Lookup(variables, name)
	return value
}

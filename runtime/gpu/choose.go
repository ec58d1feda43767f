package gpu

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Choice is a device that a job gets: a GPU, or an instance of one.
type Choice struct {
	Device   Device
	Instance *MIG // nil: the whole GPU
}

// UUID is the device's own.
func (c Choice) UUID() string {
	if c.Instance != nil {
		return c.Instance.UUID
	}
	return c.Device.UUID
}

// String is a short name: "0", or "0:1" for an instance.
func (c Choice) String() string {
	if c.Instance != nil {
		return fmt.Sprintf("%d:%d", c.Device.Index, c.Instance.Index)
	}
	return strconv.Itoa(c.Device.Index)
}

// unusable says why a job cannot have the device, or "".
func (c Choice) unusable() string {
	if c.Instance != nil && c.Instance.Unusable != "" {
		return c.Instance.Unusable
	}
	return c.Device.Unusable
}

// Scope is what a scheduler, or the caller, has left a job of the machine's GPUs.
type Scope struct {
	Scheduler string // whose job this is; "": none's

	// Visible is CUDA_VISIBLE_DEVICES: numbers of those devices that can be reached, counted from 0, and UUIDs. Limited says that
	// there is such a list; it may be empty.
	Visible []string
	Limited bool

	Preferred []string // UUIDs that are taken if every one of them can be had, whatever else is said
}

// NewScope reads an environment. Slurm's own lists (SLURM_JOB_GPUS, SLURM_STEP_GPUS) number the machine's GPUs, not those that a
// step can reach, and say nothing that the step's CUDA_VISIBLE_DEVICES and the kernel do not.
func NewScope(scheduler string, lookUp func(string) (string, bool)) Scope {
	s := Scope{Scheduler: scheduler}
	text, ok := lookUp(visible)
	if !ok {
		return s
	}
	s.Limited = true
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		if n, err := strconv.Atoi(name); name == "" || err == nil && n < 0 || strings.EqualFold(name, "NoDevFiles") {
			break // CUDA takes what comes before
		}
		s.Visible = append(s.Visible, name)
	}
	return s
}

const visible = "CUDA_VISIBLE_DEVICES"

// Choose finds the devices of a selection. Notes are about what was passed over. Errors wrap ErrTooFew, ErrUnknownDevice or
// ErrPermission and say what there is.
func (s Selection) Choose(inventory Inventory, scope Scope) (chosen []Choice, notes []string, err error) {
	if s.None() {
		return nil, nil, nil
	}
	every := choices(inventory)
	if len(s.Names) > 0 && scope.Scheduler == "" {
		scope.Limited = false // names say more than a variable of the caller's
	}
	ours, err := scope.within(inventory, every)
	if err != nil {
		return nil, nil, err
	}
	if preferred := pick(ours, scope.Preferred); len(preferred) > 0 {
		return preferred, nil, nil
	}
	if len(s.Names) > 0 {
		chosen, err = named(s.Names, every, ours, scope)
		return chosen, nil, err
	}
	usable, notes := passOver(inventory, ours)
	wanted := s.Count
	if s.All {
		wanted = max(len(usable), 1)
	}
	if len(usable) < wanted {
		return nil, nil, tooFew(s, inventory, usable, ours, scope)
	}
	return usable[:wanted], notes, nil
}

// Environment tells a job which devices it has. CUDA numbers them from 0 by their place on the bus whatever they are on the host;
// where the job is to have them in another order, CUDA is told.
func Environment(chosen []Choice) []string {
	uuids := UUIDs(chosen)
	env := []string{"NVIDIA_VISIBLE_DEVICES=" + strings.Join(uuids, ",")}
	if !slices.IsSortedFunc(chosen, func(a, b Choice) int { return cmp.Compare(a.Device.Index, b.Device.Index) }) {
		env = append(env, visible+"="+strings.Join(uuids, ","))
	}
	return env
}

// HostNumbers are the variables that number devices of the host: inside they would mean others, or none.
var HostNumbers = []string{visible, "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES"}

// UUIDs are those of devices, in their order.
func UUIDs(chosen []Choice) (uuids []string) {
	for _, c := range chosen {
		uuids = append(uuids, c.UUID())
	}
	return uuids
}

// choices are all devices of a machine that can be given away: of a GPU in MIG mode, its instances.
func choices(inventory Inventory) (list []Choice) {
	for _, d := range slices.SortedStableFunc(slices.Values(inventory.GPUs), func(a, b Device) int { return cmp.Compare(a.Index, b.Index) }) {
		if !d.MIG {
			list = append(list, Choice{Device: d})
			continue
		}
		for i := range d.Instances {
			list = append(list, Choice{Device: d, Instance: &d.Instances[i]})
		}
	}
	return list
}

// within are those devices that the scope leaves, in its order.
func (s Scope) within(inventory Inventory, every []Choice) ([]Choice, error) {
	reached := slices.DeleteFunc(slices.Clone(every), func(c Choice) bool { return c.Device.Unreachable })
	if !s.Limited {
		return reached, nil
	}
	var ours []Choice
	for _, name := range s.Visible {
		found := byUUID(reached, name)
		if n, err := strconv.Atoi(name); err == nil {
			found = byRank(inventory, reached, n)
		}
		if len(found) == 0 || slices.ContainsFunc(found, func(c Choice) bool { return c.Device.Index != found[0].Device.Index }) {
			return nil, fmt.Errorf("%w: CUDA_VISIBLE_DEVICES=%s names %s, and %s", ErrUnknownDevice, strings.Join(s.Visible, ","), name, there(reached))
		}
		for _, c := range found {
			if !holds(ours, c) {
				ours = append(ours, c)
			}
		}
	}
	return ours, nil
}

// byRank is the device of a number that counts what can be reached, as CUDA does.
func byRank(inventory Inventory, reached []Choice, n int) []Choice {
	rank := 0
	for _, d := range slices.SortedStableFunc(slices.Values(inventory.GPUs), func(a, b Device) int { return cmp.Compare(a.Index, b.Index) }) {
		if d.Unreachable {
			continue
		}
		if rank == n {
			return slices.DeleteFunc(slices.Clone(reached), func(c Choice) bool { return c.Device.Index != d.Index })
		}
		rank++
	}
	return nil
}

// byUUID are the devices whose UUID begins so: an instance, or a GPU, which in MIG mode is its instances.
func byUUID(list []Choice, name string) (found []Choice) {
	if strings.HasPrefix(name, "MIG-GPU-") { // as drivers before 470 name an instance: MIG-GPU-UUID/3/0
		return byOldName(list, strings.TrimPrefix(name, "MIG-"))
	}
	for _, c := range list {
		if hasPrefixFold(c.UUID(), name) || hasPrefixFold(c.Device.UUID, name) {
			found = append(found, c)
		}
	}
	return found
}

func byOldName(list []Choice, name string) (found []Choice) {
	parts := strings.Split(name, "/")
	for _, c := range list {
		if c.Instance != nil && len(parts) == 3 && strings.EqualFold(c.Device.UUID, parts[0]) &&
			parts[1] == strconv.Itoa(c.Instance.GPUInstance) && parts[2] == strconv.Itoa(c.Instance.ComputeInstance) {
			found = append(found, c)
		}
	}
	return found
}

func hasPrefixFold(text, prefix string) bool {
	return prefix != "" && len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}

func holds(list []Choice, c Choice) bool {
	return slices.ContainsFunc(list, func(other Choice) bool { return other.String() == c.String() })
}

// pick are the devices of these UUIDs in their order, if all can be used.
func pick(list []Choice, uuids []string) (found []Choice) {
	for _, uuid := range uuids {
		at := slices.IndexFunc(list, func(c Choice) bool { return c.UUID() == uuid && c.unusable() == "" })
		if at < 0 {
			return nil
		}
		found = append(found, list[at])
	}
	return found
}

// passOver leaves out what cannot be used, and says so.
func passOver(inventory Inventory, list []Choice) (usable []Choice, notes []string) {
	for _, c := range list {
		if why := c.unusable(); why != "" {
			notes = append(notes, fmt.Sprintf("GPU %s is left out: %s", c, why))
			continue
		}
		usable = append(usable, c)
	}
	for _, d := range inventory.GPUs {
		if d.MIG && len(d.Instances) == 0 && !d.Unreachable {
			notes = append(notes, fmt.Sprintf("GPU %d is left out: it is in MIG mode, and has no instances", d.Index))
		}
	}
	return usable, notes
}

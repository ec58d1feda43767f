package gpu

import (
	"fmt"
	"strconv"
	"strings"
)

// named are devices by their names, in that order.
func named(names []string, every, ours []Choice, scope Scope) (chosen []Choice, err error) {
	for _, name := range names {
		found, err := find(name, every)
		if err != nil {
			return nil, err
		}
		for _, c := range found {
			if err := c.allowed(name, ours, scope); err != nil {
				return nil, err
			}
			if !holds(chosen, c) {
				chosen = append(chosen, c)
			}
		}
	}
	return chosen, nil
}

// find is the device of a name; of a GPU in MIG mode, its instances.
func find(name string, every []Choice) ([]Choice, error) {
	var found []Choice
	gpu, instance, isInstance := instanceName(name)
	index, err := strconv.Atoi(name)
	switch {
	case isInstance:
		found = filter(every, func(c Choice) bool {
			return c.Device.Index == gpu && c.Instance != nil && c.Instance.Index == instance
		})
	case err == nil:
		found = filter(every, func(c Choice) bool { return c.Device.Index == index })
	default:
		found = byUUID(every, name)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w: %s: %s", ErrUnknownDevice, name, there(every))
	}
	if first := found[0].Device.Index; err != nil {
		for _, c := range found {
			if c.Device.Index != first || len(found) > 1 && hasPrefixFold(c.UUID(), name) {
				return nil, fmt.Errorf("%w: %s: several UUIDs begin so: %s", ErrUnknownDevice, name, there(found))
			}
		}
	}
	return found, nil
}

func filter(list []Choice, keep func(Choice) bool) (kept []Choice) {
	for _, c := range list {
		if keep(c) {
			kept = append(kept, c)
		}
	}
	return kept
}

// allowed reports why a device that was named cannot be had.
func (c Choice) allowed(name string, ours []Choice, scope Scope) error {
	switch {
	case c.Device.Unreachable && scope.Scheduler != "":
		return fmt.Errorf("%w: %s: %s has not given it to this job: %s", ErrPermission, name, scope.Scheduler, there(ours))
	case c.Device.Unreachable:
		why := c.unusable()
		if why == "" {
			why = "its device node cannot be opened"
		}
		return fmt.Errorf("%w: %s: %s", ErrPermission, name, why)
	case c.unusable() != "":
		return fmt.Errorf("%w: %s cannot be used: %s", ErrUnknownDevice, name, c.unusable())
	case scope.Scheduler != "" && !holds(ours, c):
		return fmt.Errorf("%w: %s: %s has given this step CUDA_VISIBLE_DEVICES=%s: %s", ErrPermission, name, scope.Scheduler, strings.Join(scope.Visible, ","), there(ours))
	}
	return nil
}

// tooFew says what there is instead of what was asked for.
func tooFew(s Selection, inventory Inventory, usable, ours []Choice, scope Scope) error {
	asked := "--gpus all"
	if !s.All {
		asked = fmt.Sprintf("%d asked for", s.Count)
	}
	what := there(usable)
	if len(usable) == 0 && len(ours) > 0 {
		what = there(ours)
	}
	err := fmt.Errorf("%w: %s, and %s", ErrTooFew, asked, what)
	elsewhere := 0
	for _, d := range inventory.GPUs {
		if d.Unreachable {
			elsewhere++
		}
		if d.MIG && len(d.Instances) == 0 && !d.Unreachable {
			err = fmt.Errorf("%w; GPU %d is in MIG mode, and has no instances", err, d.Index)
		}
	}
	if scope.Limited && len(usable) < s.Count || scope.Limited && s.All {
		err = fmt.Errorf("%w (CUDA_VISIBLE_DEVICES=%s)", err, strings.Join(scope.Visible, ","))
	}
	if elsewhere == 0 {
		return err
	}
	if scope.Scheduler != "" {
		return fmt.Errorf("%w; %s has not given this job %d further ones", err, scope.Scheduler, elsewhere)
	}
	return fmt.Errorf("%w; the device nodes of %d further ones cannot be opened", err, elsewhere)
}

// there lists devices for an error: "there are 2: 0 (NVIDIA H200, GPU-8d55), 1 (NVIDIA H200, GPU-13a2: lost)".
func there(list []Choice) string {
	const shown = 16
	if len(list) == 0 {
		return "there is none"
	}
	var words []string
	for _, c := range list[:min(len(list), shown)] {
		words = append(words, c.describe())
	}
	if len(list) > shown {
		words = append(words, "...")
	}
	is := "there are " + strconv.Itoa(len(list))
	if len(list) == 1 {
		is = "there is 1"
	}
	return is + ": " + strings.Join(words, ", ")
}

func (c Choice) describe() string {
	name := c.Device.Name
	if c.Instance != nil {
		name = strings.TrimSpace(name + " " + c.Instance.Profile)
	}
	uuid := c.UUID()
	text := strings.Trim(name+", "+uuid[:min(len(uuid), len("GPU-12345678"))], ", ")
	if why := c.unusable(); why != "" {
		text += ": " + why
	}
	return fmt.Sprintf("%s (%s)", c, text)
}

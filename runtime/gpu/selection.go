package gpu

import (
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Selection is which GPUs somebody wants. The zero value is none.
type Selection struct {
	All   bool     // that there are, and can be used
	Count int      // so many of them
	Names []string // these: an index, "GPU:INSTANCE", or the beginning of a UUID

	Capabilities []string // of the driver, instead of what the image says
}

// None reports whether no GPU is wanted.
func (s Selection) None() bool { return !s.All && s.Count == 0 && len(s.Names) == 0 }

// ParseSelection reads the value of --gpus: all, none, a number, the names of devices, or options as docker takes them, in CSV:
// "device=0,1", count=2,capabilities=compute. Errors wrap ErrSelection.
func ParseSelection(text string) (s Selection, err error) {
	fields, err := selectionFields(text)
	if err == nil {
		s, err = readSelection(fields)
	}
	if err != nil {
		return Selection{}, fmt.Errorf("%w: %q: %w", ErrSelection, text, err)
	}
	return s, nil
}

// selectionFields splits by CSV's rules, by which docker has lists in quotes: '"device=0,1",capabilities=compute'. What follows a
// comma outside of them and is no option goes on with the list before.
func selectionFields(text string) ([]string, error) {
	if strings.TrimSpace(text) == "" {
		return nil, fmt.Errorf("it is empty")
	}
	reader := csv.NewReader(strings.NewReader(text))
	fields, err := reader.Read()
	if err != nil {
		return nil, fmt.Errorf("quotes go around the whole of an option: '\"device=0,1\"'")
	}
	var whole []string
	for _, f := range fields {
		f = strings.TrimSpace(f)
		if len(whole) > 0 && !strings.Contains(f, "=") && (strings.Contains(whole[len(whole)-1], "=") || isName(whole[len(whole)-1])) {
			whole[len(whole)-1] += "," + f
			continue
		}
		whole = append(whole, f)
	}
	return whole, nil
}

func readSelection(fields []string) (s Selection, err error) {
	said := map[string]bool{}
	for _, field := range fields {
		key, value, hasKey := strings.Cut(field, "=")
		switch {
		case !hasKey && isName(field):
			key, value = "device", field
		case !hasKey:
			key, value = "count", field
		}
		if said[key] {
			return s, fmt.Errorf("%s is said twice; several devices are written device=0,1", key)
		}
		said[key] = true
		if err := s.set(key, value); err != nil {
			return s, err
		}
	}
	if said["device"] && said["count"] {
		return s, fmt.Errorf("either a number of devices or their names")
	}
	if !said["device"] && !said["count"] { // as docker has it: only capabilities
		s.Count = 1
	}
	return s, nil
}

// set takes one option.
func (s *Selection) set(key, value string) error {
	switch key {
	case "count":
		return s.setCount(value)
	case "device":
		return s.setNames(value)
	case "capabilities":
		s.Capabilities = slices.DeleteFunc(strings.Split(value, ","), func(c string) bool { return c == "gpu" || c == "" })
		return CheckCapabilities(s.Capabilities)
	case "driver":
		if value != "nvidia" && value != "" {
			return fmt.Errorf("driver %q: these are NVIDIA's; others are asked for by --device VENDOR/CLASS=NAME", value)
		}
		return nil
	default:
		return fmt.Errorf("%q is none of device, count, capabilities and driver", key)
	}
}

// mostGPUs is more than any machine has devices, instances included.
const mostGPUs = 1024

func (s *Selection) setCount(value string) error {
	switch value {
	case "all", "-1":
		s.All = true
		return nil
	case "none":
		return nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > mostGPUs {
		return fmt.Errorf("%q is no number of GPUs, nor the name of one: write all, none, 2, device=0,1, GPU-UUID, MIG-UUID or 0:1", value)
	}
	s.Count = n
	return nil
}

func (s *Selection) setNames(value string) error {
	for name := range strings.SplitSeq(value, ",") {
		switch _, err := strconv.ParseUint(name, 10, 31); {
		case name == "all":
			s.All = true
		case name == "none":
			return fmt.Errorf("none is no device")
		case err != nil && !isName(name):
			return fmt.Errorf("%q is no device: write an index, GPU-UUID, MIG-UUID, or 0:1 for instance 1 of GPU 0", name)
		default:
			s.Names = append(s.Names, name)
		}
	}
	if s.All {
		s.Names = nil
	}
	return nil
}

// isName recognises what can only be a device's name: a UUID or the beginning of one, or an instance.
func isName(text string) bool {
	first, _, _ := strings.Cut(text, ",")
	for _, prefix := range []string{"GPU-", "MIG-"} {
		if rest, ok := strings.CutPrefix(first, prefix); ok {
			return rest != "" && strings.Trim(rest, "0123456789abcdefABCDEF-") == ""
		}
	}
	_, _, ok := instanceName(first)
	return ok
}

// instanceName reads "0:1".
func instanceName(text string) (gpu, instance int, ok bool) {
	g, i, found := strings.Cut(text, ":")
	gpu, gErr := strconv.Atoi(g)
	instance, iErr := strconv.Atoi(i)
	return gpu, instance, found && gErr == nil && iErr == nil && gpu >= 0 && instance >= 0
}

// Capabilities of the driver, as NVIDIA_DRIVER_CAPABILITIES has them.
var capabilities = []string{"compute", "utility", "video", "graphics", "display", "compat32", "ngx", "all"}

// DefaultCapabilities are those of a job that says nothing.
var DefaultCapabilities = []string{"compute", "utility"}

// CheckCapabilities returns an error for a name that is none. Errors do not wrap any of this package.
func CheckCapabilities(names []string) error {
	for _, name := range names {
		if !slices.Contains(capabilities, name) {
			return fmt.Errorf("%q is no capability of the driver: %s", name, strings.Join(capabilities, ", "))
		}
	}
	return nil
}

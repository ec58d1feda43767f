package gpu

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Unmet says which of an image's requirements the chosen devices and their driver do not fulfil. Images state them in variables
// NVIDIA_REQUIRE_*: alternatives with spaces between them, each of conditions with commas between them that must all hold, such as
// "cuda>=12.4 brand=tesla,driver>=535,driver<536". NVIDIA_DISABLE_REQUIRE takes them back.
func Unmet(env []string, inventory Inventory, chosen []Choice) (unmet []string) {
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		if name == "NVIDIA_DISABLE_REQUIRE" {
			if off, err := strconv.ParseBool(value); err == nil && off {
				return nil
			}
		}
		if !strings.HasPrefix(name, "NVIDIA_REQUIRE_") || strings.TrimSpace(value) == "" {
			continue
		}
		alternatives := strings.Fields(value)
		if !slices.ContainsFunc(alternatives, func(a string) bool { return holdsFor(a, inventory, chosen) }) {
			unmet = append(unmet, explainRequirement(alternatives, inventory))
		}
	}
	if more := len(unmet) - mostUnmet; more > 0 {
		unmet = append(unmet[:mostUnmet], fmt.Sprintf("and %d more requirements of the image", more))
	}
	return unmet
}

// An image says as much as it likes; a person is told what fits a screen.
const (
	mostUnmet = 4   // requirements
	mostWords = 120 // characters of one
)

// explainRequirement names the first alternative: the one that images state for a driver of their own age.
func explainRequirement(alternatives []string, inventory Inventory) string {
	first := strings.ReplaceAll(alternatives[0], ",", " and ")
	if runes := []rune(first); len(runes) > mostWords {
		first = string(runes[:mostWords-1]) + "…"
	}
	text := "the image wants " + first
	if more := len(alternatives) - 1; more > 0 {
		text += fmt.Sprintf(" (or one of %d other combinations)", more)
	}
	return fmt.Sprintf("%s; driver %s can do CUDA %s", text, cmp.Or(inventory.Driver, "of an unknown version"), cmp.Or(inventory.CUDA, "of an unknown version"))
}

// holdsFor reports whether all conditions hold for all devices. What is not known is not held against anybody.
func holdsFor(alternative string, inventory Inventory, chosen []Choice) bool {
	for condition := range strings.SplitSeq(alternative, ",") {
		at := strings.IndexAny(condition, "<>=!")
		if at <= 0 {
			continue
		}
		name, rest := condition[:at], condition[at:]
		wanted := strings.TrimLeft(rest, "<>=!")
		operator := strings.TrimSuffix(rest, wanted)
		for _, have := range property(name, inventory, chosen) {
			if have != "" && !compareBy(operator, name, have, wanted) {
				return false
			}
		}
	}
	return true
}

// property are the values of a property; none for one that is not known.
func property(name string, inventory Inventory, chosen []Choice) (values []string) {
	switch name {
	case "cuda":
		return []string{inventory.CUDA}
	case "driver":
		return []string{inventory.Driver}
	}
	for _, c := range chosen {
		switch name {
		case "arch":
			values = append(values, c.Device.Compute)
		case "brand":
			values = append(values, brand(c.Device.Name))
		}
	}
	return values
}

func compareBy(operator, property, have, wanted string) bool {
	order := strings.Compare(have, wanted)
	if property != "brand" {
		order = CompareVersions(have, wanted)
	}
	switch operator {
	case "=", "==":
		return order == 0
	case "!=":
		return order != 0
	case "<":
		return order < 0
	case ">":
		return order > 0
	case "<=":
		return order <= 0
	case ">=":
		return order >= 0
	}
	return true
}

// CompareVersions compares dotted numbers, of which missing ones are 0: -1, 0 or 1.
func CompareVersions(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		var x, y int
		if i < len(as) {
			x, _ = strconv.Atoi(as[i]) // 0 for what is no number
		}
		if i < len(bs) {
			y, _ = strconv.Atoi(bs[i])
		}
		if x != y {
			return cmp.Compare(x, y)
		}
	}
	return 0
}

// brands are known by what their devices are called (nvml.h, nvmlBrandType_t).
var brands = []struct{ part, brand string }{
	{"GeForce", "geforce"}, {"TITAN", "titan"}, {"Quadro RTX", "quadrortx"}, {"Quadro", "quadro"}, {"NVS", "nvs"}, {"GRID", "grid"}, {"RTX", "nvidiartx"},
}

// brand is that of a device by its name. What is called nothing else is for data centres.
func brand(name string) string {
	if name == "" {
		return ""
	}
	for _, b := range brands {
		if strings.Contains(name, b.part) {
			return b.brand
		}
	}
	return "tesla"
}

// DriverCapabilities are those that a job's variables ask for in NVIDIA_DRIVER_CAPABILITIES; the last one counts. What is none is
// returned apart.
func DriverCapabilities(env []string) (wanted, unknown []string) {
	wanted = DefaultCapabilities
	for _, v := range slices.Backward(env) {
		value, ok := strings.CutPrefix(v, "NVIDIA_DRIVER_CAPABILITIES=")
		if !ok {
			continue
		}
		var named []string
		for name := range strings.SplitSeq(value, ",") {
			switch name = strings.TrimSpace(name); {
			case name == "":
			case slices.Contains(capabilities, name):
				named = append(named, name)
			default:
				unknown = append(unknown, name)
			}
		}
		if len(named) > 0 {
			wanted = named
		}
		break
	}
	return wanted, unknown
}

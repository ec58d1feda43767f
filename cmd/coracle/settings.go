package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/config"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/oci/registry/routes"
	"github.com/coracle-run/coracle/runtime/spec"
)

const configKey = "config"

// configuration is what is set for good. It is read when a command first wants to know something of it.
func configuration(c *cli.Context) (*config.Config, error) {
	if set, ok := c.App.Metadata[configKey].(*config.Config); ok {
		return set, nil
	}
	set, err := config.Load(config.Here())
	if err != nil {
		return nil, adviseConfig(err)
	}
	for _, bad := range set.Bad() {
		if bad.Option == "" || !c.IsSet(strings.TrimPrefix(bad.Option, "--")) {
			return nil, bad.Err
		}
	}
	c.App.Metadata[configKey] = set
	return set, nil
}

// misconfigured is an error of a configuration with what was probably meant.
type misconfigured struct {
	error
	advice string
}

// Unwrap gives the cause.
func (e *misconfigured) Unwrap() error { return e.error }

// Hint says what to do next.
func (e *misconfigured) Hint() string { return e.advice }

// adviseConfig names the key that was probably meant.
func adviseConfig(err error) error {
	key, ok := errors.AsType[*config.KeyError](err)
	if !ok {
		return err
	}
	advice := "'coracle config ls' lists the keys"
	if name := nearestKey(key.Key, key.Known); name != "" {
		advice = fmt.Sprintf("did you mean %s? %s", name, advice)
	}
	return &misconfigured{err, advice}
}

// nearestKey is the key that was probably meant: of the same section, or of the same name.
func nearestKey(key string, known []string) string {
	if name := line.Nearest(key, known); name != "" {
		return name
	}
	_, name, _ := strings.Cut(key, ".")
	for _, k := range known {
		if _, other, _ := strings.Cut(k, "."); other == name || other == key {
			return k
		}
	}
	return ""
}

// applySettings gives the options of a run that were not given the values that are set for good, and refuses those that the site
// does not leave to the user. A repeated run has what its record has, and beside that only what is forced. It returns what was applied.
func applySettings(c *cli.Context) (used []record.Setting, err error) {
	set, err := configuration(c)
	if err != nil {
		return nil, err
	}
	for _, v := range set.All() {
		for _, item := range v.Overrule {
			printer(c).Warn("%s: %s %s is not used: %s sets %s for all", item.Where(), v.Key, item.Text, v.By.Where(), v.Key)
		}
	}
	for _, v := range set.Given(jobCommand) {
		name := strings.TrimPrefix(v.Option, "--")
		switch repeated := rerunOf(c) != ""; {
		case v.List && v.Forced && (name == "ulimit" || name == "exit-code"):
			if err := keepForced(c, v, name); err != nil {
				return nil, err
			}
		case !v.List && c.IsSet(name):
			if err := set.Choice(v.Key, optionText(c, name)); err != nil {
				return nil, err
			}
			continue
		case repeated && !v.Forced, name == "env", name == "volume", name == "mount", name == "detach-keys":
			continue // see setEnvironment, setVolumes and detachKeysText
		case v.List:
			line.Prepend(c, name, v.Texts())
		default:
			if err := c.Set(name, here(v)); err != nil {
				return nil, fmt.Errorf("%s: %w", v.Items[0].Where(), err)
			}
		}
		used = append(used, record.Setting{Key: v.Key, Option: name, Values: v.Texts(), From: v.Items[len(v.Items)-1].Where()})
	}
	return used, nil
}

// here is a value as it is on this machine: of the CPUs that a file allows on all of a site's, there may be fewer, and that is no mistake.
func here(v config.Value) string {
	there := runtime.NumCPU() // those of the caller's affinity, by which the option is judged
	if n, err := strconv.ParseFloat(v.Text(), 64); v.Key == "run.cpus" && err == nil && n > float64(there) {
		return strconv.Itoa(there)
	}
	return v.Text()
}

// optionText is the value of an option, of a switch too.
func optionText(c *cli.Context, name string) string {
	if on, ok := c.Value(name).(bool); ok {
		return boolText(on)
	}
	return c.String(name)
}

// keepForced refuses values of an option NAME=VALUE whose name the site has given another one.
func keepForced(c *cli.Context, v config.Value, name string) error {
	for _, given := range line.Values(c, name) {
		if err := contradicts(v, given); err != nil {
			return err
		}
	}
	line.Prepend(c, name, v.Texts())
	return nil
}

// contradicts fails for NAME=VALUE when the site has forced another value of that name.
func contradicts(v config.Value, given string) error {
	if !v.Forced {
		return nil
	}
	name, _, _ := strings.Cut(given, "=")
	for _, item := range v.Items {
		if forced, _, _ := strings.Cut(item.Text, "="); item.Origin == config.Site && forced == name && item.Text != given {
			return &config.ForcedError{Option: v.Option, Given: given, Key: v.Key, By: item}
		}
	}
	return nil
}

// setEnvironment puts the variables that are set for good before those that were given.
func setEnvironment(c *cli.Context, given []string, read func(text string) (string, error)) ([]string, error) {
	set, err := configuration(c)
	if err != nil {
		return nil, err
	}
	v, env := set.Get("run.env"), []string{}
	for _, variable := range given {
		if err := contradicts(v, variable); err != nil {
			return nil, err
		}
	}
	for _, item := range v.Items {
		if rerunOf(c) != "" && (!v.Forced || item.Origin != config.Site) {
			continue
		}
		text, err := read(item.Text)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", item.Where(), v.Key, err)
		}
		if text != "" {
			env = append(env, text)
		}
	}
	return append(env, given...), nil
}

// setVolumes puts what is mounted for good before what was asked for, which comes in its place on the same target.
func setVolumes(c *cli.Context, cwd string, asked []spec.Volume) ([]spec.Volume, error) {
	set, err := configuration(c)
	if err != nil {
		return nil, err
	}
	var first []spec.Volume
	for _, kind := range []struct {
		key   string
		parse func(text, cwd string) (spec.Volume, error)
	}{{"run.volume", spec.ParseVolume}, {"run.mount", spec.ParseMount}} {
		v := set.Get(kind.key)
		for _, item := range v.Items {
			forced := v.Forced && item.Origin == config.Site
			if rerunOf(c) != "" && !forced {
				continue
			}
			volume, err := kind.parse(item.Text, cwd)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", item.Where(), v.Key, err)
			}
			at := slices.IndexFunc(asked, func(a spec.Volume) bool { return filepath.Clean(a.Target) == filepath.Clean(volume.Target) })
			switch {
			case at < 0:
				first = append(first, volume)
			case forced && asked[at].Source != volume.Source:
				return nil, &config.ForcedError{Option: "what is mounted on", Given: volume.Target, Key: v.Key, By: item}
			}
		}
	}
	return append(first, asked...), nil
}

// mirrors are those of registries that are set for good.
func mirrors(set *config.Config) (list []routes.Mirror) {
	for _, m := range set.Mirrors() {
		list = append(list, routes.Mirror{Prefix: m.Prefix, Location: m.Location, Insecure: m.Insecure, File: m.File})
	}
	return list
}

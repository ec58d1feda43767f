package config

import (
	"os"
	"path/filepath"
	"slices"
)

// SiteFile is the file of a site.
const SiteFile = "/etc/coracle/config.toml"

// Place is where configuration is looked for.
type Place struct {
	Site, User string // files; "": none
	Env        func(string) string
	Owner      uint32 // of the site's file
}

// Here is the place of this process.
func Here() Place {
	p := Place{Site: SiteFile, Env: os.Getenv}
	if dir, err := os.UserConfigDir(); err == nil { // else the caller has none
		p.User = filepath.Join(dir, "coracle", "config.toml")
	}
	return p
}

// Config is what is set. The zero value is nothing.
type Config struct {
	values map[string]Value
	bad    []BadVariable
}

// BadVariable is a variable that sets nothing, because its value cannot be understood. An option in its place makes up for it.
type BadVariable struct {
	Setting
	Err error // an ErrConfig
}

// Bad are those that there are.
func (c *Config) Bad() []BadVariable { return c.bad }

// Load reads what is set in a place. All that is wrong in a file is told at once; what is wrong in the environment, by Bad.
func Load(p Place) (*Config, error) {
	site, err := read(p.Site, Site, p.Env, &p.Owner)
	if err != nil {
		return nil, err
	}
	user, err := read(p.User, User, p.Env, nil)
	if err != nil {
		return nil, err
	}
	c := &Config{}
	for _, s := range Settings {
		env, err := fromEnvironment(s, p.Env)
		if err != nil {
			c.bad = append(c.bad, BadVariable{s, err})
		}
		v := Value{Setting: s, Forced: slices.Contains(site.forced, s.Key) || s.Always && len(site.items[s.Key]) > 0}
		v.take(site.items[s.Key], user.items[s.Key], env)
		if v.Set() || len(v.Overrule) > 0 {
			if c.values == nil {
				c.values = map[string]Value{}
			}
			c.values[s.Key] = v
		}
	}
	return c, nil
}

// fromEnvironment is what a variable sets. An empty one sets nothing.
func fromEnvironment(s Setting, env func(string) string) ([]Item, error) {
	if s.Variable == "" {
		return nil, nil
	}
	text := env(s.Variable)
	if text == "" {
		return nil, nil
	}
	if s.Kind == Path {
		abs, err := filepath.Abs(text) // as the shell's user means it
		return []Item{{Text: abs, Origin: Environment, Variable: s.Variable}}, err
	}
	text, err := s.check(text, env)
	if err != nil {
		return nil, &FileError{File: s.Variable, Err: err}
	}
	return []Item{{Text: text, Origin: Environment, Variable: s.Variable}}, nil
}

// take decides what counts of what several places say, the least important first.
func (v *Value) take(site []Item, others ...[]Item) {
	v.Items = site
	if v.Forced {
		v.By = site[0]
	}
	for _, items := range others {
		switch {
		case len(items) == 0:
		case v.Adds:
			v.Items = append(slices.Clip(v.Items), items...)
		case !v.Forced:
			v.Items = items
		case v.Most && v.within(items[0].Text, v.By.Text):
			v.Items = items
		case !slices.Equal(texts(items), texts(site)):
			v.Overrule = append(v.Overrule, items...)
		}
	}
}

func texts(items []Item) (texts []string) {
	for _, i := range items {
		texts = append(texts, i.Text)
	}
	return texts
}

// Get is the value of a key, which must be one of Settings.
func (c *Config) Get(key string) Value {
	if v, ok := c.values[key]; ok {
		return v
	}
	s, ok := Find(key)
	if !ok {
		panic("no setting is called " + key)
	}
	return Value{Setting: s}
}

// All are the values of all settings.
func (c *Config) All() (all []Value) {
	for _, s := range Settings {
		all = append(all, c.Get(s.Key))
	}
	return all
}

// Given are the settings below a section ("run") that somebody has set.
func (c *Config) Given(section string) (given []Value) {
	for _, s := range Settings {
		if v, ok := c.values[s.Key]; ok && v.Set() && len(s.Key) > len(section) && s.Key[:len(section)+1] == section+"." {
			given = append(given, v)
		}
	}
	return given
}

// Choice fails when the site does not leave it to the user to choose this with an option.
func (c *Config) Choice(key, given string) error {
	v, ok := c.values[key]
	if !ok || !v.Forced {
		return nil
	}
	if v.List && slices.Contains(v.Texts(), given) || !v.List && v.within(given, v.By.Text) {
		return nil
	}
	return &ForcedError{Option: v.Option, Given: given, Key: key, By: v.By, Most: v.Most}
}

// Mirrors are those of registries, in the order in which they are asked: the user's come before the site's.
func (c *Config) Mirrors() (mirrors []Mirror) {
	items := c.Get("registry.mirror").Items
	for _, origin := range []Origin{User, Site} {
		for _, i := range items {
			if i.Origin == origin {
				mirrors = append(mirrors, *i.Mirror)
			}
		}
	}
	return mirrors
}

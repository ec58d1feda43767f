package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/BurntSushi/toml"
)

// maxFile is how large a file may be, in bytes.
const maxFile = 1 << 20

// file is what one file says.
type file struct {
	items  map[string][]Item // by key
	forced []string          // keys
}

// read reads a file of some origin; one that is not there says nothing. owner is who alone may have written it; nil: whoever.
func read(path string, origin Origin, env func(string) string, owner *uint32) (file, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // of a pipe, nobody waits for its writer
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return file{}, nil
	}
	if err != nil {
		return file{}, &FileError{File: path, Err: cause(err)}
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Mode()&fs.ModeNamedPipe != 0 {
		return file{}, &FileError{File: path, Err: errors.Join(err, errPipe)}
	}
	if owner != nil {
		if err := ownedBy(f, path, *owner); err != nil {
			return file{}, &FileError{File: path, Err: err}
		}
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return file{}, &FileError{File: path, Err: cause(err)}
	case len(raw) > maxFile:
		return file{}, &FileError{File: path, Err: fmt.Errorf("it is larger than %d bytes", maxFile)}
	}
	return parse(strings.TrimPrefix(string(raw), "\ufeff"), path, origin, env) // as some editors begin a file, and TOML allows
}

// cause is an error without the path, which is told with the line.
func cause(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

// parse reads the text of a file.
func parse(text, path string, origin Origin, env func(string) string) (file, error) {
	if line := tooDeep(text); line > 0 {
		return file{}, &FileError{File: path, Line: line, Err: fmt.Errorf("a name of more than %d parts, or as many tables in each other: is it a configuration file?", deepest)}
	}
	var tree map[string]any
	if _, err := toml.Decode(text, &tree); err != nil {
		var bad toml.ParseError
		if errors.As(err, &bad) {
			return file{}, &FileError{File: path, Line: bad.Position.Line, Err: errors.New(firstLine(bad.Message, err))}
		}
		return file{}, &FileError{File: path, Err: errors.New(strings.TrimPrefix(err.Error(), "toml: "))}
	}
	p := parser{lines: linesOf(text), path: path, origin: origin, env: env, file: file{items: map[string][]Item{}}}
	p.table("", tree)
	for _, key := range p.file.forced {
		if _, set := p.file.items[key]; !set && len(p.errs) == 0 {
			p.fail(force, fmt.Errorf("%s names %s, which this file does not set", force, key))
		}
	}
	return p.file, errors.Join(p.errs...)
}

// deepest is how many dots there may be in a line, and braces around each other: names have two parts. Of 50,000 the parser would take a
// minute to make tables in tables.
const deepest = 100

// tooDeep is the first line that has more, or 0. What is in quotes, or a comment, does not count.
func tooDeep(text string) int {
	number, braces := 0, 0
	for line := range strings.Lines(text) {
		number++
		dots, quote := 0, byte(0)
		for i := 0; i < len(line) && (quote != 0 || line[i] != '#'); i++ {
			switch c := line[i]; {
			case quote == '"' && c == '\\':
				i++
			case quote != 0:
				if c == quote {
					quote = 0
				}
			case c == '"' || c == '\'':
				quote = c
			case c == '.':
				dots++
			case c == '{':
				braces++
			case c == '}':
				braces--
			}
			if dots > deepest || braces > deepest {
				return number
			}
		}
	}
	return 0
}

func firstLine(message string, err error) string {
	if message == "" {
		message = err.Error()
	}
	line, _, _ := strings.Cut(message, "\n")
	return line
}

// parser turns what TOML has into what is set.
type parser struct {
	lines  map[string]int // by key
	path   string
	origin Origin
	env    func(string) string
	file   file
	errs   []error
}

func (p *parser) fail(key string, err error) {
	line := p.lines[key]
	for above := key; line == 0 && strings.Contains(above, "."); line = p.lines[above] {
		above = above[:strings.LastIndex(above, ".")]
	}
	p.errs = append(p.errs, &FileError{File: p.path, Line: line, Err: err})
}

// table takes the keys of a table in an order that is always the same.
func (p *parser) table(prefix string, tree map[string]any) {
	for _, name := range sortedKeys(tree) {
		key := prefix + name
		s, known := Find(key)
		inner, isTable := tree[name].(map[string]any)
		switch {
		case known:
			p.value(s, tree[name])
		case key == force && p.origin == Site:
			p.forced(tree[name])
		case key == force:
			p.fail(key, fmt.Errorf("%s is for the site's file, %s", force, SiteFile))
		case prefix == "" && isSection(key) && isTable:
			p.table(key+".", inner)
		case prefix == "" && isSection(key):
			p.fail(key, wrongType(key, "a table, ["+key+"]", tree[name]))
		default:
			p.fail(key, &KeyError{Key: key, Known: append(Keys(), force)})
		}
	}
}

// isSection reports whether there are settings below a key.
func isSection(key string) bool {
	return slices.ContainsFunc(Settings, func(s Setting) bool { return strings.HasPrefix(s.Key, key+".") })
}

// forced reads the keys that the site does not leave to the user.
func (p *parser) forced(value any) {
	keys, ok := value.([]any)
	if !ok {
		p.fail(force, wrongType(force, "a list of keys", value))
		return
	}
	for _, v := range keys {
		key, ok := v.(string)
		if !ok {
			p.fail(force, wrongType(force, "a list of keys", v))
			continue
		}
		if _, known := Find(key); !known {
			p.fail(force, &KeyError{Key: key, Known: Keys()})
		}
		p.file.forced = append(p.file.forced, key)
	}
}

// value reads one key.
func (p *parser) value(s Setting, value any) {
	values := []any{value}
	if s.List {
		switch v := value.(type) {
		case []any:
			values = v
		case []map[string]any:
			values = nil
			for _, one := range v {
				values = append(values, one)
			}
		default:
			p.fail(s.Key, wrongType(s.Key, s.expects(), value))
			return
		}
	}
	items := []Item{}
	for _, v := range values {
		item, err := p.item(s, v)
		if err != nil {
			p.fail(s.Key, err)
			return
		}
		items = append(items, item)
	}
	if s.List && !s.Adds && len(items) == 0 {
		p.fail(s.Key, fmt.Errorf("%s is an empty list: leave it out", s.Key))
		return
	}
	p.file.items[s.Key] = items
}

func (p *parser) item(s Setting, value any) (Item, error) {
	i := Item{Origin: p.origin, File: p.path, Line: p.lines[s.Key]}
	if s.Kind == Mirrors {
		m, err := mirror(value, p.path)
		i.Mirror, i.Text = &m, m.String()
		return i, err
	}
	text, ok := textOf(s.Kind, value)
	if !ok {
		return i, wrongType(s.Key, s.expects(), value)
	}
	var err error
	if i.Text, err = s.check(text, p.env); err != nil {
		err = fmt.Errorf("%s: %w", s.Key, err)
	}
	return i, err
}

// textOf is a value of TOML as text, if it is of the kind.
func textOf(kind Kind, value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, kind != Switch && kind != Number
	case bool:
		return strconv.FormatBool(v), kind == Switch
	case int64:
		return strconv.FormatInt(v, 10), kind == Number
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), kind == Number
	}
	return "", false
}

// mirror reads one of [[registry.mirror]].
func mirror(value any, path string) (m Mirror, err error) {
	m.File = path
	tree, ok := value.(map[string]any)
	if !ok {
		return m, wrongType("registry.mirror", "tables, [[registry.mirror]]", value)
	}
	for _, name := range sortedKeys(tree) {
		switch name {
		case "prefix":
			m.Prefix, ok = tree[name].(string)
		case "location":
			m.Location, ok = tree[name].(string)
		case "insecure":
			m.Insecure, ok = tree[name].(bool)
		default:
			return m, &KeyError{Key: "registry.mirror." + name, Known: []string{"registry.mirror.prefix", "registry.mirror.location", "registry.mirror.insecure"}}
		}
		if !ok {
			return m, wrongType("registry.mirror."+name, map[bool]string{true: "true or false", false: "text"}[name == "insecure"], tree[name])
		}
	}
	if m.Prefix == "" || m.Location == "" {
		return m, errors.New("a [[registry.mirror]] needs prefix and location")
	}
	return m, nil
}

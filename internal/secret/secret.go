// Package secret reads the values of --secret: from a variable or a file of the caller's, into memory, and nowhere else.
package secret

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/naming"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/spec"
)

// ErrRead marks a secret whose source is not there or cannot be used.
var ErrRead = errors.New("secret cannot be read")

// Secret is a value that the job finds in a file of its own memory. Nothing but that file is to have it: no error and no record
// says more than its name and the kind of its source.
type Secret struct {
	ID    string
	From  string // File or Variable
	value []byte
}

// The kinds of source of a secret, by the words of --secret's type.
const (
	File     = "file"
	Variable = "env"
)

// most is podman's limit, in bytes.
const most = 512000

// Environ is the caller's environment, as far as secrets come from it.
type Environ struct {
	Lookup func(name string) (string, bool)
	Forget func(name string) error // takes a variable out of it, so that nobody else gets it
}

// Read reads the values of --secret, id=NAME[,src=FILE|,env=VAR] with CSV's quoting, and then what they name. Without a source
// it is the variable of that name, else the file, as for docker's builds. Variables that were read are forgotten.
func Read(texts []string, environ Environ) (secrets []Secret, err error) {
	var variables []string
	for _, text := range texts {
		given, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("%w: --secret: %w", spec.ErrOption, err)
		}
		if slices.ContainsFunc(secrets, func(s Secret) bool { return s.ID == given.id }) {
			return nil, fmt.Errorf("%w: --secret: there are two of the name %s", spec.ErrOption, given.id)
		}
		s, err := given.read(environ.Lookup)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrRead, given.id, err)
		}
		secrets = append(secrets, s)
		if s.From == Variable {
			variables = append(variables, given.env)
		}
	}
	for _, name := range variables {
		if err := environ.Forget(name); err != nil {
			return nil, err
		}
	}
	return secrets, nil
}

// Forget takes the variables that are secrets out of the environment of a process that has another one read them. What cannot be
// understood is told by that one.
func Forget(texts []string, environ Environ) error {
	var errs []error
	for _, text := range texts {
		given, err := parse(text)
		if err != nil {
			continue
		}
		name := given.env
		if name == "" && given.file == "" {
			name = given.id
		}
		if _, ok := environ.Lookup(name); ok {
			errs = append(errs, environ.Forget(name))
		}
	}
	return errors.Join(errs...)
}

// option is one value of --secret.
type option struct{ kind, id, file, env string }

var keys = map[string]func(o *option) *string{
	"id":     func(o *option) *string { return &o.id },
	"src":    func(o *option) *string { return &o.file },
	"source": func(o *option) *string { return &o.file },
	"env":    func(o *option) *string { return &o.env },
	"type":   func(o *option) *string { return &o.kind },
}

// parse repeats nothing of the text but the name: who has the syntax wrong may have written the secret itself.
func parse(text string) (o option, err error) {
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return o, errors.New("write id=NAME,src=FILE or id=NAME,env=VARIABLE, with quotes around one that has a comma")
	}
	for _, field := range fields {
		key, value, assigned := strings.Cut(field, "=")
		if !assigned {
			return o, errors.New("it names a file or a variable and takes no value itself: write id=NAME,src=FILE or id=NAME,env=VARIABLE")
		}
		key = strings.ToLower(strings.TrimSpace(key))
		place, ok := keys[key]
		if !ok {
			return o, errors.New("its keys are id, src, env and type: write id=NAME,src=FILE or id=NAME,env=VARIABLE")
		}
		if value == "" {
			return o, fmt.Errorf("%s needs a value: %s=VALUE", key, key)
		}
		*place(&o) = value
	}
	return o, o.check()
}

// check looks at what only makes sense together, and fills in what follows.
func (o *option) check() error {
	switch {
	case o.id == "":
		return errors.New("it has no name: write id=NAME")
	case !naming.IsName(o.id):
		return fmt.Errorf("id=%q: letters, digits and _.- only, beginning with a letter or digit", o.id)
	case o.file != "" && o.env != "":
		return fmt.Errorf("%s has two sources: src and env", o.id)
	case o.kind != "" && o.kind != File && o.kind != Variable:
		return fmt.Errorf("type is %s or %s, not %q", File, Variable, o.kind)
	case o.kind == File && o.env != "":
		return errors.New("env is for type=env")
	case o.kind == Variable && o.file != "": // as docker has it
		o.env, o.file = o.file, ""
	case o.kind == Variable && o.env == "":
		o.env = o.id
	case o.kind == File && o.file == "":
		o.file = o.id
	}
	return nil
}

func (o *option) read(lookup func(string) (string, bool)) (s Secret, err error) {
	s.ID = o.id
	if o.file == "" && o.env == "" {
		if err := o.guess(lookup); err != nil {
			return s, err
		}
	}
	if o.env != "" {
		s.From = Variable
		value, ok := lookup(o.env)
		if !ok {
			return s, fmt.Errorf("the variable %s is not set", o.env)
		}
		s.value = []byte(value)
	} else {
		s.From = File
		if s.value, err = fsx.ReadFile(o.file, most); err != nil {
			return s, err
		}
	}
	switch {
	case len(s.value) == 0:
		return s, errors.New("it is empty")
	case len(s.value) > most:
		return s, fmt.Errorf("it has more than %d bytes", most)
	}
	return s, nil
}

// guess finds the source of a secret of which only the name is given.
func (o *option) guess(lookup func(string) (string, bool)) error {
	if _, ok := lookup(o.id); ok {
		o.env = o.id
		return nil
	}
	if _, err := os.Stat(o.id); err != nil {
		return errors.New("there is neither a variable nor a file of that name: write src=FILE or env=VARIABLE")
	}
	o.file = o.id
	return nil
}

// Records are what a record may say of secrets, and the values, of which it may hold nothing.
func Records(secrets []Secret) (list []record.Secret, values []string) {
	for _, s := range secrets {
		list = append(list, record.Secret{ID: s.ID, From: s.From})
		values = append(values, string(s.value))
	}
	return list, values
}

// Files are what the keeper makes of them.
func Files(secrets []Secret) (files []container.File) {
	for _, s := range secrets {
		files = append(files, container.File{Name: s.ID, Text: s.value})
	}
	return files
}

package config

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrConfig is wrapped by the errors of files and variables that cannot be understood.
	ErrConfig = errors.New("bad configuration")
	// ErrForced is wrapped by a [ForcedError].
	ErrForced = errors.New("the site does not leave the choice")
	// ErrPolicy is wrapped by a [PolicyError].
	ErrPolicy = errors.New("the policy forbids it")
	// ErrOwner is returned for a site's file that others than root may have written.
	ErrOwner = errors.New("not root's alone")

	errPipe = errors.New("it is a pipe, and no file")
)

// FileError is what is wrong in a file. It is an ErrConfig.
type FileError struct {
	File string
	Line int // 0: all of it
	Err  error
}

// Error implements error.
func (e *FileError) Error() string {
	return fmt.Sprintf("%v: %s: %v", ErrConfig, position(e.File, e.Line), e.Err)
}

// Unwrap gives the cause.
func (e *FileError) Unwrap() []error { return []error{ErrConfig, e.Err} }

func position(file string, line int) string {
	if line == 0 {
		return file
	}
	return fmt.Sprintf("%s:%d", file, line)
}

// KeyError is a key that there is not.
type KeyError struct {
	Key   string
	Known []string // all that there are
}

// Error implements error.
func (e *KeyError) Error() string { return fmt.Sprintf("there is no key %s", e.Key) }

// ForcedError is a choice that the site does not leave. It is an ErrForced.
type ForcedError struct {
	Option, Given string // "--network", "private"
	Key           string
	By            Item
	Most          bool // less could be asked for
}

// Error implements error.
func (e *ForcedError) Error() string {
	how := "sets " + e.Key + " to"
	if e.Most {
		how = "allows " + e.Key + " of at most"
	}
	return fmt.Sprintf("%s %s: %v: %s %s %s", e.Option, e.Given, ErrForced, e.By.Where(), how, e.By.Text)
}

// Unwrap makes errors.Is(err, ErrForced) true.
func (e *ForcedError) Unwrap() error { return ErrForced }

// PolicyError is an image that the policy forbids. It is an ErrPolicy.
type PolicyError struct {
	Image, Why string
	By         Item
}

// Error implements error.
func (e *PolicyError) Error() string {
	return fmt.Sprintf("image %s: %v: %s (%s)", e.Image, ErrPolicy, e.Why, e.By.Where())
}

// Unwrap makes errors.Is(err, ErrPolicy) true.
func (e *PolicyError) Unwrap() error { return ErrPolicy }

func list(words []string) string { return strings.Join(words, ", ") }

package config

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/coracle-run/coracle/internal/quantity"
	"github.com/coracle-run/coracle/internal/terminal"
)

// check makes the text of a value that which counts, or says why it is none.
func (s Setting) check(text string, env func(string) string) (string, error) {
	if s.Expand {
		var err error
		if text, err = expand(text, env); err != nil {
			return "", err
		}
	}
	switch s.Kind {
	case Path:
		if !filepath.IsAbs(text) {
			return "", fmt.Errorf("%q is no absolute path", text)
		}
		return filepath.Clean(text), nil
	case Word:
		if !slices.Contains(s.Words, text) {
			return "", fmt.Errorf("%q is none of %s", text, list(s.Words))
		}
	case Switch:
		on, err := strconv.ParseBool(text)
		if err != nil {
			return "", fmt.Errorf("%q is neither true nor false", text)
		}
		return strconv.FormatBool(on), nil
	case Size, Time, Number:
		_, err := s.amount(text)
		return text, err
	case Typed:
		_, err := terminal.ParseKeys(text)
		return text, err
	default:
		if text == "" || strings.ContainsRune(text, 0) {
			return "", errors.New("it is empty")
		}
	}
	return text, nil
}

// amount is a value that can be more or less. Less than none, as -1 of some options, is without a limit.
func (s Setting) amount(text string) (float64, error) {
	switch s.Kind {
	case Size:
		bytes, err := quantity.Size(text)
		if err != nil || bytes == 0 {
			return 0, fmt.Errorf("%q is %w", text, quantity.ErrSize)
		}
		return float64(bytes), nil
	case Time:
		d, err := quantity.Span(text)
		if err != nil {
			return 0, fmt.Errorf("%q is %w", text, err)
		}
		return d.Seconds(), nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, fmt.Errorf("%q is no number", text)
	}
	if n <= 0 {
		return math.Inf(1), nil
	}
	return n, nil
}

// within reports whether what is asked for is what is forced, or where that is the most, no more.
func (s Setting) within(asked, forced string) bool {
	if !s.Most {
		return asked == forced
	}
	a, err := s.amount(asked)
	b, bad := s.amount(forced)
	return err == nil && bad == nil && a <= b
}

// expand replaces ~ at the beginning, $NAME and ${NAME}. $UID is the caller's number; $$ is a dollar.
func expand(text string, env func(string) string) (string, error) {
	var missing []string
	lookup := func(name string) string {
		switch value := env(name); {
		case name == "$":
			return "$"
		case value != "":
			return value
		case name == "UID":
			return strconv.Itoa(os.Getuid())
		default:
			missing = append(missing, "$"+name)
			return ""
		}
	}
	if rest, ok := strings.CutPrefix(text, "~/"); ok {
		text = "$HOME/" + rest
	}
	text = os.Expand(text, lookup)
	if len(missing) > 0 {
		return "", fmt.Errorf("%s is not set", list(missing))
	}
	return text, nil
}

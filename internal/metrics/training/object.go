package training

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
)

var errSyntax = errors.New("no object of names and numbers")

// object is what a line says.
type object struct {
	Point
	text bool // it has strings, too, that are no numbers
	more int  // values beyond maxPoint
}

// parse reads one line: a JSON object, in which NaN and Infinity may stand as Python's json module writes them, or Python's form of
// a dictionary. Objects in objects give names with dots; lists, truth values and null are passed over. A number called step,
// global_step or _step says when.
func parse(line []byte) (object, error) {
	p := parser{rest: bytes.TrimSpace(line)}
	p.out.Step = math.NaN()
	err := p.object("", 0)
	if err == nil && len(bytes.TrimSpace(p.rest)) > 0 {
		err = errSyntax
	}
	return p.out, err
}

type parser struct {
	rest   []byte
	python bool // a key was quoted as JSON does not
	out    object
}

// next is the first byte that is no space; 0 at the end.
func (p *parser) next() byte {
	p.rest = bytes.TrimLeft(p.rest, " \t")
	if len(p.rest) == 0 {
		return 0
	}
	return p.rest[0]
}

func (p *parser) take(c byte) bool {
	if p.next() != c || c == 0 {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *parser) object(prefix string, depth int) error {
	if depth > maxDepth || !p.take('{') {
		return errSyntax
	}
	if p.take('}') {
		return nil
	}
	for {
		name, err := p.string()
		if err != nil || !p.take(':') {
			return errSyntax
		}
		if err := p.value(prefix+name, depth); err != nil {
			return err
		}
		switch {
		case p.take(','):
		case p.take('}'):
			return nil
		default:
			return errSyntax
		}
	}
}

// string reads a string in either quotes.
func (p *parser) string() (string, error) {
	quote := p.next()
	if quote != '"' && quote != '\'' {
		return "", errSyntax
	}
	p.python = p.python || quote == '\''
	for i := 1; i < len(p.rest); i++ {
		switch p.rest[i] {
		case '\\':
			i++
		case quote:
			text := p.rest[1:i]
			raw := p.rest[:i+1]
			p.rest = p.rest[i+1:]
			return unquote(text, raw, quote)
		}
	}
	return "", errSyntax
}

func unquote(text, raw []byte, quote byte) (s string, err error) {
	switch {
	case bytes.IndexByte(text, '\\') < 0:
		return string(text), nil
	case quote == '"':
		err = json.Unmarshal(raw, &s)
		return s, err
	}
	return strings.NewReplacer(`\\`, `\`, `\'`, `'`).Replace(string(text)), nil
}

func (p *parser) value(name string, depth int) error {
	switch c := p.next(); {
	case c == '{':
		return p.object(name+".", depth+1)
	case c == '[':
		return p.list(depth + 1)
	case c == '"' || c == '\'':
		text, err := p.string()
		if v, ok := quoted(text); err == nil && ok && p.python {
			p.put(name, v, depth)
		} else {
			p.out.text = true
		}
		return err
	case c == '-' || c == '+' || c == '.' || '0' <= c && c <= '9':
		v, err := p.number()
		if err == nil {
			p.put(name, v, depth)
		}
		return err
	}
	return p.word(name, depth)
}

// list passes over a list.
func (p *parser) list(depth int) error {
	if depth > maxDepth || !p.take('[') {
		return errSyntax
	}
	if p.take(']') {
		return nil
	}
	inner := parser{rest: p.rest, python: p.python}
	for {
		if err := inner.value("", depth); err != nil {
			return err
		}
		if !inner.take(',') {
			break
		}
	}
	p.rest = inner.rest
	if !p.take(']') {
		return errSyntax
	}
	return nil
}

// word reads what is neither quoted nor begins as a number: NaN, null, np.float64(0.5).
func (p *parser) word(name string, depth int) error {
	end := 0
	for end < len(p.rest) && (p.rest[end] == '.' || p.rest[end] == '_' || isAlphanumeric(p.rest[end])) {
		end++
	}
	word := string(p.rest[:end])
	p.rest = p.rest[end:]
	switch word {
	case "true", "false", "null", "True", "False", "None":
		return nil
	case "NaN", "nan":
		p.put(name, math.NaN(), depth)
		return nil
	case "Infinity", "inf":
		p.put(name, math.Inf(1), depth)
		return nil
	case "":
		return errSyntax
	}
	if !p.take('(') {
		return errSyntax
	}
	v, err := p.number()
	closing := bytes.IndexByte(p.rest, ')')
	if err != nil || closing < 0 {
		return errSyntax
	}
	p.rest = p.rest[closing+1:]
	p.put(name, v, depth)
	return nil
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// number reads one, also -Infinity.
func (p *parser) number() (float64, error) {
	p.next()
	end := 0
	for end < len(p.rest) && strings.IndexByte("+-.0123456789eE", p.rest[end]) >= 0 {
		end++
	}
	text := string(p.rest[:end])
	p.rest = p.rest[end:]
	if text == "-" {
		for _, word := range []string{"Infinity", "inf"} {
			if rest, ok := bytes.CutPrefix(p.rest, []byte(word)); ok {
				p.rest = rest
				return math.Inf(-1), nil
			}
		}
	}
	return parseFloat(text)
}

// parseFloat takes what is beyond the range of a number for infinite.
func parseFloat(text string) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, errSyntax
	}
	return v, nil
}

// quoted reads a number that newer versions of Hugging Face's trainer print in quotes.
func quoted(text string) (float64, bool) {
	if text == "" || strings.Trim(text, "+-.0123456789eE") != "" && text != "nan" && text != "inf" && text != "-inf" {
		return 0, false
	}
	v, err := parseFloat(text)
	return v, err == nil
}

func (p *parser) put(name string, v float64, depth int) {
	if depth == 0 && (name == "step" || name == "global_step" || name == "_step") && !math.IsNaN(v) && !math.IsInf(v, 0) {
		p.out.Step = v
		return
	}
	if len(p.out.Values) >= maxPoint {
		p.out.more++
		return
	}
	p.out.Values = append(p.out.Values, Value{name, v})
}

package ui

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/term"
)

// Printer prints for one command. The zero value prints nothing; make one with New.
type Printer struct {
	out, err stream
}

// stream is one of the two outputs.
type stream struct {
	io.Writer
	file  *os.File // the terminal, or nil
	color bool
}

// New returns a printer for the two outputs. The environment says whether a terminal wants colour: NO_COLOR set to anything,
// or TERM=dumb, say no.
func New(out, err io.Writer, env func(string) string) *Printer {
	color := env("NO_COLOR") == "" && env("TERM") != "dumb"
	p := &Printer{out: newStream(out, color), err: newStream(err, color)}
	p.out.Writer = output{out}
	return p
}

// output is standard output, whose failures are told from those of what a command does.
type output struct{ io.Writer }

func (o output) Write(b []byte) (int, error) {
	n, err := o.Writer.Write(b)
	if err != nil {
		return n, &OutputError{err}
	}
	return n, nil
}

// OutputError means that a result could not be printed.
type OutputError struct{ Err error }

// Error implements error.
func (e *OutputError) Error() string {
	cause := e.Err
	if path, ok := errors.AsType[*fs.PathError](cause); ok {
		cause = path.Err // its path is only what Go calls the stream
	}
	return fmt.Sprintf("writing to standard output: %v", cause)
}

// Unwrap gives the cause.
func (e *OutputError) Unwrap() error { return e.Err }

// Hint says what to do next.
func (e *OutputError) Hint() string {
	if errors.Is(e.Err, syscall.ENOSPC) || errors.Is(e.Err, syscall.EDQUOT) {
		return "make room where the output goes, or send it elsewhere"
	}
	return ""
}

func newStream(w io.Writer, color bool) stream {
	s := stream{Writer: w}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.file, s.color = f, color
	}
	return s
}

// IsTerminal reports whether results go to a terminal.
func (p *Printer) IsTerminal() bool { return p.out.file != nil }

// NotesToTerminal reports whether what is not a result goes to a terminal.
func (p *Printer) NotesToTerminal() bool { return p.err.file != nil }

// Width is the width of the terminal that results go to, or another one.
func (p *Printer) Width(otherwise int) int { return p.out.width(otherwise) }

// NotesWidth is that of the terminal that everything else goes to.
func (p *Printer) NotesWidth(otherwise int) int { return p.err.width(otherwise) }

func (s stream) width(otherwise int) int {
	if width, _, ok := s.size(); ok {
		return width
	}
	return otherwise
}

// IsTerminal reports whether something that is read is a terminal.
func IsTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// size is the terminal's width and height in characters; ok is false where there is no terminal.
func (s stream) size() (width, height int, ok bool) {
	if s.file == nil {
		return 0, 0, false
	}
	width, height, err := term.GetSize(int(s.file.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		return 80, 24, true // a serial line, say: what terminals have been since the VT100
	}
	return width, height, true
}

// style wraps text, for a terminal that wants it, in a Select Graphic Rendition (ECMA-48, 8.3.117).
func (s stream) style(code, text string) string {
	if !s.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

const (
	bold = "1"
	dim  = "2"
	red  = "1;31"
)

// Line prints one line of a result. The format is ours; string arguments, Stringers and errors are escaped.
func (p *Printer) Line(format string, args ...any) error {
	_, err := fmt.Fprintf(p.out, format+"\n", escaped(args)...)
	return err
}

// Lines prints lines of a result at once. They are escaped.
func (p *Printer) Lines(lines []string) error {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(Escape(line))
		b.WriteByte('\n')
	}
	_, err := io.WriteString(p.out, b.String())
	return err
}

// Note prints one line that is not part of a result, on standard error.
func (p *Printer) Note(format string, args ...any) {
	_, _ = fmt.Fprintf(p.err, format+"\n", escaped(args)...) // nobody is left to tell
}

// Failure prints what went wrong in one line, as "coracle: what: where: why", and the next step, if any, in another.
func (p *Printer) Failure(err error, hint string) {
	_, _ = fmt.Fprintf(p.err, "%s %s\n", p.err.style(red, "coracle:"), oneLine(err.Error()))
	if hint != "" {
		_, _ = fmt.Fprintf(p.err, "%s %s\n", p.err.style(bold, "hint:"), oneLine(hint))
	}
}

// Warn prints one line about something that did not stop the command.
func (p *Printer) Warn(format string, args ...any) {
	_, _ = fmt.Fprintf(p.err, "%s %s\n", p.err.style(bold, "coracle: warning:"), oneLine(fmt.Sprintf(format, args...)))
}

// JSON prints a result as indented JSON.
func (p *Printer) JSON(v any) error {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	_, err := io.WriteString(p.out, escapeJSON(b.String()))
	return err
}

// Raw is standard output itself, for what is printed as it is: help pages.
func (p *Printer) Raw() io.Writer { return p.out }

// oneLine joins the lines of an error (errors.Join puts one on each) and escapes the rest.
func oneLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i, line := range lines {
		lines[i] = Escape(strings.TrimSpace(line))
	}
	return strings.Join(lines, "; ")
}

// escaped escapes the arguments that hold text.
func escaped(args []any) []any {
	out := make([]any, len(args))
	for i, arg := range args {
		switch arg := arg.(type) {
		case string:
			out[i] = Escape(arg)
		case error:
			out[i] = oneLine(arg.Error())
		case fmt.Stringer:
			out[i] = Escape(arg.String())
		default:
			out[i] = arg
		}
	}
	return out
}

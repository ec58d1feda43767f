package ui

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// ErrNoTerminal means that there is nobody to ask.
var ErrNoTerminal = errors.New("standard input is not a terminal")

// maxAnswer bounds a typed line, in bytes; a terminal gives at most 4096 at once.
const maxAnswer = 4096

// Ask puts a question, on standard error, and reads one line for an answer: yes is true for y and yes. The end of the input
// is a no.
func (p *Printer) Ask(in io.Reader, format string, args ...any) (yes bool, err error) {
	_, _ = fmt.Fprintf(p.err, format, escaped(args)...)
	const longest = 1 << 10
	answer, err := bufio.NewReader(io.LimitReader(in, longest)).ReadString('\n')
	if errors.Is(err, io.EOF) {
		_, _ = fmt.Fprintln(p.err) // nobody has ended the line
		err = nil
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes", err
}

// AskLine asks a person for a line, on standard error. The error is ErrNoTerminal where in is none. When ctx ends the
// question is given up; what is typed then is nobody's.
func (p *Printer) AskLine(ctx context.Context, in io.Reader, question string) (string, error) {
	f, err := p.ask(in, question)
	if err != nil {
		return "", err
	}
	return answer(ctx, func() (string, error) { return readLine(f) })
}

// AskSecret is AskLine for what must not be seen. The terminal shows what is typed again afterwards, also when ctx ends.
func (p *Printer) AskSecret(ctx context.Context, in io.Reader, question string) (string, error) {
	f, err := p.ask(in, question)
	if err != nil {
		return "", err
	}
	fd := int(f.Fd()) // of an answer that nobody waits for any more the file may have been closed
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("asking: %w", err)
	}
	text, err := answer(ctx, func() (string, error) {
		raw, err := term.ReadPassword(fd)
		return string(raw), err
	})
	_, _ = fmt.Fprintln(p.err) // the person's own was not shown
	return text, errors.Join(err, term.Restore(fd, before))
}

func (p *Printer) ask(in io.Reader, question string) (*os.File, error) {
	f, ok := in.(*os.File)
	if !ok || !IsTerminal(in) {
		return nil, ErrNoTerminal
	}
	_, err := io.WriteString(p.err, Escape(question))
	return f, err
}

// answer waits for a person, or for ctx to end.
func answer(ctx context.Context, read func() (string, error)) (string, error) {
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := read()
		done <- result{text, err}
	}()
	select {
	case r := <-done:
		return r.text, r.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// readLine reads up to the end of a line and nothing after it.
func readLine(r io.Reader) (string, error) {
	var line []byte
	for one := make([]byte, 1); len(line) < maxAnswer; {
		n, err := r.Read(one)
		if n > 0 && one[0] == '\n' {
			break
		}
		line = append(line, one[:n]...)
		if errors.Is(err, io.EOF) && len(line) > 0 {
			break
		}
		if err != nil {
			return "", err
		}
	}
	return strings.TrimSuffix(string(line), "\r"), nil
}

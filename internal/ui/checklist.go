package ui

import (
	"io"
	"strings"
	"unicode/utf8"
)

// Mark is how the state of an item is shown where there is colour.
type Mark int

// The marks.
const (
	Neutral Mark = iota
	Fine
	Strong
	Bad
)

const (
	green  = "32"
	yellow = "1;33"
)

var markStyles = map[Mark]string{Neutral: dim, Fine: green, Strong: yellow, Bad: red}

// Item is one thing that was looked at.
type Item struct {
	Mark        Mark
	State, Name string
	Text        string
	Below       []string // further paragraphs
}

// Checklist is a list of things with the state of each. What is said of them is wrapped to the terminal.
type Checklist struct{ Items []Item }

// leastText is how narrow the column of texts gets before it is wrapped no further.
const leastText = 30

// Checklist prints a list as a result.
func (p *Printer) Checklist(l Checklist) error {
	width, _, ok := p.out.size()
	if !ok {
		width = 0
	}
	_, err := io.WriteString(p.out, l.render(width, p.out.style))
	return err
}

// render lays the list out; width is the terminal's, 0 for none.
func (l Checklist) render(width int, style func(code, text string) string) string {
	var states, names int
	for _, i := range l.Items {
		states, names = max(states, utf8.RuneCountInString(i.State)), max(names, utf8.RuneCountInString(i.Name))
	}
	const between = 2
	indent := states + names + 2*between
	room := 0
	if width > 0 {
		room = max(leastText, width-indent)
	}
	var b strings.Builder
	for _, i := range l.Items {
		lead := style(markStyles[i.Mark], Escape(i.State)) + strings.Repeat(" ", states-utf8.RuneCountInString(i.State)+between) +
			Escape(i.Name) + strings.Repeat(" ", names-utf8.RuneCountInString(i.Name)+between)
		for _, line := range wrap(Escape(i.Text), room) {
			b.WriteString(lead + line + "\n")
			lead = strings.Repeat(" ", indent)
		}
		for _, paragraph := range i.Below {
			for _, line := range wrap(Escape(paragraph), room) {
				b.WriteString(strings.Repeat(" ", indent) + style(dim, line) + "\n")
			}
		}
	}
	return b.String()
}

// wrap breaks a text at spaces into lines of at most some characters, where words are no longer than that; 0 is no limit.
func wrap(text string, width int) (lines []string) {
	if width == 0 {
		return []string{text}
	}
	line, length := "", 0
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		if length > 0 && length+1+n > width {
			lines, line, length = append(lines, line), "", 0
		}
		if length > 0 {
			line, length = line+" ", length+1
		}
		line, length = line+word, length+n
	}
	return append(lines, line)
}

package ui

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Table is a list with a heading, as docker prints them. Cells are escaped.
type Table struct {
	Columns []Column
	Rows    [][]string
}

// Column is one column of a table.
type Column struct {
	Title string
	// Cut lets cells be cut, never below the title, when the table is wider than the terminal. In a pipe nothing is cut.
	Cut Cut
}

// Cut says which part of a cell can be missed.
type Cut int

// What can be cut from a cell.
const (
	Nothing Cut = iota
	Back        // the end: of a command, say
	Front       // the beginning: of an image's name, which ends with what it is
)

// gap stands between columns, as in docker's tables; narrow where columns have to be cut.
const (
	gap    = 3
	narrow = 2
)

// Table prints a table as a result.
func (p *Printer) Table(t Table) error {
	width, _, ok := p.out.size()
	if !ok {
		width = 0
	}
	_, err := p.out.Write(t.render(width))
	return err
}

// Redraw prints a table in the place of one that was printed just before, of so many lines, and returns how many it has. On a terminal
// rows that do not fit are left out; elsewhere a table follows the other.
func (p *Printer) Redraw(before int, t Table) (lines int, err error) {
	width, height, terminal := p.out.size()
	if !terminal {
		return 0, p.Table(t)
	}
	t.Rows = t.Rows[:min(len(t.Rows), max(0, height-2))] // a heading, and the line of the cursor
	up := ""
	if before > 0 {
		up = fmt.Sprintf("\x1b[%dA\x1b[J", before) // cursor up, erase to the end (ECMA-48, 8.3.22 and 8.3.39)
	}
	_, err = p.out.Write(append([]byte(up), t.render(width)...))
	return 1 + len(t.Rows), err
}

// render lays the table out; width is the terminal's, 0 for none.
func (t Table) render(width int) []byte {
	rows := make([][]string, 0, len(t.Rows)+1)
	rows = append(rows, make([]string, len(t.Columns)))
	for i, c := range t.Columns {
		rows[0][i] = c.Title
	}
	cells := make([]string, len(t.Rows)*len(t.Columns)) // of all rows: there may be thousands
	for _, row := range t.Rows {
		for i := range min(len(row), len(t.Columns)) {
			cells[i] = Escape(row[i])
		}
		rows = append(rows, cells[:len(t.Columns)])
		cells = cells[len(t.Columns):]
	}
	widths, gap := t.fit(rows, width)
	most := 1
	for _, w := range widths {
		most += w + gap
	}
	out := make([]byte, 0, most*len(rows))
	for _, row := range rows {
		pad := 0 // blanks, which are not written at the end of a line
		for i, cell := range row {
			if t.Columns[i].Cut == Front {
				cell = shortenFront(cell, widths[i])
			} else {
				cell = Shorten(cell, widths[i])
			}
			if cell != "" {
				out = append(appendBlanks(out, pad), cell...)
				pad = 0
			}
			pad += widths[i] - utf8.RuneCountInString(cell) + gap
		}
		out = append(bytes.TrimRight(out, " "), '\n')
	}
	return out
}

func appendBlanks(out []byte, n int) []byte {
	const blanks = "                                "
	for ; n > len(blanks); n -= len(blanks) {
		out = append(out, blanks...)
	}
	return append(out, blanks[:n]...)
}

// fit returns the width of each column and of the gaps between them. While the table is too wide, the widest column that may
// be cut gives way.
func (t Table) fit(rows [][]string, width int) (widths []int, between int) {
	widths = make([]int, len(t.Columns))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	total := 0
	for _, w := range widths {
		total += w
	}
	if width == 0 || total+gap*(len(widths)-1) <= width {
		return widths, gap
	}
	for total += narrow * (len(widths) - 1); total > width; total-- {
		widest := -1
		for i, c := range t.Columns {
			if c.Cut != Nothing && widths[i] > utf8.RuneCountInString(c.Title) && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths, narrow
}

// Fields prints names and values below each other. Values are escaped; what is empty is left out.
func (p *Printer) Fields(fields [][2]string) error {
	width := 0
	for _, f := range fields {
		if f[1] != "" {
			width = max(width, utf8.RuneCountInString(f[0]))
		}
	}
	var b strings.Builder
	for _, f := range fields {
		if f[1] != "" {
			b.WriteString(f[0] + strings.Repeat(" ", width-utf8.RuneCountInString(f[0])+2) + Escape(f[1]) + "\n")
		}
	}
	_, err := io.WriteString(p.out, b.String())
	return err
}

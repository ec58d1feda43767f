package readme

import (
	"strings"
)

// A Command is one command of a session.
type Command struct {
	Line   int    // in the file, from 1
	Text   string // one or more lines of shell
	Output []string
}

// A Block is a fenced block.
type Block struct {
	Line     int
	Language string
	Lines    []string
}

// Blocks finds the fenced blocks of a Markdown text.
func Blocks(text string) (blocks []Block) {
	var open *Block
	for i, line := range strings.Split(text, "\n") {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && open == nil:
			open = &Block{Line: i + 1, Language: strings.TrimSpace(fence)}
		case isFence:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.Lines = append(open.Lines, line)
		}
	}
	return blocks
}

// Session reads the commands of the console blocks.
func Session(blocks []Block) (session []Command) {
	for _, b := range blocks {
		if b.Language != "console" {
			continue
		}
		for i, line := range b.Lines {
			last := len(session) - 1
			if text, ok := strings.CutPrefix(line, "$ "); ok {
				session = append(session, Command{Line: b.Line + 1 + i, Text: text})
			} else if text, ok := strings.CutPrefix(line, "> "); ok && last >= 0 && len(session[last].Output) == 0 {
				session[last].Text += "\n" + text
			} else if last >= 0 {
				session[last].Output = append(session[last].Output, line)
			}
		}
	}
	for i := range session {
		session[i].Output = trimBlank(session[i].Output)
	}
	return session
}

// trimBlank drops blank lines at the end, which only part commands in the README.
func trimBlank(lines []string) []string {
	for len(lines) > 0 && strings.TrimSpace(lines[len(lines)-1]) == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// Script makes a bash script of the session that prints, after the output of each command, a line of mark, the command's
// index and its status.
func Script(session []Command, mark string) string {
	var b strings.Builder
	for _, c := range session {
		b.WriteString(c.Text + "\n")
		b.WriteString(`printf '\n` + mark + ` %d\n' $?` + "\n")
	}
	return b.String()
}

// Results takes the output of a [Script] apart: what each command printed, and its status.
func Results(output, mark string) (printed [][]string, status []string) {
	var lines []string
	for line := range strings.Lines(output) {
		line = strings.TrimSuffix(line, "\n")
		code, ok := strings.CutPrefix(line, mark+" ")
		if !ok {
			lines = append(lines, line)
			continue
		}
		printed = append(printed, trimBlank(lines))
		status = append(status, code)
		lines = nil
	}
	return printed, status
}

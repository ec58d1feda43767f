package cdi

import (
	"errors"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// mostDepth is far above that of any specification, which has six levels.
const mostDepth = 64

var (
	errDepth = errors.New("it is nested too deeply")
	errAlias = errors.New("it has anchors or aliases, which no specification needs")
)

// decodeYAML is yaml.Unmarshal for texts that may want to do harm: aliases of aliases have a value of any size made of a few hundred
// bytes, and for each level of nesting the parser keeps a copy of the path.
func decodeYAML(text []byte, into any) error {
	if err := checkYAML(lexer.Tokenize(string(text))); err != nil {
		return err
	}
	return yaml.Unmarshal(text, into)
}

// checkYAML refuses what decodeYAML is not to decode. Levels that are made by indentation are few in a file of bounded size.
func checkYAML(tokens token.Tokens) error {
	flow, entries, line := 0, 0, 0
	for _, t := range tokens {
		if t.Position != nil && t.Position.Line != line {
			line, entries = t.Position.Line, 0
		}
		switch t.Type {
		case token.AnchorType, token.AliasType:
			return errAlias
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType: // "- - - x"
			entries++
		}
		if flow > mostDepth || entries > mostDepth {
			return errDepth
		}
	}
	return nil
}

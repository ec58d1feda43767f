package record

import _ "embed"

// JSONSchema describes the files of a record and what `runs show --json` prints, see README.md.
//
//go:embed schema.json
var JSONSchema string

package arch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
)

// TestProgramsAreWrittenAlone: a test that writes a program itself fails once in a thousand times with "text file busy", when a
// test beside it starts something in that moment; need.WriteProgram lets nothing start meanwhile.
func TestProgramsAreWrittenAlone(t *testing.T) {
	root, err := need.Top()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") || name == "bin" || entry.Name() == "testdata") && name != "." {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || !strings.HasSuffix(name, "_test.go") && !strings.HasPrefix(name, "test/") {
			return nil
		}
		files := token.NewFileSet()
		parsed, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		seen++
		ast.Inspect(parsed, func(node ast.Node) bool {
			if call, ok := node.(*ast.CallExpr); ok && writesProgram(call) {
				t.Errorf("%s: a program is written with need.Program or need.WriteProgram", files.Position(call.Pos()))
			}
			return true
		})
		return nil
	})
	if err != nil || seen < 100 {
		t.Fatalf("%d files read: %v", seen, err)
	}
}

// writesProgram recognises os.WriteFile and fsx.WriteFile of something with an executable bit and a content.
func writesProgram(call *ast.CallExpr) bool {
	fun, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || fun.Sel.Name != "WriteFile" || len(call.Args) != 3 {
		return false
	}
	if content, ok := call.Args[1].(*ast.Ident); ok && content.Name == "nil" {
		return false
	}
	perm, ok := call.Args[2].(*ast.BasicLit)
	if !ok {
		return false
	}
	bits, err := strconv.ParseUint(perm.Value, 0, 32)
	return err == nil && bits&0o111 != 0
}

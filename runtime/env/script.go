package env

import (
	"bytes"
	"io"
	"os"

	"mvdan.cc/sh/v3/syntax"
)

// parseScript parses a script. The error names the script and the line.
func parseScript(name string, text []byte) (file *syntax.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			file, err = nil, &syntax.ParseError{Filename: name, Text: "the parser gave up"}
		}
	}()
	return syntax.NewParser().Parse(shallow{bytes.NewReader(text)}, name)
}

// shallow is a reader that fails when the parser that reads from it has recursed too
// deeply: the parser reads in small pieces, at whatever depth it is.
type shallow struct{ io.Reader }

func (s shallow) Read(p []byte) (int, error) {
	if deep() {
		return 0, errDeep
	}
	return s.Reader.Read(p)
}

// shallowFile is a file with the same guard.
type shallowFile struct{ *os.File }

func (f shallowFile) Read(p []byte) (int, error) {
	if deep() {
		return 0, errDeep
	}
	return f.File.Read(p)
}

// returns says whether a script uses return outside functions: such a script has to be
// read by the source builtin, the only place where return is legal.
func returns(file *syntax.File) bool {
	found := false
	syntax.Walk(file, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.FuncDecl:
			return false
		case *syntax.CallExpr:
			if len(node.Args) > 0 && node.Args[0].Lit() == "return" {
				found = true
			}
		}
		return !found
	})
	return found
}

// sourceStmt is the command ". name".
func sourceStmt(name string) syntax.Node {
	return &syntax.CallExpr{Args: []*syntax.Word{
		{Parts: []syntax.WordPart{&syntax.Lit{Value: "."}}},
		{Parts: []syntax.WordPart{&syntax.SglQuoted{Value: name}}},
	}}
}

// innerExecs finds the calls of exec that happen in subshells, where they do not replace
// the payload: ( … ), $( … ), pipelines, background commands.
func innerExecs(file *syntax.File) map[syntax.Pos]bool {
	var inner map[syntax.Pos]bool
	var mark func(node syntax.Node) bool
	mark = func(node syntax.Node) bool {
		if call, ok := node.(*syntax.CallExpr); ok && len(call.Args) > 0 && call.Args[0].Lit() == "exec" {
			if inner == nil {
				inner = map[syntax.Pos]bool{}
			}
			inner[call.Pos()] = true
		}
		return true
	}
	syntax.Walk(file, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.Subshell, *syntax.CmdSubst, *syntax.ProcSubst:
			syntax.Walk(node, mark)
			return false
		case *syntax.BinaryCmd:
			if node.Op == syntax.Pipe || node.Op == syntax.PipeAll {
				syntax.Walk(node, mark)
				return false
			}
		case *syntax.Stmt:
			if node.Background {
				syntax.Walk(node, mark)
				return false
			}
		}
		return true
	})
	return inner
}
